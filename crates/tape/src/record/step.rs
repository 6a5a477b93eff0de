//! The end of a training step: gradients into one buffer, all-reduce, the guard, updates.

use crate::op::{Node, Op};
use crate::tape::Home;
use crate::{Access, Binary, Dtype, Expr, Kind, Network, Scalar, T, Tape};

/// Into how many all-reduces the gradient of a network is cut. A constant of the plan: it decides
/// the order in which sums are taken.
const BUCKETS: usize = 4;

impl Tape {
    /// Sum over ranks, in a tensor of its own.
    #[track_caller]
    pub fn all_reduce(&self, x: T) -> T {
        self.push(Op::AllReduce { world: self.world() }, &[x], self.shape(x))
    }

    /// Sum of a state tensor over ranks, in its place.
    #[track_caller]
    pub fn all_reduce_in_place(&self, state: T) {
        self.push_into(Op::AllReduce { world: self.world() }, &[state], &[state]);
    }

    /// Scalars side by side.
    #[track_caller]
    pub fn pack(&self, scalars: &[T]) -> T {
        self.push(Op::Pack, scalars, [scalars.len()])
    }

    /// Adds to a state tensor of the same shape, in place: `sum ← sum + x`.
    #[track_caller]
    pub fn accumulate(&self, sum: T, x: T) {
        let (to, from) = (self.shape(sum), self.shape(x));
        assert!(to == from, "accumulate: {from:?} into {to:?}");
        let op = Op::Map { expr: Expr::binary(Binary::Add), access: vec![Access::Full; 2] };
        self.push_into(op, &[sum, x], &[sum]);
    }

    /// The gradient of a loss with respect to a network's parameters, summed over ranks: one flat
    /// tensor in the layout of the parameters, reduced bucket by bucket as soon as it is complete.
    #[track_caller]
    pub fn flat_gradient(&self, network: Network, loss: T) -> T {
        let parameters = self.parameters(network);
        let gradients = self.grad(loss, &parameters);
        let flat = {
            let mut inner = self.inner.borrow_mut();
            let shape = inner.tensors[inner.networks[network.0].flat.0 as usize].shape;
            inner.add(shape, Dtype::Real, Kind::Temp, None)
        };
        let mut placed = Vec::with_capacity(parameters.len());
        for (&p, g) in parameters.iter().zip(gradients) {
            let Home::Within { offset, .. } = self.tensor(p).home else {
                unreachable!("parameters lie in a flat buffer")
            };
            placed.push((self.place(g, flat, offset), offset));
        }
        self.reduce_buckets(flat, &placed);
        flat
    }

    /// Lets `g` be computed right into its place in a flat buffer, or copies it there.
    #[track_caller]
    fn place(&self, g: T, flat: T, offset: usize) -> T {
        let free = {
            let inner = self.inner.borrow();
            let tensor = &inner.tensors[g.0 as usize];
            let nodes = &inner.programs[inner.current.expect("inside a program")].nodes;
            let made_here = nodes.iter().any(|n| n.outs.contains(&g) && !n.op.is_view());
            tensor.home == Home::Own && tensor.kind == Kind::Temp && made_here
        };
        let home = Home::Within { of: flat, offset };
        if free {
            self.inner.borrow_mut().tensors[g.0 as usize].home = home;
            return g;
        }
        let op = Op::Map { expr: Expr::identity(), access: vec![Access::Full] };
        let copy = self.push(op, &[g], self.shape(g));
        let mut inner = self.inner.borrow_mut();
        inner.tensors[copy.0 as usize].home = home;
        // Right behind what it copies, so that its bucket does not wait for the end of the backward pass.
        let current = inner.current.expect("inside a program");
        let nodes = &mut inner.programs[current].nodes;
        if let Some(maker) = nodes.iter().rposition(|node| node.outs.contains(&g)) {
            let node = nodes.pop().expect("it was pushed");
            nodes.insert(maker + 1, node);
        }
        copy
    }

    /// Puts an all-reduce behind the last node that writes into each bucket.
    #[track_caller]
    fn reduce_buckets(&self, flat: T, placed: &[(T, usize)]) {
        let at = std::panic::Location::caller();
        let whole = self.shape(flat).len();
        let world = self.world();
        // Cut between tensors, as close to equal parts as that allows.
        let mut ends: Vec<usize> = placed.iter().map(|(t, at)| at + self.shape(*t).len()).collect();
        ends.sort_unstable();
        let mut cuts = vec![0];
        for bucket in 1..=BUCKETS {
            let goal = whole * bucket / BUCKETS;
            let cut = ends.iter().copied().min_by_key(|end| end.abs_diff(goal)).unwrap_or(whole);
            if cut > cuts[cuts.len() - 1] {
                cuts.push(cut);
            }
        }
        for range in cuts.windows(2) {
            let (from, to) = (range[0], range[1]);
            let bucket = {
                let mut inner = self.inner.borrow_mut();
                let bucket = inner.add([to - from].into(), Dtype::Real, Kind::Temp, None);
                inner.tensors[bucket.0 as usize].home = Home::Within { of: flat, offset: from };
                bucket
            };
            let inside: Vec<T> = placed
                .iter()
                .filter(|(_, offset)| (from..to).contains(offset))
                .map(|&(t, _)| t)
                .collect();
            let mut inner = self.inner.borrow_mut();
            let current = inner.current.expect("inside a program");
            let nodes = &mut inner.programs[current].nodes;
            let last = nodes
                .iter()
                .rposition(|n| n.outs.iter().any(|t| inside.contains(t)))
                .expect("every bucket is written");
            let op = Op::AllReduce { world };
            nodes.insert(last + 1, Node { op, ins: vec![bucket], outs: vec![bucket], at });
        }
    }

    /// Ends a step: looks whether the tensors are finite, and then lets the running statistics
    /// follow. Returns the flag that updates take: they do nothing once it is set.
    #[track_caller]
    pub fn commit(&self, must_be_finite: &[T]) -> T {
        let fault = self.fault();
        self.push_into(Op::Guard, must_be_finite, &[fault]);
        let pending = std::mem::take(&mut self.inner.borrow_mut().pending);
        for (sums, running, momentum) in pending {
            self.push_into(Op::Running { momentum }, &[sums, fault], &[running]);
        }
        fault
    }

    /// Stochastic gradient descent with momentum, in the form of the 2014 code:
    /// `v ← momentum · v − rate · g`, `p ← p + v`.
    #[track_caller]
    pub fn sgd(&self, p: T, v: T, g: T, rate: Scalar, momentum: Scalar) {
        let fault = self.fault();
        self.push_into(Op::Sgd { rate, momentum }, &[g, fault], &[p, v]);
    }

    /// Adam (Kingma & Ba 2014, Algorithm 1) with L2 decay added to the gradient. `moments` are m and
    /// v; `corrections` are 1 − β₁ᵗ and 1 − β₂ᵗ.
    #[track_caller]
    pub fn adam(
        &self,
        p: T,
        moments: [T; 2],
        g: T,
        rate: Scalar,
        [beta1, beta2, eps, l2]: [f64; 4],
        [correction1, correction2]: [Scalar; 2],
    ) {
        let fault = self.fault();
        let op = Op::Adam { rate, beta1, beta2, eps, l2, correction1, correction2 };
        self.push_into(op, &[g, fault], &[p, moments[0], moments[1]]);
    }

    /// Exponential moving average: `e ← decay · e + (1 − decay) · p`.
    #[track_caller]
    pub fn ema(&self, e: T, p: T, decay: Scalar) {
        let fault = self.fault();
        self.push_into(Op::Ema { decay }, &[p, fault], &[e]);
    }
}
