//! What an arm works with: it looks operands up, and turns a node into launches.

use crate::launch::{Grid, Launch, Params};
use crate::place::{ALIGN, Places};
use crate::tensor::{Tensor, Type};
use crate::weights::Copies;
use tape::{Compiled, Shape, T};

/// How a convolution or a product of matrices multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Math {
    /// bf16 operands on tensor cores.
    Bf16,
    /// Operands rounded to tf32, on tensor cores.
    Tf32,
    /// f32 on CUDA cores.
    F32,
}

/// What kernels are chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Card {
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
}

impl Card {
    /// An H100, for plans that are made where no card is.
    pub const H100: Self = Self { multiprocessors: 132, capability: (9, 0) };
}

/// What is done for one node, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A kernel.
    Launch(Launch),
    /// The sum over ranks of f32 numbers; the two may be the same.
    AllReduce {
        /// This rank's summand.
        from: Tensor,
        /// The sum.
        to: Tensor,
    },
}

/// Turns nodes into actions. Nothing here touches a device: the same code plans memory where there is
/// none.
pub struct Builder<'a> {
    /// What is run.
    pub compiled: &'a Compiled,
    /// The card that it is run on.
    pub card: Card,
    /// How products are computed.
    pub math: Math,
    /// Number of ranks.
    pub world: u32,
    /// Whether sums over ranks go through NCCL even where there is one rank.
    pub collective: bool,
    /// Address of the clock in device memory, `Clock` of `kernels/tensor.cuh`.
    pub clock: u64,
    pub(crate) places: &'a Places,
    pub(crate) copies: &'a Copies,
    /// Bytes of the workspace that the nodes so far need; a node gives its workspace back at its end.
    pub(crate) workspace: u64,
    used: u64,
    pub(crate) actions: Vec<Action>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(
        compiled: &'a Compiled,
        places: &'a Places,
        copies: &'a Copies,
        settings: (Card, Math, u32, bool),
    ) -> Self {
        let (card, math, world, collective) = settings;
        Self {
            compiled,
            card,
            math,
            world,
            collective,
            clock: places.clock,
            places,
            copies,
            workspace: 0,
            used: 0,
            actions: Vec::new(),
        }
    }

    /// A tensor of the tape, where it lies.
    pub fn tensor(&self, t: T) -> Tensor {
        self.places.tensor(self.compiled, t)
    }

    /// An operand of a convolution or product: the copy that was made of it in the type that products
    /// read, where there is one; it begins at a multiple of 16 bytes.
    pub fn operand(&self, t: T) -> Tensor {
        self.copies.of(t).unwrap_or_else(|| self.tensor(t))
    }

    /// Extents of a tensor.
    pub fn shape(&self, t: T) -> Shape {
        self.compiled.tensor(t).shape
    }

    /// Memory that only this node's kernels use, `len` elements, from a multiple of 256 bytes on.
    pub fn scratch(&mut self, dtype: Type, len: usize) -> Tensor {
        let len = u32::try_from(len).expect("scratch of a node has less than 2³² elements");
        let tensor = Tensor { at: self.places.workspace + self.used, dtype, len };
        self.used += tensor.bytes().next_multiple_of(ALIGN);
        self.workspace = self.workspace.max(self.used);
        tensor
    }

    /// Appends a launch.
    pub fn launch<P: Params>(&mut self, kernel: &'static str, grid: Grid, params: &P) {
        self.actions.push(Action::Launch(Launch::new(kernel, grid, params)));
    }

    /// Appends a sum over ranks.
    pub fn all_reduce(&mut self, from: Tensor, to: Tensor) {
        self.actions.push(Action::AllReduce { from, to });
    }

    /// Ends a node: what it does, and its workspace is free again.
    pub(crate) fn end(&mut self) -> Vec<Action> {
        self.used = 0;
        std::mem::take(&mut self.actions)
    }
}

/// Index of a scalar in the device's clock; see [`tape::Clock::scalars`].
pub fn scalar(s: tape::Scalar) -> u32 {
    s.0 as u32
}
