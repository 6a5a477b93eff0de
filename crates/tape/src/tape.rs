//! The tape: tensors, programs, networks, and the pen that writes on them.

use crate::op::{Law, Node, Op};
use crate::{Dtype, Shape};
use std::cell::{Ref, RefCell};
use std::panic::Location;

/// A tensor of the tape: shape and lifetime are known before anything runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
pub struct T(pub(crate) u32);

/// A program of the tape.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Program(pub usize);

/// A network: parameters in one flat buffer, and statistics that are kept but not trained.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Network(pub(crate) usize);

/// A number that the host computes for each run of a program; its index in [`crate::Clock::scalars`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Scalar(pub usize);

/// How long a tensor lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Written by the host.
    Input,
    /// Survives programs and is saved in checkpoints.
    State,
    /// Result of a program that the host may read until the program runs again.
    Output,
    /// Lives inside one program.
    Temp,
}

/// Whose memory a tensor lies in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Home {
    /// Its own.
    Own,
    /// Elements `offset ..` of another tensor.
    Within {
        /// The other tensor.
        of: T,
        /// First element.
        offset: usize,
    },
}

/// What is known of a tensor.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Extents.
    pub shape: Shape,
    /// Element type.
    pub dtype: Dtype,
    /// Lifetime.
    pub kind: Kind,
    /// Memory.
    pub home: Home,
    /// Name, for tensors that the host may ask for.
    pub name: Option<String>,
}

/// First value of a state tensor.
#[derive(Clone, Debug, PartialEq)]
pub enum Init {
    /// The same number everywhere.
    Constant(f64),
    /// Independent draws.
    Draw(Law),
    /// One number per row.
    Rows(Vec<f64>),
    /// The first value of another state tensor.
    Copy(T),
}

pub(crate) struct NetworkData {
    pub name: String,
    pub flat: T,
    pub parameters: Vec<T>,
    pub buffers: Vec<T>,
    pub twins: Vec<Network>,
}

pub(crate) struct ProgramData {
    pub name: String,
    pub nodes: Vec<Node>,
}

pub(crate) struct Inner {
    pub world: usize,
    /// Whether what is recorded is for one rank by itself.
    pub alone: bool,
    /// Whether batch norms take the statistics of each rank's samples by themselves.
    pub norms_by_rank: bool,
    pub tensors: Vec<Tensor>,
    pub programs: Vec<ProgramData>,
    pub networks: Vec<NetworkData>,
    pub scalars: Vec<String>,
    pub inits: Vec<(T, Init)>,
    /// The program being recorded.
    pub current: Option<usize>,
    /// Parameters of one network read in place of another's, while set.
    pub instead: Option<(Network, Network)>,
    /// Updates of running statistics, held back until the step is known to be finite.
    pub pending: Vec<(T, T, f64)>,
    pub streams: u32,
    /// Whether the host writes what noise would draw.
    pub fed: bool,
    pub fault: Option<T>,
}

/// Operations recorded as data. Recording cannot fail: it panics, naming operation, shapes and the
/// recording line, because whatever a user may write was checked before.
pub struct Tape {
    pub(crate) inner: RefCell<Inner>,
}

impl Default for Tape {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Tape {
    /// An empty tape for programs that `world` ranks run together.
    pub fn new(world: usize) -> Self {
        assert!(world > 0, "a world has at least one rank");
        Self {
            inner: RefCell::new(Inner {
                world,
                alone: false,
                norms_by_rank: false,
                tensors: Vec::new(),
                programs: Vec::new(),
                networks: Vec::new(),
                scalars: Vec::new(),
                inits: Vec::new(),
                current: None,
                instead: None,
                pending: Vec::new(),
                streams: 0,
                fed: false,
                fault: None,
            }),
        }
    }

    /// A tape of one rank on which the host writes what [`Tape::noise`] would draw, to inputs named
    /// `noise.0`, `noise.1`, … in the order of recording. A step then computes what another program
    /// computes from the same numbers.
    pub fn fed() -> Self {
        let tape = Self::new(1);
        tape.inner.borrow_mut().fed = true;
        tape
    }

    /// Number of ranks that run together what is recorded now.
    pub fn world(&self) -> usize {
        let inner = self.inner.borrow();
        if inner.alone { 1 } else { inner.world }
    }

    /// Records for one rank by itself, whatever the world: nothing is summed over ranks, and row i of a
    /// batch is global sample i. It is to be run with [`crate::Clock::rank`] 0.
    pub fn alone<R>(&self, body: impl FnOnce(&Tape) -> R) -> R {
        let before = std::mem::replace(&mut self.inner.borrow_mut().alone, true);
        let result = body(self);
        self.inner.borrow_mut().alone = before;
        result
    }

    /// From here on batch norms are recorded with statistics of each rank's samples by themselves. The
    /// running statistics still follow those of the world: state is the same on all ranks.
    pub fn norms_by_rank(&self) {
        self.inner.borrow_mut().norms_by_rank = true;
    }

    /// Records a program.
    #[track_caller]
    pub fn record(&self, name: &str, body: impl FnOnce(&Tape)) -> Program {
        let program = {
            let mut inner = self.inner.borrow_mut();
            assert!(inner.current.is_none(), "programs do not nest: `{name}`");
            inner.programs.push(ProgramData { name: name.to_string(), nodes: Vec::new() });
            let program = inner.programs.len() - 1;
            inner.current = Some(program);
            program
        };
        body(self);
        let mut inner = self.inner.borrow_mut();
        assert!(
            inner.pending.is_empty(),
            "`{name}` updates running statistics, but has no step that they belong to"
        );
        inner.current = None;
        Program(program)
    }

    /// Shape of a tensor.
    pub fn shape(&self, t: T) -> Shape {
        self.inner.borrow().tensors[t.0 as usize].shape
    }

    /// What is known of a tensor.
    pub fn tensor(&self, t: T) -> Ref<'_, Tensor> {
        Ref::map(self.inner.borrow(), |inner| &inner.tensors[t.0 as usize])
    }

    /// Every tensor, in the order of declaration.
    pub fn all(&self) -> Vec<T> {
        (0..self.inner.borrow().tensors.len() as u32).map(T).collect()
    }

    /// Names of the scalars, in the order in which [`crate::Clock::scalars`] holds them.
    pub fn scalars(&self) -> Vec<String> {
        self.inner.borrow().scalars.clone()
    }

    /// The scalar of this name, declared at its first mention.
    pub fn scalar(&self, name: &str) -> Scalar {
        let mut inner = self.inner.borrow_mut();
        let at = inner.scalars.iter().position(|s| s == name).unwrap_or_else(|| {
            inner.scalars.push(name.to_string());
            inner.scalars.len() - 1
        });
        Scalar(at)
    }

    /// A tensor that the host writes.
    pub fn input(&self, name: &str, dtype: Dtype, shape: impl Into<Shape>) -> T {
        self.inner.borrow_mut().add(shape.into(), dtype, Kind::Input, Some(name.to_string()))
    }

    /// A tensor that survives programs and is saved in checkpoints.
    pub fn state(&self, name: &str, shape: impl Into<Shape>, init: Init) -> T {
        let mut inner = self.inner.borrow_mut();
        let t = inner.add(shape.into(), Dtype::Real, Kind::State, Some(name.to_string()));
        inner.inits.push((t, init));
        t
    }

    /// Keeps a result of the current program for the host, under a name of its own.
    #[track_caller]
    pub fn output(&self, name: &str, t: T) -> T {
        let mut inner = self.inner.borrow_mut();
        let root = inner.root(t).0;
        let tensor = &mut inner.tensors[root.0 as usize];
        assert!(tensor.kind == Kind::Temp, "`{name}` is kept for the host already");
        tensor.kind = Kind::Output;
        inner.tensors[t.0 as usize].name = Some(name.to_string());
        t
    }

    /// The flag that stops all updates: not 0 once a step was not finite. See [`Tape::commit`].
    pub fn fault(&self) -> T {
        let known = self.inner.borrow().fault;
        known.unwrap_or_else(|| {
            let fault = self.state("fault", [1], Init::Constant(0.0));
            self.inner.borrow_mut().fault = Some(fault);
            fault
        })
    }

    /// A new stream of draws.
    pub(crate) fn stream(&self) -> u32 {
        let mut inner = self.inner.borrow_mut();
        inner.streams += 1;
        inner.streams - 1
    }

    /// Appends a node with one new result.
    #[track_caller]
    pub(crate) fn push(&self, op: Op, ins: &[T], shape: impl Into<Shape>) -> T {
        let mut inner = self.inner.borrow_mut();
        let out = inner.add(shape.into(), Dtype::Real, Kind::Temp, None);
        inner.append(op, ins, vec![out], Location::caller());
        out
    }

    /// Appends a node that writes existing tensors.
    #[track_caller]
    pub(crate) fn push_into(&self, op: Op, ins: &[T], outs: &[T]) {
        self.inner.borrow_mut().append(op, ins, outs.to_vec(), Location::caller());
    }

    /// Appends a view.
    #[track_caller]
    pub(crate) fn push_view(&self, op: Op, of: T, offset: usize, shape: Shape) -> T {
        let mut inner = self.inner.borrow_mut();
        let of = inner.substitute(of);
        let Tensor { dtype, .. } = inner.tensors[of.0 as usize];
        let out = inner.add(shape, dtype, Kind::Temp, None);
        inner.tensors[out.0 as usize].home = Home::Within { of, offset };
        inner.append(op, &[of], vec![out], Location::caller());
        out
    }
}

impl Inner {
    pub(crate) fn add(
        &mut self,
        shape: Shape,
        dtype: Dtype,
        kind: Kind,
        name: Option<String>,
    ) -> T {
        if let (Some(name), true) = (&name, kind != Kind::Temp) {
            let twice = self.tensors.iter().any(|t| t.name.as_ref() == Some(name));
            assert!(!twice, "two tensors are called `{name}`");
        }
        self.tensors.push(Tensor { shape, dtype, kind, home: Home::Own, name });
        T(self.tensors.len() as u32 - 1)
    }

    fn append(&mut self, op: Op, ins: &[T], outs: Vec<T>, at: &'static Location<'static>) {
        let ins = ins.iter().map(|&t| self.substitute(t)).collect();
        let program = self
            .current
            .unwrap_or_else(|| panic!("{} at {at} is recorded outside of any program", op.name()));
        self.programs[program].nodes.push(Node { op, ins, outs, at });
    }

    /// The tensor read where `t` is written down, while one network stands in for another.
    fn substitute(&self, t: T) -> T {
        let Some((from, to)) = self.instead else {
            return t;
        };
        let (from, to) = (&self.networks[from.0], &self.networks[to.0]);
        let at = from.parameters.iter().position(|&p| p == t);
        at.map_or(t, |at| to.parameters[at])
    }

    /// The tensor whose memory `t` lies in, and the first element there.
    pub(crate) fn root(&self, t: T) -> (T, usize) {
        root(&self.tensors, t)
    }
}

/// The tensor whose memory `t` lies in, and the first element there.
pub(crate) fn root(tensors: &[Tensor], t: T) -> (T, usize) {
    match tensors[t.0 as usize].home {
        Home::Own => (t, 0),
        Home::Within { of, offset } => {
            let (root, before) = root(tensors, of);
            (root, before + offset)
        }
    }
}
