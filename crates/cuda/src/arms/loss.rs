//! Sums of expressions: `kernels/loss.cu`.

use super::{activation, reduce};
use crate::builder::Builder;
use crate::expr::{self, Program};
use crate::launch::{Grid, Params};
use crate::tensor::{Tensor, Type};
use tape::{Access, Expr, Node, Over, Shape};

/// Elements that a block adds at least, where there are as many: below, a second launch costs more.
const PIECE: u32 = 4 * expr::BLOCK;
/// And at most, so that a thread adds few enough in f32.
const MOST: u32 = 64 * expr::BLOCK;
/// Blocks that one multiprocessor runs at once.
const BLOCKS: u32 = 8;

#[derive(Clone, Copy)]
#[repr(C)]
struct MapSumParams {
    expr: Program,
    parts: Tensor,
    each: u32,
    piece: u32,
    pieces: u32,
    unused: u32,
}

// SAFETY: the twin of `MapSumParams` in loss.cu, with no padding.
unsafe impl Params for MapSumParams {}

pub(super) fn map_sum(
    b: &mut Builder<'_>,
    node: &Node,
    expr: &Expr,
    access: &[Access],
    over: Over,
    shape: Shape,
) {
    let operands: Vec<Tensor> = node.ins.iter().map(|&t| b.tensor(t)).collect();
    let y = b.tensor(node.outs[0]);
    let len = shape.len() as u32;
    if over == Over::Channel {
        // Fusion makes none of these, so what is summed may be written down first.
        let summand = b.scratch(Type::F32, shape.len());
        activation::map_into(b, expr, access, &operands, summand, shape);
        return reduce::columns(b, summand, y);
    }
    let sums = y.len;
    if sums == 0 || len == 0 {
        return reduce::parts(b, y, y, 0, [0, 0]);
    }
    let each = len / sums;
    let piece = len.div_ceil(BLOCKS * b.card.multiprocessors).clamp(PIECE, MOST);
    let piece = piece.next_multiple_of(expr::BLOCK);
    let pieces = each.div_ceil(piece);
    let quads = sums == 1 || each.is_multiple_of(4);
    let (expr, shared) = Program::new(expr, access, &operands, shape, quads);
    let parts = if pieces == 1 { y } else { b.scratch(Type::F32, (sums * pieces) as usize) };
    let params = MapSumParams { expr, parts, each, piece, pieces, unused: 0 };
    let grid = Grid { blocks: [sums * pieces, 1, 1], threads: expr::THREADS, shared };
    b.launch("map_sum", grid, &params);
    if pieces > 1 {
        reduce::parts(b, parts, y, pieces, [pieces, 1]);
    }
}
