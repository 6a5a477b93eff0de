//! Gradients: one rule per operation, appended to the same list.

use crate::op::{Act, Node, Op, Over};
use crate::{Access, Binary, Kind, Shape, Step, T, Tape, Unary};
use std::collections::{HashMap, HashSet};
use std::panic::Location;

impl Tape {
    /// The gradient of a scalar with respect to tensors of the current program, recorded behind what
    /// is there. Only what lies between them is differentiated. Gradients of gradients work wherever
    /// the operations have second-order rules; the others say so by name.
    #[track_caller]
    pub fn grad(&self, of: T, wrt: &[T]) -> Vec<T> {
        assert!(self.shape(of).len() == 1, "grad: {:?} is not a scalar", self.shape(of));
        let nodes: Vec<Node> = {
            let inner = self.inner.borrow();
            let current = inner.current.expect("gradients are recorded inside a program");
            inner.programs[current].nodes.clone()
        };
        let depends = self.dependants(&nodes, wrt);
        let mut cotangent: HashMap<T, T> = HashMap::new();
        cotangent.insert(of, self.constant(1.0, [1]));
        for node in nodes.iter().rev() {
            let out = node.outs[0];
            if !depends.contains(&out) || is_update(&node.op) {
                continue;
            }
            let Some(&dy) = cotangent.get(&out) else {
                continue;
            };
            for (i, dx) in self.rule(node, dy, |i| depends.contains(&node.ins[i])) {
                let x = node.ins[i];
                let total = match cotangent.get(&x) {
                    Some(&sofar) => self.rewrite(node.at, |t| t.add(sofar, dx)),
                    None => dx,
                };
                cotangent.insert(x, total);
            }
        }
        let zeros = |&x| self.constant(0.0, self.shape(x));
        wrt.iter().map(|x| cotangent.get(x).copied().unwrap_or_else(|| zeros(x))).collect()
    }

    /// Everything computed from `wrt`, and `wrt`.
    fn dependants(&self, nodes: &[Node], wrt: &[T]) -> HashSet<T> {
        let mut depends: HashSet<T> = wrt.iter().copied().collect();
        for node in nodes {
            let from = node.ins.iter().any(|t| depends.contains(t));
            if from && !is_update(&node.op) && self.tensor(node.outs[0]).kind != Kind::State {
                depends.insert(node.outs[0]);
            }
        }
        depends
    }

    /// Records with the source line of the operation that is differentiated: an error in a gradient
    /// then names the line of the model.
    fn rewrite<R>(&self, at: &'static Location<'static>, body: impl FnOnce(&Tape) -> R) -> R {
        let length = |t: &Tape| {
            let inner = t.inner.borrow();
            inner.programs[inner.current.expect("inside a program")].nodes.len()
        };
        let before = length(self);
        let result = body(self);
        let mut inner = self.inner.borrow_mut();
        let current = inner.current.expect("inside a program");
        for node in &mut inner.programs[current].nodes[before..] {
            node.at = at;
        }
        result
    }

    /// Gradients with respect to the needed operands of one node: (operand number, gradient).
    fn rule(&self, node: &Node, dy: T, needed: impl Fn(usize) -> bool) -> Vec<(usize, T)> {
        self.rewrite(node.at, |t| {
            let mut result = Vec::new();
            for i in 0..node.ins.len() {
                if needed(i)
                    && let Some(dx) = t.rule_for(node, dy, i)
                {
                    result.push((i, dx));
                }
            }
            if matches!(node.op, Op::Normalize(_)) {
                result = t.normalize_rule(node, dy, &needed);
            }
            result
        })
    }

    /// The gradient with respect to operand `i`, or nothing where it is zero everywhere.
    fn rule_for(&self, node: &Node, dy: T, i: usize) -> Option<T> {
        let ins = &node.ins;
        Some(match (&node.op, i) {
            // The convolution family is closed under differentiation.
            (Op::Fprop(conv), 0) => self.push_dgrad(*conv, dy, ins[1]),
            (Op::Fprop(conv), _) => self.push_wgrad(*conv, ins[0], dy),
            (Op::Dgrad(conv), 0) => self.push_fprop(*conv, dy, ins[1]),
            (Op::Dgrad(conv), _) => self.push_wgrad(*conv, dy, ins[0]),
            (Op::Wgrad { conv, .. }, 0) => self.push_dgrad(*conv, ins[1], dy),
            (Op::Wgrad { conv, .. }, _) => self.push_fprop(*conv, ins[0], dy),

            (Op::Matmul { ta: false, tb, .. }, 0) => self.matmul_of(dy, false, ins[1], !tb),
            (Op::Matmul { ta: true, tb, .. }, 0) => self.matmul_of(ins[1], *tb, dy, true),
            (Op::Matmul { ta, tb: false, .. }, _) => self.matmul_of(ins[0], !ta, dy, false),
            (Op::Matmul { ta, tb: true, .. }, _) => self.matmul_of(dy, true, ins[0], *ta),

            (Op::Map { .. }, _) => return self.map_rule(node, dy, i),
            (Op::Sum(over), _) => self.spread(dy, *over, self.shape(ins[0])),

            (Op::MaxoutPick { pieces }, 0) => self.maxout_scatter(dy, ins[1], *pieces),
            (Op::MaxoutScatter { pieces }, 0) => self.maxout_pick(dy, ins[1], *pieces),
            (Op::PoolPick(blocks), 0) => self.pool_scatter(*blocks, dy, ins[1]),
            (Op::PoolScatter(blocks), 0) => self.pool_pick(*blocks, dy, ins[1]),
            // The argmax is constant almost everywhere.
            (Op::MaxoutPick { .. } | Op::MaxoutScatter { .. }, _) => return None,
            (Op::PoolPick(_) | Op::PoolScatter(_), _) => return None,
            (Op::Upsample(_), _) => self.block_sum(dy),
            (Op::BlockSum(_), _) => self.upsample(dy),
            (Op::Dropout { .. }, _) => self.push(node.op.clone(), &[dy], self.shape(dy)),

            (Op::Reshape, _) => self.reshape(dy, self.shape(ins[0])),
            (Op::AllReduce { .. }, _) => self.all_reduce(dy),

            // See `normalize_rule`, which answers for the statistics as well.
            (Op::Normalize(_), _) => return None,
            (Op::Moments | Op::Statistics { .. } | Op::StoredStatistics { .. }, _) => return None,

            (op, _) => panic!(
                "{} recorded at {} has no gradient rule (a gradient penalty with batch norm in the \
                 discriminator is not defined per sample)",
                op.name(),
                node.at
            ),
        })
    }

    /// Batch norm in one rule, the way through its statistics included: the statistics are functions
    /// of x, and get no gradient of their own.
    fn normalize_rule(
        &self,
        node: &Node,
        dy: T,
        needed: &impl Fn(usize) -> bool,
    ) -> Vec<(usize, T)> {
        let (Op::Normalize(act), &[x, statistics, gain, _]) = (&node.op, &node.ins[..]) else {
            unreachable!("called for Normalize")
        };
        let stored = {
            let inner = self.inner.borrow();
            let nodes = &inner.programs[inner.current.expect("inside a program")].nodes;
            let made = nodes.iter().find(|n| n.outs.contains(&statistics));
            matches!(made.map(|n| &n.op), Some(Op::StoredStatistics { .. }))
        };
        assert!(!stored, "batch norm with running statistics at {} has no gradient", node.at);
        // Without an activation y is not read, and dy stands in its place.
        let y = if *act == Act::None { dy } else { node.outs[0] };
        let shape = self.shape(x);
        let c = shape.channels();
        let sums = self.push(Op::NormalizeSums(*act), &[dy, y, x, statistics], [2 * c]);
        let mut result = Vec::new();
        if needed(0) {
            // Gain and shift want the sums of this rank: theirs are added up with the gradients.
            let by_rank = self.inner.borrow().norms_by_rank;
            let (all, ranks) =
                if by_rank { (sums, 1) } else { (self.all_reduce(sums), self.world()) };
            let op = Op::NormalizeGrad { act: *act, count: shape.len() / c * ranks };
            result.push((0, self.push(op, &[dy, y, x, statistics, gain, all], shape)));
        }
        if needed(2) {
            result.push((2, self.slice(sums, c, [c])));
        }
        if needed(3) {
            result.push((3, self.slice(sums, 0, [c])));
        }
        result
    }

    fn map_rule(&self, node: &Node, dy: T, i: usize) -> Option<T> {
        let Op::Map { expr, access } = &node.op else { unreachable!("called for Map") };
        let (ins, y) = (&node.ins, node.outs[0]);
        let gradient = match expr.steps[..] {
            [Step::Const(_)] => return None,
            [Step::Input(0)] => dy,
            [Step::Input(0), Step::Unary(f, 0)] => self.unary_rule(f, ins[0], y, dy),
            [Step::Input(0), Step::Input(1), Step::Binary(f, 0, 1)] => {
                let other = |k: usize| match access[k] {
                    Access::Full => ins[k],
                    // Scalars are read by `binary` as they are.
                    _ => self.spread(ins[k], Over::All, self.shape(y)),
                };
                match (f, i) {
                    (Binary::Add, _) | (Binary::Sub, 0) => dy,
                    (Binary::Sub, _) => self.affine(dy, -1.0, 0.0),
                    (Binary::Mul, 0) => self.mul(dy, ins[1]),
                    (Binary::Mul, _) => self.mul(dy, ins[0]),
                    (Binary::Div, 0) => self.div(dy, ins[1]),
                    (Binary::Div, _) => self.affine(self.div(self.mul(dy, y), other(1)), -1.0, 0.0),
                    (Binary::Gate(slope), 0) => self.binary(Binary::Gate(slope), dy, ins[1]),
                    // The side on which the gate stands is constant almost everywhere.
                    (Binary::Gate(_), _) => return None,
                }
            }
            _ => unreachable!("maps are recorded with one step and fused later"),
        };
        let shape: Shape = self.shape(ins[i]);
        Some(match access[i] {
            Access::Full => gradient,
            Access::Scalar => self.reshape(self.sum(gradient, Over::All), shape),
            Access::Sample => self.reshape(self.sum(gradient, Over::Sample), shape),
            Access::Channel => self.reshape(self.sum(gradient, Over::Channel), shape),
        })
    }

    fn unary_rule(&self, f: Unary, x: T, y: T, dy: T) -> T {
        match f {
            Unary::Affine { scale, .. } => self.affine(dy, scale, 0.0),
            Unary::Leaky(slope) => self.binary(Binary::Gate(slope), dy, y),
            // 1 − y²
            Unary::Tanh => self.mul(dy, self.affine(self.square(y), -1.0, 1.0)),
            // y (1 − y)
            Unary::Sigmoid => self.mul(dy, self.mul(y, self.affine(y, -1.0, 1.0))),
            Unary::Softplus => self.mul(dy, self.sigmoid(x)),
            Unary::Sqrt => self.affine(self.div(dy, y), 0.5, 0.0),
            Unary::Square => self.affine(self.mul(dy, x), 2.0, 0.0),
            Unary::Reciprocal => self.affine(self.mul(dy, self.square(y)), -1.0, 0.0),
        }
    }
}

/// Operations that write state, and pass nothing on.
fn is_update(op: &Op) -> bool {
    matches!(op, Op::Guard | Op::Running { .. } | Op::Sgd { .. } | Op::Adam { .. } | Op::Ema { .. })
}
