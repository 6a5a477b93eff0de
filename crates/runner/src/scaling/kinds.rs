//! What a sum over ranks is of.

use collective::Place;
use std::collections::HashMap;
use tape::{Compiled, Home, Node, Op};

/// What is added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A bucket of a network's gradient.
    Gradient,
    /// Sums of a batch norm, forward or backward: what stands behind needs them at once.
    Norm,
    /// Figures that are reported, and votes.
    Figures,
}

impl Kind {
    /// Of a node that adds up: buckets are parts of a flat gradient and stay in their place, and sums of a batch
    /// norm are read by one.
    pub fn of(compiled: &Compiled, nodes: &[Node], node: &Node) -> Self {
        let sum = node.outs[0];
        let in_place = node.ins[0] == sum;
        if in_place && matches!(compiled.tensor(sum).home, Home::Within { .. }) {
            return Self::Gradient;
        }
        let by_norm = |node: &&Node| {
            matches!(
                node.op,
                Op::Statistics { .. }
                    | Op::NormalizeGrad { .. }
                    | Op::Running { .. }
                    | Op::Fused(..)
            )
        };
        let readers = nodes.iter().filter(|other| other.ins.contains(&sum));
        if readers.filter(by_norm).count() > 0 { Self::Norm } else { Self::Figures }
    }
}

/// What each sum of some programs is of, by what an engine is told of it.
pub(crate) struct Kinds(HashMap<[String; 2], Kind>);

impl Kinds {
    /// Of all programs of a tape.
    pub fn of(compiled: &Compiled) -> Self {
        let mut kinds = HashMap::new();
        for program in &compiled.programs {
            for node in program.nodes.iter().filter(|n| matches!(n.op, Op::AllReduce { .. })) {
                let operation = compiled.print_operation(node);
                let kind = Kind::of(compiled, &program.nodes, node);
                kinds.insert([program.name.clone(), operation], kind);
            }
        }
        Self(kinds)
    }

    /// Of a sum that an engine was asked for.
    pub fn at(&self, place: &Place) -> Kind {
        // Behind the operation stands the line that recorded it.
        let operation = place.operation.split(" recorded at ").next().unwrap_or_default();
        let key = [place.program.clone(), operation.to_string()];
        self.0.get(&key).copied().unwrap_or(Kind::Figures)
    }
}
