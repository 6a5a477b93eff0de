//! LSUN as it is published: an LMDB of encoded pictures, keys of 40 hexadecimal digits (Yu et al. 2015,
//! arXiv:1506.03365; the values are WebP although the project's page says JPEG, so their first bytes decide).

use std::fs;
use std::ops::Bound;
use std::path::{Path, PathBuf};

use heed::types::Bytes;
use heed::{CommitOrAbort, Env, EnvFlags, EnvOpenOptions};

use super::picture::LARGEST_FILE;
use super::pictures::{Content, Original, Originals, Pictures, Place, pictures};
use crate::error::{Error, Result, bad, io_error};
use crate::manifest::Manifest;

/// Values that are read before the file is mapped anew. Pages of a map count as this process's memory for as
/// long as it lasts, and LSUN has 43 GB of them.
const STRETCH: usize = 64 << 20;

/// Imports the LMDB at `path`, a folder with `data.mdb` or the file itself, as the folder `out`: one class, rows in
/// the order of the keys. Nothing is written beside the LMDB. `progress` is told (pictures done, in all).
///
/// # Errors
/// No LMDB, one that was cut short, one without pictures; a picture that cannot be used, unless those are
/// skipped; `out` exists.
pub fn lsun(
    path: &Path,
    category: &str,
    about: &Pictures,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest> {
    pictures(&Lmdb::open(path, category)?, about, out, progress)
}

struct Lmdb {
    path: PathBuf,
    data: PathBuf,
    classes: Vec<String>,
    bytes: u64,
    count: u64,
    last_transaction: usize,
}

const FIX: &str = "give the folder of an LMDB as LSUN has them, such as bedroom_train_lmdb, whole";

impl Lmdb {
    fn open(path: &Path, category: &str) -> Result<Lmdb> {
        let data = if path.is_dir() { path.join("data.mdb") } else { path.to_owned() };
        let metadata = fs::metadata(&data).map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => {
                bad(&data, "LMDB", "no such file", "the data file of an LMDB", FIX)
            }
            _ => io_error(&data, "read")(source),
        })?;
        let mut lmdb = Lmdb {
            path: path.to_owned(),
            data,
            classes: vec![category.to_owned()],
            bytes: metadata.len(),
            count: 0,
            last_transaction: 0,
        };
        let env = lmdb.map()?;
        let (info, stat) = (env.info(), env.unnamed_database_stat());
        let needed = (info.last_page_number as u64 + 1) * u64::from(stat.page_size);
        lmdb.count = stat.entries as u64;
        lmdb.last_transaction = info.last_txn_id;
        env.prepare_for_closing().wait();
        // To touch a page behind the end of a mapped file ends a process, so this comes before any page.
        if lmdb.bytes < needed {
            let (found, expected) = (format!("{} bytes", lmdb.bytes), format!("{needed} bytes"));
            let fix = "it was cut short: copy or unpack it again";
            return Err(bad(&lmdb.data, "length", found, expected, fix));
        }
        Ok(lmdb)
    }

    /// Maps the file and reads its two head pages.
    fn map(&self) -> Result<Env> {
        let flags = EnvFlags::READ_ONLY | EnvFlags::NO_LOCK | EnvFlags::NO_SUB_DIR;
        let mut options = EnvOpenOptions::new();
        options.map_size((self.bytes as usize).next_multiple_of(1 << 20).max(1 << 20));
        // SAFETY: the map is read-only and nobody writes a published data set; without a lock file nothing is
        // written beside it either. That the file is as long as its pages say is checked before they are touched.
        let opened = unsafe { options.flags(flags).open(&self.data) };
        opened.map_err(|e| self.damaged(&e))
    }

    fn damaged(&self, error: &heed::Error) -> Error {
        bad(&self.data, "LMDB", error, "a readable LMDB", FIX)
    }

    /// Shows values after `key` until they make up a stretch. Returns the last key, or none at the end.
    fn stretch(
        &self,
        env: &Env,
        key: &str,
        visit: &mut dyn FnMut(Original) -> bool,
    ) -> Result<Option<String>> {
        let damaged = |e| self.damaged(&e);
        let database = env.open_databases_and_commit(
            env.read_txn().map_err(damaged)?,
            |opener, transaction| -> heed::Result<_> {
                let database = opener.open_database::<Bytes, Bytes>(transaction, None)?;
                Ok(CommitOrAbort::<_, ()>::Commit(database))
            },
        );
        let Some(database) = database.map_err(damaged)?.unwrap_commit() else { return Ok(None) };
        let transaction = env.read_txn().map_err(damaged)?;
        let after = if key.is_empty() { Bound::Unbounded } else { Bound::Excluded(key.as_bytes()) };
        let mut read = 0;
        for entry in database.range(&transaction, &(after, Bound::Unbounded)).map_err(damaged)? {
            let (key, value) = entry.map_err(damaged)?;
            let key = String::from_utf8(key.to_vec()).map_err(|_| {
                let found = format!("{:?}", key.escape_ascii().to_string());
                bad(&self.data, "key", found, "text, such as 40 hexadecimal digits", FIX)
            })?;
            // One byte too many tells that it is too large.
            let value = &value[..value.len().min(LARGEST_FILE as usize + 1)];
            let content = Content::Bytes(value.to_vec());
            if !visit(Original { key: key.clone(), label: 0, content }) {
                return Ok(None);
            }
            read += value.len();
            if read >= STRETCH {
                return Ok(Some(key));
            }
        }
        Ok(None)
    }
}

impl Originals for Lmdb {
    fn importer(&self) -> &'static str {
        "lsun"
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn identity(&self) -> String {
        format!(
            "{} entries, {} bytes, transaction {}",
            self.count, self.bytes, self.last_transaction
        )
    }

    fn each(&self, place: &Place, visit: &mut dyn FnMut(Original) -> bool) -> Result<()> {
        let mut key = Some(place.key.clone());
        while let Some(after) = key {
            let env = self.map()?;
            key = self.stretch(&env, &after, visit)?;
            env.prepare_for_closing().wait();
        }
        Ok(())
    }
}
