//! `metrics.jsonl`: one JSON object per line, only ever appended to.
//!
//! The checkpoint holds the number of lines that were there when it was taken. A run that goes on
//! from it cuts the file back to them, so no report appears twice and a line that a crash left
//! half-written is gone.

use crate::aside::at;
use crate::command::Failure;
use crate::run_dir;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The open log.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    lines: u64,
}

impl Journal {
    /// Opens the log and cuts it back to its first `lines` lines; 0 begins a new one.
    ///
    /// # Errors
    /// When there are fewer complete lines than that, or the file cannot be read and written.
    pub fn open(path: &Path, lines: u64) -> io::Result<Journal> {
        let open = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            let mut options = OpenOptions::new();
            let mut file =
                options.read(true).write(true).create(true).truncate(false).open(path)?;
            let length = length_of(&file, lines)?;
            file.set_len(length)?;
            file.seek(SeekFrom::Start(length))?;
            Ok(file)
        };
        let file = open().map_err(|error| at(path, error))?;
        Ok(Journal { file, path: path.to_owned(), lines })
    }

    /// Appends one line; it has left the process when this returns.
    ///
    /// # Errors
    /// When the report is not written as a JSON object, or the disk refuses.
    pub fn append(&mut self, report: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(report).map_err(|error| at(&self.path, error.into()))?;
        if line.first() != Some(&b'{') {
            return Err(at(&self.path, io::Error::other("a report is an object with names")));
        }
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| at(&self.path, error))?;
        self.lines += 1;
        Ok(())
    }

    /// Makes all lines durable and returns how many there are: what a checkpoint should promise.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn sync(&mut self) -> io::Result<u64> {
        self.file.sync_all().map_err(|error| at(&self.path, error))?;
        Ok(self.lines)
    }

    /// Lines so far.
    pub fn lines(&self) -> u64 {
        self.lines
    }
}

/// The complete lines of a run's log; none where there is no log yet. What stands behind the last line
/// break was cut short by a kill, or is being written.
pub(crate) fn read<T: DeserializeOwned>(run: &Path) -> Result<Vec<T>, Failure> {
    let path = run.join("metrics.jsonl");
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text.map_err(|error| run_dir::at(&path, &error))?,
    };
    let whole = text.rsplit_once('\n').map_or("", |(lines, _)| lines);
    let parsed = whole.lines().enumerate().map(|(i, line)| {
        let parsed = serde_json::from_str(line);
        parsed.map_err(|error| format!("{}:{}: {error}", path.display(), i + 1).into())
    });
    parsed.collect()
}

/// The bytes of the first `lines` complete lines.
fn length_of(file: &File, lines: u64) -> io::Result<u64> {
    let mut reader = BufReader::new(file);
    let mut line = Vec::new();
    let mut length = 0;
    for complete in 0..lines {
        line.clear();
        length += reader.read_until(b'\n', &mut line)? as u64;
        if line.last() != Some(&b'\n') {
            return Err(io::Error::other(format!(
                "has {complete} complete lines, but the checkpoint was taken after {lines}; \
                 is it from another run?"
            )));
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn text(path: &Path) -> String {
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn goes_on_after_the_promised_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/metrics.jsonl");
        let mut journal = Journal::open(&path, 0).unwrap();
        for images in 0..5 {
            journal.append(&json!({"images": images})).unwrap();
        }
        assert_eq!(journal.sync().unwrap(), 5);
        drop(journal);
        // The crash: a sixth line, cut in the middle.
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"images\": 5, \"val").unwrap();

        let mut journal = Journal::open(&path, 3).unwrap();
        assert_eq!(text(&path), "{\"images\":0}\n{\"images\":1}\n{\"images\":2}\n");
        journal.append(&json!({"images": 30})).unwrap();
        assert_eq!(journal.lines(), 4);
        assert!(text(&path).ends_with("{\"images\":2}\n{\"images\":30}\n"));
    }

    #[test]
    fn a_half_line_is_not_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        fs::write(&path, "{\"a\":1}\n{\"a\":2").unwrap();
        let error = Journal::open(&path, 2).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl: has 1 complete lines"), "{error}");
        // What is refused is left as it was.
        assert_eq!(text(&path), "{\"a\":1}\n{\"a\":2");
        Journal::open(&path, 1).unwrap();
        assert_eq!(text(&path), "{\"a\":1}\n");
        Journal::open(&path, 0).unwrap();
        assert_eq!(text(&path), "");
    }

    #[test]
    fn only_objects() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(&dir.path().join("m.jsonl"), 0).unwrap();
        assert!(journal.append(&[1, 2]).is_err());
        assert_eq!(journal.lines(), 0);
    }
}
