//! Pictures that are members of tar archives, as packages hold them.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::picture::LARGEST_FILE;
use super::pictures::{Content, Original, Originals, Pictures, Place, pictures};
use crate::error::{Error, Result, bad, io_error};
use crate::fetch::tar;
use crate::manifest::Manifest;

/// An archive, and which of its members are taken.
pub(crate) struct Archive {
    /// The tar file, uncompressed.
    pub(crate) path: PathBuf,
    /// The folder in it; what is directly in there is a picture.
    pub(crate) under: String,
    /// The class, one of the recipe's.
    pub(crate) label: i32,
}

/// Imports members of `archives`, one archive after the other, each in its own order.
pub(crate) fn members(
    archives: Vec<Archive>,
    classes: &[String],
    about: &Pictures,
    out: &Path,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Manifest> {
    let mut members = Members { archives, classes: classes.to_vec(), count: 0 };
    let mut count = 0;
    members.each_member(&mut |_, _| {
        count += 1;
        Ok(true)
    })?;
    members.count = count;
    pictures(&members, about, out, progress)
}

/// Is shown a picture's archive, its name and its content, and says whether to go on.
type Visit<'a> = dyn FnMut((&Archive, &str), &mut dyn Read) -> Result<bool> + 'a;

struct Members {
    archives: Vec<Archive>,
    classes: Vec<String>,
    count: u64,
}

impl Members {
    /// Shows each picture's archive and name with its content, until `visit` says that it has enough.
    fn each_member(&self, visit: &mut Visit<'_>) -> Result<()> {
        for archive in &self.archives {
            let file = File::open(&archive.path).map_err(io_error(&archive.path, "open"))?;
            let mut outcome = Ok(true);
            let read = tar(BufReader::with_capacity(1 << 18, file), &mut |member, content| {
                let name = member.strip_prefix(&archive.under);
                if let Some(name) = name.filter(|name| !name.is_empty() && !name.contains('/')) {
                    outcome = visit((archive, name), content);
                }
                matches!(outcome, Ok(true))
            });
            let fix = "delete it and fetch the recipe again";
            read.map_err(|e| bad(&archive.path, "content", e, "a tar archive", fix))?;
            if !outcome? {
                break;
            }
        }
        Ok(())
    }
}

impl Originals for Members {
    fn importer(&self) -> &'static str {
        "members"
    }

    fn path(&self) -> &Path {
        self.archives.first().map_or(Path::new("archives"), |archive| &archive.path)
    }

    fn classes(&self) -> &[String] {
        &self.classes
    }

    fn count(&self) -> u64 {
        self.count
    }

    fn identity(&self) -> String {
        let one = |a: &Archive| format!("{}:{}:{}", a.path.display(), a.under, a.label);
        self.archives.iter().map(one).collect::<Vec<_>>().join(" ")
    }

    fn each(&self, place: &Place, visit: &mut dyn FnMut(Original) -> bool) -> Result<()> {
        let mut before = place.taken;
        self.each_member(&mut |(archive, name), content| {
            if before > 0 {
                before -= 1;
                return Ok(true);
            }
            let mut bytes = Vec::new();
            let read = content.take(LARGEST_FILE + 1).read_to_end(&mut bytes);
            read.map_err(|e| -> Error { io_error(&archive.path, "read")(e) })?;
            let class = self.classes.get(archive.label as usize).map_or("", String::as_str);
            let key = format!("{class}/{name}");
            Ok(visit(Original { key, label: archive.label, content: Content::Bytes(bytes) }))
        })
    }
}
