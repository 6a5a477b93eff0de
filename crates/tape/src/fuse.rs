//! Fusion: what would be several passes over memory becomes one.

mod finishes;
mod maps;
mod norms;
mod products;
mod reads;
mod sums;
#[cfg(test)]
mod tests;

pub(crate) use finishes::finishes;
pub(crate) use maps::maps;
pub(crate) use norms::norms;
pub(crate) use products::sums_of_products;
pub(crate) use reads::reads;
pub(crate) use sums::sums_of_maps;

use crate::op::Node;
use crate::tape::root;
use crate::{Home, Kind, T, Tensor};
use std::collections::{HashMap, HashSet};

/// How many operands of all nodes read each tensor.
fn uses(nodes: &[Node]) -> HashMap<T, usize> {
    let mut uses = HashMap::new();
    for t in nodes.iter().flat_map(|n| &n.ins) {
        *uses.entry(*t).or_insert(0) += 1;
    }
    uses
}

/// The nodes that read this tensor, in order.
fn readers(nodes: &[Node], t: T) -> Vec<usize> {
    (0..nodes.len()).filter(|&i| nodes[i].ins.contains(&t)).collect()
}

/// Whether only the program's own nodes see this tensor, in memory of its own.
pub(crate) fn private(tensors: &[Tensor], t: T) -> bool {
    let tensor = &tensors[t.index()];
    tensor.kind == Kind::Temp && tensor.home == Home::Own
}

/// Whether tensors still hold, behind these nodes, what they held before them.
fn unchanged(tensors: &[Tensor], between: &[Node], of: &[T]) -> bool {
    let root = |t: &T| root(tensors, *t).0;
    of.iter().all(|t| between.iter().all(|n| n.outs.iter().all(|o| root(o) != root(t))))
}

fn remove(nodes: &mut Vec<Node>, gone: &HashSet<usize>) {
    let mut i = 0;
    nodes.retain(|_| {
        i += 1;
        !gone.contains(&(i - 1))
    });
}
