//! Packed weights that outlive a node: D's weights are read by several convolutions between two
//! updates, and packed by the first of them.

use crate::kernels::conv::kept_len;
use crate::kernels::gemm::Kept;
use crate::kernels::real::Real;
use crate::memory::{Memory, View};
use tape::{Compiled, Conv, Fused, Kind, Node, Pass, T};

/// What packed weights depend on.
#[derive(Clone, Copy, PartialEq)]
struct Key {
    weights: T,
    pass: Pass,
    conv: Conv,
}

impl Key {
    /// Of a node that packs weights.
    fn of(node: &Node) -> Option<Self> {
        let fused = Fused::of(&node.op).filter(Fused::has_weights)?;
        let weights = fused.operands(&node.ins).reads[1][0];
        Some(Self { weights, pass: fused.pass, conv: fused.conv })
    }
}

/// The keys of state that two nodes or more pack: nothing is saved by keeping others.
fn keys(compiled: &Compiled) -> Vec<Key> {
    let nodes = compiled.programs.iter().flat_map(|program| &program.nodes);
    let state = |key: &Key| compiled.tensor(key.weights).kind == Kind::State;
    let all: Vec<Key> = nodes.filter_map(Key::of).filter(state).collect();
    let mut keys: Vec<Key> = Vec::new();
    for key in &all {
        if all.iter().filter(|other| *other == key).count() > 1 && !keys.contains(key) {
            keys.push(*key);
        }
    }
    keys
}

/// Elements that all packed weights of a tape take.
pub(crate) fn len(compiled: &Compiled) -> usize {
    keys(compiled).iter().map(|key| kept_len(&key.conv)).sum()
}

/// The packed weights of a tape.
pub(crate) struct Shelf<R> {
    places: Vec<(Key, View, Kept<R>)>,
}

impl<R: Real> Shelf<R> {
    /// Room for those of `compiled`.
    pub fn new(compiled: &Compiled) -> Self {
        let place = |key: Key| {
            let view = Memory::<R>::view(compiled, key.weights)?;
            Some((key, view, Kept::new(kept_len(&key.conv))))
        };
        Self { places: keys(compiled).into_iter().filter_map(place).collect() }
    }

    /// The place that a node's weights have.
    pub fn place(&self, node: &Node) -> Option<usize> {
        let key = Key::of(node)?;
        self.places.iter().position(|(other, ..)| *other == key)
    }

    /// Those that are packed from memory that `views` touch.
    pub fn touched(&self, views: &[View]) -> Vec<usize> {
        let touched = |i: &usize| views.iter().any(|view| view.overlaps(&self.places[*i].1));
        (0..self.places.len()).filter(touched).collect()
    }

    /// Packed weights, to be used.
    pub fn get(&mut self, place: Option<usize>) -> Option<&mut Kept<R>> {
        Some(&mut self.places[place?].2)
    }

    /// The weights have changed.
    pub fn forget(&mut self, place: usize) {
        self.places[place].2.forget();
    }
}
