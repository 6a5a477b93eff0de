//! Pooling and upsampling: `kernels/pool.cu`.

use crate::builder::Builder;
use crate::division::Division;
use crate::launch::{Grid, Params};
use crate::tensor::{Tensor, Type};
use tape::{Blocks, Node};

const THREADS: u32 = 256;
/// Blocks of one multiprocessor; more elements are a loop in each.
const BLOCKS: u32 = 16;

#[derive(Clone, Copy)]
#[repr(C)]
struct PoolParams {
    v: Tensor,
    x: Tensor,
    y: Tensor,
    channels: Division,
    line: Division,
    count: u32,
    wide: u32,
}

// SAFETY: the twin of `PoolParams` in pool.cu, with no padding.
unsafe impl Params for PoolParams {}

pub(super) fn pool_pick(b: &mut Builder<'_>, node: &Node, blocks: &Blocks) {
    launch(b, node, "pool_pick", blocks);
}

pub(super) fn pool_scatter(b: &mut Builder<'_>, node: &Node, blocks: &Blocks) {
    launch(b, node, "pool_scatter", blocks);
}

pub(super) fn upsample(b: &mut Builder<'_>, node: &Node, blocks: &Blocks) {
    launch(b, node, "upsample", blocks);
}

pub(super) fn block_sum(b: &mut Builder<'_>, node: &Node, blocks: &Blocks) {
    launch(b, node, "block_sum", blocks);
}

/// Each has v, perhaps x, and y; one thread for each channel, or four channels, of a block.
fn launch(b: &mut Builder<'_>, node: &Node, kernel: &'static str, blocks: &Blocks) {
    let v = b.tensor(node.ins[0]);
    let x = node.ins.get(1).map_or(v, |&t| b.tensor(t));
    let y = b.tensor(node.outs[0]);
    let small: usize = blocks.pixels().iter().product();
    if small == 0 {
        return;
    }
    let quads = |t: &Tensor| t.aligned(16) && t.dtype != Type::U8;
    let wide = blocks.c.is_multiple_of(4) && [v, x, y].iter().all(quads);
    let lanes = if wide { 4 } else { 1 };
    let count = (small / lanes) as u32;
    let params = PoolParams {
        v,
        x,
        y,
        channels: Division::by((blocks.c / lanes) as u32),
        line: Division::by((blocks.w / 2) as u32),
        count,
        wide: u32::from(wide),
    };
    let grid = count.div_ceil(THREADS).min(b.card.multiprocessors * BLOCKS);
    b.launch(kernel, Grid::line(grid, THREADS), &params);
}
