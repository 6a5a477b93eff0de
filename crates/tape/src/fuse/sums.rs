//! Sums of what an expression gives.

use super::{private, readers, unchanged};
use crate::Tensor;
use crate::op::{Node, Op, Over};

/// A sum computes the map that only it reads. Sums per channel are left alone: what they sum, a
/// gradient behind a bias, is read by others as well.
pub(crate) fn sums_of_maps(tensors: &[Tensor], nodes: &mut Vec<Node>) {
    let mut i = 0;
    while i < nodes.len() {
        match summed(tensors, nodes, i) {
            Some((j, op)) => {
                nodes[j].op = op;
                nodes[j].ins = nodes[i].ins.clone();
                nodes.remove(i);
            }
            None => i += 1,
        }
    }
}

/// The sum that alone reads map `i`, and what it becomes.
fn summed(tensors: &[Tensor], nodes: &[Node], i: usize) -> Option<(usize, Op)> {
    let Op::Map { expr, access } = &nodes[i].op else { return None };
    let t = nodes[i].outs[0];
    let [j] = readers(nodes, t)[..] else { return None };
    let over = match nodes[j].op {
        Op::Sum(over) if over != Over::Channel => over,
        _ => return None,
    };
    let (expr, access, shape) = (expr.clone(), access.clone(), tensors[t.index()].shape);
    let same = unchanged(tensors, &nodes[i + 1..j], &nodes[i].ins);
    (private(tensors, t) && same).then_some((j, Op::MapSum { expr, access, over, shape }))
}
