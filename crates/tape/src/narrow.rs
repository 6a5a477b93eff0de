//! Storage in bf16: what a run computes of its samples takes two bytes to an element.

#[cfg(test)]
mod tests;

use crate::fuse::private;
use crate::fused::Pass;
use crate::op::{Node, Op};
use crate::tape::root;
use crate::{Access, Dtype, T, Tensor};
use std::collections::HashMap;

/// Makes a program's activations, and their gradients, [`Dtype::Bf16`].
///
/// These are results that only the program sees, with samples and more than one channel, each written
/// by one operation, an operation on activations ([`gives_activations`]). All that is summed over
/// samples stays as it is (gradients of parameters, statistics, losses), and so do logits, noise, and
/// what the host reads. A view has the type of the memory that it is a view of.
pub(crate) fn narrow(tensors: &mut [Tensor], nodes: &[Node]) {
    let mut writers: HashMap<T, usize> = HashMap::new();
    for &t in nodes.iter().filter(|n| !n.op.is_view()).flat_map(|n| &n.outs) {
        *writers.entry(root(tensors, t).0).or_insert(0) += 1;
    }
    for node in nodes.iter().filter(|n| !n.op.is_view()) {
        let t = node.outs[0];
        let shape = tensors[t.index()].shape;
        let samples = shape.dims().len() > 1 && shape.channels() > 1;
        let ours = private(tensors, t) && writers[&t] == 1;
        if samples && ours && gives_activations(tensors, node) {
            tensors[t.index()].dtype = Dtype::Bf16;
        }
    }
    for i in 0..tensors.len() {
        if is_narrow(tensors, T(i as u32)) {
            tensors[i].dtype = Dtype::Bf16;
        }
    }
}

fn is_narrow(tensors: &[Tensor], t: T) -> bool {
    tensors[root(tensors, t).0.index()].dtype == Dtype::Bf16
}

/// Whether the first result of a node is one of activations, where those before it are narrow already.
///
/// A map may be one of anything: it follows the operands of its own shape. A product with a transposed
/// left side is a sum over samples.
fn gives_activations(tensors: &[Tensor], node: &Node) -> bool {
    match &node.op {
        Op::Map { access, .. } => {
            let mut operands = node.ins.iter().zip(access);
            operands.any(|(&t, &access)| access == Access::Full && is_narrow(tensors, t))
        }
        Op::Matmul { ta, accumulate, .. } => !ta && !accumulate,
        Op::Fused(fused) => fused.pass != Pass::Wgrad,
        Op::Fprop(_)
        | Op::Dgrad(_)
        | Op::Convert { .. }
        | Op::Normalize(_)
        | Op::NormalizeGrad { .. }
        | Op::MaxoutPick { .. }
        | Op::MaxoutScatter { .. }
        | Op::PoolPick(_)
        | Op::PoolScatter(_)
        | Op::Upsample(_)
        | Op::BlockSum(_)
        | Op::Dropout { .. } => true,
        Op::Wgrad { .. }
        | Op::Sum(_)
        | Op::MapSum { .. }
        | Op::Moments
        | Op::Statistics { .. }
        | Op::StoredStatistics { .. }
        | Op::NormalizeSums(_)
        | Op::Running { .. }
        | Op::Noise { .. }
        | Op::Reshape
        | Op::Slice { .. }
        | Op::Pack
        | Op::AllReduce { .. }
        | Op::Guard
        | Op::Sgd { .. }
        | Op::Adam { .. }
        | Op::Ema { .. } => false,
    }
}
