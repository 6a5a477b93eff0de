//! An import on its way: rows become shards in a folder that survives a kill, and goes on from it.
//!
//! ```text
//! <root>/<name>/.unfinished-train/lock        held by the import that is at work
//!                                /state.json  as of the last whole shard, replaced by renaming
//!                                /split/      becomes <root>/<name>/train
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::fit::RESIZE;
use super::pictures::{OnError, Originals, Pictures, Place, Prepared, none};
use crate::aside::{parent, publish, sync_dir, write_synced};
use crate::digest::hex;
use crate::error::{Error, Result, bad, io_error};
use crate::manifest::{self, Manifest};
use crate::writer::{Description, Writer};

/// The list of what was left out, in the folder of the split: key, tab, reason.
pub const SKIPPED: &str = "skipped.txt";

/// What is known at the end of a shard.
#[derive(Serialize, Deserialize)]
struct State {
    /// Source and settings; another import must not go on here.
    mark: String,
    taken: u64,
    key: String,
    digest: String,
    skipped_bytes: u64,
    manifest: Manifest,
}

/// The folder of an import, and how far it is.
pub(crate) struct Unfinished<'a> {
    from: &'a dyn Originals,
    about: &'a Pictures,
    out: PathBuf,
    folder: PathBuf,
    mark: String,
    /// From the first row on, which decides the shape.
    writer: Option<Writer>,
    place: Place,
    digest: String,
    skipped: File,
    skipped_count: u64,
    skipped_bytes: u64,
    /// Rows of the shards to go on from; with any there is a folder to keep.
    saved: usize,
    _lock: File,
}

impl<'a> Unfinished<'a> {
    /// Begins an import, or goes on with one of the same source and settings.
    pub(crate) fn open(
        from: &'a dyn Originals,
        about: &'a Pictures,
        out: &Path,
    ) -> Result<Unfinished<'a>> {
        if fs::symlink_metadata(out).is_ok() {
            return Err(Error::Exists(out.to_owned()));
        }
        let folder = parent(out).join(format!(".unfinished-{}", about.split));
        let split = folder.join("split");
        fs::create_dir_all(&split).map_err(io_error(&split, "create"))?;
        let lock = lock(&folder)?;
        let mark = mark(from, about);
        let state = saved(&folder, &mark)?;
        tidy(&split, state.as_ref())?;
        let list = split.join(SKIPPED);
        let skipped = OpenOptions::new().create(true).truncate(false).write(true).open(&list);
        let mut skipped = skipped.map_err(io_error(&list, "create"))?;
        let skipped_bytes = state.as_ref().map_or(0, |state| state.skipped_bytes);
        let cut = skipped.set_len(skipped_bytes).and_then(|()| skipped.seek(SeekFrom::End(0)));
        cut.map_err(io_error(&list, "cut"))?;
        let mut import = Unfinished {
            from,
            about,
            out: out.to_owned(),
            folder,
            mark,
            writer: None,
            place: Place::default(),
            digest: String::new(),
            skipped,
            skipped_count: 0,
            skipped_bytes,
            saved: state.as_ref().map_or(0, |state| state.manifest.rows),
            _lock: lock,
        };
        if let Some(state) = state {
            import.place = Place { taken: state.taken, key: state.key };
            import.digest = state.digest;
            import.skipped_count = state.manifest.skipped;
            import.writer = Some(Writer::go_on(out, &split, state.manifest)?);
        }
        Ok(import)
    }

    /// How far it is.
    pub(crate) fn place(&self) -> Place {
        self.place.clone()
    }

    /// Takes the next picture.
    pub(crate) fn take(&mut self, prepared: Prepared) -> Result<()> {
        let Prepared { key, label, digest, row } = prepared;
        match row {
            Ok((shape, pixels)) => self.push(shape, &pixels, label, &key)?,
            Err(reason) if self.about.on_error == OnError::Skip => self.skip(&key, &reason)?,
            Err(reason) => return Err(self.unusable(&key, reason)),
        }
        let chained = Sha256::new().chain_update(&self.digest).chain_update(digest);
        self.digest = hex(&chained.finalize());
        self.place = Place { taken: self.place.taken + 1, key };
        match &self.writer {
            Some(writer) if writer.ends_with_a_shard() && writer.manifest.rows > self.saved => {
                self.save()
            }
            _ => Ok(()),
        }
    }

    /// Writes what is left, and gives the folder its name.
    pub(crate) fn finish(mut self) -> Result<Manifest> {
        let Some(mut writer) = self.writer.take() else {
            let found = format!("{} entries, none of them usable", self.place.taken);
            return Err(none(self.from.path(), &found));
        };
        let list = self.folder.join("split").join(SKIPPED);
        self.skipped.sync_all().map_err(io_error(&list, "sync"))?;
        if self.skipped_count == 0 {
            fs::remove_file(&list).map_err(io_error(&list, "remove"))?;
        }
        writer.manifest.skipped = self.skipped_count;
        let name = self.from.path().file_name().map(|name| name.to_string_lossy().into_owned());
        let file = name.unwrap_or_else(|| self.from.path().display().to_string());
        let sources = vec![manifest::Original { file, sha256: self.digest.clone() }];
        let manifest = writer.finish(sources)?;
        // The folder has given its contents away.
        self.saved = 0;
        Ok(manifest)
    }

    fn push(&mut self, shape: [usize; 3], pixels: &[u8], label: i32, key: &str) -> Result<()> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                let mut about = Description {
                    classes: self.from.classes().to_vec(),
                    rows_per_shard: self.about.rows_per_shard,
                    rows_per_batch: self.about.rows_per_batch,
                    ..Description::new(&self.about.name, "", self.from.importer(), shape)
                };
                about.split.clone_from(&self.about.split);
                let mut writer = Writer::within(&self.out, &self.folder.join("split"), about)?;
                writer.manifest.resize = self.about.size.map(|_| RESIZE.to_owned());
                self.writer.insert(writer)
            }
        };
        if writer.manifest.shape != shape {
            let size = |[h, w, _]: [usize; 3]| format!("{w}×{h} pixels");
            let (found, first) = (size(shape), size(writer.manifest.shape));
            let expected = format!("{first} as the pictures before it");
            let fix = "say which size all are to get with --size N";
            return Err(bad(self.from.path(), format!("picture {key}"), found, expected, fix));
        }
        writer.push(pixels, label, key)
    }

    fn skip(&mut self, key: &str, reason: &str) -> Result<()> {
        tracing::info!(key, reason, "skipped");
        let line = format!("{key}\t{}\n", reason.replace(['\n', '\r'], " "));
        let list = self.folder.join("split").join(SKIPPED);
        self.skipped.write_all(line.as_bytes()).map_err(io_error(&list, "write"))?;
        self.skipped_count += 1;
        self.skipped_bytes += line.len() as u64;
        Ok(())
    }

    fn unusable(&self, key: &str, reason: String) -> Error {
        let (found, expected) = reason.split_once(", expected ").unwrap_or((&reason, "a picture"));
        let mut fix = "repair or remove it, or add --on-error skip".to_owned();
        if self.saved > 0 {
            fix += ", which goes on from the shards that are whole";
        }
        let found = found.trim_start_matches("found ");
        bad(self.from.path(), format!("picture {key}"), found, expected, fix)
    }

    /// Notes that all until here is on disk.
    fn save(&mut self) -> Result<()> {
        let Some(writer) = &self.writer else { return Ok(()) };
        let path = self.folder.join("state.json");
        self.skipped.sync_all().map_err(io_error(&path, "sync"))?;
        sync_dir(&self.folder.join("split"))?;
        let mut manifest = writer.manifest.clone();
        manifest.skipped = self.skipped_count;
        let rows = manifest.rows;
        let state = State {
            mark: self.mark.clone(),
            taken: self.place.taken,
            key: self.place.key.clone(),
            digest: self.digest.clone(),
            skipped_bytes: self.skipped_bytes,
            manifest,
        };
        let text = serde_json::to_vec(&state).map_err(|e| io_error(&path, "encode")(e.into()))?;
        let aside = self.folder.join("state.new");
        fs::remove_file(&aside).ok();
        write_synced(&aside, &text)?;
        publish(&aside, &path)?;
        self.saved = rows;
        Ok(())
    }
}

impl Drop for Unfinished<'_> {
    /// Leaves nothing behind where there is nothing to go on from.
    fn drop(&mut self) {
        if self.saved == 0 {
            fs::remove_dir_all(&self.folder).ok();
        }
    }
}

fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    let file = File::create(&path).map_err(io_error(&path, "create"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let fix = "wait for it, or give this one another --name";
            Err(bad(folder, "lock", "another import at work", "none", fix))
        }
        Err(TryLockError::Error(source)) => Err(io_error(&path, "lock")(source)),
    }
}

/// All that decides which bytes are written.
fn mark(from: &dyn Originals, about: &Pictures) -> String {
    let Pictures { size, rows_per_shard, rows_per_batch, .. } = about;
    let (importer, classes, identity) = (from.importer(), from.classes(), from.identity());
    format!("{importer} {identity} {classes:?} {size:?} {rows_per_shard} {rows_per_batch}")
}

fn saved(folder: &Path, mark: &str) -> Result<Option<State>> {
    let path = folder.join("state.json");
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(&path, "read")(error)),
    };
    let fix = format!("delete the folder {} to begin anew", folder.display());
    let state: State = serde_json::from_slice(&text)
        .map_err(|e| bad(&path, "content", e, "the state of an import", &fix))?;
    if state.mark != mark {
        let (found, expected) = ("an import of another source or other settings", "this one");
        let fix = format!("go on with those, or {fix}");
        return Err(bad(folder, "state", found, expected, fix));
    }
    Ok(Some(state))
}

/// Removes what a killed import had begun and not finished, and checks what it had.
fn tidy(split: &Path, state: Option<&State>) -> Result<()> {
    let shards = state.map_or(&[][..], |state| &state.manifest.shards);
    for entry in fs::read_dir(split).map_err(io_error(split, "read"))? {
        let path = entry.map_err(io_error(split, "read"))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != SKIPPED && !shards.iter().any(|shard| shard.file == name) {
            fs::remove_file(&path).map_err(io_error(&path, "remove"))?;
        }
    }
    for shard in shards {
        let path = split.join(&shard.file);
        let length = fs::metadata(&path).map_err(io_error(&path, "read"))?.len();
        if length != shard.bytes {
            let fix = format!("delete the folder {} to begin anew", parent(split).display());
            return Err(bad(&path, "length", length, shard.bytes, fix));
        }
    }
    Ok(())
}
