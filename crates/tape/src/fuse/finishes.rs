//! What becomes of a convolution's result before it leaves the cache.

use super::{private, readers, unchanged};
use crate::fused::{Finish, Fused, Pass};
use crate::op::{Act, Node, Op};
use crate::tape::root;
use crate::{Access, Kind, T, Tensor};

/// A convolution takes the map that alone reads its result, or the sums over it.
pub(crate) fn finishes(tensors: &[Tensor], nodes: &mut Vec<Node>) {
    // Only nodes behind the convolution are taken away.
    let mut i = 0;
    while i < nodes.len() {
        if let Some(conv) = Fused::of(&nodes[i].op)
            && conv.pass != Pass::Wgrad
        {
            let found = map(tensors, nodes, i)
                .or_else(|| moments(tensors, nodes, i))
                .or_else(|| gradient_sums(tensors, nodes, i));
            if let Some(found) = found {
                take(nodes, i, conv, found);
            }
        }
        i += 1;
    }
}

/// A finish, the node that it stands for, its operands besides the result, and all results.
struct Found {
    finish: Finish,
    node: usize,
    operands: Vec<T>,
    outs: Vec<T>,
}

/// Gives convolution `i` its finish.
fn take(nodes: &mut Vec<Node>, i: usize, conv: Fused, found: Found) {
    let result = nodes[i].outs[0];
    if matches!(found.finish, Finish::GradientSums { .. }) {
        // What was dy is d from now on.
        for j in readers(nodes, result) {
            if let Op::NormalizeGrad { act, .. } = &mut nodes[j].op {
                *act = Act::None;
                nodes[j].ins[1] = result;
            }
        }
    }
    nodes[i].op = Op::Fused(Box::new(Fused { finish: found.finish, ..conv }));
    nodes[i].ins.extend(found.operands);
    nodes[i].outs = found.outs;
    nodes.remove(found.node);
}

fn map(tensors: &[Tensor], nodes: &[Node], i: usize) -> Option<Found> {
    let y = nodes[i].outs[0];
    let [j] = readers(nodes, y)[..] else { return None };
    let Node { op: Op::Map { expr, access }, ins, outs, .. } = &nodes[j] else { return None };
    let mut operands = Vec::new();
    let mut accesses = vec![Access::Full];
    let mut numbers = Vec::new();
    for (&t, &a) in ins.iter().zip(access) {
        if t != y {
            operands.push(t);
            accesses.push(a);
        } else if a != Access::Full {
            return None;
        }
        numbers.push(if t == y { 0 } else { operands.len() as u8 });
    }
    // State is written in place, where it is read.
    let fresh = tensors[root(tensors, outs[0]).0.index()].kind != Kind::State;
    let same = unchanged(tensors, &nodes[i + 1..j], &operands);
    (private(tensors, y) && fresh && same).then(|| Found {
        finish: Finish::Map { expr: expr.renumbered(&numbers), access: accesses },
        node: j,
        operands,
        outs: outs.clone(),
    })
}

fn moments(tensors: &[Tensor], nodes: &[Node], i: usize) -> Option<Found> {
    let y = nodes[i].outs[0];
    let j = readers(nodes, y).into_iter().find(|&j| nodes[j].op == Op::Moments)?;
    let (running, sums) = (nodes[j].ins[1], nodes[j].outs[0]);
    let same = unchanged(tensors, &nodes[i + 1..j], &[running]);
    (private(tensors, sums) && same).then(|| Found {
        finish: Finish::Moments,
        node: j,
        operands: vec![running],
        outs: vec![y, sums],
    })
}

/// Where all that reads dy is the gradient of one norm, whose forward part tells gain and shift.
fn gradient_sums(tensors: &[Tensor], nodes: &[Node], i: usize) -> Option<Found> {
    let dy = nodes[i].outs[0];
    let readers = readers(nodes, dy);
    let of_act = |j: &usize| match nodes[*j].op {
        Op::NormalizeSums(act) => Some(act),
        _ => None,
    };
    let (j, act) = readers.iter().find_map(|j| of_act(j).map(|act| (*j, act)))?;
    let slope = match act {
        Act::None => 1.0,
        Act::Leaky(slope) => slope,
        Act::Tanh | Act::Sigmoid => return None,
    };
    let &[_, y, x, statistics] = &nodes[j].ins[..] else { return None };
    let of_this_norm = |&r: &usize| {
        let grad = matches!(nodes[r].op, Op::NormalizeGrad { act: a, .. } if a == act);
        r == j || (grad && nodes[r].ins[..4] == nodes[j].ins[..4])
    };
    let forward = nodes[..i].iter().rposition(|n| match n.op {
        Op::Normalize(of) if n.ins[..2] == [x, statistics] => {
            act == Act::None || (of == act && n.outs[0] == y)
        }
        _ => false,
    })?;
    let operands = nodes[forward].ins.clone();
    let sums = nodes[j].outs[0];
    let ours = private(tensors, dy) && private(tensors, sums);
    let same = unchanged(tensors, &nodes[forward + 1..j], &operands);
    (ours && same && readers.iter().all(of_this_norm)).then(|| Found {
        finish: Finish::GradientSums { slope },
        node: j,
        operands,
        outs: vec![dy, sums],
    })
}
