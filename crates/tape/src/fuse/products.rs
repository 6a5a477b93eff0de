//! Sums of products.

use super::{private, remove, uses};
use crate::op::{Node, Op};
use crate::{Access, Binary, Expr, Home, T, Tensor};
use std::collections::HashSet;

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
    remove(nodes, &gone);
}
