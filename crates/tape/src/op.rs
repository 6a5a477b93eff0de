//! The operations. One row of the house for each: a shape rule where it is recorded, a gradient rule
//! in `grad`, an arm in each executor, a cost here.

use crate::expr::{Access, Expr};
use crate::{Blocks, Conv, Fused, Scalar, Shape, T};
use std::panic::Location;

/// One entry of a program.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is computed.
    pub op: Op,
    /// Tensors that are read.
    pub ins: Vec<T>,
    /// Tensors that are written. State tensors are written in place, every other tensor once.
    pub outs: Vec<T>,
    /// The line that recorded it.
    pub at: &'static Location<'static>,
}

/// Which elements a sum runs over: everything, or all but the named extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Over {
    /// Everything: `[…] → [1]`.
    All,
    /// All but the first extent: `[n, …] → [n]`.
    Sample,
    /// All but the last extent: `[…, c] → [c]`.
    Channel,
}

impl Over {
    /// How the sum is read back at an element of the summand.
    pub fn access(self) -> Access {
        match self {
            Self::All => Access::Scalar,
            Self::Sample => Access::Sample,
            Self::Channel => Access::Channel,
        }
    }
}

/// A distribution to draw from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Law {
    /// Uniform on [low, high).
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// Normal.
    Normal {
        /// Mean.
        mean: f64,
        /// Standard deviation.
        std: f64,
    },
}

/// Whether a draw belongs to the samples of a batch or to weights that all ranks share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Row i of rank r is global sample i · world + r.
    Batch,
    /// Row i is global sample i, although there are other ranks: see [`crate::Tape::alone`].
    Alone,
    /// The same on all ranks.
    Weights,
}

/// The activation that a batch norm applies to its result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// None.
    None,
    /// `x > 0 ? x : slope · x`; ReLU where the slope is 0.
    Leaky(f64),
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function.
    Sigmoid,
}

/// Kinds of operation. Operands are in the order of [`Node::ins`], results of [`Node::outs`].
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Convolution: x `[n,h,w,c]`, w `[k,r,s,c]` → y `[n,p,q,k]`.
    Fprop(Conv),
    /// Transposed convolution: dy `[n,p,q,k]`, w `[k,r,s,c]` → dx `[n,h,w,c]`.
    Dgrad(Conv),
    /// Weight gradient: x `[n,h,w,c]`, dy `[n,p,q,k]` → dw `[k,r,s,c]`; where `accumulate`, a third
    /// operand is added, and the result takes its place.
    Wgrad {
        /// Geometry.
        conv: Conv,
        /// Whether there is a third operand.
        accumulate: bool,
    },
    /// Product of op(a) `[m,k]` and op(b) `[k,n]` → `[m,n]`; `accumulate` as for `Wgrad`.
    Matmul {
        /// Whether a is stored as `[k,m]`.
        ta: bool,
        /// Whether b is stored as `[n,k]`.
        tb: bool,
        /// Whether there is a third operand.
        accumulate: bool,
    },
    /// Elementwise: one expression over operands read as `access` says.
    Map {
        /// The function of one element.
        expr: Expr,
        /// One entry per operand.
        access: Vec<Access>,
    },
    /// Sum of x.
    Sum(Over),
    /// Sum of what a map of this shape would give. Made by fusion alone.
    MapSum {
        /// The function of one element.
        expr: Expr,
        /// One entry per operand.
        access: Vec<Access>,
        /// Which elements are summed.
        over: Over,
        /// Extents of the summand.
        shape: Shape,
    },
    /// A convolution with what stands before and behind it. Made by fusion alone.
    Fused(Box<Fused>),
    /// Convert u8 or f32 to the run's type: `scale · x + shift`.
    Convert {
        /// Factor.
        scale: f64,
        /// Summand.
        shift: f64,
    },
    /// Batch norm, first part: x, running `[2c]` → `[2c+1]`: Σ(x−r), Σ(x−r)², count, with r the
    /// running mean, which is equal on all ranks, so that f32 does not cancel.
    Moments,
    /// Second part: sums `[2c+1]`, running → mean and 1/√(var + ε), `[2c]`.
    Statistics {
        /// ε under the root.
        eps: f64,
    },
    /// The same two from running statistics, `[2c]` → `[2c]`.
    StoredStatistics {
        /// ε under the root.
        eps: f64,
    },
    /// Third part: x, statistics, gain, shift → act(gain · (x − mean) · istd + shift).
    Normalize(Act),
    /// Backward, first part: dy, y, x, statistics → `[2c]`: Σd, Σd·x̂ with d = dy · act'(y).
    NormalizeSums(Act),
    /// Backward, second part: dy, y, x, statistics, gain, sums →
    /// gain · istd · (d − Σd/count − x̂ · Σd·x̂/count).
    NormalizeGrad {
        /// The activation behind the normalisation.
        act: Act,
        /// Elements per channel that the statistics are of.
        count: usize,
    },
    /// running ← (1 − momentum) · running + momentum · (mean, unbiased variance): sums, fault → running.
    Running {
        /// Weight of the batch.
        momentum: f64,
    },
    /// Maxout (Goodfellow et al. 2013): v, x `[…, units · pieces]` → v at the argmax of x, `[…, units]`.
    MaxoutPick {
        /// Adjacent columns that compete.
        pieces: usize,
    },
    /// Adjoint of `MaxoutPick` in v: dy `[…, units]`, x → `[…, units · pieces]`.
    MaxoutScatter {
        /// Adjacent columns that compete.
        pieces: usize,
    },
    /// Max pooling: v, x `[n,h,w,c]` → v at the argmax of x in each 2×2 block, `[n,h/2,w/2,c]`.
    PoolPick(Blocks),
    /// Adjoint of `PoolPick` in v: dy `[n,h/2,w/2,c]`, x `[n,h,w,c]` → `[n,h,w,c]`.
    PoolScatter(Blocks),
    /// Nearest-neighbour upsampling: x `[n,h/2,w/2,c]` → `[n,h,w,c]`, each pixel four times.
    Upsample(Blocks),
    /// Adjoint of `Upsample`: dy `[n,h,w,c]` → the sum of each 2×2 block, `[n,h/2,w/2,c]`.
    BlockSum(Blocks),
    /// x · scale where a uniform draw is below `keep`, else 0. Its own adjoint: same stream, same mask.
    Dropout {
        /// Probability that a value stays.
        keep: f64,
        /// Factor for those that stay.
        scale: f64,
        /// Stream of the draws.
        stream: u32,
    },
    /// A draw, counter-based: (seed, stream, tick, global sample, element).
    Noise {
        /// Distribution.
        law: Law,
        /// Stream of the draws.
        stream: u32,
        /// What the rows are.
        owner: Owner,
    },
    /// Same elements, another shape. Moves nothing.
    Reshape,
    /// Elements `offset ..` of a flat tensor. Moves nothing.
    Slice {
        /// First element.
        offset: usize,
    },
    /// Scalars side by side: `[1]` each → `[number of operands]`.
    Pack,
    /// Sum over ranks; the identity where the world is 1.
    AllReduce {
        /// Number of ranks.
        world: usize,
    },
    /// fault ← 1 + tick mod 4096 where an operand is not finite, and stays: tensors → fault `[1]`.
    Guard,
    /// v ← momentum · v − rate · g; p ← p + v: g, fault → p, v.
    Sgd {
        /// Learning rate.
        rate: Scalar,
        /// Momentum.
        momentum: Scalar,
    },
    /// Adam (Kingma & Ba 2014), with L2 decay added to the gradient: g, fault → p, m, v.
    Adam {
        /// Learning rate.
        rate: Scalar,
        /// Decay of the first moment.
        beta1: f64,
        /// Decay of the second moment.
        beta2: f64,
        /// Added to the root.
        eps: f64,
        /// L2 decay.
        l2: f64,
        /// 1 − β₁ᵗ.
        correction1: Scalar,
        /// 1 − β₂ᵗ.
        correction2: Scalar,
    },
    /// e ← decay · e + (1 − decay) · p: p, fault → e.
    Ema {
        /// Decay, a scalar because it is ramped up.
        decay: Scalar,
    },
}

impl Op {
    /// The operation's name, as it is printed.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fprop(_) => "fprop",
            Self::Dgrad(_) => "dgrad",
            Self::Wgrad { .. } => "wgrad",
            Self::Matmul { .. } => "matmul",
            Self::Map { .. } => "map",
            Self::Sum(_) => "sum",
            Self::MapSum { .. } => "map_sum",
            Self::Fused(fused) => fused.pass.name(),
            Self::Convert { .. } => "convert",
            Self::Moments => "moments",
            Self::Statistics { .. } => "statistics",
            Self::StoredStatistics { .. } => "stored_statistics",
            Self::Normalize(_) => "normalize",
            Self::NormalizeSums(_) => "normalize_sums",
            Self::NormalizeGrad { .. } => "normalize_grad",
            Self::Running { .. } => "running",
            Self::MaxoutPick { .. } => "maxout_pick",
            Self::MaxoutScatter { .. } => "maxout_scatter",
            Self::PoolPick(_) => "pool_pick",
            Self::PoolScatter(_) => "pool_scatter",
            Self::Upsample(_) => "upsample",
            Self::BlockSum(_) => "block_sum",
            Self::Dropout { .. } => "dropout",
            Self::Noise { .. } => "noise",
            Self::Reshape => "reshape",
            Self::Slice { .. } => "slice",
            Self::Pack => "pack",
            Self::AllReduce { .. } => "all_reduce",
            Self::Guard => "guard",
            Self::Sgd { .. } => "sgd",
            Self::Adam { .. } => "adam",
            Self::Ema { .. } => "ema",
        }
    }

    /// Whether it only names memory that exists already.
    pub fn is_view(&self) -> bool {
        matches!(self, Self::Reshape | Self::Slice { .. })
    }

    /// Floating point operations, a multiply-add counted as two.
    pub fn flops(&self, ins: &[Shape], outs: &[Shape]) -> u64 {
        let len = |s: &[Shape], i: usize| s.get(i).map_or(0, |s| s.len() as u64);
        match self {
            Self::Fprop(conv) | Self::Dgrad(conv) | Self::Wgrad { conv, .. } => 2 * conv.macs(),
            Self::Matmul { ta, .. } => {
                let [rows, columns] = ins[0].matrix();
                2 * len(outs, 0) * (if *ta { rows } else { columns }) as u64
            }
            Self::Map { expr, .. } => expr.flops() * len(outs, 0),
            Self::Sum(_) => len(ins, 0),
            Self::MapSum { expr, shape, .. } => (expr.flops() + 1) * shape.len() as u64,
            Self::Fused(fused) => fused.flops(ins, outs),
            Self::Convert { .. } => 2 * len(outs, 0),
            Self::Moments => 4 * len(ins, 0),
            Self::Normalize(_) => 4 * len(outs, 0),
            Self::NormalizeSums(_) => 5 * len(ins, 0),
            Self::NormalizeGrad { .. } => 7 * len(outs, 0),
            Self::MaxoutPick { .. } | Self::PoolPick(_) => len(ins, 1),
            Self::BlockSum(_) => len(ins, 0),
            Self::Dropout { .. } => len(outs, 0),
            Self::Guard => ins.iter().map(|s| s.len() as u64).sum(),
            Self::Sgd { .. } => 4 * len(ins, 0),
            Self::Adam { .. } => 14 * len(ins, 0),
            Self::Ema { .. } => 3 * len(ins, 0),
            Self::Statistics { .. }
            | Self::StoredStatistics { .. }
            | Self::Running { .. }
            | Self::MaxoutScatter { .. }
            | Self::PoolScatter(_)
            | Self::Upsample(_)
            | Self::Noise { .. }
            | Self::Reshape
            | Self::Slice { .. }
            | Self::Pack
            | Self::AllReduce { .. } => 0,
        }
    }
}
