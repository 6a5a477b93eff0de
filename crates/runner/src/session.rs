//! From an experiment to something that runs: data, programs, threads, device.

use crate::ablation::asked::refuse_ablation;
use crate::cli::Globals;
use crate::command::Failure;
use crate::layers::{ConfigError, Layered};
use crate::source::Images;
use crate::{resolve, yaml};
use data::{Recipe, Shards};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tape::{Device, Dtype};
use train::{Data, Experiment, Gaussian, Precision, Problem, Recorded, Source, Split};

/// An experiment that was checked, and its data if it is on disk.
pub(crate) struct Session {
    pub spec: Experiment,
    pub sample: [usize; 3],
    shards: Option<Arc<Shards>>,
}

/// Whether the data must be on disk.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// To train.
    Samples,
    /// To record programs: a recipe tells it as well.
    Extents,
}

/// Turns a problem with a setting into an error that names the layer.
pub(crate) fn refuse(layered: &Layered, problem: &Problem) -> ConfigError {
    layered.refuse(&problem.key, problem)
}

/// Types and checks an experiment, before any data is touched.
pub(crate) fn experiment(layered: &Layered) -> Result<Experiment, ConfigError> {
    refuse_ablation(layered)?;
    let spec: Experiment = resolve::resolve(layered)?;
    spec.check(1).map_err(|problem| refuse(layered, &problem))?;
    Ok(spec)
}

impl Session {
    /// Opens the data of an experiment and checks the two against each other.
    pub fn open(layered: &Layered, globals: &Globals, need: Need) -> Result<Self, Failure> {
        let spec = experiment(layered)?;
        let beside = layered.file().parent().unwrap_or(Path::new("."));
        let session = Self::of(spec, beside, globals, need)?;
        let fits = session.spec.check_samples(session.sample);
        fits.map_err(|problem| refuse(layered, &problem))?;
        Ok(session)
    }

    /// The same for an experiment that was checked before: that of a run.
    pub fn of(
        spec: Experiment,
        beside: &Path,
        globals: &Globals,
        need: Need,
    ) -> Result<Self, Failure> {
        let (shards, sample) = match &spec.data {
            Data::Gaussian { .. } => (None, [1, 1, 1]),
            Data::Images { set, split, pad, .. } => {
                let folder = split_folder(globals, set, *split);
                let (shards, [h, w, c]) = if folder.exists() || need == Need::Samples {
                    let shards = Shards::open(&folder).map_err(|error| missing(set, error))?;
                    let extents = shards.shape();
                    (Some(Arc::new(shards)), extents)
                } else {
                    (None, recipe(set, beside)?.image)
                };
                (shards, [h + 2 * pad, w + 2 * pad, c])
            }
        };
        Ok(Self { spec, sample, shards })
    }

    /// The type of a sample's numbers as the source gives them.
    pub fn dtype(&self) -> Dtype {
        match self.spec.data {
            Data::Gaussian { .. } => Dtype::F32,
            Data::Images { .. } => Dtype::U8,
        }
    }

    /// Records the programs.
    pub fn record(&self) -> Recorded {
        Recorded::new(&self.spec, self.sample, self.dtype(), 1)
    }

    /// Real samples from `position` on.
    pub fn source(&self, position: u64) -> Result<Box<dyn Source + Send>, Failure> {
        let seed = self.spec.seed;
        Ok(match &self.spec.data {
            Data::Gaussian { mean, std } => {
                Box::new(Gaussian::new(*mean, *std, seed, [0, 1], position))
            }
            Data::Images { pad, flip, .. } => {
                let shards = self.shards.as_ref().ok_or("the data set was not opened")?;
                let (pad, flip, start) = (*pad, *flip, position);
                let batch = data::Options::new(seed, self.spec.batch);
                let options = data::Options { pad, flip, start, ..batch };
                Box::new(Images::new(Arc::clone(shards), options)?)
            }
        })
    }

    /// Bytes of a number: 4, or 8 where the experiment says so.
    pub fn real_bytes(&self) -> usize {
        match self.spec.precision {
            Precision::F64 => 8,
            Precision::Auto | Precision::F32 => 4,
        }
    }

    /// Runs `body` on a thread of the pool that the device works with, and stays there: nothing is
    /// handed over between threads at each step.
    pub fn on_device<R: Send>(
        &self,
        globals: &Globals,
        body: impl FnOnce(&mut dyn Device) -> Result<R, Failure> + Send,
    ) -> Result<R, Failure> {
        let pool = cpu::pool(globals.threads)?;
        let inside = Arc::clone(&pool);
        let real_bytes = self.real_bytes();
        pool.install(move || body(&mut *cpu::device(inside, real_bytes)))
    }
}

/// Where a split of a data set lies.
pub(crate) fn split_folder(globals: &Globals, set: &str, split: Split) -> PathBuf {
    let part = match split {
        Split::Train => "train",
        Split::Test => "test",
    };
    globals.data.join(set).join(part)
}

fn missing(set: &str, error: data::Error) -> Failure {
    format!("{error}\n  `duel data fetch {set}` and `duel data import {set}` make it").into()
}

/// A recipe by its name, looked for beside the experiment and in `experiments/`, or by its file.
pub(crate) fn recipe(name: &str, beside: &Path) -> Result<Recipe, Failure> {
    let file = format!("{name}.yaml");
    let places = [
        PathBuf::from(name),
        beside.join("datasets").join(&file),
        beside.join("../datasets").join(&file),
        Path::new("experiments/datasets").join(&file),
    ];
    let is_yaml = |path: &&PathBuf| path.extension().is_some_and(|e| e == "yaml") && path.is_file();
    match places.iter().find(is_yaml) {
        Some(path) => Ok(resolve::parse(path)?),
        None => {
            let tried: Vec<String> =
                places[1..].iter().map(|path| path.display().to_string()).collect();
            let tried = tried.join(", ");
            Err(format!("no recipe `{name}`: looked for {tried}; name one of those, or its file")
                .into())
        }
    }
}

/// The experiment as it is, with all its defaults.
pub(crate) fn resolved(spec: &Experiment) -> String {
    yaml::to_yaml(spec)
}
