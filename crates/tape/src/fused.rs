//! A convolution together with what stands before and behind it. Fusion makes these, nothing records
//! them.

use crate::op::Op;
use crate::{Access, Conv, Expr, Shape};

/// Which of the three operations a fused convolution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// Reads x and w, as [`Op::Fprop`].
    Fprop,
    /// Reads dy and w, as [`Op::Dgrad`].
    Dgrad,
    /// Reads x and dy, as [`Op::Wgrad`].
    Wgrad,
}

/// How a convolution reads an operand while it packs it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Read {
    /// As it lies in memory: one operand.
    Plain,
    /// Four operands x, statistics, gain, shift, read as z = gain · (x − mean) · istd + shift and then
    /// `z > 0 ? z : slope · z`.
    Normalized {
        /// Slope of the activation; 1 where there is none.
        slope: f64,
    },
    /// Five operands d, x, statistics, gain, sums, read as
    /// gain · istd · (d − Σd/count − x̂ · Σd·x̂/count).
    Gradient {
        /// Elements per channel over all ranks.
        count: usize,
    },
}

/// What becomes of a result before it leaves the cache.
#[derive(Clone, Debug, PartialEq)]
pub enum Finish {
    /// Nothing.
    Plain,
    /// A function of the result, which is its `Input(0)`, and of further operands.
    Map {
        /// The function of one element.
        expr: Expr,
        /// One entry per input: that of the result, then those of the further operands.
        access: Vec<Access>,
    },
    /// One further operand, running; a second result, what [`Op::Moments`] gives of the first.
    Moments,
    /// The result dy becomes d = dy · act'(z), with z = gain · (x − mean) · istd + shift and further
    /// operands x, statistics, gain, shift; a second result `[2c]`, Σd and Σd·x̂, as
    /// [`Op::NormalizeSums`] gives.
    GradientSums {
        /// Slope of the activation; 1 where there is none.
        slope: f64,
    },
}

/// A convolution with its reads and its finish. Operands are those of the first read, those of the
/// second, what is accumulated, those of the finish. Weights are always read as they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Fused {
    /// Which operation.
    pub pass: Pass,
    /// Geometry.
    pub conv: Conv,
    /// How the two operands of the convolution are read.
    pub reads: [Read; 2],
    /// What becomes of the result; nothing for [`Pass::Wgrad`].
    pub finish: Finish,
    /// Whether an operand is added, and the result takes its place; only for [`Pass::Wgrad`].
    pub accumulate: bool,
}

/// The operands of a fused convolution by what they are for.
#[derive(Clone, Copy, Debug)]
pub struct Operands<'a, E> {
    /// Those of the two reads.
    pub reads: [&'a [E]; 2],
    /// The one that is accumulated.
    pub accumulated: &'a [E],
    /// Those of the finish.
    pub finish: &'a [E],
}

impl Pass {
    /// The operation's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fprop => "fprop",
            Self::Dgrad => "dgrad",
            Self::Wgrad => "wgrad",
        }
    }
}

impl Read {
    /// Number of operands.
    pub fn operands(self) -> usize {
        match self {
            Self::Plain => 1,
            Self::Normalized { .. } => 4,
            Self::Gradient { .. } => 5,
        }
    }

    /// Floating point operations for an element.
    fn flops(self) -> u64 {
        match self {
            Self::Plain => 0,
            Self::Normalized { .. } => 4,
            Self::Gradient { .. } => 7,
        }
    }
}

impl Finish {
    /// Floating point operations for an element.
    fn flops(&self) -> u64 {
        match self {
            Self::Plain => 0,
            Self::Map { expr, .. } => expr.flops(),
            Self::Moments => 4,
            Self::GradientSums { .. } => 8,
        }
    }
}

impl Fused {
    /// The convolution that an operation is, with nothing before and behind it if it was recorded.
    pub fn of(op: &Op) -> Option<Self> {
        let (pass, conv, accumulate) = match op {
            Op::Fused(fused) => return Some((**fused).clone()),
            Op::Fprop(conv) => (Pass::Fprop, *conv, false),
            Op::Dgrad(conv) => (Pass::Dgrad, *conv, false),
            Op::Wgrad { conv, accumulate } => (Pass::Wgrad, *conv, *accumulate),
            _ => return None,
        };
        Some(Self { pass, conv, reads: [Read::Plain; 2], finish: Finish::Plain, accumulate })
    }

    /// Whether the second operand of the convolution is weights, and not features or an image.
    pub fn has_weights(&self) -> bool {
        self.pass != Pass::Wgrad
    }

    /// The number of the operand that is accumulated.
    pub fn accumulated(&self) -> Option<usize> {
        let before = self.reads[0].operands() + self.reads[1].operands();
        self.accumulate.then_some(before)
    }

    /// Sorts a node's operands.
    pub fn operands<'a, E>(&self, ins: &'a [E]) -> Operands<'a, E> {
        let (first, rest) = ins.split_at(self.reads[0].operands());
        let (second, rest) = rest.split_at(self.reads[1].operands());
        let (accumulated, finish) = rest.split_at(usize::from(self.accumulate));
        Operands { reads: [first, second], accumulated, finish }
    }

    /// Floating point operations, a multiply-add counted as two, and each element counted once where
    /// it is read or finished.
    pub(crate) fn flops(&self, ins: &[Shape], outs: &[Shape]) -> u64 {
        let reads = self.operands(ins).reads.into_iter().zip(self.reads);
        let read: u64 = reads.map(|(of, read)| of[0].len() as u64 * read.flops()).sum();
        2 * self.conv.macs() + read + outs[0].len() as u64 * self.finish.flops()
    }

    /// The node as text, its operands by their names.
    pub(crate) fn print(&self, names: &[String]) -> String {
        let Operands { reads, accumulated, finish } = self.operands(names);
        let read = |i: usize| {
            let names = reads[i].join(", ");
            match self.reads[i] {
                Read::Plain => names,
                Read::Normalized { slope } => normalized(slope, &names),
                Read::Gradient { .. } => format!("gradient({names})"),
            }
        };
        let c = &self.conv;
        let sum = if self.accumulate { " +" } else { "" };
        let more: String = accumulated.iter().map(|name| format!(", {name}")).collect();
        let product = format!(
            "{}{sum} {}, {}{more}  {}×{}/{}",
            self.pass.name(),
            read(0),
            read(1),
            c.r,
            c.s,
            c.stride
        );
        let result = |i: usize| if i == 0 { "_".to_string() } else { finish[i - 1].clone() };
        match &self.finish {
            Finish::Plain => product,
            Finish::Map { expr, .. } => format!("{product} → {}", expr.print(result)),
            Finish::Moments => format!("{product} + moments({})", finish[0]),
            Finish::GradientSums { slope } => {
                let z = normalized(1.0, &finish.join(", "));
                match slope {
                    1.0 => format!("{product} + sums({z})"),
                    0.0 => format!("{product} → gate(_, {z}) + sums"),
                    _ => format!("{product} → gate(_, {z}, {slope}) + sums"),
                }
            }
        }
    }
}

fn normalized(slope: f64, operands: &str) -> String {
    match slope {
        1.0 => format!("normalized({operands})"),
        0.0 => format!("relu(normalized({operands}))"),
        _ => format!("leaky(normalized({operands}), {slope})"),
    }
}
