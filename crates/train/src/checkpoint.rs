//! Checkpoints: one safetensors file that holds all that a run is. Equal states give equal bytes.

use crate::{Progress, Watch, reals};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensorError, SafeTensors};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use tape::DeviceError;

/// Version of the header.
const FORMAT: u64 = 2;

/// The one key of metadata: several would be written in the random order of a hash map.
const KEY: &str = "duel";

/// Everything of a run that is no tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// Version of this header.
    pub format: u64,
    /// Version of the program that wrote it.
    pub version: String,
    /// Counters.
    pub progress: Progress,
    /// Samples that the source has handed out.
    pub position: u64,
    /// Lines of the logs at that moment.
    pub lines: u64,
    /// What was seen of the run, for alarms.
    pub watch: Watch,
    /// The experiment, with all its defaults.
    pub configuration: Value,
    /// Hash of the experiment.
    pub configuration_hash: String,
    /// Hash of the programs.
    pub program: String,
}

/// One tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// Name on the tape.
    pub name: String,
    /// Extents.
    pub shape: Vec<usize>,
    /// Elements, little endian.
    pub bytes: Vec<u8>,
}

/// A run, stopped.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Everything but tensors.
    pub header: Header,
    /// Bytes of a number: 4 or 8.
    pub real_bytes: usize,
    /// Every tensor of state, sorted by name.
    pub tensors: Vec<Saved>,
    /// The file it was read from.
    pub origin: Option<PathBuf>,
}

/// Why a checkpoint cannot be written, read or continued. Every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused to write.
    #[error(
        "{}: the checkpoint could not be written: {error}; what was there before is intact, nothing is \
         left beside it{}", path.display(), advice(error)
    )]
    Write {
        /// The checkpoint.
        path: PathBuf,
        /// Its reason.
        error: io::Error,
    },
    /// The file system refused to read.
    #[error("{}: the checkpoint could not be read: {error}", path.display())]
    Read {
        /// The checkpoint.
        path: PathBuf,
        /// Its reason.
        error: io::Error,
    },
    /// Not safetensors, or cut short.
    #[error("{}: found {bytes} bytes that are {what}; use an earlier checkpoint", path.display())]
    Damaged {
        /// The checkpoint.
        path: PathBuf,
        /// Length of the file.
        bytes: usize,
        /// What is wrong with them.
        what: String,
    },
    /// A safetensors file that holds no run.
    #[error(
        "{}: found a safetensors file {what}, expected a checkpoint of a run (metadata `duel`)",
        path.display()
    )]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A tensor with a value that is no number.
    #[error(
        "{}: tensor `{tensor}` holds {value} at element {at}; use an earlier checkpoint", path.display()
    )]
    NotFinite {
        /// The checkpoint.
        path: PathBuf,
        /// Name.
        tensor: String,
        /// Element.
        at: usize,
        /// Its value.
        value: f64,
    },
    /// Another experiment.
    #[error(
        "{path}: the checkpoint is of another experiment: `{key}` was {saved} and is {wanted} now; set it \
         back, or start a run of its own"
    )]
    Configuration {
        /// The checkpoint.
        path: String,
        /// First setting that differs, dotted.
        key: String,
        /// Value in the checkpoint.
        saved: String,
        /// Value now.
        wanted: String,
    },
    /// The same experiment, recorded by another version.
    #[error(
        "{path}: the checkpoint was written by duel {saved_by} with program {saved}, and this is duel \
         {version} with program {wanted}; go on with the version that wrote it"
    )]
    Program {
        /// The checkpoint.
        path: String,
        /// Version that wrote it.
        saved_by: String,
        /// Its program.
        saved: String,
        /// This version.
        version: String,
        /// This program.
        wanted: String,
    },
    /// A tensor that does not fit.
    #[error("{path}: tensor `{tensor}`: found {found}, expected {expected}")]
    Tensor {
        /// The checkpoint.
        path: String,
        /// Name.
        tensor: String,
        /// What the checkpoint has.
        found: String,
        /// What the experiment needs.
        expected: String,
    },
    /// The device refused.
    #[error(transparent)]
    Device(#[from] DeviceError),
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; make room on the disk and run it again, it goes on from the last checkpoint"
        }
        io::ErrorKind::FileTooLarge => {
            "; raise the limit on the size of files (`ulimit -f`) and run it again, it goes on from the \
             last checkpoint"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; choose a folder that may be written to"
        }
        _ => "",
    }
}

impl Header {
    /// A header of this version.
    pub(crate) fn new(
        progress: Progress,
        [position, lines]: [u64; 2],
        watch: Watch,
        configuration: Value,
        [configuration_hash, program]: [u64; 2],
    ) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_string(),
            progress,
            position,
            lines,
            watch,
            configuration,
            configuration_hash: format!("{configuration_hash:016x}"),
            program: format!("{program:016x}"),
        }
    }
}

impl Checkpoint {
    /// The file's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (views, metadata) = (self.views(), self.metadata());
        safetensors::serialize(views, metadata).expect("the tensors were viewed already")
    }

    /// Writes the file to the side, syncs it and renames it. The tensors go from where they are: there
    /// is no second copy of them.
    ///
    /// # Errors
    /// The file system's, with what was there before intact and nothing left beside it.
    pub fn write(&self, path: &Path) -> Result<(), CheckpointError> {
        replace(path, |side| {
            safetensors::serialize_to_file(self.views(), self.metadata(), side).map_err(|error| {
                match error {
                    SafeTensorError::IoError(error) => error,
                    other => io::Error::other(other),
                }
            })
        })
    }

    fn views(&self) -> impl Iterator<Item = (&String, TensorView<'_>)> {
        let dtype = if self.real_bytes == 4 { Dtype::F32 } else { Dtype::F64 };
        self.tensors.iter().map(move |saved| {
            let view = TensorView::new(dtype, saved.shape.clone(), &saved.bytes);
            (&saved.name, view.expect("as many bytes as the shape says"))
        })
    }

    fn metadata(&self) -> Option<HashMap<String, String>> {
        let header = serde_json::to_string(&self.header).expect("a header is numbers and texts");
        Some(HashMap::from([(KEY.to_string(), header)]))
    }

    /// Reads a file and looks at every number.
    ///
    /// # Errors
    /// Files that cannot be read, are no checkpoint, are cut short or hold what is not finite.
    pub fn read(path: &Path) -> Result<Self, CheckpointError> {
        let bytes = std::fs::read(path)
            .map_err(|error| CheckpointError::Read { path: path.to_path_buf(), error })?;
        let damaged = |error| CheckpointError::Damaged {
            path: path.to_path_buf(),
            bytes: bytes.len(),
            what: damage(&error),
        };
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
        let header = read_header(path, metadata.metadata().as_ref())?;
        let file = SafeTensors::deserialize(&bytes).map_err(damaged)?;
        let mut real_bytes = 4;
        let mut tensors = Vec::new();
        for (name, view) in file.iter() {
            let real = match view.dtype() {
                Dtype::F32 => 4,
                Dtype::F64 => 8,
                other => {
                    let what = format!("whose tensor `{name}` is of type {other}");
                    return Err(CheckpointError::Foreign { path: path.to_path_buf(), what });
                }
            };
            if !tensors.is_empty() && real != real_bytes {
                let what = "with numbers of two types".to_string();
                return Err(CheckpointError::Foreign { path: path.to_path_buf(), what });
            }
            real_bytes = real;
            let not_finite = |(_, x): &(usize, f64)| !x.is_finite();
            if let Some((at, value)) = reals::decode(view.data(), real).enumerate().find(not_finite)
            {
                let (path, tensor) = (path.to_path_buf(), name.to_string());
                return Err(CheckpointError::NotFinite { path, tensor, at, value });
            }
            tensors.push(Saved {
                name: name.to_string(),
                shape: view.shape().to_vec(),
                bytes: view.data().to_vec(),
            });
        }
        tensors.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self { header, real_bytes, tensors, origin: Some(path.to_path_buf()) })
    }
}

fn read_header(
    path: &Path,
    metadata: Option<&HashMap<String, String>>,
) -> Result<Header, CheckpointError> {
    let foreign = |what: String| CheckpointError::Foreign { path: path.to_path_buf(), what };
    let text = metadata
        .and_then(|metadata| metadata.get(KEY))
        .ok_or_else(|| foreign("without this metadata".to_string()))?;
    let value: Value = serde_json::from_str(text)
        .map_err(|error| foreign(format!("whose metadata is no JSON ({error})")))?;
    let format = value.get("format").and_then(Value::as_u64);
    if format != Some(FORMAT) {
        let found = value.get("format").unwrap_or(&Value::Null);
        return Err(foreign(format!("of format {found} (this version reads format {FORMAT})")));
    }
    serde_json::from_value(value)
        .map_err(|error| foreign(format!("whose metadata is incomplete ({error})")))
}

fn damage(error: &SafeTensorError) -> String {
    match error {
        SafeTensorError::MetadataIncompleteBuffer => {
            "fewer or more than its header announces: it was cut short, or written over".to_string()
        }
        SafeTensorError::HeaderTooSmall | SafeTensorError::InvalidHeaderLength => {
            "no safetensors file, or one that was cut short within its header".to_string()
        }
        other => format!("no safetensors file ({other})"),
    }
}

/// Lets `fill` write the file of a path at the side, and puts it in the place of `path` when all of it is on the
/// disk.
fn replace(path: &Path, fill: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), CheckpointError> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let write = || -> io::Result<()> {
        let mut builder = tempfile::Builder::new();
        builder.prefix(".checkpoint.").suffix(".part");
        #[cfg(unix)]
        {
            // As readable as other files; the default is for secrets.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let side = builder.tempfile_in(folder)?; // removed when dropped
        fill(side.path())?;
        side.as_file().sync_all()?;
        side.persist(path).map_err(|error| error.error)?;
        // The new name is on the disk when the folder is.
        File::open(folder)?.sync_all()
    };
    write().map_err(|error| CheckpointError::Write { path: path.to_path_buf(), error })
}

#[cfg(test)]
mod tests;
