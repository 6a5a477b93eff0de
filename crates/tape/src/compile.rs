//! From what was recorded to what is run: passes over the list, then a plan of memory.

use crate::narrow::narrow;
use crate::plan::Plan;
use crate::tape::root;
use crate::{Fusion, Home, Kind, Node, Op, Options, Program, Shape, T, Tape, Tensor, fuse};
use std::collections::HashMap;

/// A tape after fusion, with a place in memory for every tensor. What every executor starts from.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// All tensors; the index is that of [`T`].
    pub tensors: Vec<Tensor>,
    /// Programs, by [`Program`].
    pub programs: Vec<Listing>,
    /// Where tensors lie.
    pub plan: Plan,
}

/// One program.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Name.
    pub name: String,
    /// What is run, in this order.
    pub nodes: Vec<Node>,
}

impl Tape {
    /// Fuses operations, chooses types and plans memory.
    pub fn compile(&self, options: &Options) -> Compiled {
        let inner = self.inner.borrow();
        let mut tensors = inner.tensors.clone();
        let mut programs = Vec::new();
        for program in &inner.programs {
            let mut nodes = program.nodes.clone();
            remove_dead(&tensors, &mut nodes);
            if options.fusion != Fusion::None {
                fuse::norms(&tensors, &mut nodes);
                fuse::maps(&tensors, &mut nodes);
                fuse::sums_of_products(&mut tensors, &mut nodes);
                // What was computed elsewhere reads nothing any more.
                remove_dead(&tensors, &mut nodes);
                fuse::finishes(&tensors, &mut nodes);
                if options.fusion == Fusion::All {
                    fuse::reads(&tensors, &mut nodes);
                }
                fuse::sums_of_maps(&tensors, &mut nodes);
            }
            begin_early(&tensors, &mut nodes);
            if options.narrow {
                narrow(&mut tensors, &nodes);
            }
            programs.push(Listing { name: program.name.clone(), nodes });
        }
        let plan = Plan::new(&tensors, &programs);
        Compiled { tensors, programs, plan }
    }
}

impl Compiled {
    /// Every tensor, in the order of declaration.
    pub fn all(&self) -> impl Iterator<Item = T> + use<> {
        (0..self.tensors.len() as u32).map(T)
    }

    /// What is known of a tensor.
    pub fn tensor(&self, t: T) -> &Tensor {
        &self.tensors[t.index()]
    }

    /// The tensor whose memory this one lies in, and the first element there.
    pub fn root(&self, t: T) -> (T, usize) {
        root(&self.tensors, t)
    }

    /// A program.
    pub fn program(&self, program: Program) -> &Listing {
        &self.programs[program.0]
    }

    /// Extents of tensors.
    pub fn shapes(&self, of: &[T]) -> Vec<Shape> {
        of.iter().map(|&t| self.tensor(t).shape).collect()
    }

    /// Floating point operations of a node.
    pub fn flops(&self, node: &Node) -> u64 {
        node.op.flops(&self.shapes(&node.ins), &self.shapes(&node.outs))
    }

    /// Elements that a node reads and writes, each operand once; views move none.
    pub fn traffic(&self, node: &Node) -> u64 {
        self.moved(node, |tensor| tensor.shape.len())
    }

    /// The same in bytes, where a number of the run's type has `real` of them.
    pub fn bytes(&self, node: &Node, real: usize) -> u64 {
        self.moved(node, |tensor| tensor.shape.len() * tensor.dtype.bytes(real))
    }

    /// The sizes of a node's operands, each counted once.
    pub(crate) fn moved(&self, node: &Node, size: impl Fn(&Tensor) -> usize) -> u64 {
        if node.op.is_view() {
            return 0;
        }
        let mut operands: Vec<T> = node.ins.iter().chain(&node.outs).copied().collect();
        operands.sort_unstable();
        operands.dedup();
        operands.iter().map(|&t| size(self.tensor(t)) as u64).sum()
    }

    /// A name for a tensor: its own, or its number.
    pub fn label(&self, t: T) -> String {
        match &self.tensor(t).name {
            Some(name) => name.clone(),
            None => format!("%{}", t.0),
        }
    }

    /// A number that is equal for equal programs: a checkpoint goes on only with the program that
    /// wrote it, and all ranks must run the same one. FNV-1a over the printed programs.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for program in 0..self.programs.len() {
            for byte in self.print(Program(program)).bytes() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
            }
        }
        hash
    }
}

impl T {
    /// Position in [`Compiled::tensors`].
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Puts each sum over ranks right behind the last node that it needs: what stands behind it hides it.
fn begin_early(tensors: &[Tensor], nodes: &mut [Node]) {
    for at in 0..nodes.len() {
        if !matches!(nodes[at].op, Op::AllReduce { .. }) {
            continue;
        }
        let (from, to) = (nodes[at].ins[0], nodes[at].outs[0]);
        let needed = |node: &Node| {
            let meets = |&t: &T| overlap(tensors, t, to);
            node.outs.iter().any(|&t| overlap(tensors, t, from) || meets(&t))
                || node.ins.iter().any(meets)
        };
        let place = nodes[..at].iter().rposition(needed).map_or(at, |last| last + 1);
        nodes[place..=at].rotate_right(1);
    }
}

/// Whether two tensors share memory.
fn overlap(tensors: &[Tensor], a: T, b: T) -> bool {
    let [(root_a, from_a), (root_b, from_b)] = [a, b].map(|t| root(tensors, t));
    let [to_a, to_b] =
        [(a, from_a), (b, from_b)].map(|(t, from)| from + tensors[t.index()].shape.len());
    root_a == root_b && from_a < to_b && from_b < to_a
}

/// Removes nodes whose results nobody reads.
fn remove_dead(tensors: &[Tensor], nodes: &mut Vec<Node>) {
    let mut wanted: HashMap<T, ()> = HashMap::new();
    let mut keep = vec![false; nodes.len()];
    for (i, node) in nodes.iter().enumerate().rev() {
        let lives = node.outs.iter().any(|&t| {
            let (root, _) = root(tensors, t);
            // A part of a flat buffer is wanted when the buffer is.
            let part = matches!(tensors[t.index()].home, Home::Within { .. });
            tensors[root.index()].kind != Kind::Temp
                || wanted.contains_key(&t)
                || (part && wanted.contains_key(&root))
        });
        if lives {
            keep[i] = true;
            for &t in &node.ins {
                wanted.insert(t, ());
                wanted.insert(root(tensors, t).0, ());
            }
        }
    }
    let mut keep = keep.into_iter();
    nodes.retain(|_| keep.next().expect("one entry per node"));
}
