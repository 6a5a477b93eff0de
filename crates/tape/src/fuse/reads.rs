//! What happens to a convolution's operand while it is packed.

use super::{private, readers, unchanged};
use crate::fused::{Fused, Read};
use crate::op::{Act, Node, Op};
use crate::{T, Tensor};

/// A norm and its gradient are computed by the convolutions that read them, if nobody else does: their
/// results never exist.
pub(crate) fn reads(tensors: &[Tensor], nodes: &mut Vec<Node>) {
    let mut i = 0;
    while i < nodes.len() {
        match read(&nodes[i]) {
            Some((read, operands)) if all_take(tensors, nodes, i, &operands) => {
                let h = nodes[i].outs[0];
                for j in readers(nodes, h) {
                    take(&mut nodes[j], h, read, &operands);
                }
                nodes.remove(i);
            }
            _ => i += 1,
        }
    }
}

/// How the result of a node can be read instead, and from what.
fn read(node: &Node) -> Option<(Read, Vec<T>)> {
    match node.op {
        Op::Normalize(Act::None) => Some((Read::Normalized { slope: 1.0 }, node.ins.clone())),
        Op::Normalize(Act::Leaky(slope)) => Some((Read::Normalized { slope }, node.ins.clone())),
        Op::NormalizeGrad { act: Act::None, count } => {
            let &[d, _, x, statistics, gain, sums] = &node.ins[..] else { return None };
            Some((Read::Gradient { count }, vec![d, x, statistics, gain, sums]))
        }
        _ => None,
    }
}

/// Whether every reader of the result of node `i` can read these operands in its place.
fn all_take(tensors: &[Tensor], nodes: &[Node], i: usize, operands: &[T]) -> bool {
    let h = nodes[i].outs[0];
    let readers = readers(nodes, h);
    let Some(&last) = readers.last() else { return false };
    private(tensors, h)
        && unchanged(tensors, &nodes[i + 1..last], operands)
        && readers.iter().all(|&j| {
            let all = nodes[j].ins.iter().filter(|&&t| t == h).count();
            Fused::of(&nodes[j].op)
                .is_some_and(|conv| slots(&conv, &nodes[j].ins, h).count() == all)
        })
}

/// Which of the two operands of a convolution, weights left out, are `h` as it lies in memory.
fn slots(conv: &Fused, ins: &[T], h: T) -> impl Iterator<Item = usize> {
    let reads = conv.operands(ins).reads;
    let open = if conv.has_weights() { 1 } else { 2 };
    let plain = conv.reads;
    (0..open).filter(move |&s| plain[s] == Read::Plain && reads[s] == [h])
}

/// Lets a convolution read operands where it read `h`.
fn take(node: &mut Node, h: T, read: Read, operands: &[T]) {
    let mut conv = Fused::of(&node.op).expect("looked at before");
    let slots: Vec<usize> = slots(&conv, &node.ins, h).collect();
    let old = conv.operands(&node.ins);
    let part = |s: usize| if slots.contains(&s) { operands } else { old.reads[s] };
    node.ins = [part(0), part(1), old.accumulated, old.finish].concat();
    for s in slots {
        conv.reads[s] = read;
    }
    node.op = Op::Fused(Box::new(conv));
}
