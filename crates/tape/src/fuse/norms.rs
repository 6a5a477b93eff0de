//! Batch norm and the activation behind it.

use super::{private, readers, remove, uses};
use crate::op::{Act, Node, Op};
use crate::{Access, Binary, Step, Tensor, Unary};
use std::collections::HashSet;

/// Batch norm takes the activation behind it, and its gradient the activation's.
pub(crate) fn norms(tensors: &[Tensor], nodes: &mut Vec<Node>) {
    let uses = uses(nodes);
    let mut gone = HashSet::new();
    for i in 0..nodes.len() {
        if nodes[i].op == Op::Normalize(Act::None) {
            let h = nodes[i].outs[0];
            let behind = (i + 1..nodes.len()).find(|&j| nodes[j].ins.contains(&h));
            let act = behind.and_then(|j| activation(&nodes[j]).map(|act| (j, act)));
            if let Some((j, act)) = act
                && uses[&h] == 1
                && private(tensors, h)
            {
                nodes[i].op = Op::Normalize(act);
                nodes[i].outs = nodes[j].outs.clone();
                gone.insert(j);
            }
        }
        if let Some(slope) = gate(&nodes[i]) {
            let (dh, [dy, y]) = (nodes[i].outs[0], [nodes[i].ins[0], nodes[i].ins[1]]);
            let readers = readers(nodes, dh);
            let norms_only = readers.iter().all(|&j| {
                matches!(
                    nodes[j].op,
                    Op::NormalizeSums(Act::None) | Op::NormalizeGrad { act: Act::None, .. }
                )
            });
            if norms_only && !readers.is_empty() && private(tensors, dh) {
                for j in readers {
                    match &mut nodes[j].op {
                        Op::NormalizeSums(act) | Op::NormalizeGrad { act, .. } => {
                            *act = Act::Leaky(slope);
                        }
                        _ => unreachable!("checked above"),
                    }
                    nodes[j].ins[0] = dy;
                    nodes[j].ins[1] = y;
                }
                gone.insert(i);
            }
        }
    }
    remove(nodes, &gone);
}

/// The activation that a node is, if it is nothing else.
fn activation(node: &Node) -> Option<Act> {
    let Op::Map { expr, .. } = &node.op else {
        return None;
    };
    match expr.steps[..] {
        [Step::Input(0), Step::Unary(f, 0)] => match f {
            Unary::Leaky(slope) => Some(Act::Leaky(slope)),
            Unary::Tanh => Some(Act::Tanh),
            Unary::Sigmoid => Some(Act::Sigmoid),
            _ => None,
        },
        _ => None,
    }
}

/// The slope of a node that is a gate and nothing else.
fn gate(node: &Node) -> Option<f64> {
    let Op::Map { expr, access } = &node.op else {
        return None;
    };
    match expr.steps[..] {
        [Step::Input(0), Step::Input(1), Step::Binary(Binary::Gate(slope), 0, 1)]
            if access[..] == [Access::Full, Access::Full] =>
        {
            Some(slope)
        }
        _ => None,
    }
}
