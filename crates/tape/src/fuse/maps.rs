//! Elementwise operations in a row.

use super::{private, unchanged, uses};
use crate::op::{Node, Op};
use crate::{Access, Expr, T, Tensor};
use std::collections::HashMap;

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
        let same = unchanged(tensors, &nodes[j + 1..i], &nodes[j].ins);
        if private(tensors, t) && worth && fits && composes && same {
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
