//! Pictures one by one from somewhere, decoded and resized on several threads, into shards in their own order.

use std::io::Read;
use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest, Sha256};

use super::fit::Fitter;
use super::picture::{self, LARGEST_FILE};
use super::unfinished::Unfinished;
use crate::error::{Error, Result, bad};
use crate::manifest::Manifest;
use crate::writer::Description;

/// Pictures that may wait for each thread, and that each thread may have ready.
const WAITING: usize = 16;

/// What to do with a picture that cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnError {
    /// End with an error that names it.
    #[default]
    Fail,
    /// Leave it out, and list it in `skipped.txt` beside the shards.
    Skip,
}

/// How pictures become a split.
#[derive(Clone, Debug)]
pub struct Pictures {
    /// The data set.
    pub name: String,
    /// The split.
    pub split: String,
    /// Height and width of every row; without it the pictures must all have one size.
    pub size: Option<usize>,
    /// What to do with a picture that cannot be used.
    pub on_error: OnError,
    /// Threads that decode. The bytes written do not depend on it.
    pub threads: NonZeroUsize,
    /// Rows of a shard: what a killed import does not have to do again.
    pub rows_per_shard: usize,
    /// Rows of a record batch.
    pub rows_per_batch: usize,
}

impl Pictures {
    /// The split `train` of squares of `size` pixels, on one thread, in the usual layout.
    pub fn new(name: &str, size: Option<usize>) -> Pictures {
        let usual = Description::new(name, "train", "", [1; 3]);
        Pictures {
            name: usual.name,
            split: usual.split,
            size,
            on_error: OnError::Fail,
            threads: NonZeroUsize::MIN,
            rows_per_shard: usual.rows_per_shard,
            rows_per_batch: usual.rows_per_batch,
        }
    }
}

/// Where pictures come from: always the same ones in the same order.
pub(crate) trait Originals: Sync {
    /// What the manifest calls this importer.
    fn importer(&self) -> &'static str;
    /// The file or folder.
    fn path(&self) -> &Path;
    /// Names of the classes.
    fn classes(&self) -> &[String];
    /// How many there are.
    fn count(&self) -> u64;
    /// Another text if this is not what it was when an import began.
    fn identity(&self) -> String;
    /// Shows the pictures that come after `place`, until `visit` says that it has enough.
    fn each(&self, place: &Place, visit: &mut dyn FnMut(Original) -> bool) -> Result<()>;
}

/// How far one has come: the number of pictures taken, and the key of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) taken: u64,
    pub(crate) key: String,
}

/// An encoded picture.
pub(crate) struct Original {
    pub(crate) key: String,
    pub(crate) label: i32,
    pub(crate) content: Content,
}

/// Where the bytes of a picture are.
pub(crate) enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

/// A picture that was looked at: a row, or why it is none.
pub(crate) struct Prepared {
    pub(crate) key: String,
    pub(crate) label: i32,
    /// SHA-256 of key and content.
    pub(crate) digest: [u8; 32],
    pub(crate) row: Result<([usize; 3], Vec<u8>), String>,
}

/// Imports all of `from` as the folder `out`. An import that was killed goes on where its last whole shard
/// ended, and writes the bytes that it would have written. `progress` is told (pictures done, in all), first of all
/// with those that were done before.
pub(crate) fn pictures(
    from: &dyn Originals,
    about: &Pictures,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest> {
    if from.count() == 0 {
        return Err(none(from.path(), "no pictures at all"));
    }
    let mut import = Unfinished::open(from, about, out)?;
    let place = import.place();
    progress(place.taken, from.count());
    thread::scope(|scope| {
        let (mut to_threads, mut from_threads) = (Vec::new(), Vec::new());
        for _ in 0..about.threads.get() {
            let (give, given) = sync_channel(WAITING);
            let (put, take) = sync_channel(WAITING);
            to_threads.push(give);
            from_threads.push(take);
            let size = about.size;
            scope.spawn(move || prepare_all(size, &given, &put));
        }
        let place = &place;
        let feeder = scope.spawn(move || {
            let mut turn = (0..to_threads.len()).cycle();
            // A thread that has hung up means that nobody takes rows any more.
            from.each(place, &mut |original| {
                turn.next().is_some_and(|lane| to_threads[lane].send(original).is_ok())
            })
        });
        let taken = take_all(from, from_threads, &mut import, progress);
        let fed = feeder.join().unwrap_or_else(|_| Err(stopped(from, place.taken)));
        taken.and(fed)
    })?;
    if import.place().taken != from.count() {
        return Err(stopped(from, import.place().taken));
    }
    import.finish()
}

/// Takes rows from the threads in turn, which is the order in which they were given.
fn take_all(
    from: &dyn Originals,
    threads: Vec<Receiver<Prepared>>,
    import: &mut Unfinished,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<()> {
    for lane in (0..threads.len()).cycle() {
        let Ok(prepared) = threads[lane].recv() else { break };
        import.take(prepared)?;
        progress(import.place().taken, from.count());
    }
    Ok(())
}

fn prepare_all(size: Option<usize>, given: &Receiver<Original>, put: &SyncSender<Prepared>) {
    let mut fitter = Fitter::new(size);
    while let Ok(original) = given.recv() {
        if put.send(prepare(original, &mut fitter, size.is_some())).is_err() {
            return;
        }
    }
}

fn prepare(original: Original, fitter: &mut Fitter, square: bool) -> Prepared {
    let Original { key, label, content } = original;
    let bytes = match content {
        Content::Bytes(bytes) => Ok(bytes),
        Content::File(path) => read(&path),
    };
    let digest = Sha256::new().chain_update(&key).chain_update([0]);
    let digest = digest.chain_update(bytes.as_deref().unwrap_or_default()).finalize().into();
    // A decoder that panics has met a picture that it cannot decode; the others are not to suffer.
    let row = bytes.and_then(|bytes| {
        let decoded = AssertUnwindSafe(|| fitter.fit(picture::decode(&bytes, square)?));
        catch_unwind(decoded).unwrap_or_else(|_| Err(picture::damaged("picture", "a panic")))
    });
    Prepared { key, label, digest, row }
}

/// Reads a file, but no more than one byte too many.
fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |e: std::io::Error| format!("found a file that cannot be read: {e}");
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(LARGEST_FILE + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The error of a source in which nothing can be used.
pub(crate) fn none(path: &Path, found: &str) -> Error {
    bad(
        path,
        "content",
        found,
        "at least one PNG, JPEG or WebP",
        "give a folder or LMDB of pictures",
    )
}

fn stopped(from: &dyn Originals, taken: u64) -> Error {
    let (found, expected) = (format!("{taken} pictures"), from.count());
    bad(from.path(), "content", found, expected, "leave it as it is while it is imported")
}
