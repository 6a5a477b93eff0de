//! The executor: a compiled tape with memory, run operation by operation.

use crate::arms::fused::tables_len;
use crate::kept::{self, Shelf};
use crate::kernels::conv::conv_work;
use crate::kernels::gemm::{Work, WorkSize};
use crate::kernels::map;
use crate::kernels::math::Math;
use crate::kernels::matmul::matmul_work;
use crate::kernels::parallel::Scratch;
use crate::kernels::{batch_norm, reduce};
use crate::memory::{Memory, View, disjoint};
use crate::sums::{self, Sums};
use collective::{Engine, Place};
use rayon::ThreadPool;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tape::{
    Clock, Compiled, Device, DeviceError, Dtype, Node, Op, Options, Over, Program, T, Tape,
};

/// Runs programs on cores, in f32 or f64.
pub struct Cpu<R: Math> {
    pool: Arc<ThreadPool>,
    sums: Sums,
    loaded: Option<Loaded<R>>,
}

/// A tape, ready to run.
struct Loaded<R: Math> {
    compiled: Compiled,
    programs: Vec<Vec<Step>>,
    memory: Memory<R>,
    tools: Tools<R>,
}

/// One node with its operands looked up.
pub(crate) struct Step {
    pub node: Node,
    pub ins: Vec<View>,
    pub outs: Vec<View>,
    /// Where its packed weights are kept.
    pub kept: Option<usize>,
    /// Packed weights that are old once it has run.
    pub stale: Vec<usize>,
    /// First and last extent of the first result.
    pub extents: [usize; 2],
    /// Where it stands, if it adds up over ranks.
    pub sum: Option<Arc<Place>>,
    /// Steps of the program whose sums must have ended before it is run.
    awaits: Vec<usize>,
}

/// What kernels work with besides their operands.
pub(crate) struct Tools<R: Math> {
    pub work: Work<R>,
    pub registers: Scratch<R>,
    pub partials: Vec<R>,
    /// Values per channel that a fused convolution makes of batch norm's.
    pub tables: Vec<R>,
    /// Packed weights that are used more than once.
    pub shelf: Shelf<R>,
    /// Number of ranks.
    pub world: u32,
}

impl<R: Math> Cpu<R> {
    /// An executor on the threads of a pool. Whoever calls it often should do so from inside the
    /// pool (`pool.install`): entering it costs time and memory.
    ///
    /// Programs of more than one rank need an `engine`; it is called from the thread that runs programs.
    pub fn new(pool: Arc<ThreadPool>, engine: Option<Box<dyn Engine>>) -> Self {
        Self { pool, sums: Sums::new(engine), loaded: None }
    }

    /// Gives back an error of a run. Where ranks are lost, an engine may still write to memory that was
    /// handed over: it is left to it for good.
    fn lose<T>(&mut self, ran: Result<T, DeviceError>) -> Result<T, DeviceError> {
        if matches!(ran, Err(DeviceError::Lost(_))) {
            std::mem::forget(self.loaded.take());
        }
        ran
    }

    fn loaded(&mut self) -> Result<&mut Loaded<R>, DeviceError> {
        self.loaded.as_mut().ok_or_else(nothing)
    }
}

fn nothing() -> DeviceError {
    DeviceError::Misuse("no tape is loaded".to_string())
}

/// What was found while a program is checked. One rank ends at once; several go on to the end of the program,
/// since others wait for this one's sums there.
struct Checked {
    world: u32,
    first: Result<(), DeviceError>,
}

impl Checked {
    fn new(world: u32) -> Self {
        Self { world, first: Ok(()) }
    }

    fn take(&mut self, found: Result<(), DeviceError>) -> Result<(), DeviceError> {
        if self.world == 1 {
            return found;
        }
        if self.first.is_ok() {
            self.first = found;
        }
        Ok(())
    }
}

impl<R: Math> Loaded<R> {
    fn view(&self, t: T, bytes: usize) -> Result<View, DeviceError> {
        let label = || self.compiled.label(t);
        let view = Memory::<R>::view(&self.compiled, t)
            .ok_or_else(|| DeviceError::Misuse(format!("{} is used by no program", label())))?;
        let tensor = self.compiled.tensor(t);
        let expected = tensor.shape.len() * tensor.dtype.bytes(R::BYTES);
        if bytes != expected {
            let message = format!("{} has {expected} bytes, not {bytes}", label());
            return Err(DeviceError::Misuse(message));
        }
        Ok(view)
    }
}

impl<R: Math> Device for Cpu<R> {
    fn load(&mut self, tape: &Tape, options: &Options) -> Result<(), DeviceError> {
        let compiled = tape.compile(options);
        if compiled.tensors.iter().any(|tensor| tensor.dtype == Dtype::Bf16) {
            let what = "cores compute in f32 or f64, not in bf16: load with `narrow: false`";
            return Err(DeviceError::Misuse(what.to_string()));
        }
        let needs = Needs::of(&compiled);
        let shelf = Shelf::new(&compiled);
        let mut programs = Vec::with_capacity(compiled.programs.len());
        for program in &compiled.programs {
            let mut steps = Vec::with_capacity(program.nodes.len());
            for node in program.nodes.iter().filter(|n| !n.op.is_view()) {
                let sum = sums::place(&compiled, program, node);
                steps.push(Step { sum, ..Step::new(&compiled, node, &shelf)? });
            }
            for (step, awaits) in sums::awaited(&steps).into_iter().enumerate() {
                steps[step].awaits = awaits;
            }
            programs.push(steps);
        }
        let threads = self.pool.current_num_threads();
        let tools = Tools {
            work: Work::new(threads, needs.work),
            registers: Scratch::new(threads, map::SCRATCH),
            partials: vec![R::ZERO; needs.partials],
            tables: vec![R::ZERO; needs.tables],
            shelf,
            world: tape.world() as u32,
        };
        self.loaded = Some(Loaded { memory: Memory::new(&compiled), compiled, programs, tools });
        Ok(())
    }

    fn run(&mut self, program: Program, clock: &Clock) -> Result<(), DeviceError> {
        let pool = Arc::clone(&self.pool);
        let Self { sums, loaded, .. } = self;
        let Loaded { compiled, programs, memory, tools } = loaded.as_mut().ok_or_else(nothing)?;
        let steps = &programs[program.0];
        let mut checked = Checked::new(tools.world);
        let ran = pool.install(|| {
            for (at, step) in steps.iter().enumerate() {
                sums.finish(&step.awaits)?;
                run(step, memory, tools, clock);
                sums.begin(at, step, memory)?;
                sums.poll()?;
                if clock.check {
                    // What is added up is looked at when it is there.
                    sums.finish_all()?;
                    checked.take(check(compiled, program, at, step, memory))?;
                }
            }
            sums.finish_all()?;
            checked.first
        });
        self.lose(ran)
    }

    fn profile(&mut self, program: Program, clock: &Clock) -> Result<Vec<Duration>, DeviceError> {
        let pool = Arc::clone(&self.pool);
        let Self { sums, loaded, .. } = self;
        let Loaded { compiled, programs, memory, tools } = loaded.as_mut().ok_or_else(nothing)?;
        let (nodes, steps) = (&compiled.program(program).nodes, &programs[program.0]);
        let mut checked = Checked::new(tools.world);
        let ran = pool.install(|| {
            let mut steps = steps.iter().enumerate();
            let mut times = Vec::with_capacity(nodes.len());
            for node in nodes {
                if node.op.is_view() {
                    times.push(Duration::ZERO);
                    continue;
                }
                let (at, step) = steps.next().expect("all but views are run");
                let begun = Instant::now();
                run(step, memory, tools, clock);
                // Each node by itself: a sum is waited for where it stands.
                sums.begin(at, step, memory)?;
                sums.finish_all()?;
                times.push(begun.elapsed());
                if clock.check {
                    checked.take(check(compiled, program, at, step, memory))?;
                }
            }
            checked.first.map(|()| times)
        });
        self.lose(ran)
    }

    fn write(&mut self, t: T, bytes: &[u8]) -> Result<(), DeviceError> {
        let loaded = self.loaded()?;
        let view = loaded.view(t, bytes.len())?;
        for place in loaded.tools.shelf.touched(&[view]) {
            loaded.tools.shelf.forget(place);
        }
        loaded.memory.take_bytes(view, bytes);
        Ok(())
    }

    fn read(&mut self, t: T, into: &mut [u8]) -> Result<(), DeviceError> {
        let loaded = self.loaded()?;
        let view = loaded.view(t, into.len())?;
        loaded.memory.to_bytes(view, into);
        Ok(())
    }

    fn describe(&self) -> String {
        let threads = self.pool.current_num_threads();
        let isa = crate::kernels::isa::isa();
        let engine = self.sums.describe().map(|engine| format!(", {engine}")).unwrap_or_default();
        format!("{threads} cores, {isa:?}, f{}{engine}", 8 * R::BYTES)
    }

    fn real_bytes(&self) -> usize {
        R::BYTES
    }
}

impl Step {
    fn new<R: Math>(
        compiled: &Compiled,
        node: &Node,
        shelf: &Shelf<R>,
    ) -> Result<Self, DeviceError> {
        let fail = |why: String| DeviceError::Failed(format!("{why}, recorded at {}", node.at));
        let views = |of: &[T]| -> Result<Vec<View>, DeviceError> {
            let missing = |t| fail(format!("{} has no place in memory", compiled.label(t)));
            of.iter().map(|&t| Memory::<f32>::view(compiled, t).ok_or_else(|| missing(t))).collect()
        };
        let (ins, outs) = (views(&node.ins)?, views(&node.outs)?);
        disjoint(node, &ins, &outs).map_err(fail)?;
        let shape = compiled.tensor(node.outs[0]).shape;
        let extents = [shape.rows(), shape.channels()];
        let (kept, stale) = (shelf.place(node), shelf.touched(&outs));
        let (sum, awaits) = (None, Vec::new());
        Ok(Self { node: node.clone(), ins, outs, kept, stale, extents, sum, awaits })
    }
}

/// Runs one node, and forgets the packed weights that it has changed.
fn run<R: Math>(step: &Step, memory: &mut Memory<R>, tools: &mut Tools<R>, clock: &Clock) {
    crate::arms::run(step, memory, tools, clock);
    step.stale.iter().for_each(|&place| tools.shelf.forget(place));
}

/// What the kernels of a tape need besides its memory.
struct Needs {
    work: WorkSize,
    partials: usize,
    tables: usize,
}

impl Needs {
    fn of(compiled: &Compiled) -> Self {
        let mut needs = Self { work: WorkSize::default(), partials: 0, tables: 0 };
        for node in compiled.programs.iter().flat_map(|program| &program.nodes) {
            if !node.op.is_view() {
                needs.work = needs.work.max(work_size(compiled, node));
                needs.partials = needs.partials.max(partials_size(compiled, node));
            }
            if let Op::Fused(fused) = &node.op {
                needs.tables = needs.tables.max(tables_len(fused));
            }
        }
        needs
    }
}

/// Bytes that this executor works with besides state, arena and inputs: blocks of each thread, packed
/// weights or parts of sums, registers. `real` is 4 or 8.
pub fn working_bytes(compiled: &Compiled, threads: usize, real: usize) -> usize {
    let needs = Needs::of(compiled);
    (needs.work.elements(threads)
        + threads * map::SCRATCH
        + needs.partials
        + needs.tables
        + kept::len(compiled))
        * real
}

/// Scratch of the product behind a node.
fn work_size(compiled: &Compiled, node: &Node) -> WorkSize {
    match &node.op {
        Op::Fprop(conv) | Op::Dgrad(conv) | Op::Wgrad { conv, .. } => conv_work(conv),
        Op::Fused(fused) => conv_work(&fused.conv),
        Op::Matmul { ta, .. } => {
            let [m, n] = compiled.tensor(node.outs[0]).shape.matrix();
            let [rows, columns] = compiled.tensor(node.ins[0]).shape.matrix();
            matmul_work(m, n, if *ta { rows } else { columns })
        }
        _ => WorkSize::default(),
    }
}

/// Scratch of the sums behind a node.
fn partials_size(compiled: &Compiled, node: &Node) -> usize {
    let shape = node.ins.first().map(|&t| compiled.tensor(t).shape);
    let Some(shape) = shape else { return 0 };
    let (len, c) = (shape.len(), shape.channels());
    match &node.op {
        Op::Sum(Over::All) => reduce::all_scratch(len),
        Op::Sum(Over::Channel) => reduce::per_channel_scratch(len, c),
        Op::Sum(Over::Sample) => reduce::per_sample_scratch(shape.rows(), len / shape.rows()),
        Op::MapSum { shape, .. } => {
            let sums = compiled.tensor(node.outs[0]).shape.len();
            map::sum_scratch(sums, shape.len() / sums)
        }
        Op::Moments | Op::NormalizeSums(_) => batch_norm::sums_scratch(len / c, c),
        Op::Running { .. } => len / 2,
        _ => 0,
    }
}

/// Fails at the first result that is not finite.
fn check<R: Math>(
    compiled: &Compiled,
    program: Program,
    at: usize,
    step: &Step,
    memory: &Memory<R>,
) -> Result<(), DeviceError> {
    for (&t, &view) in step.node.outs.iter().zip(&step.outs) {
        if !memory.read(view).iter().all(|x| x.is_finite()) {
            return Err(DeviceError::NotFinite {
                program: compiled.program(program).name.clone(),
                op: compiled.print_operation(&step.node),
                tensor: format!("{} {:?}", compiled.label(t), compiled.tensor(t).shape),
                at: step.node.at.to_string(),
                node: at,
            });
        }
    }
    Ok(())
}
