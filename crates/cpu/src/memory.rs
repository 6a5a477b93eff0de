//! The memory of a run: three blocks, and views of them handed to kernels.

use crate::kernels::real::Real;
use crate::pages;
use tape::{Access, Compiled, Dtype, Node, Op, Space, T};

/// Elements by which a block is longer than asked, so that it can begin at a cache line.
const LINE: usize = 64;

/// A block of elements that begins at a cache line.
struct Block<E> {
    elements: Vec<E>,
    start: usize,
    len: usize,
}

impl<E: Copy + Default> Block<E> {
    fn new(len: usize) -> Self {
        let elements: Vec<E> = pages::zeros(len + LINE / size_of::<E>());
        let start = elements.as_ptr().align_offset(LINE);
        Self { elements, start, len }
    }

    fn all(&self) -> &[E] {
        &self.elements[self.start..][..self.len]
    }

    fn all_mut(&mut self) -> &mut [E] {
        &mut self.elements[self.start..][..self.len]
    }
}

/// A tensor's place in memory.
#[derive(Clone, Copy, Debug)]
pub struct View {
    space: Space,
    offset: usize,
    /// Elements.
    pub len: usize,
    dtype: Dtype,
}

impl View {
    /// Whether the two share memory.
    pub fn overlaps(&self, other: &Self) -> bool {
        let apart =
            self.offset + self.len <= other.offset || other.offset + other.len <= self.offset;
        self.space == other.space && !apart
    }
}

/// State, arena and inputs.
pub struct Memory<R> {
    state: Block<R>,
    arena: Block<R>,
    bytes: Block<u8>,
}

impl<R: Real> Memory<R> {
    /// All memory that a plan asks for, zeroed.
    pub fn new(compiled: &Compiled) -> Self {
        let plan = &compiled.plan;
        Self {
            state: Block::new(plan.state),
            arena: Block::new(plan.arena),
            bytes: Block::new(plan.bytes),
        }
    }

    /// A tensor's view, if any program uses it.
    pub fn view(compiled: &Compiled, t: T) -> Option<View> {
        let tensor = compiled.tensor(t);
        let place = compiled.plan.place(t)?;
        let (space, offset, len) = (place.space, place.offset, tensor.shape.len());
        Some(View { space, offset, len, dtype: tensor.dtype })
    }

    /// The elements of a view, for a kernel.
    pub fn read(&self, view: View) -> &[R] {
        match view.space {
            Space::State => &self.state.all()[view.offset..][..view.len],
            Space::Arena => &self.arena.all()[view.offset..][..view.len],
            Space::Bytes => panic!("an input of bytes is read through `bytes`"),
        }
    }

    /// Where a view begins, for an operation that may write where it reads.
    pub fn pointer(&mut self, view: View) -> *mut R {
        let block = match view.space {
            Space::State => self.state.all_mut(),
            Space::Arena => self.arena.all_mut(),
            Space::Bytes => panic!("programs do not write inputs"),
        };
        block[view.offset..][..view.len].as_mut_ptr()
    }

    /// The bytes of an input.
    pub fn bytes(&self, view: View) -> &[u8] {
        &self.bytes.all()[view.offset..][..view.len * view.dtype.bytes(R::BYTES)]
    }

    /// Splits memory for one node: what it reads, and what it writes. Only for nodes that passed
    /// [`disjoint`].
    pub fn operands<const N: usize>(&mut self, outs: [View; N]) -> (Reader<'_, R>, [&mut [R]; N]) {
        let slices = outs.map(|view| {
            let start = self.pointer(view);
            // SAFETY: in bounds, as `pointer` looked; `disjoint` saw that no other operand of the
            // node lies here, and the result borrows this memory mutably as a whole.
            unsafe { std::slice::from_raw_parts_mut(start, view.len) }
        });
        (Reader { memory: self }, slices)
    }

    /// The whole content of a tensor, as the host sees it.
    pub fn to_bytes(&self, view: View, into: &mut [u8]) {
        if view.space == Space::Bytes {
            return into.copy_from_slice(self.bytes(view));
        }
        for (bytes, &x) in into.chunks_exact_mut(R::BYTES).zip(self.read(view)) {
            match R::BYTES {
                4 => bytes.copy_from_slice(&(x.to_f64() as f32).to_le_bytes()),
                _ => bytes.copy_from_slice(&x.to_f64().to_le_bytes()),
            }
        }
    }

    /// Takes the whole content of a tensor from the host.
    pub fn take_bytes(&mut self, view: View, from: &[u8]) {
        let block = match view.space {
            Space::Bytes => {
                return self.bytes.all_mut()[view.offset..][..from.len()].copy_from_slice(from);
            }
            Space::State => self.state.all_mut(),
            Space::Arena => self.arena.all_mut(),
        };
        let elements = &mut block[view.offset..][..view.len];
        for (x, bytes) in elements.iter_mut().zip(from.chunks_exact(R::BYTES)) {
            *x = match R::BYTES {
                4 => R::from_f64(f64::from(f32::from_le_bytes(bytes.try_into().expect("4 bytes")))),
                _ => R::from_f64(f64::from_le_bytes(bytes.try_into().expect("8 bytes"))),
            };
        }
    }
}

/// Reads views while others are written.
#[derive(Clone, Copy)]
pub struct Reader<'a, R> {
    memory: &'a Memory<R>,
}

impl<'a, R: Real> Reader<'a, R> {
    /// The elements of a view.
    pub fn read(&self, view: View) -> &'a [R] {
        self.memory.read(view)
    }

    /// The bytes of an input.
    pub fn bytes(&self, view: View) -> &'a [u8] {
        self.memory.bytes(view)
    }
}

/// Checks once, when a tape is loaded, that no operand of a node shares memory with what it writes,
/// but where the operation allows for that. The plan promises it; memory safety rests on it.
pub fn disjoint(node: &Node, ins: &[View], outs: &[View]) -> Result<(), String> {
    let same = |a: &View, b: &View| a.space == b.space && (a.offset, a.len) == (b.offset, b.len);
    for (i, out) in outs.iter().enumerate() {
        for other in &outs[i + 1..] {
            if out.overlaps(other) {
                return Err(format!("{} writes one place twice", node.op.name()));
            }
        }
        for (k, view) in ins.iter().enumerate() {
            let allowed = match &node.op {
                Op::Map { access, .. } => access[k] == Access::Full && same(out, view),
                Op::AllReduce { .. } => same(out, view),
                Op::Wgrad { .. } | Op::Matmul { .. } => k == 2 && same(out, view),
                Op::Fused(fused) => fused.accumulated() == Some(k) && same(out, view),
                Op::Reshape | Op::Slice { .. } => true,
                _ => false,
            };
            if out.overlaps(view) && !allowed {
                return Err(format!("{} writes over operand {k}", node.op.name()));
            }
        }
    }
    Ok(())
}
