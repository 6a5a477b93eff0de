//! The executor: runs the programs of a loaded tape.

mod timing;

use crate::builder::Card;
use crate::clock::Clock;
use crate::error::{CudaError, Doing};
use crate::gpu::Gpu;
use crate::loaded::Loaded;
use crate::nccl::AllReduce;
use crate::plan;
use crate::precision::Precision;
use crate::program::{Issue, node};
use crate::tensor::Tensor;
use cudarc::driver::{CudaEvent, result};
use std::sync::Arc;
use std::time::Duration;
use tape::{Compiled, Device, DeviceError, Options, Program, T, Tape};

/// Choices of a run on a GPU.
pub struct Settings {
    /// n of `cuda:n`.
    pub ordinal: usize,
    /// How products are computed, and how activations are stored.
    pub precision: Precision,
    /// Whether programs are captured as graphs; without, each kernel is launched by itself, which is
    /// slower and easier to debug.
    pub capture: bool,
    /// Sums over ranks. Needed where there are several ranks; with one rank, sums go through it as well.
    pub collective: Option<Arc<dyn AllReduce>>,
}

/// Runs programs on one GPU.
pub struct Cuda {
    // Dropped in this order: what needs the context goes first.
    loaded: Option<Loaded>,
    settings: Settings,
    gpu: Gpu,
}

impl Cuda {
    /// Opens a device.
    ///
    /// # Errors
    /// No driver, no such device, a driver or card that is too old.
    pub fn new(settings: Settings) -> Result<Self, CudaError> {
        let gpu = Gpu::open(settings.ordinal, settings.collective.clone())?;
        Ok(Self { loaded: None, settings, gpu })
    }

    /// The card, which kernels are chosen by.
    pub fn card(&self) -> Card {
        self.gpu.card()
    }

    /// Looks whether a compiled tape fits into the memory that is free now.
    ///
    /// # Errors
    /// What is needed and what is free, if it does not.
    pub fn fits(&self, compiled: &Compiled) -> Result<(), CudaError> {
        self.gpu.bind()?;
        let needed = self.needs(compiled)?;
        let free = self.gpu.free()?;
        if needed <= free {
            return Ok(());
        }
        let ordinal = self.gpu.found.ordinal;
        Err(CudaError::Memory { ordinal, needed, free, batch: None })
    }

    /// Bytes of device memory that a compiled tape takes, the driver's own left out.
    ///
    /// # Errors
    /// A tape that this device cannot run.
    pub fn needs(&self, compiled: &Compiled) -> Result<usize, CudaError> {
        let collective = self.settings.collective.is_some();
        plan::bytes(compiled, self.settings.precision, self.card(), collective)
    }

    /// Bytes of device memory that are free.
    ///
    /// # Errors
    /// What the driver reports.
    pub fn free(&self) -> Result<usize, CudaError> {
        self.gpu.bind()?;
        self.gpu.free()
    }

    fn loaded(&mut self) -> Result<&mut Loaded, CudaError> {
        let nothing = || CudaError::Misuse("no tape is loaded".to_string());
        self.loaded.as_mut().ok_or_else(nothing)
    }

    /// Writes the clock and makes old copies anew, so that the program can start.
    fn begin(&mut self, program: Program, clock: &tape::Clock) -> Result<(), CudaError> {
        self.gpu.bind()?;
        let gpu = &self.gpu;
        let nothing = || CudaError::Misuse("no tape is loaded".to_string());
        let loaded = self.loaded.as_mut().ok_or_else(nothing)?;
        let Loaded { programs, ring, fresh, stale, kernels, places, world, .. } = loaded;
        ring.send(gpu, &Clock::new(clock, *world)?, places.clock)?;
        let recorded = &programs[program.0];
        let issue = Issue { gpu, kernels, collective: None, events: &[] };
        for root in &recorded.reads {
            if stale.remove(root) {
                issue.launch(&fresh[root], &gpu.main)?;
            }
        }
        stale.extend(recorded.leaves.iter().copied());
        Ok(())
    }

    /// A program node by node; `after` is told of each that did something.
    fn walk(
        &mut self,
        program: Program,
        clock: &tape::Clock,
        mut after: impl FnMut(&Issue<'_>, &Loaded, usize) -> Result<(), CudaError>,
    ) -> Result<(), CudaError> {
        self.begin(program, clock)?;
        let Self { loaded, settings, gpu } = self;
        let loaded = loaded.as_ref().expect("`begin` looked");
        let collective = settings.collective.as_deref();
        let issue = Issue { gpu, kernels: &loaded.kernels, collective, events: &[] };
        for (i, step) in loaded.programs[program.0].steps.iter().enumerate() {
            issue.step(step)?;
            after(&issue, loaded, i)?;
        }
        Ok(())
    }

    /// Runs node by node, and stops behind the first that gave something not finite.
    fn checked(&mut self, program: Program, clock: &tape::Clock) -> Result<(), DeviceError> {
        let mut bad: Option<(usize, T)> = None;
        self.walk(program, clock, |issue, loaded, i| {
            let step = &loaded.programs[program.0].steps[i];
            let outs = &node(&loaded.compiled, program.0, step).outs;
            for (launch, &t) in loaded.finite[program.0][i].iter().zip(outs) {
                if bad.is_none() {
                    issue.launch(launch, &issue.gpu.main)?;
                    let mut flag = [0_u8; 4];
                    copy_back(issue.gpu, loaded.places.flag, &mut flag)?;
                    bad = (f32::from_le_bytes(flag) != 0.0).then_some((step.node, t));
                }
            }
            Ok(())
        })?;
        let Some((at, t)) = bad else { return Ok(()) };
        let compiled = &self.loaded()?.compiled;
        let node = &compiled.program(program).nodes[at];
        Err(DeviceError::NotFinite {
            program: compiled.program(program).name.clone(),
            op: compiled.print_operation(node),
            tensor: format!("{} {:?}", compiled.label(t), compiled.tensor(t).shape),
            at: node.at.to_string(),
            node: at,
        })
    }

    /// A tensor's place, for the host, which sees `bytes` of it.
    fn seen(&mut self, t: T, bytes: usize) -> Result<Tensor, CudaError> {
        let Loaded { compiled, places, .. } = self.loaded()?;
        let label = compiled.label(t);
        if compiled.plan.place(t).is_none() {
            return Err(CudaError::Misuse(format!("{label} is used by no program")));
        }
        let tensor = places.tensor(compiled, t);
        if tensor.bytes() != bytes as u64 {
            let message = format!("{label} has {} bytes, not {bytes}", tensor.bytes());
            return Err(CudaError::Misuse(message));
        }
        Ok(tensor)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // What is in flight uses memory that goes away now. Whatever the driver answers, it goes away.
        let _ = self.gpu.bind().and_then(|()| self.gpu.wait());
    }
}

impl Device for Cuda {
    fn load(&mut self, tape: &Tape, options: &Options) -> Result<(), DeviceError> {
        self.gpu.bind()?;
        self.gpu.wait()?;
        self.loaded = None;
        self.loaded = Some(Loaded::new(&self.gpu, &self.settings, tape, options)?);
        self.gpu.wait()?;
        Ok(())
    }

    fn run(&mut self, program: Program, clock: &tape::Clock) -> Result<(), DeviceError> {
        if clock.check {
            return self.checked(program, clock);
        }
        self.begin(program, clock)?;
        let Self { loaded, settings, gpu } = self;
        let loaded = loaded.as_ref().expect("`begin` looked");
        let name = || format!("starting `{}`", loaded.compiled.program(program).name);
        match &loaded.graphs[program.0] {
            Some(graph) => graph.launch().doing(&name())?,
            None => {
                let (events, kernels) = (&loaded.events[program.0], &loaded.kernels);
                let collective = settings.collective.as_deref();
                let issue = Issue { gpu, kernels, collective, events };
                issue.program(&loaded.programs[program.0])?;
            }
        }
        Ok(())
    }

    fn profile(
        &mut self,
        program: Program,
        clock: &tape::Clock,
    ) -> Result<Vec<Duration>, DeviceError> {
        use cudarc::driver::sys::CUevent_flags::CU_EVENT_DEFAULT;
        let timed = |gpu: &Gpu| -> Result<CudaEvent, CudaError> {
            gpu.main.record_event(Some(CU_EVENT_DEFAULT)).doing("timing")
        };
        self.gpu.bind()?;
        let first = timed(&self.gpu)?;
        let mut ends = Vec::new();
        self.walk(program, clock, |issue, loaded, i| {
            ends.push((loaded.programs[program.0].steps[i].node, timed(issue.gpu)?));
            Ok(())
        })?;
        self.gpu.wait()?;
        let compiled = &self.loaded()?.compiled;
        let mut times = vec![Duration::ZERO; compiled.program(program).nodes.len()];
        let mut before = &first;
        for (node, end) in &ends {
            let ms = before.elapsed_ms(end).doing("timing")?;
            times[*node] = Duration::from_secs_f64(f64::from(ms) / 1000.0);
            before = end;
        }
        Ok(times)
    }

    fn write(&mut self, t: T, bytes: &[u8]) -> Result<(), DeviceError> {
        self.gpu.bind()?;
        let to = self.seen(t, bytes.len())?;
        let Self { loaded, gpu, .. } = self;
        let loaded = loaded.as_mut().expect("`seen` looked");
        if let Some(arrivals) = loaded.arrivals.get_mut(&t) {
            return Ok(arrivals.send(gpu, bytes)?);
        }
        let root = loaded.compiled.root(t).0;
        if loaded.fresh.contains_key(&root) {
            loaded.stale.insert(root);
        }
        // Copies of memory that is not pinned may block: too late to look after the other ranks.
        gpu.wait()?;
        // SAFETY: the tensor has as many bytes, and `bytes` is there until the stream was waited for.
        unsafe { result::memcpy_htod_async(to.at, bytes, gpu.main.cu_stream()) }
            .doing("writing a tensor")?;
        Ok(gpu.wait()?)
    }

    fn read(&mut self, t: T, into: &mut [u8]) -> Result<(), DeviceError> {
        self.gpu.bind()?;
        let from = self.seen(t, into.len())?;
        Ok(copy_back(&self.gpu, from.at, into)?)
    }

    fn is_queued(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        let Gpu { found, .. } = &self.gpu;
        let how = if self.settings.capture { "" } else { ", without graphs" };
        format!("cuda:{} {}, {}{how}", found.ordinal, found.name, self.settings.precision.name())
    }

    fn real_bytes(&self) -> usize {
        4
    }
}

/// Reads device memory; waits for everything before. A failure of a kernel comes out here.
fn copy_back(gpu: &Gpu, from: u64, into: &mut [u8]) -> Result<(), CudaError> {
    let what = "reading a tensor";
    // Copies to memory that is not pinned block: too late to look after the other ranks.
    gpu.finish(&gpu.main, what)?;
    // SAFETY: the place holds as many bytes, and `into` is there until the stream was waited for.
    unsafe { result::memcpy_dtoh_async(into, from, gpu.main.cu_stream()) }
        .and_then(|()| gpu.main.synchronize())
        .doing(what)
}
