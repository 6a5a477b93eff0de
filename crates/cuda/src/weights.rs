//! Copies of weights in the type that products read.
//!
//! Master weights are f32 and lie side by side, wherever the one before ends. Products on tensor cores read
//! bf16 from multiples of 16 bytes. So each weight that a product reads has a copy, made anew when
//! the weight has changed: behind the update in a program that goes on reading it, else before the next
//! program that reads it.

use crate::arms::Segment;
use crate::builder::Math;
use crate::tensor::{Tensor, Type};
use std::collections::{BTreeMap, BTreeSet};
use tape::{Compiled, Fused, Kind, Node, Op, T};

/// Elements of a copy's alignment: 16 bytes of bf16.
const ALIGN: usize = 8;

/// Which weights have copies, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Copies {
    /// By weight: first element of the copy and number of elements.
    of: BTreeMap<T, (u32, u32)>,
    /// By the flat buffer that weights lie in.
    pub tables: BTreeMap<T, Vec<Segment>>,
    elements: usize,
    base: u64,
}

impl Copies {
    /// The copies that the products of these programs need.
    pub fn new(compiled: &Compiled, math: Math) -> Self {
        let mut copies = Self::default();
        if math != Math::Bf16 {
            return copies;
        }
        let nodes = compiled.programs.iter().flat_map(|program| &program.nodes);
        let weights: BTreeSet<T> = nodes.flat_map(|node| weights(compiled, node)).collect();
        for t in weights {
            let (root, from) = compiled.root(t);
            let len = compiled.tensor(t).shape.len();
            let to = copies.elements;
            copies.elements += len.next_multiple_of(ALIGN);
            let [from, to, len] =
                [from, to, len].map(|n| u32::try_from(n).expect("less than 2³² weights"));
            copies.of.insert(t, (to, len));
            copies.tables.entry(root).or_default().push(Segment { from, to, len, unused: 0 });
        }
        copies
    }

    /// The same with the copies at an address.
    pub fn at(mut self, base: u64) -> Self {
        self.base = base;
        self
    }

    /// The copy of a weight.
    pub fn of(&self, t: T) -> Option<Tensor> {
        let (first, len) = *self.of.get(&t)?;
        Some(Tensor { at: self.base + 2 * u64::from(first), dtype: Type::Bf16, len })
    }

    /// All copies as one tensor.
    pub fn all(&self) -> Tensor {
        Tensor { at: self.base, dtype: Type::Bf16, len: self.elements as u32 }
    }

    /// Bytes of all copies.
    pub fn bytes(&self) -> u64 {
        2 * self.elements as u64
    }

    /// Bytes of the tables.
    pub fn table_bytes(&self) -> u64 {
        let segments: usize = self.tables.values().map(Vec::len).sum();
        (segments * size_of::<Segment>()) as u64
    }

    /// The buffers whose copies a node reads.
    pub fn read_by(&self, compiled: &Compiled, node: &Node) -> BTreeSet<T> {
        let read = weights(compiled, node).into_iter().filter(|t| self.of.contains_key(t));
        read.map(|t| compiled.root(t).0).collect()
    }

    /// The buffers with copies that a node writes.
    pub fn written_by(&self, compiled: &Compiled, node: &Node) -> BTreeSet<T> {
        let roots = node.outs.iter().map(|&t| compiled.root(t).0);
        roots.filter(|root| self.tables.contains_key(root)).collect()
    }
}

/// The weights that a node multiplies by: state that lies as it was declared.
fn weights(compiled: &Compiled, node: &Node) -> Vec<T> {
    let operands = match &node.op {
        Op::Matmul { .. } => node.ins[..2].to_vec(),
        op => match Fused::of(op) {
            Some(fused) if fused.has_weights() => vec![fused.operands(&node.ins).reads[1][0]],
            _ => Vec::new(),
        },
    };
    let is_state = |t: &T| compiled.tensor(compiled.root(*t).0).kind == Kind::State;
    operands.into_iter().filter(is_state).collect()
}
