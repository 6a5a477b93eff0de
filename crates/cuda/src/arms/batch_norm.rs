//! Batch norm: `kernels/batch_norm.cu`.

use super::reduce;
use crate::builder::Builder;
use crate::launch::{Grid, Params};
use crate::tensor::{Tensor, Type};
use tape::Node;

/// Threads of a block.
const THREADS: u32 = 256;
/// Blocks that sum, at most: enough for every card, and no number of the card, so that sums are the same on
/// all of them.
const PARTS: u32 = 1024;
/// Rows that a thread of these blocks adds at least, where there are as many.
const ADDED: u32 = 8;
/// Rows that a thread reads at a time in `normalize`.
const ROWS: u32 = 4;
/// Blocks of one multiprocessor in kernels that write as much as they read.
const BLOCKS: u32 = 16;

/// How a kernel goes over `[rows, channels]`; see `kernels/walk.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Walk {
    rows: u32,
    channels: u32,
    width: u32,
    lanes: u32,
}

impl Walk {
    /// Over these tensors, which have one shape, by groups of four channels where all of them allow it.
    fn new(channels: u32, tensors: &[Tensor]) -> Self {
        let wide = |t: &Tensor| t.len == 0 || (t.aligned(16) && t.dtype != Type::U8);
        let quads = channels.is_multiple_of(4) && tensors.iter().all(wide);
        let width = if quads { 4 } else { 1 };
        let groups = channels / width;
        let lanes = groups.div_ceil(groups.div_ceil(THREADS));
        Self { rows: tensors[0].len / channels, channels, width, lanes }
    }

    /// Tiles of channels.
    fn tiles(&self) -> u32 {
        (self.channels / self.width).div_ceil(self.lanes)
    }

    /// A grid in which a thread has `each` rows, but no more than `most` blocks.
    fn grid(&self, each: u32, most: u32) -> Grid {
        let lines = THREADS / self.lanes;
        let wanted = self.rows.div_ceil(lines).div_ceil(each);
        let tiles = self.tiles();
        let blocks = wanted.min(most.div_ceil(tiles)).max(1);
        Grid { blocks: [blocks, tiles, 1], threads: THREADS, shared: 0 }
    }
}

/// An activation as the kernels number it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Act {
    kind: u32,
    slope: f32,
}

impl Act {
    const NONE: u32 = 0;

    /// A leaky ReLU of slope 0 is a ReLU, which has no product that makes NaN of an infinity.
    fn new(act: tape::Act) -> Self {
        let (kind, slope) = match act {
            tape::Act::None => (Self::NONE, 1.0),
            tape::Act::Leaky(0.0) => (1, 0.0),
            tape::Act::Leaky(slope) => (2, slope as f32),
            tape::Act::Tanh => (3, 0.0),
            tape::Act::Sigmoid => (4, 0.0),
        };
        Self { kind, slope }
    }

    /// The output y where the derivative is taken from it.
    fn operand(self, y: Tensor) -> Tensor {
        if self.kind == Self::NONE { Tensor::NONE } else { y }
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct MomentsParams {
    x: Tensor,
    running: Tensor,
    parts: Tensor,
    count: Tensor,
    walk: Walk,
}

// SAFETY: the twin of `MomentsParams` in batch_norm.cu, with no padding.
unsafe impl Params for MomentsParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct NormalizeParams {
    x: Tensor,
    stats: Tensor,
    gain: Tensor,
    shift: Tensor,
    y: Tensor,
    walk: Walk,
    act: Act,
}

// SAFETY: the twin of `NormalizeParams` in batch_norm.cu, with no padding.
unsafe impl Params for NormalizeParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct NormalizeSumsParams {
    dy: Tensor,
    y: Tensor,
    x: Tensor,
    stats: Tensor,
    parts: Tensor,
    walk: Walk,
    act: Act,
}

// SAFETY: the twin of `NormalizeSumsParams` in batch_norm.cu, with no padding.
unsafe impl Params for NormalizeSumsParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct NormalizeGradParams {
    dy: Tensor,
    y: Tensor,
    x: Tensor,
    stats: Tensor,
    gain: Tensor,
    sums: Tensor,
    dx: Tensor,
    walk: Walk,
    act: Act,
    share: f32,
    unused: u32,
}

// SAFETY: the twin of `NormalizeGradParams` in batch_norm.cu, with no padding.
unsafe impl Params for NormalizeGradParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct StatisticsParams {
    sums: Tensor,
    running: Tensor,
    stats: Tensor,
    eps: f64,
}

// SAFETY: the twin of `StatisticsParams` in batch_norm.cu, with no padding.
unsafe impl Params for StatisticsParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct StoredStatisticsParams {
    running: Tensor,
    stats: Tensor,
    eps: f32,
    unused: u32,
}

// SAFETY: the twin of `StoredStatisticsParams` in batch_norm.cu, with no padding.
unsafe impl Params for StoredStatisticsParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct RunningParams {
    sums: Tensor,
    fault: Tensor,
    running: Tensor,
    momentum: f64,
}

// SAFETY: the twin of `RunningParams` in batch_norm.cu, with no padding.
unsafe impl Params for RunningParams {}

pub(super) fn moments(b: &mut Builder<'_>, node: &Node) {
    let [x, running, sums] = [node.ins[0], node.ins[1], node.outs[0]].map(|t| b.tensor(t));
    let channels = running.len / 2;
    let walk = Walk::new(channels, &[x]);
    let grid = walk.grid(ADDED, PARTS);
    let parts = b.scratch(Type::F32, (grid.blocks[0] * 2 * channels) as usize);
    let count = sums.part(2 * channels, 1);
    b.launch("moments", grid, &MomentsParams { x, running, parts, count, walk });
    fold(b, parts, sums.part(0, 2 * channels), grid.blocks[0]);
}

pub(super) fn normalize_sums(b: &mut Builder<'_>, node: &Node, act: tape::Act) {
    let [dy, y, x, stats] = [0, 1, 2, 3].map(|i| b.tensor(node.ins[i]));
    let sums = b.tensor(node.outs[0]);
    let act = Act::new(act);
    let y = act.operand(y);
    let walk = Walk::new(sums.len / 2, &[x, dy, y]);
    let grid = walk.grid(ADDED, PARTS);
    let parts = b.scratch(Type::F32, (grid.blocks[0] * sums.len) as usize);
    b.launch("normalize_sums", grid, &NormalizeSumsParams { dy, y, x, stats, parts, walk, act });
    fold(b, parts, sums, grid.blocks[0]);
}

/// Adds what the blocks of a kernel summed.
fn fold(b: &mut Builder<'_>, parts: Tensor, sums: Tensor, blocks: u32) {
    reduce::parts(b, parts, sums, blocks, [1, sums.len]);
}

pub(super) fn normalize(b: &mut Builder<'_>, node: &Node, act: tape::Act) {
    let [x, stats, gain, shift] = [0, 1, 2, 3].map(|i| b.tensor(node.ins[i]));
    let y = b.tensor(node.outs[0]);
    let walk = Walk::new(gain.len, &[x, y]);
    let grid = walk.grid(ROWS, BLOCKS * b.card.multiprocessors);
    let act = Act::new(act);
    b.launch("normalize", grid, &NormalizeParams { x, stats, gain, shift, y, walk, act });
}

pub(super) fn normalize_grad(b: &mut Builder<'_>, node: &Node, act: tape::Act, count: usize) {
    let [dy, y, x, stats, gain, sums] = [0, 1, 2, 3, 4, 5].map(|i| b.tensor(node.ins[i]));
    let dx = b.tensor(node.outs[0]);
    let act = Act::new(act);
    let y = act.operand(y);
    let walk = Walk::new(gain.len, &[x, dy, y, dx]);
    let grid = walk.grid(ROWS, BLOCKS * b.card.multiprocessors);
    let share = 1.0 / count as f32;
    let params =
        NormalizeGradParams { dy, y, x, stats, gain, sums, dx, walk, act, share, unused: 0 };
    b.launch("normalize_grad", grid, &params);
}

pub(super) fn statistics(b: &mut Builder<'_>, node: &Node, eps: f64) {
    let [sums, running, stats] = [node.ins[0], node.ins[1], node.outs[0]].map(|t| b.tensor(t));
    b.launch("statistics", by_channel(stats), &StatisticsParams { sums, running, stats, eps });
}

pub(super) fn stored_statistics(b: &mut Builder<'_>, node: &Node, eps: f64) {
    let [running, stats] = [node.ins[0], node.outs[0]].map(|t| b.tensor(t));
    let params = StoredStatisticsParams { running, stats, eps: eps as f32, unused: 0 };
    b.launch("stored_statistics", by_channel(stats), &params);
}

pub(super) fn running(b: &mut Builder<'_>, node: &Node, momentum: f64) {
    let [sums, fault, running] = [node.ins[0], node.ins[1], node.outs[0]].map(|t| b.tensor(t));
    b.launch("running", by_channel(running), &RunningParams { sums, fault, running, momentum });
}

/// One thread for each channel of a tensor `[2, c]`.
fn by_channel(t: Tensor) -> Grid {
    Grid::line((t.len / 2).div_ceil(THREADS), THREADS)
}
