//! One arm for each operation: operands are looked up, launches are written down.
//!
//! An arm is a function `fn name(b: &mut Builder, node: &Node, …)` in the file of its family,
//! `arms/<family>.rs`, beside the structs of parameters of `kernels/<family>.cu`. It asks
//! [`Builder::tensor`] for operands ([`Builder::operand`] for those of products), [`Builder::scratch`] for
//! memory between its kernels, and appends [`Builder::launch`]es. It decides by shapes, types, alignment
//! and [`Builder::card`] alone, so that the same launches come out each time.

mod activation;
mod batch_norm;
mod conv;
mod gemm;
mod image;
mod loss;
mod matmul;
mod noise;
mod pool;
mod reduce;
mod update;

use crate::builder::Builder;
use crate::error::CudaError;
use crate::tensor::Tensor;
pub(crate) use image::{Segment, cast};
pub(crate) use reduce::finite;
use tape::{Fused, Node, Op};

/// Turns one node into launches.
pub(crate) fn record(b: &mut Builder<'_>, node: &Node) -> Result<(), CudaError> {
    match &node.op {
        op @ (Op::Fprop(_) | Op::Dgrad(_) | Op::Wgrad { .. } | Op::Fused(_)) => {
            let fused = Fused::of(op).expect("these are convolutions");
            return conv::conv(b, node, &fused);
        }
        Op::Matmul { ta, tb, accumulate } => matmul::matmul(b, node, [*ta, *tb], *accumulate),
        Op::Map { expr, access } => activation::map(b, node, expr, access),
        Op::MaxoutPick { pieces } => activation::maxout_pick(b, node, *pieces),
        Op::MaxoutScatter { pieces } => activation::maxout_scatter(b, node, *pieces),
        Op::MapSum { expr, access, over, shape } => {
            loss::map_sum(b, node, expr, access, *over, *shape);
        }
        Op::Sum(over) => reduce::sum(b, node, *over),
        Op::Pack => reduce::pack(b, node),
        Op::Convert { scale, shift } => image::convert(b, node, *scale, *shift),
        Op::Moments => batch_norm::moments(b, node),
        Op::Statistics { eps } => batch_norm::statistics(b, node, *eps),
        Op::StoredStatistics { eps } => batch_norm::stored_statistics(b, node, *eps),
        Op::Normalize(act) => batch_norm::normalize(b, node, *act),
        Op::NormalizeSums(act) => batch_norm::normalize_sums(b, node, *act),
        Op::NormalizeGrad { act, count } => batch_norm::normalize_grad(b, node, *act, *count),
        Op::Running { momentum } => batch_norm::running(b, node, *momentum),
        Op::PoolPick(blocks) => pool::pool_pick(b, node, blocks),
        Op::PoolScatter(blocks) => pool::pool_scatter(b, node, blocks),
        Op::Upsample(blocks) => pool::upsample(b, node, blocks),
        Op::BlockSum(blocks) => pool::block_sum(b, node, blocks),
        Op::Dropout { keep, scale, stream } => noise::dropout(b, node, *keep, *scale, *stream),
        Op::Noise { law, stream, owner } => noise::noise(b, node, *law, *stream, *owner),
        Op::AllReduce { world } => all_reduce(b, node, *world)?,
        Op::Guard => update::guard(b, node),
        Op::Sgd { rate, momentum } => update::sgd(b, node, *rate, *momentum),
        op @ Op::Adam { .. } => update::adam(b, node, op),
        Op::Ema { decay } => update::ema(b, node, *decay),
        Op::Reshape | Op::Slice { .. } => {}
    }
    Ok(())
}

fn all_reduce(b: &mut Builder<'_>, node: &Node, world: usize) -> Result<(), CudaError> {
    let [from, to]: [Tensor; 2] = [b.tensor(node.ins[0]), b.tensor(node.outs[0])];
    // What one rank computes alone while there are others does not go to them.
    if b.collective && (world > 1 || b.world == 1) {
        b.all_reduce(from, to);
    } else if world > 1 {
        let found = format!("{world} ranks on a device without a communicator");
        return Err(CudaError::Misuse(found));
    } else if from.at != to.at {
        reduce::copy(b, from, to);
    }
    Ok(())
}
