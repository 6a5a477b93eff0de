//! The guard, optimisers and averages: `kernels/update.cu`.

use crate::builder::{Builder, scalar};
use crate::launch::{Grid, Params};
use crate::tensor::Tensor;
use tape::{Node, Op, Scalar};

/// Threads of a block.
const THREADS: u32 = 256;
/// Elements that a block of an update owns.
const BLOCK: u32 = 4 * THREADS;
/// Tensors of one launch of `guard`.
const GUARDED: usize = 8;
/// Blocks of one multiprocessor that look at one tensor; more elements are a loop in each.
const BLOCKS: u32 = 4;

#[derive(Clone, Copy)]
#[repr(C)]
struct GuardParams {
    x: [Tensor; GUARDED],
    fault: Tensor,
    clock: u64,
}

// SAFETY: the twin of `GuardParams` in update.cu, with no padding.
unsafe impl Params for GuardParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct SgdParams {
    g: Tensor,
    fault: Tensor,
    p: Tensor,
    v: Tensor,
    clock: u64,
    rate: u32,
    momentum: u32,
}

// SAFETY: the twin of `SgdParams` in update.cu, with no padding.
unsafe impl Params for SgdParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct AdamParams {
    g: Tensor,
    fault: Tensor,
    p: Tensor,
    m: Tensor,
    v: Tensor,
    clock: u64,
    rate: u32,
    correction1: u32,
    correction2: u32,
    beta1: f32,
    rest1: f32,
    beta2: f32,
    rest2: f32,
    eps: f32,
    l2: f32,
    unused: u32,
}

// SAFETY: the twin of `AdamParams` in update.cu, with no padding.
unsafe impl Params for AdamParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct EmaParams {
    p: Tensor,
    fault: Tensor,
    e: Tensor,
    clock: u64,
    decay: u32,
    unused: u32,
}

// SAFETY: the twin of `EmaParams` in update.cu, with no padding.
unsafe impl Params for EmaParams {}

pub(super) fn guard(b: &mut Builder<'_>, node: &Node) {
    let fault = b.tensor(node.outs[0]);
    for some in node.ins.chunks(GUARDED) {
        let mut x = [Tensor::NONE; GUARDED];
        for (x, &t) in x.iter_mut().zip(some) {
            *x = b.tensor(t);
        }
        let longest = x.iter().map(|x| x.len).max().unwrap_or(0);
        let blocks = longest.div_ceil(BLOCK).min(b.card.multiprocessors * BLOCKS);
        let blocks = [blocks.max(1), some.len() as u32, 1];
        let grid = Grid { blocks, threads: THREADS, shared: 0 };
        b.launch("guard", grid, &GuardParams { x, fault, clock: b.clock });
    }
}

pub(super) fn sgd(b: &mut Builder<'_>, node: &Node, rate: Scalar, momentum: Scalar) {
    let [g, fault, p, v] = operands(b, node);
    let [rate, momentum] = [rate, momentum].map(scalar);
    let params = SgdParams { g, fault, p, v, clock: b.clock, rate, momentum };
    update(b, "sgd", p, &params);
}

pub(super) fn adam(b: &mut Builder<'_>, node: &Node, op: &Op) {
    let &Op::Adam { rate, beta1, beta2, eps, l2, correction1, correction2 } = op else {
        unreachable!("the caller has looked");
    };
    let [g, fault, p, m, v] = operands(b, node);
    let params = AdamParams {
        g,
        fault,
        p,
        m,
        v,
        clock: b.clock,
        rate: scalar(rate),
        correction1: scalar(correction1),
        correction2: scalar(correction2),
        beta1: beta1 as f32,
        rest1: (1.0 - beta1) as f32,
        beta2: beta2 as f32,
        rest2: (1.0 - beta2) as f32,
        eps: eps as f32,
        l2: l2 as f32,
        unused: 0,
    };
    update(b, "adam", p, &params);
}

pub(super) fn ema(b: &mut Builder<'_>, node: &Node, decay: Scalar) {
    let [p, fault, e] = operands(b, node);
    let params = EmaParams { p, fault, e, clock: b.clock, decay: scalar(decay), unused: 0 };
    update(b, "ema", e, &params);
}

/// What a node reads, then what it writes.
fn operands<const N: usize>(b: &Builder<'_>, node: &Node) -> [Tensor; N] {
    assert_eq!(node.ins.len() + node.outs.len(), N, "operands and results of {}", node.op.name());
    let mut all = node.ins.iter().chain(&node.outs);
    std::array::from_fn(|_| b.tensor(*all.next().expect("as many as were counted")))
}

/// Launches an update of as many elements as `of` has.
fn update<P: Params>(b: &mut Builder<'_>, kernel: &'static str, of: Tensor, params: &P) {
    if of.len > 0 {
        b.launch(kernel, Grid::line(of.len.div_ceil(BLOCK), THREADS), params);
    }
}
