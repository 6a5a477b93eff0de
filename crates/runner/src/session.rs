//! From an experiment to something that runs: data, programs, threads, device.

use crate::ablation::asked::refuse_ablation;
use crate::cli::Globals;
use crate::command::Failure;
use crate::layers::{ConfigError, Layered};
use crate::ranks::Rank;
use crate::source::Images;
use crate::target::{Purpose, Target};
use crate::{resolve, yaml};
use cuda::CudaError;
use data::{Recipe, Shards};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tape::{Compiled, Device, Dtype};
use train::{Data, Experiment, Gaussian, Peers, Problem, Recorded, Source, Split};

/// An experiment that was checked, where it is computed, and its data if it is on disk.
pub(crate) struct Session {
    /// Its device and precision are those of `target`.
    pub spec: Experiment,
    pub target: Target,
    pub sample: [usize; 3],
    /// The rank that this is.
    pub rank: Arc<Rank>,
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

/// How many ranks an experiment wants; `asked` comes before what it says.
pub(crate) fn ranks(layered: &Layered, asked: Option<usize>) -> Result<usize, ConfigError> {
    let spec = experiment(layered)?;
    Ok(asked.unwrap_or(spec.ranks))
}

impl Session {
    /// Finds a device, opens the data of an experiment and checks the two against each other.
    pub fn open(
        layered: &Layered,
        globals: &Globals,
        need: Need,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        Self::open_as(&Rank::alone(), layered, globals, need, purpose)
    }

    /// The same as one rank of several.
    pub fn open_as(
        rank: &Arc<Rank>,
        layered: &Layered,
        globals: &Globals,
        need: Need,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        let spec = experiment(layered)?;
        spec.check(rank.world()).map_err(|problem| refuse(layered, &problem))?;
        let target = target(layered, &spec, purpose, globals)?.for_rank(rank)?;
        let beside = layered.file().parent().unwrap_or(Path::new("."));
        let mut session = Self::of(spec, target, beside, globals, need)?;
        session.rank = Arc::clone(rank);
        let fits = session.spec.check_samples(session.sample);
        fits.map_err(|problem| refuse(layered, &problem))?;
        Ok(session)
    }

    /// The same for an experiment that was checked before: that of a run.
    pub fn of(
        mut spec: Experiment,
        target: Target,
        beside: &Path,
        globals: &Globals,
        need: Need,
    ) -> Result<Self, Failure> {
        target.settle(&mut spec);
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
        Ok(Self { spec, target, sample, rank: Rank::alone(), shards })
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
        self.record_with(&self.spec)
    }

    fn record_with(&self, spec: &Experiment) -> Recorded {
        Recorded::new(spec, self.sample, self.dtype(), self.rank.world())
    }

    /// Compiles programs for the device.
    pub fn compile(&self, recorded: &Recorded) -> Compiled {
        recorded.tape.compile(&self.target.options())
    }

    /// Refuses programs that a GPU has too little memory for.
    ///
    /// # Errors
    /// What is needed, what is free, and the largest batch that would fit.
    pub fn check_memory(&self, compiled: &Compiled) -> Result<(), Failure> {
        let Some(device) = self.target.open()? else { return Ok(()) };
        let Err(mut error) = device.fits(compiled) else { return Ok(()) };
        if let CudaError::Memory { batch, .. } = &mut error {
            let with = |batch| Experiment { batch, ..self.spec.clone() };
            let fits = |batch| {
                // Ranks have equal parts of it.
                let spec = with(batch * self.rank.world());
                let compiled = || self.compile(&self.record_with(&spec));
                spec.check(self.rank.world()).is_ok() && device.fits(&compiled()).is_ok()
            };
            let world = self.rank.world();
            *batch = Some(world * largest(self.spec.batch / world, fits));
        }
        Err(error.into())
    }

    /// Real samples from `position` on.
    pub fn source(&self, position: u64) -> Result<Box<dyn Source + Send>, Failure> {
        let seed = self.spec.seed;
        let [rank, world] = [self.rank.rank(), self.rank.world()];
        Ok(match &self.spec.data {
            Data::Gaussian { mean, std } => {
                Box::new(Gaussian::new(*mean, *std, seed, [rank, world], position))
            }
            Data::Images { pad, flip, .. } => {
                let shards = self.shards.as_ref().ok_or("the data set was not opened")?;
                let (pad, flip, start) = (*pad, *flip, position);
                let batch = data::Options::new(seed, self.spec.batch);
                let options = data::Options { rank, world, pad, flip, start, ..batch };
                Box::new(Images::new(Arc::clone(shards), options)?)
            }
        })
    }

    /// Runs `body` with the device.
    ///
    /// # Errors
    /// A device that does not start; those of `body`.
    pub fn on_device<R: Send>(
        &self,
        body: impl FnOnce(&mut dyn Device) -> Result<R, Failure> + Send,
    ) -> Result<R, Failure> {
        self.target.run(&self.rank, body)
    }

    /// Images of the data set that is open.
    pub fn images(&self) -> usize {
        self.shards.as_ref().map_or(0, |shards| shards.len())
    }
}

/// Where an experiment is computed; an error names the layer that asks for what is not there.
pub(crate) fn target(
    layered: &Layered,
    spec: &Experiment,
    purpose: Purpose,
    globals: &Globals,
) -> Result<Target, Failure> {
    Target::of(spec, purpose, globals).map_err(|unfit| match unfit.key {
        "device" if globals.device.is_some() => unfit.into(),
        key => layered.refuse(key, unfit).into(),
    })
}

/// The largest number below `n` that fits, if larger ones need more; 0 if none does.
fn largest(n: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut fitting, mut too_large) = (0, n);
    while too_large - fitting > 1 {
        let middle = fitting + (too_large - fitting) / 2;
        if fits(middle) {
            fitting = middle;
        } else {
            too_large = middle;
        }
    }
    fitting
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

#[cfg(test)]
mod tests {
    use super::largest;

    #[test]
    fn the_largest_that_fits_is_found() {
        for most in 0..40 {
            assert_eq!(largest(40, |n| n <= most), most);
        }
    }
}
