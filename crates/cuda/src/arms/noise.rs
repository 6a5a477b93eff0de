//! Draws: `kernels/noise.cu`.

use crate::builder::Builder;
use crate::launch::{Grid, Params};
use crate::tensor::Tensor;
use tape::{Law, Node, Owner, T};

/// Threads of a block.
const THREADS: u32 = 256;

/// Which numbers a tensor `[rows, row]` gets; see `kernels/philox.cuh`.
#[derive(Clone, Copy)]
#[repr(C)]
struct Draw {
    clock: u64,
    stream: u32,
    world: u32,
    rows: u32,
    row: u32,
    weights: u32,
    unused: u32,
}

impl Draw {
    /// Draws for the rows of a batch.
    fn batch(b: &Builder<'_>, t: T, stream: u32) -> Self {
        let (len, rows) = (b.tensor(t).len, b.shape(t).rows() as u32);
        let row = len / rows.max(1);
        Self { clock: b.clock, stream, world: b.world, rows, row, weights: 0, unused: 0 }
    }

    /// Draws that are the same on all ranks and at all times.
    fn weights(b: &Builder<'_>, t: T, stream: u32) -> Self {
        let row = b.tensor(t).len;
        Self { clock: b.clock, stream, world: 1, rows: 1, row, weights: 1, unused: 0 }
    }

    /// A thread for each block of four words; no grid where nothing is drawn.
    fn grid(&self) -> Option<Grid> {
        let threads = u64::from(self.rows) * u64::from(self.row.div_ceil(4));
        let blocks = u32::try_from(threads.div_ceil(THREADS.into())).expect("less than 2⁴⁰ draws");
        (blocks > 0).then(|| Grid::line(blocks, THREADS))
    }
}

#[derive(Clone, Copy)]
#[repr(C)]
struct UniformParams {
    y: Tensor,
    draw: Draw,
    low: f32,
    span: f32,
}

// SAFETY: the twin of `UniformParams` in noise.cu, with no padding.
unsafe impl Params for UniformParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct NormalParams {
    y: Tensor,
    draw: Draw,
    mean: f32,
    std: f32,
}

// SAFETY: the twin of `NormalParams` in noise.cu, with no padding.
unsafe impl Params for NormalParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct DropoutParams {
    x: Tensor,
    y: Tensor,
    draw: Draw,
    limit: i32,
    scale: f32,
}

// SAFETY: the twin of `DropoutParams` in noise.cu, with no padding.
unsafe impl Params for DropoutParams {}

pub(super) fn noise(b: &mut Builder<'_>, node: &Node, law: Law, stream: u32, owner: Owner) {
    let out = node.outs[0];
    let y = b.tensor(out);
    let draw = match owner {
        Owner::Batch => Draw::batch(b, out, stream),
        Owner::Alone => Draw { world: 1, ..Draw::batch(b, out, stream) },
        Owner::Weights => Draw::weights(b, out, stream),
    };
    let Some(grid) = draw.grid() else { return };
    match law {
        Law::Uniform { low, high } => {
            let (low, span) = (low as f32, (high - low) as f32);
            b.launch("uniform", grid, &UniformParams { y, draw, low, span });
        }
        Law::Normal { mean, std } => {
            let (mean, std) = (mean as f32, std as f32);
            b.launch("normal", grid, &NormalParams { y, draw, mean, std });
        }
    }
}

pub(super) fn dropout(b: &mut Builder<'_>, node: &Node, keep: f64, scale: f64, stream: u32) {
    let [x, y] = [node.ins[0], node.outs[0]].map(|t| b.tensor(t));
    let draw = Draw::batch(b, node.outs[0], stream);
    let Some(grid) = draw.grid() else { return };
    // u < keep with u = (word >> 8) · 2⁻²⁴, in integers.
    let limit = (keep * 16_777_216.0).ceil() as i32;
    b.launch("dropout", grid, &DropoutParams { x, y, draw, limit, scale: scale as f32 });
}
