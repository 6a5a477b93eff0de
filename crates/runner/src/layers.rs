//! The layers of an experiment: base files below, the file above them, overrides on top.
//!
//! Layers are kept apart until a type reads them (`resolve`), so that every error can name the
//! layer that set the value.

use crate::nearest::nearest;
use crate::yaml;
use serde_json::{Map, Value};
use std::fmt;
use std::path::{Path, PathBuf};

/// An error in what the user wrote: where, and what about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}{message}")]
pub struct ConfigError {
    /// File, variant or argument, ready to stand before the message.
    pub place: String,
    /// What was found there, what was expected, and the fix.
    pub message: String,
}

impl ConfigError {
    /// An error in or about a file.
    pub fn in_file(path: &Path, message: impl fmt::Display) -> ConfigError {
        ConfigError { place: format!("{}: ", path.display()), message: message.to_string() }
    }
}

/// Who set a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The experiment file itself.
    File(PathBuf),
    /// A file it builds on, directly or not.
    Base {
        /// The base file.
        path: PathBuf,
        /// The experiment file that was asked for.
        of: PathBuf,
    },
    /// A part of a file that overrides other keys, such as a variant of an ablation.
    Part {
        /// The file.
        path: PathBuf,
        /// The part as messages should call it, such as ``variant `relu_in_d` ``.
        part: String,
    },
    /// `--set key=value`.
    Set(String),
}

/// As it stands in "set in experiments/x.yaml", "set by --set k=0".
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Origin::File(path) | Origin::Base { path, .. } => {
                write!(f, "set in {}", path.display())
            }
            Origin::Part { path, part } => write!(f, "set in {}, {part}", path.display()),
            Origin::Set(argument) => write!(f, "set by --set {argument}"),
        }
    }
}

impl Origin {
    fn is_file(&self) -> bool {
        matches!(self, Origin::File(_) | Origin::Base { .. })
    }

    /// The front of an error about this layer.
    pub(crate) fn place(&self) -> String {
        match self {
            Origin::File(path) => format!("{}: ", path.display()),
            Origin::Base { path, of } => format!("{} (base of {}): ", path.display(), of.display()),
            Origin::Part { path, part } => format!("{}: {part}\n  ", path.display()),
            Origin::Set(argument) => format!("--set {argument}: "),
        }
    }
}

/// One layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Who wrote it.
    pub origin: Origin,
    /// What it says: nested maps, whether the keys were written dotted or not.
    pub value: Value,
    /// The dotted keys it overrides. Unlike a file's, they must exist without it.
    pub overridden: Vec<String>,
}

/// An experiment, untyped: its layers from the lowest base to the last override.
#[derive(Debug, Clone)]
pub struct Layered {
    file: PathBuf,
    layers: Vec<Layer>,
}

impl Layered {
    /// The file that was asked for.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// All layers, lowest first.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layer with the last word on a dotted key; none when the key has its default.
    pub fn origin(&self, key: &str) -> Option<&Origin> {
        let path: Vec<&str> = key.split('.').collect();
        let mut downwards = self.layers.iter().rev();
        downwards.find(|layer| lookup(&layer.value, &path).is_some()).map(|layer| &layer.origin)
    }

    /// An error about a dotted key, placed at the layer that set it, or set the nearest key above it.
    pub fn refuse(&self, key: &str, message: impl fmt::Display) -> ConfigError {
        let mut key = key;
        loop {
            if let Some(origin) = self.origin(key) {
                return ConfigError { place: origin.place(), message: message.to_string() };
            }
            match key.rsplit_once('.') {
                Some((above, _)) => key = above,
                None => return ConfigError::in_file(&self.file, message),
            }
        }
    }

    /// Takes a key of the outermost level out of the files, the file's own before its bases':
    /// for what steers a run and is not part of it (`variants`, `seeds`).
    pub fn take(&mut self, key: &str) -> Option<Value> {
        let files = self.layers.iter_mut().rev().filter(|layer| layer.origin.is_file());
        let taken = files.filter_map(|layer| layer.value.as_object_mut()?.remove(key));
        // All of them go, the topmost counts.
        taken.fold(None, |first, next| first.or(Some(next)))
    }

    /// The same experiment with a part of its file laid over it, below every `--set`. The keys of
    /// `part` may be dotted.
    ///
    /// # Errors
    /// When the part is not a map, or its keys contradict each other.
    pub fn with_part(&self, part: &str, keys: &Value) -> Result<Layered, ConfigError> {
        let origin = Origin::Part { path: self.file.clone(), part: part.to_owned() };
        let fail = |message: String| ConfigError { place: origin.place(), message };
        let Value::Object(keys) = keys else {
            return Err(fail(format!("expected a map of keys, found {}", yaml::inline(keys))));
        };
        let mut tree = Value::Object(Map::new());
        for (key, value) in keys {
            insert(&mut tree, key, value.clone()).map_err(fail)?;
        }
        let mut layered = self.clone();
        let sets = self.layers.iter().position(|layer| matches!(layer.origin, Origin::Set(_)));
        let overridden = keys.keys().cloned().collect();
        let layer = Layer { origin, value: tree, overridden };
        layered.layers.insert(sets.unwrap_or(self.layers.len()), layer);
        Ok(layered)
    }

    /// A file that stands alone.
    pub(crate) fn single(path: &Path, layer: Layer) -> Layered {
        Layered { file: path.to_owned(), layers: vec![layer] }
    }

    /// The lowest `count` layers, as an experiment.
    pub(crate) fn lowest(&self, count: usize) -> Layered {
        Layered { file: self.file.clone(), layers: self.layers[..count].to_vec() }
    }
}

/// The value at a path; indices walk into lists.
pub(crate) fn lookup<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, segment| match value {
        Value::Array(items) => items.get(segment.parse::<usize>().ok()?),
        value => value.get(segment),
    })
}

/// Puts a value at a dotted key, making the maps on the way.
fn insert(tree: &mut Value, key: &str, value: Value) -> Result<(), String> {
    if key.split('.').any(|segment| segment.trim().is_empty()) {
        return Err(format!("`{key}` is not a key; write names with single dots between them"));
    }
    let mut at = tree;
    for segment in key.split('.') {
        let Value::Object(map) = at else {
            return Err(format!("`{key}` goes through a key that has a value of its own here"));
        };
        at = map.entry(segment).or_insert_with(|| Value::Object(Map::new()));
    }
    *at = value;
    Ok(())
}

/// Loads an experiment: its file, the files it builds on (`base: name`, looked for beside the file
/// and in the folder above), and the overrides `key=value` of `--set`, the last one on top.
///
/// # Errors
/// Missing files, files that build on each other, YAML mistakes with line and column, arguments
/// that are not `key=value`.
pub fn load(path: &Path, sets: &[String]) -> Result<Layered, ConfigError> {
    let mut layers = Vec::new();
    let mut chain = vec![path.to_owned()];
    loop {
        let current = chain.last().expect("starts with the file").clone();
        let mut value = read_map(&current)?;
        let base = value.as_object_mut().and_then(|map| map.remove("base"));
        let origin = match chain.len() {
            1 => Origin::File(current.clone()),
            _ => Origin::Base { path: current.clone(), of: path.to_owned() },
        };
        layers.push(Layer { origin, value, overridden: Vec::new() });
        match base {
            None => break,
            Some(Value::String(name)) => chain.push(find_base(&current, &name, &chain)?),
            Some(other) => {
                let message = format!(
                    "`base` is the name of another experiment, found {}",
                    yaml::inline(&other)
                );
                return Err(ConfigError::in_file(&current, message));
            }
        }
    }
    layers.reverse();
    for set in sets {
        layers.push(parse_set(set)?);
    }
    Ok(Layered { file: path.to_owned(), layers })
}

/// Reads a file whose outermost level is a map.
pub(crate) fn read_map(path: &Path) -> Result<Value, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            ConfigError::in_file(path, format!("no such file{}", neighbour(path)))
        }
        _ => ConfigError::in_file(path, error),
    })?;
    match yaml::from_str(&text).map_err(|error| ConfigError::in_file(path, error))? {
        value @ Value::Object(_) => Ok(value),
        Value::Null => Ok(Value::Object(Map::new())),
        other => {
            let message = format!("expected keys (`name: value`), found {}", yaml::inline(&other));
            Err(ConfigError::in_file(path, message))
        }
    }
}

/// The file in the same folder that was probably meant.
fn neighbour(path: &Path) -> String {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(folder) else {
        return format!("; there is no folder {} either", folder.display());
    };
    let mut stems: Vec<String> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|e| e == "yaml"))
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect();
    stems.sort();
    let wanted = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    match nearest(wanted, stems.iter().map(String::as_str)) {
        Some(stem) => {
            format!("; did you mean `{}`?", folder.join(stem).with_extension("yaml").display())
        }
        None => String::new(),
    }
}

fn find_base(file: &Path, name: &str, chain: &[PathBuf]) -> Result<PathBuf, ConfigError> {
    let name = if name.ends_with(".yaml") { name.to_owned() } else { format!("{name}.yaml") };
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut candidates = vec![folder.join(&name)];
    if let Some(above) = folder.parent() {
        candidates.push(above.join(&name));
    }
    let told = |extra: &Path| {
        let names = chain.iter().map(PathBuf::as_path).chain([extra]);
        names.map(|p| p.display().to_string()).collect::<Vec<_>>().join(" → ")
    };
    let Some(found) = candidates.iter().find(|path| path.is_file()) else {
        let names: Vec<_> = candidates.iter().map(|p| p.display().to_string()).collect();
        let near = candidates
            .iter()
            .map(|path| neighbour(path))
            .find(|near| near.contains("did you mean"));
        let message = format!(
            "no base at {}{} (chain: {})",
            names.join(" or "),
            near.unwrap_or_default(),
            told(Path::new(&name))
        );
        return Err(ConfigError::in_file(file, message));
    };
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    if chain.iter().any(|earlier| same(earlier, found)) {
        return Err(ConfigError::in_file(
            file,
            format!("the bases form a circle: {}", told(found)),
        ));
    }
    Ok(found.clone())
}

fn parse_set(argument: &str) -> Result<Layer, ConfigError> {
    let origin = Origin::Set(argument.to_owned());
    let fail = |message: String| ConfigError { place: origin.place(), message };
    let Some((key, text)) = argument.split_once('=') else {
        return Err(fail("expected `key=value`, such as `--set k=2`".to_owned()));
    };
    if text.trim().is_empty() {
        return Err(fail(format!("`{key}` has no value; write `{key}=null` to empty it")));
    }
    let value =
        yaml::from_str(text).map_err(|error| fail(format!("the value is not YAML: {error}")))?;
    let mut tree = Value::Object(Map::new());
    let key = key.trim();
    insert(&mut tree, key, value).map_err(fail)?;
    Ok(Layer { origin, value: tree, overridden: vec![key.to_owned()] })
}

#[cfg(test)]
mod tests;
