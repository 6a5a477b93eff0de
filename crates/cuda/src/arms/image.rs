//! Images and copies in other types: `kernels/image.cu`.

use crate::builder::Builder;
use crate::launch::{Grid, Launch, Params};
use crate::tensor::Tensor;
use tape::Node;

const THREADS: u32 = 256;
/// Blocks of one multiprocessor; more elements are a loop in each.
const BLOCKS: u32 = 16;
/// Elements that a block of `convert` owns at a time.
const CONVERTED: u32 = 8 * THREADS;
/// Elements that a block of `cast` owns at a time.
const CAST: u32 = 4096;
/// Blocks of one segment at most.
const CAST_BLOCKS: u32 = 1024;

#[derive(Clone, Copy)]
#[repr(C)]
struct ConvertParams {
    x: Tensor,
    y: Tensor,
    scale: f32,
    shift: f32,
    wide: u32,
    unused: u32,
}

// SAFETY: the twin of `ConvertParams` in image.cu, with no padding.
unsafe impl Params for ConvertParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct CastParams {
    from: Tensor,
    to: Tensor,
    table: u64,
}

// SAFETY: the twin of `CastParams` in image.cu, with no padding.
unsafe impl Params for CastParams {}

pub(super) fn convert(b: &mut Builder<'_>, node: &Node, scale: f64, shift: f64) {
    let [x, y] = [b.tensor(node.ins[0]), b.tensor(node.outs[0])];
    if y.len == 0 {
        return;
    }
    let wide = x.aligned(4 * x.dtype.bytes()) && y.aligned(16);
    let (scale, shift) = (scale as f32, shift as f32);
    let params = ConvertParams { x, y, scale, shift, wide: u32::from(wide), unused: 0 };
    let blocks = y.len.div_ceil(CONVERTED).min(b.card.multiprocessors * BLOCKS);
    b.launch("convert", Grid::line(blocks, THREADS), &params);
}

/// One run of elements that [`cast`] copies; a `uint4` of the table in `kernels/image.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Segment {
    /// First element in the source.
    pub from: u32,
    /// First element in the destination, a multiple of 8.
    pub to: u32,
    /// Elements.
    pub len: u32,
    /// Rounds the row up to 16 bytes.
    pub unused: u32,
}

/// Copies runs of elements from one tensor to another in its type; `table` is where the same segments lie in
/// device memory.
pub(crate) fn cast(from: Tensor, to: Tensor, table: u64, segments: &[Segment]) -> Launch {
    assert!(segments.len() <= 65_535, "{} segments in one launch", segments.len());
    let longest = segments.iter().map(|segment| segment.len).max().unwrap_or(0);
    let across = longest.div_ceil(CAST).clamp(1, CAST_BLOCKS);
    let grid =
        Grid { blocks: [across, segments.len().max(1) as u32, 1], threads: THREADS, shared: 0 };
    Launch::new("cast", grid, &CastParams { from, to, table })
}
