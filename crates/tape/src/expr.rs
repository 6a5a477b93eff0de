//! Elementwise arithmetic as data: what a `Map` computes for one element.

use std::fmt::Write;

/// How an operand is read at element `[n, …, c]` of the result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Same shape as the result.
    Full,
    /// One value per sample: the operand has as many elements as the result has rows.
    Sample,
    /// One value per channel: the operand has as many elements as the result's last extent.
    Channel,
    /// One value for all.
    Scalar,
}

/// A function of one value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// `scale · x + shift`
    Affine {
        /// Factor.
        scale: f64,
        /// Summand.
        shift: f64,
    },
    /// `x > 0 ? x : slope · x`; ReLU where the slope is 0.
    Leaky(f64),
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `log(1 + eˣ)`, which is −log(1 − D) for a logit and, at −x, −log D.
    Softplus,
    /// Square root.
    Sqrt,
    /// `x²`
    Square,
    /// `1 / x`
    Reciprocal,
}

/// A function of two values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Binary {
    /// `a + b`
    Add,
    /// `a − b`
    Sub,
    /// `a · b`
    Mul,
    /// `a / b`
    Div,
    /// `b > 0 ? a : slope · a`: the derivative of a leaky ReLU with result `b`, applied to `a`.
    Gate(f64),
}

/// One instruction of an expression. Its result is a register with the instruction's index.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// Operand number i of the node.
    Input(u8),
    /// A constant.
    Const(f64),
    /// A function of a register.
    Unary(Unary, u8),
    /// A function of two registers.
    Binary(Binary, u8, u8),
}

/// A straight-line program for one element; the last step is the result.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// The instructions, operands before use.
    pub steps: Vec<Step>,
}

impl Expr {
    /// Fusion stops here: executors keep one cache-sized block per register.
    pub const MAX_STEPS: usize = 24;
    /// Fusion stops here.
    pub const MAX_INPUTS: usize = 8;

    /// The operand itself.
    pub fn identity() -> Self {
        Self { steps: vec![Step::Input(0)] }
    }

    /// A constant, with no operand.
    pub fn constant(value: f64) -> Self {
        Self { steps: vec![Step::Const(value)] }
    }

    /// A function of one operand.
    pub fn unary(op: Unary) -> Self {
        Self { steps: vec![Step::Input(0), Step::Unary(op, 0)] }
    }

    /// A function of two operands.
    pub fn binary(op: Binary) -> Self {
        Self { steps: vec![Step::Input(0), Step::Input(1), Step::Binary(op, 0, 1)] }
    }

    /// Floating point operations for one element, an elementary function counted as one.
    pub fn flops(&self) -> u64 {
        let costs = |s: &&Step| matches!(s, Step::Unary(..) | Step::Binary(..));
        self.steps.iter().filter(costs).count() as u64
    }

    /// Whether it computes nothing: a copy, a broadcast or a constant.
    pub fn is_free(&self) -> bool {
        self.flops() == 0
    }

    /// The same function of operands with other numbers.
    pub fn renumbered(&self, numbers: &[u8]) -> Expr {
        let renumber = |step: &Step| match *step {
            Step::Input(i) => Step::Input(numbers[i as usize]),
            other => other,
        };
        Expr { steps: self.steps.iter().map(renumber).collect() }.simplified()
    }

    /// Puts `inner`, which produced operand `slot`, in the place of that operand. `rename_outer` and
    /// `rename_inner` give the operand numbers of the result.
    pub fn inline(
        &self,
        slot: usize,
        inner: &Expr,
        rename_outer: &[u8],
        rename_inner: &[u8],
    ) -> Expr {
        let mut steps: Vec<Step> = Vec::with_capacity(self.steps.len() + inner.steps.len());
        for step in &inner.steps {
            steps.push(match *step {
                Step::Input(i) => Step::Input(rename_inner[i as usize]),
                other => other,
            });
        }
        let produced = (steps.len() - 1) as u8;
        let mut register = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            if matches!(step, Step::Input(i) if *i as usize == slot) {
                register.push(produced);
                continue;
            }
            steps.push(match *step {
                Step::Input(i) => Step::Input(rename_outer[i as usize]),
                Step::Const(v) => Step::Const(v),
                Step::Unary(f, a) => Step::Unary(f, register[a as usize]),
                Step::Binary(f, a, b) => {
                    Step::Binary(f, register[a as usize], register[b as usize])
                }
            });
            register.push((steps.len() - 1) as u8);
        }
        Expr { steps }.simplified()
    }

    /// The same function with constants folded, equal steps computed once and unused ones left out.
    fn simplified(self) -> Expr {
        let mut steps: Vec<Step> = Vec::new();
        let mut register: Vec<u8> = Vec::new();
        for step in self.steps {
            let step = match step {
                Step::Unary(f, a) => Step::Unary(f, register[a as usize]),
                Step::Binary(f, a, b) => {
                    Step::Binary(f, register[a as usize], register[b as usize])
                }
                other => other,
            };
            let step = fold(step, &steps);
            let known = match step {
                Step::Unary(Unary::Affine { scale: 1.0, shift: 0.0 }, a) => Some(a as usize),
                _ => steps.iter().position(|s| *s == step),
            };
            register.push(known.unwrap_or_else(|| {
                steps.push(step);
                steps.len() - 1
            }) as u8);
        }
        let result = register[register.len() - 1];
        Expr { steps: needed(&steps, result) }
    }

    /// The formula, with the operands named by `name`.
    pub fn print(&self, name: impl Fn(usize) -> String) -> String {
        let mut text: Vec<String> = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let mut s = String::new();
            match *step {
                Step::Input(i) => s.push_str(&name(i as usize)),
                Step::Const(v) => write!(s, "{v}").expect("strings take everything"),
                Step::Unary(f, a) => {
                    let a = &text[a as usize];
                    match f {
                        Unary::Affine { scale, shift: 0.0 } => write!(s, "{scale}·{a}"),
                        Unary::Affine { scale: 1.0, shift } => write!(s, "({a} + {shift})"),
                        Unary::Affine { scale, shift } => write!(s, "({scale}·{a} + {shift})"),
                        Unary::Leaky(0.0) => write!(s, "relu({a})"),
                        Unary::Leaky(slope) => write!(s, "leaky({a}, {slope})"),
                        Unary::Tanh => write!(s, "tanh({a})"),
                        Unary::Sigmoid => write!(s, "sigmoid({a})"),
                        Unary::Softplus => write!(s, "softplus({a})"),
                        Unary::Sqrt => write!(s, "sqrt({a})"),
                        Unary::Square => write!(s, "{a}²"),
                        Unary::Reciprocal => write!(s, "1/{a}"),
                    }
                    .expect("strings take everything");
                }
                Step::Binary(f, a, b) => {
                    let (a, b) = (&text[a as usize], &text[b as usize]);
                    match f {
                        Binary::Add => write!(s, "({a} + {b})"),
                        Binary::Sub => write!(s, "({a} − {b})"),
                        Binary::Mul => write!(s, "{a}·{b}"),
                        Binary::Div => write!(s, "{a}/{b}"),
                        Binary::Gate(0.0) => write!(s, "gate({a}, {b})"),
                        Binary::Gate(slope) => write!(s, "gate({a}, {b}, {slope})"),
                    }
                    .expect("strings take everything");
                }
            }
            text.push(s);
        }
        text.pop().expect("an expression has steps")
    }
}

/// A step whose operands are constants or affine functions, written more simply.
fn fold(step: Step, before: &[Step]) -> Step {
    let constant = |r: u8| match before[r as usize] {
        Step::Const(v) => Some(v),
        _ => None,
    };
    let affine = |scale, shift, r| Step::Unary(Unary::Affine { scale, shift }, r);
    let folded = match step {
        Step::Binary(Binary::Mul, a, b) => match (constant(a), constant(b)) {
            (_, Some(v)) => affine(v, 0.0, a),
            (Some(v), _) => affine(v, 0.0, b),
            _ => step,
        },
        Step::Binary(Binary::Add, a, b) => match (constant(a), constant(b)) {
            (_, Some(v)) => affine(1.0, v, a),
            (Some(v), _) => affine(1.0, v, b),
            _ => step,
        },
        _ => step,
    };
    let Step::Unary(Unary::Affine { scale, shift }, a) = folded else { return folded };
    match before[a as usize] {
        Step::Const(v) => Step::Const(scale * v + shift),
        Step::Unary(Unary::Affine { scale: s, shift: t }, inner) => {
            affine(scale * s, scale * t + shift, inner)
        }
        _ => folded,
    }
}

/// The steps that a result needs, with the result last.
fn needed(steps: &[Step], result: u8) -> Vec<Step> {
    let mut wanted = vec![false; steps.len()];
    wanted[result as usize] = true;
    for (i, step) in steps.iter().enumerate().rev() {
        if !wanted[i] {
            continue;
        }
        match *step {
            Step::Unary(_, a) => wanted[a as usize] = true,
            Step::Binary(_, a, b) => {
                wanted[a as usize] = true;
                wanted[b as usize] = true;
            }
            Step::Input(_) | Step::Const(_) => {}
        }
    }
    let mut renamed = vec![0; steps.len()];
    let mut kept = Vec::new();
    for (i, step) in steps.iter().enumerate().filter(|(i, _)| wanted[*i]) {
        let name = |r: u8| renamed[r as usize];
        kept.push(match *step {
            Step::Unary(f, a) => Step::Unary(f, name(a)),
            Step::Binary(f, a, b) => Step::Binary(f, name(a), name(b)),
            other => other,
        });
        renamed[i] = (kept.len() - 1) as u8;
    }
    kept
}
