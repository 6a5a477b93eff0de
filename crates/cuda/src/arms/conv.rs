//! Convolutions: `kernels/conv*.cu`.

mod choice;
mod finish;

use super::activation;
use super::gemm::{self, Finish};
use crate::builder::Builder;
use crate::division::Division;
use crate::error::CudaError;
use crate::launch::{Grid, Params};
use crate::tensor::{Tensor, Type};
use choice::Choice;
use tape::{Conv, Finish as Finishes, Fused, Node, Pass};

/// Largest height and width of a kernel: a word holds which rows and columns of a window lie inside.
const MOST_TAPS: usize = 15;

#[derive(Clone, Copy)]
#[repr(C)]
struct ConvParams {
    a: Tensor,
    b: Tensor,
    finish: Finish,
    /// n, h, w, c, p, q, k, r, s, stride, pad.
    geometry: [u32; 11],
    steps: u32,
    by_p: Division,
    by_q: Division,
    by_s: Division,
    by_channels: Division,
}

// SAFETY: the twin of `ConvParams` in conv.cuh, with no padding.
unsafe impl Params for ConvParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct ConvSumsParams {
    partials: u64,
    sums: u64,
    rows: u32,
    columns: u32,
    pixels: u32,
    unused: u32,
}

// SAFETY: the twin of `ConvSumsParams` in conv.cu, with no padding.
unsafe impl Params for ConvSumsParams {}

pub(super) fn conv(b: &mut Builder<'_>, node: &Node, fused: &Fused) -> Result<(), CudaError> {
    let c = &fused.conv;
    if c.r.max(c.s) > MOST_TAPS {
        let found = format!("a kernel of {}×{}; {MOST_TAPS}×{MOST_TAPS} is the largest", c.r, c.s);
        return Err(CudaError::Misuse(found));
    }
    assert!(c.h == c.p * c.stride && c.w == c.q * c.stride, "phases of equal size: {c:?}");
    assert!(fused.reads == [tape::Read::Plain; 2], "operands are read as they lie");
    let y = b.tensor(node.outs[0]);
    if y.len == 0 {
        return Ok(());
    }
    match fused.pass {
        Pass::Fprop | Pass::Dgrad => gather(b, node, fused, y),
        Pass::Wgrad => wgrad(b, node, fused, y),
    }
    Ok(())
}

/// Fprop and dgrad.
fn gather(b: &mut Builder<'_>, node: &Node, fused: &Fused, y: Tensor) {
    let operands = fused.operands(&node.ins);
    let [first, weights] = operands.reads.map(|read| b.operand(read[0]));
    let sums = node.outs.get(1).map(|&t| b.tensor(t));
    let product = [first, weights];
    let choice = Choice::gather(fused.pass, &fused.conv, product, sums.is_some(), b.math, b.card);
    let n = if fused.pass == Pass::Dgrad { fused.conv.c } else { fused.conv.k };
    let others: Vec<Tensor> = operands.finish.iter().map(|&t| b.tensor(t)).collect();
    let found = finish::of(&fused.finish, &others, y, n);
    let mut finish = found.unwrap_or(Finish::plain(y, n));
    if sums.is_some() {
        finish.partials = b.scratch(Type::F32, choice.rows * 2 * n).at;
    }
    launch(b, fused.pass, &fused.conv, product, finish, &choice);
    if let Some(sums) = sums {
        let params = ConvSumsParams {
            partials: finish.partials,
            sums: sums.at,
            rows: choice.rows as u32,
            columns: 2 * n as u32,
            pixels: if fused.finish == Finishes::Moments { y.len / n as u32 } else { 0 },
            unused: 0,
        };
        let grid = Grid { blocks: [params.columns.div_ceil(32), 1, 1], threads: 256, shared: 2048 };
        b.launch("conv_sums", grid, &params);
    }
    if found.is_none()
        && let Finishes::Map { expr, access } = &fused.finish
    {
        // No kernel ends with this function: it is a kernel of its own, in place.
        let operands = [vec![y], others].concat();
        activation::map_into(b, expr, access, &operands, y, b.shape(node.outs[0]));
    }
}

fn wgrad(b: &mut Builder<'_>, node: &Node, fused: &Fused, y: Tensor) {
    let c = &fused.conv;
    let operands = fused.operands(&node.ins);
    let [x, dy] = operands.reads.map(|read| b.operand(read[0]));
    let n = c.r * c.s * c.c;
    let mut finish = Finish::plain(y, n);
    if let [summand] = *operands.accumulated {
        finish = finish.with(gemm::Kind::Accumulate, b.tensor(summand), n);
    }
    let choice = Choice::wgrad(c, [dy, x], b.math, b.card);
    let part = gemm::parts_of(b, finish, n, choice.parts);
    launch(b, Pass::Wgrad, c, [dy, x], part, &choice);
    gemm::add_parts(b, "conv_parts", &finish, part.y, choice.parts);
}

fn launch(
    builder: &mut Builder<'_>,
    pass: Pass,
    c: &Conv,
    [a, b]: [Tensor; 2],
    finish: Finish,
    choice: &Choice,
) {
    let geometry = [c.n, c.h, c.w, c.c, c.p, c.q, c.k, c.r, c.s, c.stride, c.pad];
    let by = |n: usize| Division::by(n as u32);
    let params = ConvParams {
        a,
        b,
        finish,
        geometry: geometry.map(|n| n as u32),
        steps: choice.steps as u32,
        by_p: by(c.p),
        by_q: by(c.q),
        by_s: by(c.s),
        by_channels: by(if pass == Pass::Dgrad { c.k } else { c.c }),
    };
    builder.launch(choice.kernel, choice.grid, &params);
}
