//! Elementwise operations and maxout: `kernels/activation.cu`.

use crate::builder::Builder;
use crate::expr::{self, Operation, Program};
use crate::launch::{Grid, Params};
use crate::tensor::{Tensor, Type};
use tape::{Access, Expr, Node, Shape, Step};

/// Blocks of one multiprocessor; more elements are a loop in each.
const BLOCKS: u32 = 16;
/// Threads of all kernels but `map`.
const THREADS: u32 = 256;
/// Elements that a block of `map_direct` owns at a time.
const DIRECT: u32 = 8 * THREADS;

#[derive(Clone, Copy)]
#[repr(C)]
struct MapParams {
    expr: Program,
    y: Tensor,
    wide: u32,
    unused: [u32; 3],
}

// SAFETY: the twin of `MapParams` in activation.cu, with no padding.
unsafe impl Params for MapParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct MapDirectParams {
    a: Tensor,
    b: Tensor,
    y: Tensor,
    operation: u32,
    numbers: [f32; 2],
    unused: u32,
}

// SAFETY: the twin of `MapDirectParams` in activation.cu, with no padding.
unsafe impl Params for MapDirectParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct MaxoutParams {
    v: Tensor,
    x: Tensor,
    y: Tensor,
    pieces: u32,
    unused: u32,
}

// SAFETY: the twin of `MaxoutParams` in activation.cu, with no padding.
unsafe impl Params for MaxoutParams {}

pub(super) fn map(b: &mut Builder<'_>, node: &Node, expr: &Expr, access: &[Access]) {
    let operands: Vec<Tensor> = node.ins.iter().map(|&t| b.tensor(t)).collect();
    let y = b.tensor(node.outs[0]);
    let shape = b.shape(node.outs[0]);
    map_into(b, expr, access, &operands, y, shape);
}

/// Writes an expression of operands to `y`, which has this shape.
///
/// # Panics
/// If an operand shares memory with `y` and is not read at the place that is written.
pub(super) fn map_into(
    b: &mut Builder<'_>,
    expr: &Expr,
    access: &[Access],
    operands: &[Tensor],
    y: Tensor,
    shape: Shape,
) {
    for (x, access) in operands.iter().zip(access) {
        let same = *access == Access::Full && (x.at, x.dtype) == (y.at, y.dtype);
        assert!(same || !x.overlaps(&y), "{y:?} is written while {x:?} is read");
    }
    if y.len == 0 {
        return;
    }
    let most = b.card.multiprocessors * BLOCKS;
    let wide = |t: &Tensor| t.aligned(16) && t.dtype != Type::U8;
    let full = access.iter().all(|access| *access == Access::Full);
    let all_wide = full && wide(&y) && operands.iter().all(wide);
    if let Some((operation, numbers, [i, j])) = direct(expr).filter(|_| all_wide) {
        let operand = |i: u8| operands.get(i as usize).copied().unwrap_or(Tensor::NONE);
        let params = MapDirectParams {
            a: operand(i),
            b: operand(j),
            y,
            operation: operation as u32,
            numbers,
            unused: 0,
        };
        let blocks = y.len.div_ceil(DIRECT).min(most);
        return b.launch("map_direct", Grid::line(blocks, THREADS), &params);
    }
    let (expr, shared) = Program::new(expr, access, operands, shape, true);
    let params = MapParams { expr, y, wide: u32::from(wide(&y)), unused: [0; 3] };
    let blocks = y.len.div_ceil(expr::BLOCK).min(most);
    let grid = Grid { blocks: [blocks, 1, 1], threads: expr::THREADS, shared };
    b.launch("map", grid, &params);
}

/// What `map_direct` computes without a list of instructions: the operation, its numbers and operands.
fn direct(expr: &Expr) -> Option<(Operation, [f32; 2], [u8; 2])> {
    use Operation::{Add, Affine, Constant, Gate, Input, Leaky, Mul, Sigmoid, Sub, Tanh};
    match expr.steps[..] {
        [Step::Input(i)] => Some((Input, [0.0; 2], [i; 2])),
        [Step::Const(v)] => Some((Constant, [v as f32, 0.0], [0; 2])),
        [Step::Input(i), Step::Unary(f, 0)] => {
            let (operation, numbers) = Operation::unary(f);
            let has = matches!(operation, Affine | Leaky | Tanh | Sigmoid);
            has.then_some((operation, numbers, [i; 2]))
        }
        [Step::Input(i), Step::Input(j), Step::Binary(f, a, b)] => {
            let (operation, numbers) = Operation::binary(f);
            let has = matches!(operation, Add | Sub | Mul | Gate);
            let operand = |register| if register == 0 { i } else { j };
            has.then_some((operation, numbers, [operand(a), operand(b)]))
        }
        _ => None,
    }
}

pub(super) fn maxout_pick(b: &mut Builder<'_>, node: &Node, pieces: usize) {
    let units = b.tensor(node.outs[0]).len;
    maxout(b, node, "maxout_pick", pieces, units);
}

pub(super) fn maxout_scatter(b: &mut Builder<'_>, node: &Node, pieces: usize) {
    let units = b.tensor(node.ins[0]).len;
    maxout(b, node, "maxout_scatter", pieces, units);
}

fn maxout(b: &mut Builder<'_>, node: &Node, kernel: &'static str, pieces: usize, units: u32) {
    let [v, x, y] = [node.ins[0], node.ins[1], node.outs[0]].map(|t| b.tensor(t));
    if units == 0 {
        return;
    }
    let params = MaxoutParams { v, x, y, pieces: pieces as u32, unused: 0 };
    let blocks = units.div_ceil(THREADS).min(b.card.multiprocessors * BLOCKS);
    b.launch(kernel, Grid::line(blocks, THREADS), &params);
}
