//! Which kernel computes a convolution, on which grid. Pure functions of shapes, types and the card.

use crate::arms::gemm::{self, THREADS, Tile, Work};
use crate::builder::{Card, Math};
use crate::launch::Grid;
use crate::tensor::Tensor;
use tape::{Conv, Pass};

/// How the operands come into shared memory; see `kernels/conv_gather.cuh` and `conv_halo.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operands {
    Chunks,
    Thin,
    Halo,
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
/// For results of few channels.
const THIN: Tile = Tile { m: 128, n: 16, stages: 4 };
/// Pixels of a block that reads its features with their neighbours, high and wide, and most offsets that the
/// taps of one axis may meet.
const HALO: [usize; 2] = [8, 16];
const MOST_OFFSETS: usize = 5;

/// The tiles that kernels of a kind come in.
fn tiles(pass: Pass, operands: Operands, math: Math) -> Vec<Tile> {
    let stages = |stages| Tile { stages, ..SMALL };
    match (operands, math) {
        (Operands::Elements, _) => vec![stages(2)],
        (Operands::Thin, _) if pass == Pass::Wgrad => vec![stages(3)],
        (Operands::Thin | Operands::Halo, _) => vec![THIN],
        (Operands::Chunks, Math::Bf16) => vec![LARGE, MIDDLE, SMALL],
        (Operands::Chunks, Math::Tf32) => vec![MIDDLE, SMALL],
        (Operands::Chunks, Math::F32) => vec![stages(4)],
    }
}

impl Choice {
    /// For fprop of x and w, or dgrad of dy and w, whose finish leaves sums or not.
    pub fn gather(
        pass: Pass,
        c: &Conv,
        [a, w]: [Tensor; 2],
        sums: bool,
        math: Math,
        card: Card,
    ) -> Self {
        let (inner, n, phases) = match pass {
            Pass::Dgrad => (c.k, c.c, c.stride * c.stride),
            _ => (c.c, c.k, 1),
        };
        let whole = gemm::chunks(math, a, inner);
        let offsets = [c.r, c.s].map(|size| offsets(size, c.pad, c.stride));
        let halo = pass == Pass::Dgrad
            && phases * n <= THIN.n as usize
            && offsets.iter().all(|&count| count <= MOST_OFFSETS);
        let operands = if whole && halo && !sums && math != Math::F32 {
            return Self::halo(c, offsets, math);
        } else if whole && gemm::chunks(math, w, c.c) {
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

    /// For dgrad to few channels, which meets so many offsets of features high and wide.
    fn halo(c: &Conv, [high, wide]: [usize; 2], math: Math) -> Self {
        let blocks = c.n * c.p.div_ceil(HALO[0]) * c.q.div_ceil(HALO[1]);
        let pixels = (HALO[0] + high - 1) * (HALO[1] + wide - 1);
        let rows = pixels + high * wide * THIN.n as usize;
        let (blocks, shared) = ([blocks as u32, 1, 1], 128 * rows as u32);
        let grid = Grid { blocks, threads: THREADS, shared };
        let kernel = kernel(Pass::Dgrad, Operands::Halo, math, THIN);
        Self { kernel, grid, parts: 1, steps: 0, rows: 0 }
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

/// How many offsets of features the taps of an axis meet, over all phases: `HaloAxis` of `conv_halo.cuh`.
fn offsets(size: usize, pad: usize, stride: usize) -> usize {
    let [size, pad, stride] = [size, pad, stride].map(|n| n as isize);
    let first = (pad - (size - 1)).div_euclid(stride)
        + isize::from((pad - (size - 1)).rem_euclid(stride) > 0);
    ((stride - 1 + pad) / stride - first + 1) as usize
}

/// Names are literals, so that they can be searched for.
#[rustfmt::skip]
fn kernel(pass: Pass, operands: Operands, math: Math, tile: Tile) -> &'static str {
    use Operands::{Chunks, Elements, Halo, Thin};
    use Pass::{Dgrad, Fprop, Wgrad};
    match (math, pass, operands, tile.m, tile.n) {
        (Math::Bf16, Fprop, Chunks, 128, 128) => "conv_fprop_bf16_128x128",
        (Math::Bf16, Fprop, Chunks, 128, _) => "conv_fprop_bf16_128x64",
        (Math::Bf16, Fprop, Chunks, ..) => "conv_fprop_bf16_64x64",
        (Math::Bf16, Fprop, ..) => "conv_fprop_bf16_elements",
        (Math::Bf16, Dgrad, Chunks, 128, 128) => "conv_dgrad_bf16_128x128",
        (Math::Bf16, Dgrad, Chunks, 128, _) => "conv_dgrad_bf16_128x64",
        (Math::Bf16, Dgrad, Chunks, ..) => "conv_dgrad_bf16_64x64",
        (Math::Bf16, Dgrad, Halo, ..) => "conv_dgrad_bf16_halo",
        (Math::Bf16, Dgrad, Thin, ..) => "conv_dgrad_bf16_thin",
        (Math::Bf16, Dgrad, Elements, ..) => "conv_dgrad_bf16_elements",
        (Math::Bf16, Wgrad, Chunks, 128, 128) => "conv_wgrad_bf16_128x128",
        (Math::Bf16, Wgrad, Chunks, 128, _) => "conv_wgrad_bf16_128x64",
        (Math::Bf16, Wgrad, Chunks, ..) => "conv_wgrad_bf16_64x64",
        (Math::Bf16, Wgrad, Thin, ..) => "conv_wgrad_bf16_thin",
        (Math::Bf16, Wgrad, ..) => "conv_wgrad_bf16_elements",

        (Math::Tf32, Fprop, Chunks, 128, _) => "conv_fprop_tf32_128x64",
        (Math::Tf32, Fprop, Chunks, ..) => "conv_fprop_tf32_64x64",
        (Math::Tf32, Fprop, ..) => "conv_fprop_tf32_elements",
        (Math::Tf32, Dgrad, Chunks, 128, _) => "conv_dgrad_tf32_128x64",
        (Math::Tf32, Dgrad, Chunks, ..) => "conv_dgrad_tf32_64x64",
        (Math::Tf32, Dgrad, Halo, ..) => "conv_dgrad_tf32_halo",
        (Math::Tf32, Dgrad, Thin, ..) => "conv_dgrad_tf32_thin",
        (Math::Tf32, Dgrad, Elements, ..) => "conv_dgrad_tf32_elements",
        (Math::Tf32, Wgrad, Chunks, 128, _) => "conv_wgrad_tf32_128x64",
        (Math::Tf32, Wgrad, Chunks, ..) => "conv_wgrad_tf32_64x64",
        (Math::Tf32, Wgrad, Thin, ..) => "conv_wgrad_tf32_thin",
        (Math::Tf32, Wgrad, ..) => "conv_wgrad_tf32_elements",

        (Math::F32, Fprop, Chunks, ..) => "conv_fprop_f32_64x64",
        (Math::F32, Fprop, ..) => "conv_fprop_f32_elements",
        (Math::F32, Dgrad, Chunks, ..) => "conv_dgrad_f32_64x64",
        (Math::F32, Dgrad, Thin, ..) => "conv_dgrad_f32_thin",
        (Math::F32, Dgrad, ..) => "conv_dgrad_f32_elements",
        (Math::F32, Wgrad, Chunks, ..) => "conv_wgrad_f32_64x64",
        (Math::F32, Wgrad, Thin, ..) => "conv_wgrad_f32_thin",
        (Math::F32, Wgrad, ..) => "conv_wgrad_f32_elements",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Type;

    /// A layer of a network on 64×64 images at batch 128.
    fn layer(h: usize, c: usize, k: usize, kernel: usize, pad: usize) -> Conv {
        let [n, p] = [128, h / 2];
        Conv { n, h, w: h, c, p, q: p, k, r: kernel, s: kernel, stride: 2, pad }
    }

    fn chosen(pass: Pass, c: &Conv, math: Math) -> Choice {
        let dtype = if math == Math::Bf16 { Type::Bf16 } else { Type::F32 };
        let operand = Tensor { at: 256, dtype, len: 1 };
        match pass {
            Pass::Wgrad => Choice::wgrad(c, [operand; 2], math, Card::H100),
            _ => Choice::gather(pass, c, [operand; 2], false, math, Card::H100),
        }
    }

    fn names(c: &Conv, math: Math) -> [&'static str; 3] {
        [Pass::Fprop, Pass::Dgrad, Pass::Wgrad].map(|pass| chosen(pass, c, math).kernel)
    }

    /// A card of 132 multiprocessors is filled by 264 large blocks; smaller layers are cut finer.
    #[test]
    fn deep_layers_fill_the_card() {
        let large = layer(32, 128, 256, 4, 1);
        let kernels =
            ["conv_fprop_bf16_128x128", "conv_dgrad_bf16_128x128", "conv_wgrad_bf16_128x128"];
        assert_eq!(names(&large, Math::Bf16), kernels);
        for (h, c, k) in [(32, 64, 128), (16, 128, 256), (8, 256, 512), (8, 512, 1024)] {
            for pass in [Pass::Fprop, Pass::Dgrad, Pass::Wgrad] {
                let choice = chosen(pass, &layer(h, c, k, 4, 1), Math::Bf16);
                let blocks: u32 = choice.grid.blocks.iter().product();
                assert!(blocks >= 128, "{h}, {c}, {k}: {choice:?}");
            }
        }
    }

    /// Dgrad has a phase for each way to divide by the stride, wgrad a part for each share of pixels.
    #[test]
    fn phases_and_parts_are_blocks() {
        let c = layer(32, 64, 128, 4, 1);
        let dgrad = chosen(Pass::Dgrad, &c, Math::Bf16);
        assert_eq!((dgrad.grid.blocks[2], dgrad.rows), (4, 4 * 128 * 256 / 128));
        let wgrad = chosen(Pass::Wgrad, &c, Math::Bf16);
        assert_eq!(wgrad.grid.blocks[2] as usize, wgrad.parts);
        assert!(wgrad.parts > 8 && wgrad.parts * wgrad.steps >= 128 * 256 / 32, "{wgrad:?}");
    }

    #[test]
    fn images_come_by_elements() {
        let c = layer(64, 3, 64, 5, 2);
        let kernels = ["conv_fprop_bf16_elements", "conv_dgrad_bf16_halo", "conv_wgrad_bf16_thin"];
        assert_eq!(names(&c, Math::Bf16), kernels);
        // Sums are the thin kernel's.
        let operand = Tensor { at: 256, dtype: Type::Bf16, len: 1 };
        let choice = Choice::gather(Pass::Dgrad, &c, [operand; 2], true, Math::Bf16, Card::H100);
        assert_eq!((choice.kernel, choice.rows), ("conv_dgrad_bf16_thin", 4 * 1024));
        let odd = Conv { k: 6, ..c };
        let kernels = ["elements", "elements", "elements"];
        let ends = names(&odd, Math::F32).map(|name| name.rsplit('_').next().unwrap());
        assert_eq!(ends, kernels);
    }

    /// Kernels of 3, 4 and 5 with step 2: a phase meets one or two, one or three neighbours.
    #[test]
    fn offsets_of_all_phases() {
        let all = [(3, 1, 2), (4, 1, 2), (5, 2, 2), (3, 1, 1), (1, 0, 2), (2, 0, 3), (7, 3, 1)];
        let counts = all.map(|(size, pad, stride)| offsets(size, pad, stride));
        assert_eq!(counts, [2, 3, 3, 3, 1, 1, 7]);
    }

    /// The shapes by which `tests/cuda/conv.rs` meets the large tiles.
    #[test]
    fn shapes_that_meet_large_tiles() {
        let square = |h, c, k, r| {
            let (p, q, s) = (h, h, r);
            Conv { n: 1, h, w: h, c, p, q, k, r, s, stride: 1, pad: r / 2 }
        };
        assert_eq!(names(&square(181, 8, 128, 1), Math::Bf16)[0], "conv_fprop_bf16_128x128");
        assert_eq!(names(&square(181, 128, 8, 1), Math::Bf16)[1], "conv_dgrad_bf16_128x128");
        assert_eq!(names(&square(3, 264, 1032, 5), Math::Bf16)[2], "conv_wgrad_bf16_128x128");
        let [fprop, _, wgrad] = names(&square(181, 8, 128, 1), Math::Tf32);
        let dgrad = names(&square(181, 128, 8, 1), Math::Tf32)[1];
        let kernels =
            ["conv_fprop_tf32_128x64", "conv_dgrad_tf32_128x64", "conv_wgrad_tf32_128x64"];
        assert_eq!([fprop, dgrad, wgrad], kernels);
    }
}
