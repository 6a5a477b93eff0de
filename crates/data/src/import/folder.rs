//! A folder of pictures, each sub-folder a class.

use std::fs;
use std::path::{Path, PathBuf};

use super::pictures::{Content, Original, Originals, Pictures, Place, pictures};
use crate::digest::sha256;
use crate::error::{Result, bad, io_error};
use crate::manifest::Manifest;

/// Folders within folders that are believed; links in a circle have more.
const DEEPEST: usize = 32;

/// Imports the pictures in the folder `path` as the folder `out`. Its sub-folders are the classes, in the
/// order of their names, with all that is below them; without sub-folders there is one class without a name. Rows come
/// in the order of their paths. Every file counts as a picture, whatever its name, but for names that begin with
/// a dot. `progress` is told (pictures done, in all).
///
/// # Errors
/// A folder that cannot be read, holds nothing, or holds pictures beside folders; pictures of several sizes
/// where no size is given; a picture that cannot be used, unless those are skipped; `out` exists.
pub fn folder(
    path: &Path,
    about: &Pictures,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest> {
    pictures(&Folder::open(path)?, about, out, progress)
}

struct Folder {
    path: PathBuf,
    classes: Vec<String>,
    /// Path below the folder, and label.
    files: Vec<(String, i32)>,
    identity: String,
}

impl Folder {
    fn open(path: &Path) -> Result<Folder> {
        let mut folder = Folder {
            path: path.to_owned(),
            classes: Vec::new(),
            files: Vec::new(),
            identity: String::new(),
        };
        let (folders, files) = list(path)?;
        if let (Some(file), Some(_)) = (files.first(), folders.first()) {
            let fix = "move it into a folder, or the folders elsewhere";
            let expected = "pictures in folders, one for each class, or pictures alone";
            return Err(bad(path, "content", format!("`{file}` beside folders"), expected, fix));
        }
        let mut sizes = String::new();
        folder.take("", &files, 0, &mut sizes)?;
        for (label, name) in folders.into_iter().enumerate() {
            folder.walk(&format!("{name}/"), label as i32, 1, &mut sizes)?;
            folder.classes.push(name);
        }
        folder.identity = sha256(sizes.as_bytes());
        Ok(folder)
    }

    fn walk(&mut self, below: &str, label: i32, depth: usize, sizes: &mut String) -> Result<()> {
        let path = self.path.join(below);
        if depth > DEEPEST {
            let (found, fix) = (format!("folders {DEEPEST} deep"), "look for links in a circle");
            return Err(bad(&path, "content", found, "less", fix));
        }
        let (folders, files) = list(&path)?;
        self.take(below, &files, label, sizes)?;
        for name in folders {
            self.walk(&format!("{below}{name}/"), label, depth + 1, sizes)?;
        }
        Ok(())
    }

    fn take(
        &mut self,
        below: &str,
        names: &[String],
        label: i32,
        sizes: &mut String,
    ) -> Result<()> {
        for name in names {
            let key = format!("{below}{name}");
            let path = self.path.join(&key);
            let length = fs::metadata(&path).map_err(io_error(&path, "read"))?.len();
            sizes.push_str(&format!("{length} {key}\n"));
            self.files.push((key, label));
        }
        Ok(())
    }
}

/// Names of the folders and of the files in a folder, each in order.
fn list(path: &Path) -> Result<(Vec<String>, Vec<String>)> {
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(path).map_err(io_error(path, "read the folder"))? {
        let entry = entry.map_err(io_error(path, "read the folder"))?;
        let Ok(name) = entry.file_name().into_string() else {
            let found = entry.file_name().to_string_lossy().into_owned();
            return Err(bad(path, "name of a file", found, "UTF-8", "rename it"));
        };
        if !name.starts_with('.') {
            let into = if entry.path().is_dir() { &mut folders } else { &mut files };
            into.push(name);
        }
    }
    folders.sort_unstable();
    files.sort_unstable();
    Ok((folders, files))
}

impl Originals for Folder {
    fn importer(&self) -> &'static str {
        "folder"
    }

    fn path(&self) -> &Path {
        &self.path
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn count(&self) -> u64 {
        self.files.len() as u64
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn each(&self, place: &Place, visit: &mut dyn FnMut(Original) -> bool) -> Result<()> {
        for (key, label) in self.files.iter().skip(place.taken as usize) {
            let content = Content::File(self.path.join(key));
            if !visit(Original { key: key.clone(), label: *label, content }) {
                break;
            }
        }
        Ok(())
    }
}
