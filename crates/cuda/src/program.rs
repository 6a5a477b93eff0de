//! A program as the device runs it: nodes with their launches, and one graph of them all.

use crate::builder::{Action, Builder};
use crate::error::{CudaError, Doing};
use crate::gpu::Gpu;
use crate::kernels::Kernels;
use crate::launch::Launch;
use crate::tensor::Tensor;
use crate::weights::Copies;
use crate::{arms, nccl::AllReduce};
use cudarc::driver::{CudaEvent, CudaGraph, CudaStream, result, sys};
use std::collections::BTreeSet;
use std::ffi::c_void;
use tape::{Compiled, Listing, Node, T};

/// A program's nodes with what is done for each.
pub(crate) struct Recorded {
    pub steps: Vec<Step>,
    /// Buffers whose copies are read before this program has made them anew.
    pub reads: BTreeSet<T>,
    /// Buffers whose copies are old once it has run.
    pub leaves: BTreeSet<T>,
}

/// One node.
pub(crate) struct Step {
    /// Its number in [`Listing::nodes`].
    pub node: usize,
    pub actions: Vec<Action>,
    /// Memory that it reads or writes.
    touches: Vec<Tensor>,
}

impl Recorded {
    /// Records every node; `fresh` gives the launch that makes a buffer's copies anew.
    pub fn new(
        b: &mut Builder<'_>,
        listing: &Listing,
        copies: &Copies,
        fresh: impl Fn(T) -> Launch,
    ) -> Result<Self, CudaError> {
        let compiled = b.compiled;
        let read: Vec<_> = listing.nodes.iter().map(|n| copies.read_by(compiled, n)).collect();
        let ever: BTreeSet<T> = read.iter().flatten().copied().collect();
        let (mut reads, mut leaves, mut ours) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        let mut steps = Vec::new();
        for (i, node) in listing.nodes.iter().enumerate() {
            reads.extend(read[i].difference(&ours).copied());
            arms::record(b, node)?;
            let mut actions = b.end();
            for root in copies.written_by(compiled, node) {
                // Parameters change as one buffer, by an update; or one by one, when they are first drawn.
                if ever.contains(&root) && node.outs.contains(&root) {
                    actions.push(Action::Launch(fresh(root)));
                    ours.insert(root);
                } else {
                    leaves.insert(root);
                }
            }
            if !actions.is_empty() {
                let touches = node.ins.iter().chain(&node.outs).map(|&t| b.tensor(t)).collect();
                steps.push(Step { node: i, actions, touches });
            }
        }
        Ok(Self { steps, reads, leaves })
    }

    /// Every launch.
    pub fn launches(&self) -> impl Iterator<Item = &Launch> {
        self.steps.iter().flat_map(|step| &step.actions).filter_map(|action| match action {
            Action::Launch(launch) => Some(launch),
            Action::AllReduce { .. } => None,
        })
    }
}

/// What issues launches: the device, its kernels, and who sums over ranks.
pub(crate) struct Issue<'a> {
    pub gpu: &'a Gpu,
    pub kernels: &'a Kernels,
    pub collective: Option<&'a dyn AllReduce>,
    /// One for each side of each sum over ranks of a program.
    pub events: &'a [CudaEvent],
}

impl Issue<'_> {
    /// Events that a program needs.
    pub fn events_of(recorded: &Recorded) -> usize {
        let sums = |step: &Step| {
            step.actions.iter().filter(|a| matches!(a, Action::AllReduce { .. })).count()
        };
        2 * recorded.steps.iter().map(sums).sum::<usize>()
    }

    /// Puts a whole program onto the streams. A sum over ranks runs on the side stream until somebody
    /// touches its memory; sums stay in order among themselves, as NCCL asks.
    pub fn program(&self, recorded: &Recorded) -> Result<(), CudaError> {
        let mut events = self.events.iter();
        let mut next = || events.next().expect("as many as `events_of` said");
        let mut under_way: Vec<([Tensor; 2], &CudaEvent)> = Vec::new();
        for step in &recorded.steps {
            let touched = |sum: &[Tensor; 2]| {
                step.touches.iter().any(|t| sum.iter().any(|of_sum| t.overlaps(of_sum)))
            };
            // Sums end in order, so waiting for the last that is touched waits for those before it.
            if let Some(last) = under_way.iter().rposition(|(sum, _)| touched(sum)) {
                self.gpu.main.wait(under_way[last].1).doing("joining streams")?;
                under_way.drain(..=last);
            }
            for action in &step.actions {
                match action {
                    Action::Launch(launch) => self.launch(launch, &self.gpu.main)?,
                    Action::AllReduce { from, to } => {
                        let (begun, done) = (next(), next());
                        begun.record(&self.gpu.main).doing("forking streams")?;
                        self.gpu.side.wait(begun).doing("forking streams")?;
                        self.reduce(from, to, &self.gpu.side)?;
                        done.record(&self.gpu.side).doing("joining streams")?;
                        under_way.push(([*from, *to], done));
                    }
                }
            }
        }
        if let Some((_, last)) = under_way.last() {
            self.gpu.main.wait(last).doing("joining streams")?;
        }
        Ok(())
    }

    /// Puts one node onto the main stream.
    pub fn step(&self, step: &Step) -> Result<(), CudaError> {
        for action in &step.actions {
            match action {
                Action::Launch(launch) => self.launch(launch, &self.gpu.main)?,
                Action::AllReduce { from, to } => self.reduce(from, to, &self.gpu.main)?,
            }
        }
        Ok(())
    }

    /// Puts one kernel onto a stream.
    pub fn launch(&self, launch: &Launch, stream: &CudaStream) -> Result<(), CudaError> {
        let function = self.kernels.function(launch.kernel);
        let [x, y, z] = launch.grid.blocks;
        let mut params = [launch.params().cast_mut().cast::<c_void>()];
        // SAFETY: the function takes one struct of this size, as `Kernels` compared; its tensors lie in
        // the block of this device, whose plan keeps what is alive apart.
        let launched = unsafe {
            result::launch_kernel(
                function,
                (x, y, z),
                (launch.grid.threads, 1, 1),
                launch.grid.shared,
                stream.cu_stream(),
                &mut params,
            )
        };
        launched.doing(launch.kernel)
    }

    fn reduce(&self, from: &Tensor, to: &Tensor, stream: &CudaStream) -> Result<(), CudaError> {
        let collective = self.collective.expect("recorded where there is a communicator");
        collective.all_reduce(from.at, to.at, to.len as usize, stream)
    }

    /// Captures a program as a graph.
    pub fn capture(&self, recorded: &Recorded, name: &str) -> Result<CudaGraph, CudaError> {
        self.captured(name, || self.program(recorded))
    }

    /// Captures what `issue` puts onto the streams as a graph.
    pub fn captured(
        &self,
        name: &str,
        issue: impl FnOnce() -> Result<(), CudaError>,
    ) -> Result<CudaGraph, CudaError> {
        use sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL as MODE;
        let what = format!("capturing `{name}`");
        self.gpu.main.begin_capture(MODE).doing(&what)?;
        let issued = issue();
        // Ends in any case: a stream that goes on capturing can do nothing else.
        let graph = self.gpu.main.end_capture(sys::CUgraphInstantiate_flags(0)).doing(&what);
        issued?;
        let graph = graph?.ok_or_else(|| CudaError::Misuse(format!("`{name}` does nothing")))?;
        graph.upload().doing(&what)?;
        Ok(graph)
    }
}

/// The node that a step stands for.
pub(crate) fn node<'a>(compiled: &'a Compiled, program: usize, step: &Step) -> &'a Node {
    &compiled.programs[program].nodes[step.node]
}
