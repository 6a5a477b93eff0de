//! The memory plan: one arena for all programs, in which buffers that are not alive at the same time
//! share memory.

use crate::compile::Listing;
use crate::op::{Node, Op};
use crate::tape::root;
use crate::{Access, Dtype, Kind, T, Tensor};

/// Which memory a tensor lies in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// Elements of the run's type that survive programs: state, outputs, inputs of that type.
    State,
    /// Elements of the run's type that live inside one program.
    Arena,
    /// Bytes: inputs of other types.
    Bytes,
}

/// Where a tensor lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which memory.
    pub space: Space,
    /// First element there; first byte in [`Space::Bytes`].
    pub offset: usize,
}

/// Where a tensor's memory begins, and how far inside of it the tensor does.
#[derive(Clone, Copy, Debug)]
struct Spot {
    root: Place,
    /// Elements of the tensor's type from there.
    inside: usize,
    dtype: Dtype,
}

/// A place for every tensor. State and arena are counted in elements of the run's type, of which n in
/// bf16 take as many as n/2, rounded up.
#[derive(Clone, Debug)]
pub struct Plan {
    spots: Vec<Option<Spot>>,
    /// Elements of [`Space::State`].
    pub state: usize,
    /// Elements of [`Space::Arena`].
    pub arena: usize,
    /// Bytes of [`Space::Bytes`].
    pub bytes: usize,
    /// Elements of the arena that each program uses.
    pub arena_of: Vec<usize>,
}

/// Buffers begin at multiples of this many elements: a cache line of f32.
const ALIGN: usize = 16;

fn aligned(n: usize) -> usize {
    n.next_multiple_of(ALIGN)
}

/// Elements of the run's type that a tensor takes.
fn reals(tensor: &Tensor) -> usize {
    match tensor.dtype {
        Dtype::Bf16 => tensor.shape.len().div_ceil(2),
        _ => tensor.shape.len(),
    }
}

/// A buffer of the arena: alive from node `from` to node `to`, both included.
#[derive(Clone, Copy, Debug)]
struct Life {
    root: T,
    from: usize,
    to: usize,
    len: usize,
}

impl Plan {
    pub(crate) fn new(tensors: &[Tensor], programs: &[Listing]) -> Self {
        let mut plan = Self {
            spots: vec![None; tensors.len()],
            state: 0,
            arena: 0,
            bytes: 0,
            arena_of: Vec::new(),
        };
        for (i, tensor) in tensors.iter().enumerate() {
            let owns = root(tensors, T(i as u32)).0.index() == i;
            if tensor.kind == Kind::Temp || !owns {
                continue;
            }
            let place = if tensor.dtype == Dtype::Real {
                let offset = plan.state;
                plan.state += aligned(tensor.shape.len());
                Place { space: Space::State, offset }
            } else {
                let offset = plan.bytes;
                plan.bytes += (tensor.shape.len() * tensor.dtype.bytes(4)).next_multiple_of(64);
                Place { space: Space::Bytes, offset }
            };
            plan.spots[i] = Some(Spot { root: place, inside: 0, dtype: tensor.dtype });
        }
        for program in programs {
            let used = plan.lay_out(tensors, &program.nodes);
            plan.arena_of.push(used);
            plan.arena = plan.arena.max(used);
        }
        for i in 0..tensors.len() {
            let (root, inside) = root(tensors, T(i as u32));
            if let (Some(spot), true) = (plan.spots[root.index()], root.index() != i) {
                plan.spots[i] = Some(Spot { inside, ..spot });
            }
        }
        plan
    }

    /// Where a tensor lies; nowhere if no program uses it. For executors that work in one type.
    ///
    /// # Panics
    /// Where the tensor is narrow: it may begin between two elements. See [`Plan::byte_offset`].
    pub fn place(&self, t: T) -> Option<Place> {
        let Spot { root, inside, dtype } = self.spots[t.index()]?;
        let step = match dtype {
            Dtype::Real => 1,
            Dtype::U8 | Dtype::F32 => dtype.bytes(4),
            Dtype::Bf16 => panic!("a tensor in bf16 has a `byte_offset`, and no place"),
        };
        Some(Place { offset: root.offset + inside * step, ..root })
    }

    /// Where a tensor of any type lies, with `real` bytes to an element of the run's type: which memory,
    /// and the first byte there. Nowhere if no program uses it.
    pub fn byte_offset(&self, t: T, real: usize) -> Option<(Space, usize)> {
        let Spot { root, inside, dtype } = self.spots[t.index()]?;
        let unit = if root.space == Space::Bytes { 1 } else { real };
        Some((root.space, root.offset * unit + inside * dtype.bytes(real)))
    }

    /// Bytes of everything, with `real` bytes to an element.
    pub fn total_bytes(&self, real: usize) -> usize {
        (self.state + self.arena) * real + self.bytes
    }

    /// Gives every buffer of a program its place in the arena; returns how much of it is used.
    fn lay_out(&mut self, tensors: &[Tensor], nodes: &[Node]) -> usize {
        let mut lives = lifetimes(tensors, nodes);
        let shares = share_in_place(tensors, nodes, &mut lives);
        // Largest first, each at the lowest place that is free for the whole of its life.
        lives.sort_by_key(|life| (std::cmp::Reverse(life.len), life.from, life.root));
        let mut placed: Vec<(Life, usize)> = Vec::with_capacity(lives.len());
        for life in lives {
            let mut taken: Vec<(usize, usize)> = placed
                .iter()
                .filter(|(other, _)| other.from <= life.to && life.from <= other.to)
                .map(|(other, offset)| (*offset, offset + aligned(other.len)))
                .collect();
            taken.sort_unstable();
            let mut offset = 0;
            for (from, to) in taken {
                if offset + aligned(life.len) <= from {
                    break;
                }
                offset = offset.max(to);
            }
            placed.push((life, offset));
            let dtype = tensors[life.root.index()].dtype;
            let root = Place { space: Space::Arena, offset };
            self.spots[life.root.index()] = Some(Spot { root, inside: 0, dtype });
        }
        for (later, earlier) in shares {
            self.spots[later.index()] = self.spots[earlier.index()];
        }
        placed.iter().map(|(life, offset)| offset + aligned(life.len)).max().unwrap_or(0)
    }
}

/// When each buffer of the arena is alive.
fn lifetimes(tensors: &[Tensor], nodes: &[Node]) -> Vec<Life> {
    let mut lives: Vec<Life> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        for &t in node.outs.iter().chain(&node.ins) {
            let (root, _) = root(tensors, t);
            let tensor = &tensors[root.index()];
            if tensor.kind != Kind::Temp {
                continue;
            }
            match lives.iter_mut().find(|life| life.root == root) {
                Some(life) => life.to = i,
                None => lives.push(Life { root, from: i, to: i, len: reals(tensor) }),
            }
        }
    }
    lives
}

/// Lets elementwise operations write where an operand lies that nobody reads afterwards. Returns the
/// buffers that were merged away, each with the one whose memory it takes, in order.
fn share_in_place(tensors: &[Tensor], nodes: &[Node], lives: &mut Vec<Life>) -> Vec<(T, T)> {
    let mut shares: Vec<(T, T)> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let readable = |slot: usize| match &node.op {
            Op::Map { access, .. } => access[slot] == Access::Full,
            Op::AllReduce { .. } => true,
            _ => false,
        };
        let out = node.outs[0];
        let owned = root(tensors, out).0 == out;
        let Some(to) = lives.iter().position(|life| life.root == out && owned) else {
            continue;
        };
        let taken = node.ins.iter().enumerate().find_map(|(slot, &t)| {
            let (r, _) = root(tensors, t);
            let merged = shares.iter().find(|(later, _)| *later == r).map_or(r, |(_, e)| *e);
            let (read, written) = (&tensors[t.index()], &tensors[out.index()]);
            let whole = read.shape.len() == tensors[r.index()].shape.len();
            let equal = read.dtype == written.dtype && read.shape.len() == written.shape.len();
            let from = lives.iter().position(|life| life.root == merged)?;
            let fits =
                lives[from].to == i && lives[to].from == i && lives[from].len == lives[to].len;
            // The operand may be read by another slot as well, but then as it is written.
            let once = node.ins.iter().enumerate().all(|(other, &u)| {
                other == slot || root(tensors, u).0 != r || (readable(other) && u == t)
            });
            (readable(slot) && whole && equal && fits && once).then_some((from, merged))
        });
        if let Some((from, merged)) = taken {
            lives[from].to = lives[to].to;
            shares.push((out, merged));
            lives.remove(to);
        }
    }
    shares
}
