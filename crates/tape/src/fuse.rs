//! Fusion: what would be several passes over memory becomes one.

use crate::op::{Act, Node, Op};
use crate::tape::root;
use crate::{Access, Binary, Expr, Home, Kind, Step, T, Tensor, Unary};
use std::collections::{HashMap, HashSet};

/// How many operands of all nodes read each tensor.
fn uses(nodes: &[Node]) -> HashMap<T, usize> {
    let mut uses = HashMap::new();
    for t in nodes.iter().flat_map(|n| &n.ins) {
        *uses.entry(*t).or_insert(0) += 1;
    }
    uses
}

/// Whether only the program's own nodes see this tensor, in memory of its own.
fn private(tensors: &[Tensor], t: T) -> bool {
    let tensor = &tensors[t.index()];
    tensor.kind == Kind::Temp && tensor.home == Home::Own
}

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
            let readers: Vec<usize> =
                (i + 1..nodes.len()).filter(|&j| nodes[j].ins.contains(&dh)).collect();
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
    let mut i = 0;
    nodes.retain(|_| {
        i += 1;
        !gone.contains(&(i - 1))
    });
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

/// A map computes the maps that only it reads.
pub(crate) fn maps(tensors: &[Tensor], nodes: &mut [Node]) {
    let mut uses = uses(nodes);
    let mut producer: HashMap<T, usize> = HashMap::new();
    for i in 0..nodes.len() {
        // Inlining changes the operands, so look again from the first one each time.
        while let Some((slot, j)) = candidate(tensors, nodes, &uses, &producer, i) {
            inline(nodes, &mut uses, i, slot, j);
        }
        for &t in &nodes[i].outs {
            producer.insert(t, i);
        }
    }
}

/// An operand of map `i` that should be computed there, and the node that computes it now.
fn candidate(
    tensors: &[Tensor],
    nodes: &[Node],
    uses: &HashMap<T, usize>,
    producer: &HashMap<T, usize>,
    i: usize,
) -> Option<(usize, usize)> {
    let Op::Map { expr, access } = &nodes[i].op else {
        return None;
    };
    for (slot, &t) in nodes[i].ins.iter().enumerate() {
        let Some(&j) = producer.get(&t) else { continue };
        let Op::Map { expr: inner, access: inner_access } = &nodes[j].op else {
            continue;
        };
        let here = nodes[i].ins.iter().filter(|&&u| u == t).count();
        let cheap = if access[slot] == Access::Full { 0 } else { 1 };
        let only_here = uses[&t] == here && here == 1;
        let worth = inner.is_free() || (only_here && (cheap == 0 || inner.flops() <= cheap));
        let fits = expr.steps.len() + inner.steps.len() <= Expr::MAX_STEPS
            && nodes[i].ins.len() + nodes[j].ins.len() <= Expr::MAX_INPUTS;
        let (outer_shape, inner_shape) =
            (tensors[nodes[i].outs[0].index()].shape, tensors[t.index()].shape);
        let composes = inner_access.iter().all(|b| match (access[slot], b) {
            (Access::Full, Access::Full | Access::Scalar) => true,
            (Access::Full, _) => outer_shape == inner_shape,
            (_, Access::Full | Access::Scalar) => true,
            _ => false,
        });
        // The operands must still hold the same values at the later place.
        let unchanged = nodes[j].ins.iter().all(|&u| {
            let r = root(tensors, u).0;
            nodes[j + 1..i].iter().all(|n| n.outs.iter().all(|&o| root(tensors, o).0 != r))
        });
        if private(tensors, t) && worth && fits && composes && unchanged {
            return Some((slot, j));
        }
    }
    None
}

/// Computes operand `slot` of map `i`, now made by map `j`, inside map `i`.
fn inline(nodes: &mut [Node], uses: &mut HashMap<T, usize>, i: usize, slot: usize, j: usize) {
    let inner = nodes[j].clone();
    let outer = nodes[i].clone();
    let (Op::Map { expr: f, access: fa }, Op::Map { expr: g, access: ga }) = (&outer.op, &inner.op)
    else {
        unreachable!("both are maps")
    };
    let mut operands: Vec<(T, Access)> = Vec::new();
    let mut number = |t: T, access: Access| {
        let at = operands.iter().position(|&o| o == (t, access)).unwrap_or_else(|| {
            operands.push((t, access));
            operands.len() - 1
        });
        at as u8
    };
    let mut rename_outer = vec![0; outer.ins.len()];
    for (k, &t) in outer.ins.iter().enumerate() {
        if k != slot {
            rename_outer[k] = number(t, fa[k]);
        }
    }
    let composed = |b: Access| match (fa[slot], b) {
        (Access::Full, b) => b,
        (_, Access::Scalar) => Access::Scalar,
        (a, _) => a,
    };
    let rename_inner: Vec<u8> =
        inner.ins.iter().zip(ga).map(|(&t, &b)| number(t, composed(b))).collect();
    let expr = f.inline(slot, g, &rename_outer, &rename_inner);
    for t in &outer.ins {
        *uses.get_mut(t).expect("it is read here") -= 1;
    }
    nodes[i].op = Op::Map { expr, access: operands.iter().map(|o| o.1).collect() };
    nodes[i].ins = operands.iter().map(|o| o.0).collect();
    for t in &nodes[i].ins {
        *uses.entry(*t).or_insert(0) += 1;
    }
}

/// Adding a product to something becomes a product that accumulates, in the memory of the sum.
pub(crate) fn sums_of_products(tensors: &mut [Tensor], nodes: &mut Vec<Node>) {
    let uses = uses(nodes);
    let mut gone = HashSet::new();
    for i in 0..nodes.len() {
        let Op::Map { expr, access } = &nodes[i].op else {
            continue;
        };
        let is_sum = *expr == Expr::binary(Binary::Add) && access[..] == [Access::Full; 2];
        if !is_sum || nodes[i].ins[0] == nodes[i].ins[1] {
            continue;
        }
        let made = |t: T| nodes[..i].iter().position(|n| n.outs[..] == [t]);
        let (Some(a), Some(b)) = (made(nodes[i].ins[0]), made(nodes[i].ins[1])) else {
            continue;
        };
        let (early, late) = (a.min(b), a.max(b));
        let (first, second) = (nodes[early].outs[0], nodes[late].outs[0]);
        let sum = nodes[i].outs[0];
        let once = |t: T| uses[&t] == 1 && private(tensors, t);
        let equal = tensors[first.index()].shape == tensors[sum.index()].shape;
        if !(once(first) && once(second) && equal) || nodes[early].op.is_view() {
            continue;
        }
        match &mut nodes[late].op {
            Op::Wgrad { accumulate, .. } | Op::Matmul { accumulate, .. } if !*accumulate => {
                *accumulate = true;
            }
            _ => continue,
        }
        nodes[late].ins.push(first);
        nodes[late].outs = vec![sum];
        tensors[first.index()].home = Home::Within { of: sum, offset: 0 };
        gone.insert(i);
    }
    let mut i = 0;
    nodes.retain(|_| {
        i += 1;
        !gone.contains(&(i - 1))
    });
}
