//! The binary as people use it: a folder of its own to work in, a command line, what comes back.

use data::{Description, Writer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tape::philox;
use tempfile::TempDir;

/// A small DCGAN: batch norm, Adam, an average, mirrored and padded images. Reports, samples and
/// checkpoints fall on different steps, and no checkpoint on a report.
pub const DCGAN: &str = "
model: {dcgan: {image: 16, channels: 1, latent: 8, width: 4, kernel: 4}}
data: {images: {set: tiny, pad: 2, flip: true}}
batch: 16
images: 960
ema: 0.9
every: {report: 112, samples: 320, checkpoint: 240}
";

/// A small pair of fully connected networks: dropout, maxout, momentum that rises, k = 2.
pub const GOODFELLOW: &str = "
model:
  goodfellow:
    generator: {latent: 6, hidden: [24], marginals: true}
    discriminator: {maxout: [16, 16], pieces: 3}
data: {images: {set: tiny, pad: 1}}
batch: 8
k: 2
images: 960
optimizer:
  generator: {sgd: {rate: 0.1, momentum: {from: 0.5, to: 0.7, over: 700}, decay: 1.001, floor: 0.01}}
  discriminator: {sgd: {rate: 0.05, momentum: {from: 0.5, to: 0.7, over: 700}, decay: 1.001}}
ema: 0.9
every: {report: 112, samples: 320, checkpoint: 240}
";

/// Figure 1's demonstration, in a second.
pub const GAUSSIAN: &str = "
model:
  goodfellow:
    generator: {latent: 1, range: 1, hidden: [8], output: linear, init: 0.5}
    discriminator: {maxout: [8], pieces: 2, keep_input: 1, keep_hidden: 1, init: 0.2}
data: {gaussian: {mean: 1, std: 2}}
batch: 64
images: 1280
every: {report: 256, samples: 640, checkpoint: 640}
";

/// Images of the data set `tiny`: no multiple of a batch, so epochs end within batches.
pub const IMAGES: usize = 200;

/// Height and width of its images.
pub const SIDE: usize = 12;

/// A folder in which `duel` is run. It goes away with this value.
pub struct Place {
    folder: TempDir,
    binary: PathBuf,
}

/// What a command said, and how it ended.
pub struct Said {
    /// Exit status; none after a signal.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Place {
    /// An empty folder, and the binary to run in it.
    pub fn new(binary: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        Self { folder, binary: binary.into() }
    }

    /// A folder with the data set `tiny`, `dcgan.yaml` and `goodfellow.yaml`.
    pub fn furnished(binary: &str) -> Self {
        let place = Self::new(binary);
        place.shards("tiny", IMAGES, SIDE);
        place.write("dcgan.yaml", DCGAN);
        place.write("goodfellow.yaml", GOODFELLOW);
        place
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("folders can be made");
        fs::write(path, content).expect("files can be written");
    }

    /// The bytes of a file.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// A file as text.
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).expect("text")
    }

    /// Copies a folder.
    pub fn copy(&self, from: &str, to: &str) {
        let mut all = BTreeMap::new();
        walk(&self.path(from), &mut all);
        for path in all.into_keys().filter(|path| path.is_file()) {
            let below = path.strip_prefix(self.path(from)).expect("it was found there");
            let target = self.path(to).join(below);
            fs::create_dir_all(target.parent().expect("a folder")).expect("folders can be made");
            fs::copy(&path, &target).expect("files can be copied");
        }
    }

    /// A prepared data set of square grey images, in shards of 64 and record batches of 32.
    pub fn shards(&self, set: &str, count: usize, side: usize) {
        let about = Description::new(set, "train", "test", [side, side, 1]);
        let about = Description { rows_per_shard: 64, rows_per_batch: 32, ..about };
        let out = self.path("datasets").join(set).join("train");
        let mut writer = Writer::create(&out, about).expect("shards can be written");
        for (i, image) in pixels(count, side).enumerate() {
            writer.push(&image, (i % 10) as i32, &i.to_string()).expect("the image fits");
        }
        writer.finish(Vec::new()).expect("the split is whole");
    }

    /// `duel` with these words, here, ready to run.
    pub fn command(&self, words: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(words.split_whitespace());
        self.alone(&mut command);
        command
    }

    /// Starts it here, with nothing of who runs the tests, and on cores even where there is a GPU.
    fn alone(&self, command: &mut Command) {
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command.env_remove("DUEL_DATA").env_remove("DUEL_LOG").env("DUEL_DEVICE", "cpu");
        // Whoever has started the tests has not started this.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            let launchers = ["SLURM_", "OMPI_", "PMI", "RANK", "WORLD_SIZE", "LOCAL_", "MASTER_"];
            if launchers.iter().any(|launcher| name.starts_with(launcher)) {
                command.env_remove(&*name);
            }
        }
    }

    /// Runs `duel` with these words to its end.
    pub fn duel(&self, words: &str) -> Said {
        Said::of(self.command(words).output().expect("the binary starts"))
    }

    /// Runs `duel` through a shell that does something before: `$0` is the binary.
    pub fn shell(&self, script: &str) -> Said {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(&self.binary);
        self.alone(&mut command);
        Said::of(command.output().expect("a shell"))
    }

    /// Every file and folder here, by its path, with the bytes of files.
    pub fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut all = BTreeMap::new();
        walk(self.folder.path(), &mut all);
        all
    }

    /// The files of a folder by their names, hidden ones as well.
    pub fn files(&self, folder: &str) -> BTreeMap<String, Vec<u8>> {
        let mut all = BTreeMap::new();
        walk(&self.path(folder), &mut all);
        let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().to_string();
        all.into_iter().map(|(path, bytes)| (name(&path), bytes)).collect()
    }

    /// The lines of a run's log without the two figures that are about time.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        let text = self.text(&format!("{run}/metrics.jsonl"));
        let timeless = |line: &str| {
            let mut line: Value = serde_json::from_str(line).expect("a line of JSON");
            for key in ["images_per_second", "data_wait"] {
                let fields = line.as_object_mut().expect("an object");
                fields.remove(key).unwrap_or_else(|| panic!("no `{key}` in {text}"));
            }
            line
        };
        text.lines().map(timeless).collect()
    }
}

/// `count` images of noise, each a function of its number.
pub fn pixels(count: usize, side: usize) -> impl Iterator<Item = Vec<u8>> {
    (0..count).map(move |i| {
        let word = |at: usize| philox::block(7, 0, i as u64, 0, at as u32)[0];
        (0..side * side).map(|at| (word(at) >> 24) as u8).collect()
    })
}

fn walk(folder: &Path, into: &mut BTreeMap<PathBuf, Vec<u8>>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for path in entries.map(|entry| entry.expect("readable").path()) {
        if path.is_dir() {
            into.insert(path.clone(), Vec::new());
            walk(&path, into);
        } else {
            let bytes = fs::read(&path).expect("readable");
            into.insert(path, bytes);
        }
    }
}

impl Said {
    /// What a process left behind.
    pub fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("text");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Standard output of a command that did what it should.
    #[track_caller]
    pub fn fine(self) -> String {
        assert_eq!(self.code, Some(0), "{}", self.err);
        self.out
    }

    /// The message of a command that refused: one error, no panic, nothing on standard output.
    #[track_caller]
    pub fn refused(self) -> String {
        let Self { code, out, err } = self;
        assert_eq!(code, Some(1), "{out}{err}");
        assert_eq!(out, "", "{err}");
        assert!(!err.contains("panicked"), "{err}");
        let errors = err.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(errors, 1, "{err}");
        let (_, message) = err.split_once("error: ").expect("it was counted");
        message.trim_end().to_string()
    }
}
