//! Where programs run, and in what precision: what an experiment asks for, and what is there.

use crate::cli::Globals;
use crate::command::Failure;
use crate::ranks::Rank;
use cuda::{AllReduce, Card, Cuda, CudaError, Found, Settings};
use std::fmt;
use std::sync::Arc;
use tape::{Compiled, Device, Options};
use train::{DeviceName, Experiment, Peers, Precision};

/// A device and a precision that were settled: nothing about them is open any more.
pub(crate) struct Target {
    place: Place,
    /// Never [`Precision::Auto`].
    precision: Precision,
}

enum Place {
    /// So many threads; 0 for one per core.
    Cores(usize),
    /// A GPU, and whether its programs are captured as graphs.
    Gpu(Found, bool),
}

/// What networks are wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// An experiment that begins here, or is only looked at.
    Begin,
    /// A run goes on: in its own precision, and where it was unless told otherwise.
    GoOn,
    /// The networks of a run are asked, which cores can do as well.
    Look,
}

/// Why there is no such target: the setting that is in the way, and what is wrong.
#[derive(Debug)]
pub(crate) struct Unfit {
    /// `device` or `precision`.
    pub key: &'static str,
    message: String,
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unfit {}

impl Unfit {
    fn precision(problem: &train::Problem) -> Self {
        Self { key: "precision", message: problem.to_string() }
    }

    fn device(name: DeviceName, asked: Option<DeviceName>, error: &CudaError) -> Self {
        let place = if asked.is_some() { format!("--device {name}") } else { "`device`".into() };
        Self { key: "device", message: format!("{place}: {error}") }
    }
}

impl Target {
    /// Where an experiment is computed. `--device` comes before what the experiment says.
    ///
    /// # Errors
    /// A device that was asked for and cannot be used; a precision that the device does not have.
    pub fn of(spec: &Experiment, purpose: Purpose, globals: &Globals) -> Result<Self, Unfit> {
        let Experiment { device, precision, capture, .. } = *spec;
        Self::choose(device, precision, capture, purpose, globals)
    }

    /// Where something is computed in f32 that no experiment asks for.
    ///
    /// # Errors
    /// A device that was asked for and cannot be used.
    pub fn here(globals: &Globals) -> Result<Self, Unfit> {
        Self::choose(DeviceName::Auto, Precision::F32, true, Purpose::Begin, globals)
    }

    fn choose(
        mut device: DeviceName,
        mut precision: Precision,
        capture: bool,
        purpose: Purpose,
        globals: &Globals,
    ) -> Result<Self, Unfit> {
        let asked = globals.device;
        if purpose != Purpose::Begin {
            // A run has written down what it was; what it left open is from versions that knew cores alone.
            device = if device == DeviceName::Auto { DeviceName::Cpu } else { device };
            precision = if precision == Precision::Auto { Precision::F32 } else { precision };
        }
        let device = asked.unwrap_or(device);
        let gpu = |found, precision| Self { place: Place::Gpu(found, capture), precision };
        let cores = |precision| Self { place: Place::Cores(globals.threads), precision };
        let (on_gpu, on_cores) = match (precision, purpose) {
            (Precision::Auto, _) => (Precision::Bf16, Precision::F32),
            // Parameters are the same in all three.
            (Precision::Bf16 | Precision::Tf32, Purpose::Look) => (precision, Precision::F32),
            _ => (precision, precision),
        };
        let on_gpu_at_all = on_gpu.check_on(DeviceName::Cuda(0));
        let on_cores_at_all = on_cores.check_on(DeviceName::Cpu);
        match device {
            DeviceName::Cpu => {
                on_cores_at_all.map_err(|problem| Unfit::precision(&problem))?;
                Ok(cores(on_cores))
            }
            DeviceName::Cuda(n) => {
                on_gpu_at_all.map_err(|problem| Unfit::precision(&problem))?;
                match cuda::device(n) {
                    Ok(found) => Ok(gpu(found, on_gpu)),
                    // Nobody has asked: it is where the run was.
                    Err(why) if purpose == Purpose::Look && asked.is_none() => {
                        tracing::info!("asking the networks on cores, not on {device}: {why}");
                        Ok(cores(on_cores))
                    }
                    Err(why) => Err(Unfit::device(device, asked, &why)),
                }
            }
            DeviceName::Auto if on_gpu_at_all.is_err() => Ok(cores(on_cores)),
            DeviceName::Auto => match (first(), on_cores_at_all) {
                (Ok(found), _) => Ok(gpu(found, on_gpu)),
                (Err(why), Ok(())) => {
                    tracing::info!("computing on cores: {why}");
                    Ok(cores(on_cores))
                }
                (Err(why), Err(mut problem)) => {
                    problem.expected = format!("f32 or f64, since no GPU can be used ({why})");
                    problem.fix = "set `precision: f32`".to_string();
                    Err(Unfit::precision(&problem))
                }
            },
        }
    }

    /// Writes into an experiment what was settled. A run that is only looked at keeps its precision.
    pub fn settle(&self, spec: &mut Experiment) {
        spec.device = self.device();
        if spec.precision == Precision::Auto {
            spec.precision = self.precision;
        }
    }

    /// The same for one rank of several: those of a host share its cores, and each takes a GPU of its own,
    /// from the one that was asked for on.
    ///
    /// # Errors
    /// Fewer GPUs than ranks.
    pub fn for_rank(self, rank: &Rank) -> Result<Self, Failure> {
        if rank.world() == 1 {
            return Ok(self);
        }
        let place = match self.place {
            Place::Cores(threads) => Place::Cores(rank.threads(threads)),
            Place::Gpu(first, capture) => {
                let (own, all) = (rank.me().local_rank, cuda::devices()?);
                let ordinal = first.ordinal + own;
                let found = match all.len() {
                    // A launcher may show each rank a GPU of its own, and no other.
                    1 => all.into_iter().next(),
                    _ => all.into_iter().nth(ordinal),
                };
                let found = found.ok_or_else(|| {
                    format!(
                        "rank {} would use cuda:{ordinal}, which host {} has not: {} ranks are on it. Start \
                         as many ranks on a host as it has GPUs",
                        rank.rank(),
                        rank.me().host,
                        rank.on_host()
                    )
                })?;
                Place::Gpu(found.usable()?, capture)
            }
        };
        Ok(Self { place, ..self })
    }

    /// `cpu` or `cuda`.
    pub fn kind(&self) -> &'static str {
        match self.place {
            Place::Cores(_) => "cpu",
            Place::Gpu(..) => "cuda",
        }
    }

    /// Its name.
    pub fn device(&self) -> DeviceName {
        match &self.place {
            Place::Cores(_) => DeviceName::Cpu,
            Place::Gpu(found, _) => DeviceName::Cuda(found.ordinal),
        }
    }

    /// The GPU, if it is one.
    pub fn gpu(&self) -> Option<&Found> {
        match &self.place {
            Place::Cores(_) => None,
            Place::Gpu(found, _) => Some(found),
        }
    }

    /// How tapes are compiled for it.
    pub fn options(&self) -> Options {
        match self.place {
            Place::Cores(_) => Options::default(),
            Place::Gpu(..) => self.in_cuda().options(),
        }
    }

    /// Bytes of a number of the run's type.
    pub fn real_bytes(&self) -> usize {
        if self.precision == Precision::F64 { 8 } else { 4 }
    }

    /// Bytes that kernels work with beside what the plan holds; of `threads` threads on cores.
    ///
    /// # Errors
    /// A tape that a GPU cannot run.
    pub fn working_bytes(&self, compiled: &Compiled, threads: usize) -> Result<usize, CudaError> {
        let real = self.real_bytes();
        match &self.place {
            Place::Cores(_) => Ok(cpu::working_bytes(compiled, threads, real)),
            Place::Gpu(found, _) => {
                let all = cuda::bytes(compiled, self.in_cuda(), card(found), false)?;
                Ok(all.saturating_sub(compiled.plan.total_bytes(real)))
            }
        }
    }

    /// Opens the GPU; nothing on cores.
    ///
    /// # Errors
    /// A GPU that does not start.
    pub fn open(&self) -> Result<Option<Cuda>, CudaError> {
        self.open_with(None)
    }

    fn open_with(&self, collective: Option<Arc<dyn AllReduce>>) -> Result<Option<Cuda>, CudaError> {
        let Place::Gpu(found, capture) = &self.place else { return Ok(None) };
        let (ordinal, precision) = (found.ordinal, self.in_cuda());
        Cuda::new(Settings { ordinal, precision, capture: *capture, collective }).map(Some)
    }

    /// Runs `body` on the device; on cores on a thread of its pool, and stays there: nothing is handed
    /// over between threads at each step.
    ///
    /// # Errors
    /// A device that does not start; ranks that cannot add up; those of `body`.
    pub fn run<R: Send>(
        &self,
        rank: &Rank,
        body: impl FnOnce(&mut dyn Device) -> Result<R, Failure> + Send,
    ) -> Result<R, Failure> {
        match &self.place {
            Place::Cores(threads) => {
                let engine = rank.engine()?;
                let pool = cpu::pool(*threads)?;
                let inside = Arc::clone(&pool);
                let real = self.real_bytes();
                pool.install(|| body(&mut *cpu::of_ranks(inside, real, engine)))
            }
            Place::Gpu(found, _) => {
                let collective = rank.communicator(found)?;
                body(&mut self.open_with(collective)?.expect("this is a GPU"))
            }
        }
    }

    /// The target in words, for titles.
    pub fn told(&self, globals: &Globals) -> String {
        match &self.place {
            Place::Gpu(found, _) => format!("{}, {}", found.name, self.precision.name()),
            Place::Cores(_) => match globals.cores() {
                1 => "1 thread".to_string(),
                n => format!("{n} threads"),
            },
        }
    }

    fn in_cuda(&self) -> cuda::Precision {
        match self.precision {
            Precision::Tf32 => cuda::Precision::Tf32,
            Precision::Bf16 => cuda::Precision::Bf16,
            Precision::Auto | Precision::F32 | Precision::F64 => cuda::Precision::F32,
        }
    }
}

/// The first GPU that can be used.
fn first() -> Result<Found, CudaError> {
    let usable = cuda::devices()?.into_iter().map(Found::usable);
    // Where none can be used, the first says why.
    usable.reduce(|one, other| if one.is_ok() { one } else { other.or(one) }).expect("one or more")
}

/// What kernels are chosen by.
fn card(found: &Found) -> Card {
    Card { multiprocessors: found.multiprocessors, capability: found.capability }
}
