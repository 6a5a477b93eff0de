//! Products of matrices: `kernels/matmul.cu`.

use super::gemm::{self, Finish, Kind, THREADS, Tile, Work};
use crate::builder::{Builder, Math};
use crate::launch::{Grid, Params};
use crate::tensor::Tensor;
use tape::Node;

const TILE: Tile = Tile { m: 64, n: 64, stages: 4 };

#[derive(Clone, Copy)]
#[repr(C)]
struct MatmulParams {
    a: Tensor,
    b: Tensor,
    finish: Finish,
    m: u32,
    n: u32,
    k: u32,
    steps: u32,
    a_chunks: u32,
    b_chunks: u32,
}

// SAFETY: the twin of `MatmulParams` in matmul.cu, with no padding.
unsafe impl Params for MatmulParams {}

pub(super) fn matmul(b: &mut Builder<'_>, node: &Node, [ta, tb]: [bool; 2], accumulate: bool) {
    let [rows, columns] = b.shape(node.ins[0]).matrix();
    let (m, k) = if ta { (columns, rows) } else { (rows, columns) };
    let [_, n] = b.shape(node.outs[0]).matrix();
    let [left, right] = [b.operand(node.ins[0]), b.operand(node.ins[1])];
    let y = b.tensor(node.outs[0]);
    if y.len == 0 {
        return;
    }
    let mut finish = Finish::plain(y, n);
    if accumulate {
        finish = finish.with(Kind::Accumulate, b.tensor(node.ins[2]), n);
    }
    let work = Work { m, n, steps: k.div_ceil(gemm::step(b.math)), phases: 1 };
    let (_, parts) = gemm::split(&work, &[TILE], b.math, b.card);
    let part = gemm::parts_of(b, finish, n, parts);
    let params = MatmulParams {
        a: left,
        b: right,
        finish: part,
        m: m as u32,
        n: n as u32,
        k: k as u32,
        steps: work.steps.div_ceil(parts) as u32,
        a_chunks: u32::from(gemm::chunks(b.math, left, if ta { m } else { k })),
        b_chunks: u32::from(gemm::chunks(b.math, right, if tb { k } else { n })),
    };
    let blocks = [TILE.count(m, n) as u32, 1, parts as u32];
    let grid = Grid { blocks, threads: THREADS, shared: TILE.shared() };
    b.launch(kernel(b.math, ta, tb), grid, &params);
    gemm::add_parts(b, "matmul_parts", &finish, part.y, parts);
}

fn kernel(math: Math, ta: bool, tb: bool) -> &'static str {
    match (math, ta, tb) {
        (Math::Bf16, false, false) => "matmul_bf16_nn",
        (Math::Bf16, false, true) => "matmul_bf16_nt",
        (Math::Bf16, true, false) => "matmul_bf16_tn",
        (Math::Bf16, true, true) => "matmul_bf16_tt",
        (Math::Tf32, false, false) => "matmul_tf32_nn",
        (Math::Tf32, false, true) => "matmul_tf32_nt",
        (Math::Tf32, true, false) => "matmul_tf32_tn",
        (Math::Tf32, true, true) => "matmul_tf32_tt",
        (Math::F32, false, false) => "matmul_f32_nn",
        (Math::F32, false, true) => "matmul_f32_nt",
        (Math::F32, true, false) => "matmul_f32_tn",
        (Math::F32, true, true) => "matmul_f32_tt",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builder::Card;

    fn parts(m: usize, n: usize, k: usize, math: Math) -> usize {
        let work = Work { m, n, steps: k.div_ceil(gemm::step(math)), phases: 1 };
        gemm::split(&work, &[TILE], math, Card::H100).1
    }

    /// Few blocks share k among them, many do not.
    #[test]
    fn splits_where_blocks_are_few() {
        assert!(parts(128, 1, 8192, Math::Bf16) >= 16, "logits");
        assert_eq!(parts(128, 8192, 100, Math::Bf16), 1, "from the latent vector");
        assert_eq!(parts(784, 1200, 1, Math::F32), 1, "an outer product");
    }
}
