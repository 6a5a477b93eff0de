//! What convolutions and products of matrices share: the twins of `kernels/gemm*.cuh`, and the choice of
//! tiles and parts.

use crate::builder::{Builder, Card, Math};
use crate::launch::{Grid, Params};
use crate::tensor::{Tensor, Type};

/// Threads of a block of a product.
pub const THREADS: u32 = 128;
/// Bytes of k of one step.
const STEP: u32 = 64;
/// Most bytes that the parts of one product may take.
const MOST_PARTS: u64 = 64 << 20;

/// What becomes of a product before it is stored: the kinds of `gemm_finish.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// y = D
    Plain = 0,
    /// y = D + other
    Accumulate = 1,
    /// y = act(D + bias)
    Activate = 2,
    /// y = other > 0 ? D : slope · D
    Gate = 3,
    /// y = D, and its moments
    Moments = 4,
    /// the gradient behind a batch norm, and its sums
    GradientSums = 5,
}

/// The twin of `Finish`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Finish {
    pub y: Tensor,
    pub other: Tensor,
    pub bias: u64,
    pub statistics: u64,
    pub gain: u64,
    pub shift: u64,
    pub partials: u64,
    pub kind: Kind,
    /// An `Operation` of `elementary.cuh`: leaky, tanh or sigmoid.
    pub activation: u32,
    pub slope: f32,
    pub vector: u32,
}

impl Finish {
    /// y = D, of rows of `n`.
    pub fn plain(y: Tensor, n: usize) -> Self {
        let vector = u32::from(fours(&[y], n));
        let none = Tensor::NONE;
        let [bias, statistics, gain, shift, partials] = [0; 5];
        let (kind, activation, slope) = (Kind::Plain, 0, 1.0);
        #[rustfmt::skip]
        let plain = Self {
            y, other: none, bias, statistics, gain, shift, partials, kind, activation, slope, vector,
        };
        plain
    }

    /// The same with another operand of the shape of y.
    pub fn with(self, kind: Kind, other: Tensor, n: usize) -> Self {
        let vector = u32::from(fours(&[self.y, other], n));
        Self { kind, other, vector, ..self }
    }
}

/// The twin of `PartsParams`.
#[derive(Clone, Copy)]
#[repr(C)]
struct PartsParams {
    y: Tensor,
    other: Tensor,
    parts: u64,
    count: u32,
    adds: u32,
    vector: u32,
    unused: u32,
}

// SAFETY: the twin of `PartsParams` in gemm_parts.cuh, with no padding.
unsafe impl Params for PartsParams {}

/// Whether rows of `n` elements of these tensors may be read and written by fours.
fn fours(tensors: &[Tensor], n: usize) -> bool {
    n.is_multiple_of(4) && tensors.iter().all(|t| t.aligned(16) && t.dtype != Type::U8)
}

/// Whether an operand may be copied by 16 bytes: it has the type that is multiplied, and its contiguous
/// extent is whole chunks.
pub fn chunks(math: Math, operand: Tensor, extent: usize) -> bool {
    let dtype = if math == Math::Bf16 { Type::Bf16 } else { Type::F32 };
    operand.dtype == dtype
        && operand.aligned(16)
        && (extent as u64 * dtype.bytes()).is_multiple_of(16)
}

/// Elements of k of one step.
pub fn step(math: Math) -> usize {
    (STEP / if math == Math::Bf16 { 2 } else { 4 }) as usize
}

/// The part of a product that a block owns, and how many steps of k its shared memory holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows.
    pub m: u32,
    /// Columns.
    pub n: u32,
    /// Steps of k.
    pub stages: u32,
}

impl Tile {
    /// Bytes of dynamic shared memory of a block: the ring of stages, then the result as f32.
    pub fn shared(&self) -> u32 {
        (self.stages * (self.m + self.n) * STEP).max(self.m * self.n * 4)
    }

    /// Tiles of a result of m × n.
    pub fn count(&self, m: usize, n: usize) -> u64 {
        (m as u64).div_ceil(u64::from(self.m)) * (n as u64).div_ceil(u64::from(self.n))
    }

    /// Blocks that share a multiprocessor, as registers and shared memory of an H100 allow, and what they
    /// multiply together, as a share of what the largest tile does. A warp of a smaller tile reads more
    /// from shared memory for each product. Reckoned from that traffic, not measured.
    fn residents(&self) -> (u64, f64) {
        match self.m * self.n {
            0x4000.. => (2, 1.0),
            0x2000..0x4000 => (3, 0.85),
            _ => (4, 0.6),
        }
    }
}

/// A product as a choice sees it.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// Rows of the result, of one phase.
    pub m: usize,
    /// Columns of the result.
    pub n: usize,
    /// Steps of k.
    pub steps: usize,
    /// Products of this size that are one launch.
    pub phases: usize,
}

/// Cycles that a card needs for a product, roughly: multiprocessors run blocks in waves, and one that is
/// not full hides less of its waiting.
fn cycles(work: &Work, tile: Tile, parts: usize, math: Math, card: Card) -> f64 {
    let (residents, share) = tile.residents();
    // Multiply-adds of a multiprocessor and cycle.
    let rate = share
        * match math {
            Math::Bf16 => 1200.0,
            Math::Tf32 => 600.0,
            Math::F32 => 80.0,
        };
    // Filling the ring and storing the result take about as long as so many steps.
    let steps = work.steps.div_ceil(parts) + 8;
    let block = f64::from(tile.m * tile.n) * (steps * step(math)) as f64 / rate;
    let blocks = tile.count(work.m, work.n) * (parts * work.phases) as u64;
    let wave = u64::from(card.multiprocessors) * residents;
    let last = (blocks % wave).div_ceil(u64::from(card.multiprocessors));
    let full = (blocks / wave * residents) as f64;
    // One block of two reaches two thirds of what both do.
    let rest = residents as f64 * (last as f64 / residents as f64).powf(0.4);
    let sum = if parts == 1 {
        0.0
    } else {
        let bytes = (2 * parts + 1) as f64 * (4 * work.m * work.n) as f64;
        3000.0 + bytes / 1500.0
    };
    block * (full + rest) + sum
}

/// The tile that takes the fewest cycles.
pub fn tile(work: &Work, tiles: &[Tile], math: Math, card: Card) -> Tile {
    let of = |tile: &Tile| cycles(work, *tile, 1, math, card);
    *tiles.iter().min_by(|a, b| of(a).total_cmp(&of(b))).expect("there is a tile")
}

/// The tile and the number of parts of k that take the fewest cycles.
pub fn split(work: &Work, tiles: &[Tile], math: Math, card: Card) -> (Tile, usize) {
    let most = MOST_PARTS / (4 * work.m * work.n).max(1) as u64;
    let counts = (0..9)
        .flat_map(|i| [2 << i, 3 << i])
        .filter(|&parts: &usize| parts as u64 <= most && parts <= work.steps);
    let counts: Vec<usize> = std::iter::once(1).chain(counts).collect();
    let all = tiles.iter().flat_map(|&tile| counts.iter().map(move |&parts| (tile, parts)));
    let of = |(tile, parts): &(Tile, usize)| cycles(work, *tile, *parts, math, card);
    let (tile, parts) = all.min_by(|a, b| of(a).total_cmp(&of(b))).expect("there is a tile");
    // As few parts as steps divide into.
    (tile, work.steps.div_ceil(work.steps.div_ceil(parts).max(1)).max(1))
}

/// Where a product whose k is split leaves its parts, `[parts][len]`, or its result where there is one
/// part.
pub fn parts_of(b: &mut Builder<'_>, finish: Finish, n: usize, parts: usize) -> Finish {
    if parts == 1 {
        return finish;
    }
    let workspace = b.scratch(Type::F32, parts * finish.y.len as usize);
    Finish::plain(workspace, n)
}

/// Adds parts up into the result of `finish`, which is plain or accumulates.
pub fn add_parts(
    b: &mut Builder<'_>,
    kernel: &'static str,
    finish: &Finish,
    workspace: Tensor,
    parts: usize,
) {
    if parts == 1 {
        return;
    }
    let adds = finish.kind == Kind::Accumulate;
    let tensors = if adds { vec![finish.y, finish.other] } else { vec![finish.y] };
    let vector = fours(&tensors, finish.y.len as usize);
    let params = PartsParams {
        y: finish.y,
        other: finish.other,
        parts: workspace.at,
        count: parts as u32,
        adds: u32::from(adds),
        vector: u32::from(vector),
        unused: 0,
    };
    let threads = if vector { finish.y.len / 4 } else { finish.y.len };
    b.launch(kernel, Grid::line(threads.div_ceil(256), 256), &params);
}
