//! Sums over ranks, from where they are begun to where somebody touches their memory: in between, a
//! program goes on.

use crate::executor::Step;
use crate::kernels::real::Real;
use crate::memory::Memory;
use collective::{Engine, Lost, Numbers, Place, Ticket};
use std::sync::Arc;
use tape::{Compiled, DeviceError, Listing, Node, Op};

/// Why there is no sum.
const NO_ENGINE: &str = "programs of more than one rank were loaded without an engine that adds up";

/// Where a node stands, for people, if it adds up over more than one rank.
pub(crate) fn place(compiled: &Compiled, program: &Listing, node: &Node) -> Option<Arc<Place>> {
    let Op::AllReduce { world: 2.. } = node.op else { return None };
    let operation = format!("{} recorded at {}", compiled.print_operation(node), node.at);
    Some(Arc::new(Place { program: program.name.clone(), operation }))
}

/// For each step the sums, by the numbers of their steps, that must have ended before it is run: those whose
/// memory it touches. The first who touches it waits.
pub(crate) fn awaited(steps: &[Step]) -> Vec<Vec<usize>> {
    let mut open: Vec<usize> = Vec::new();
    let mut awaited = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let touches = |&sum: &usize| {
            let result = &steps[sum].outs[0];
            step.ins.iter().chain(&step.outs).any(|view| view.overlaps(result))
        };
        let now: Vec<usize> = open.extract_if(.., |sum| touches(sum)).collect();
        awaited.push(now);
        if step.sum.is_some() {
            open.push(at);
        }
    }
    awaited
}

/// What adds up, and the sums that were begun.
pub(crate) struct Sums {
    engine: Option<Box<dyn Engine>>,
    open: Vec<(usize, Ticket)>,
}

impl Sums {
    pub fn new(engine: Option<Box<dyn Engine>>) -> Self {
        Self { engine, open: Vec::new() }
    }

    /// The engine in words.
    pub fn describe(&self) -> Option<String> {
        self.engine.as_ref().map(|engine| engine.describe())
    }

    /// Begins the sum of step number `at`, whose operand is its result's memory or is copied there.
    pub fn begin<R: Real>(
        &mut self,
        at: usize,
        step: &Step,
        memory: &mut Memory<R>,
    ) -> Result<(), DeviceError> {
        let Some(place) = &step.sum else { return Ok(()) };
        let engine = self.engine.as_mut().ok_or(DeviceError::Misuse(NO_ENGINE.to_string()))?;
        let view = step.outs[0];
        let start = memory.pointer(view);
        let numbers = match R::BYTES {
            8 => Numbers::F64(start.cast(), view.len),
            _ => Numbers::F32(start.cast(), view.len),
        };
        // SAFETY: `awaited` lists this sum for the first step that touches the memory, and `finish` comes
        // before that is run; memory is allocated once, and is never freed while a sum is open: see
        // `Cpu::lose`.
        let ticket = unsafe { engine.begin(numbers, place) }.map_err(lost)?;
        self.open.push((at, ticket));
        Ok(())
    }

    /// Lets what was begun make progress.
    pub fn poll(&mut self) -> Result<(), DeviceError> {
        match &mut self.engine {
            Some(engine) if !self.open.is_empty() => engine.poll().map_err(lost),
            _ => Ok(()),
        }
    }

    /// Waits for the sums that were begun by these steps.
    pub fn finish(&mut self, of: &[usize]) -> Result<(), DeviceError> {
        for sum in of {
            // A run that checks has waited for it already.
            let Some(at) = self.open.iter().position(|(at, _)| at == sum) else { continue };
            let (_, ticket) = self.open.remove(at);
            self.engine.as_mut().expect("it began").finish(ticket).map_err(lost)?;
        }
        Ok(())
    }

    /// Waits for all sums.
    pub fn finish_all(&mut self) -> Result<(), DeviceError> {
        let all: Vec<usize> = self.open.iter().map(|(at, _)| *at).collect();
        self.finish(&all)
    }
}

fn lost(lost: Lost) -> DeviceError {
    DeviceError::Lost(lost.to_string())
}
