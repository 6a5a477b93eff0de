//! Which kernel computes a convolution, on which grid. Pure functions of shapes, types and the card.

use crate::arms::gemm::{self, THREADS, Tile, Work};
use crate::builder::{Card, Math};
use crate::launch::Grid;
use crate::tensor::Tensor;
use tape::{Conv, Pass};

/// How the operands come into shared memory; see `kernels/conv_gather.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operands {
    Chunks,
    Thin,
    Elements,
}

/// A kernel and its launch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its name.
    pub kernel: &'static str,
    /// Its grid.
    pub grid: Grid,
    /// Parts of k.
    pub parts: usize,
    /// Steps of one part.
    pub steps: usize,
    /// Rows of partial sums that blocks leave: tiles of rows, of all phases.
    pub rows: usize,
}

const LARGE: Tile = Tile { m: 128, n: 128, stages: 4 };
const MIDDLE: Tile = Tile { m: 128, n: 64, stages: 5 };
const SMALL: Tile = Tile { m: 64, n: 64, stages: 6 };
/// For result of few channels.
const THIN: Tile = Tile { m: 128, n: 16, stages: 4 };

/// The tiles that kernels of a kind come in.
fn tiles(pass: Pass, operands: Operands, math: Math) -> Vec<Tile> {
    let stages = |stages| Tile { stages, ..SMALL };
    match (operands, math) {
        (Operands::Elements, _) => vec![stages(2)],
        (Operands::Thin, _) if pass == Pass::Wgrad => vec![stages(3)],
        (Operands::Thin, _) => vec![THIN],
        (Operands::Chunks, Math::Bf16) => vec![LARGE, MIDDLE, SMALL],
        (Operands::Chunks, Math::Tf32) => vec![MIDDLE, SMALL],
        (Operands::Chunks, Math::F32) => vec![stages(4)],
    }
}

impl Choice {
    /// For fprop of x and w, or dgrad of dy and w.
    pub fn gather(pass: Pass, c: &Conv, [a, w]: [Tensor; 2], math: Math, card: Card) -> Self {
        let (inner, n, phases) = match pass {
            Pass::Dgrad => (c.k, c.c, c.stride * c.stride),
            _ => (c.c, c.k, 1),
        };
        let whole = gemm::chunks(math, a, inner);
        let operands = if whole && gemm::chunks(math, w, c.c) {
            Operands::Chunks
        } else if whole && pass == Pass::Dgrad && n <= 2 * THIN.n as usize {
            Operands::Thin
        } else {
            Operands::Elements
        };
        // Of a phase's kernel, on average.
        let taps = (c.r * c.s).div_ceil(phases);
        let steps = taps * inner.div_ceil(gemm::step(math));
        let work = Work { m: c.n * c.p * c.q, n, steps, phases };
        let tile = gemm::tile(&work, &tiles(pass, operands, math), math, card);
        let rows = phases * work.m.div_ceil(tile.m as usize);
        Self { rows, ..Self::new(pass, operands, math, tile, &work, 1) }
    }

    /// For wgrad of dy and x.
    pub fn wgrad(c: &Conv, [dy, x]: [Tensor; 2], math: Math, card: Card) -> Self {
        let operands = match (gemm::chunks(math, dy, c.k), gemm::chunks(math, x, c.c)) {
            (true, true) => Operands::Chunks,
            (true, false) => Operands::Thin,
            (false, _) => Operands::Elements,
        };
        let steps = (c.n * c.p * c.q).div_ceil(gemm::step(math));
        let work = Work { m: c.k, n: c.r * c.s * c.c, steps, phases: 1 };
        let (tile, parts) = gemm::split(&work, &tiles(Pass::Wgrad, operands, math), math, card);
        Self::new(Pass::Wgrad, operands, math, tile, &work, parts)
    }

    fn new(
        pass: Pass,
        operands: Operands,
        math: Math,
        tile: Tile,
        work: &Work,
        parts: usize,
    ) -> Self {
        // Kernels that take elements keep where each row's window begins behind the tile.
        let places = match (pass, operands) {
            (Pass::Fprop | Pass::Dgrad, Operands::Elements) => 8 * tile.m,
            _ => 0,
        };
        let grid = Grid {
            blocks: [tile.count(work.m, work.n) as u32, 1, (work.phases * parts) as u32],
            threads: THREADS,
            shared: tile.shared() + places,
        };
        let kernel = kernel(pass, operands, math, tile);
        Self { kernel, grid, parts, steps: work.steps.div_ceil(parts), rows: 0 }
    }
}

/// Names are literals, so that they can be searched for.
#[rustfmt::skip]
fn kernel(pass: Pass, operands: Operands, math: Math, tile: Tile) -> &'static str {
    use Operands::{Chunks, Elements, Thin};
    use Pass::{Dgrad, Fprop, Wgrad};
    match (math, pass, operands, tile.m, tile.n) {
        (Math::Bf16, Fprop, Chunks, 128, 128) => "conv_fprop_bf16_128x128",
        (Math::Bf16, Fprop, Chunks, 128, _) => "conv_fprop_bf16_128x64",
        (Math::Bf16, Fprop, Chunks, ..) => "conv_fprop_bf16_64x64",
        (Math::Bf16, Fprop, ..) => "conv_fprop_bf16_elements",
        (Math::Bf16, Dgrad, Chunks, 128, 128) => "conv_dgrad_bf16_128x128",
        (Math::Bf16, Dgrad, Chunks, 128, _) => "conv_dgrad_bf16_128x64",
        (Math::Bf16, Dgrad, Chunks, ..) => "conv_dgrad_bf16_64x64",
        (Math::Bf16, Dgrad, Thin, ..) => "conv_dgrad_bf16_thin",
        (Math::Bf16, Dgrad, Elements, ..) => "conv_dgrad_bf16_elements",
        (Math::Bf16, Wgrad, Chunks, 128, 128) => "conv_wgrad_bf16_128x128",
        (Math::Bf16, Wgrad, Chunks, 128, _) => "conv_wgrad_bf16_128x64",
        (Math::Bf16, Wgrad, Chunks, ..) => "conv_wgrad_bf16_64x64",
        (Math::Bf16, Wgrad, Thin, ..) => "conv_wgrad_bf16_thin",
        (Math::Bf16, Wgrad, Elements, ..) => "conv_wgrad_bf16_elements",

        (Math::Tf32, Fprop, Chunks, 128, _) => "conv_fprop_tf32_128x64",
        (Math::Tf32, Fprop, Chunks, ..) => "conv_fprop_tf32_64x64",
        (Math::Tf32, Fprop, ..) => "conv_fprop_tf32_elements",
        (Math::Tf32, Dgrad, Chunks, 128, _) => "conv_dgrad_tf32_128x64",
        (Math::Tf32, Dgrad, Chunks, ..) => "conv_dgrad_tf32_64x64",
        (Math::Tf32, Dgrad, Thin, ..) => "conv_dgrad_tf32_thin",
        (Math::Tf32, Dgrad, Elements, ..) => "conv_dgrad_tf32_elements",
        (Math::Tf32, Wgrad, Chunks, 128, _) => "conv_wgrad_tf32_128x64",
        (Math::Tf32, Wgrad, Chunks, ..) => "conv_wgrad_tf32_64x64",
        (Math::Tf32, Wgrad, Thin, ..) => "conv_wgrad_tf32_thin",
        (Math::Tf32, Wgrad, Elements, ..) => "conv_wgrad_tf32_elements",

        (Math::F32, Fprop, Chunks, ..) => "conv_fprop_f32_64x64",
        (Math::F32, Fprop, ..) => "conv_fprop_f32_elements",
        (Math::F32, Dgrad, Chunks, ..) => "conv_dgrad_f32_64x64",
        (Math::F32, Dgrad, Thin, ..) => "conv_dgrad_f32_thin",
        (Math::F32, Dgrad, Elements, ..) => "conv_dgrad_f32_elements",
        (Math::F32, Wgrad, Chunks, ..) => "conv_wgrad_f32_64x64",
        (Math::F32, Wgrad, Thin, ..) => "conv_wgrad_f32_thin",
        (Math::F32, Wgrad, Elements, ..) => "conv_wgrad_f32_elements",
    }
}
