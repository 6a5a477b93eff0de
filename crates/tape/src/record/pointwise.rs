//! Elementwise arithmetic and sums. Each method records a `Map` of one step; fusion joins them.

use crate::op::{Op, Over};
use crate::{Access, Binary, Expr, Shape, T, Tape, Unary};

impl Tape {
    #[track_caller]
    pub(crate) fn unary(&self, f: Unary, x: T) -> T {
        let op = Op::Map { expr: Expr::unary(f), access: vec![Access::Full] };
        self.push(op, &[x], self.shape(x))
    }

    #[track_caller]
    pub(crate) fn binary(&self, f: Binary, a: T, b: T) -> T {
        let (left, right) = (self.shape(a), self.shape(b));
        let access = if left.len() == right.len() { Access::Full } else { Access::Scalar };
        assert!(
            access == Access::Full || right.len() == 1,
            "{f:?}: {left:?} and {right:?} (use `spread` for other broadcasts)"
        );
        let op = Op::Map { expr: Expr::binary(f), access: vec![Access::Full, access] };
        self.push(op, &[a, b], left)
    }

    /// The same number everywhere.
    #[track_caller]
    pub fn constant(&self, value: f64, shape: impl Into<Shape>) -> T {
        self.push(Op::Map { expr: Expr::constant(value), access: vec![] }, &[], shape)
    }

    /// `a + b`; b may be a scalar.
    #[track_caller]
    pub fn add(&self, a: T, b: T) -> T {
        self.binary(Binary::Add, a, b)
    }

    /// `a − b`; b may be a scalar.
    #[track_caller]
    pub fn sub(&self, a: T, b: T) -> T {
        self.binary(Binary::Sub, a, b)
    }

    /// `a · b`; b may be a scalar.
    #[track_caller]
    pub fn mul(&self, a: T, b: T) -> T {
        self.binary(Binary::Mul, a, b)
    }

    /// `a / b`; b may be a scalar.
    #[track_caller]
    pub fn div(&self, a: T, b: T) -> T {
        self.binary(Binary::Div, a, b)
    }

    /// `scale · x + shift`
    #[track_caller]
    pub fn affine(&self, x: T, scale: f64, shift: f64) -> T {
        self.unary(Unary::Affine { scale, shift }, x)
    }

    /// `max(x, 0)`
    #[track_caller]
    pub fn relu(&self, x: T) -> T {
        self.leaky_relu(x, 0.0)
    }

    /// `x > 0 ? x : slope · x`
    #[track_caller]
    pub fn leaky_relu(&self, x: T, slope: f64) -> T {
        self.unary(Unary::Leaky(slope), x)
    }

    /// Hyperbolic tangent.
    #[track_caller]
    pub fn tanh(&self, x: T) -> T {
        self.unary(Unary::Tanh, x)
    }

    /// `1 / (1 + e⁻ˣ)`
    #[track_caller]
    pub fn sigmoid(&self, x: T) -> T {
        self.unary(Unary::Sigmoid, x)
    }

    /// `log(1 + eˣ)`
    #[track_caller]
    pub fn softplus(&self, x: T) -> T {
        self.unary(Unary::Softplus, x)
    }

    /// Square root.
    #[track_caller]
    pub fn sqrt(&self, x: T) -> T {
        self.unary(Unary::Sqrt, x)
    }

    /// `x²`
    #[track_caller]
    pub fn square(&self, x: T) -> T {
        self.unary(Unary::Square, x)
    }

    /// `1 / x`
    #[track_caller]
    pub fn reciprocal(&self, x: T) -> T {
        self.unary(Unary::Reciprocal, x)
    }

    /// Sum over all, or all but the samples or channels.
    #[track_caller]
    pub fn sum(&self, x: T, over: Over) -> T {
        let shape = self.shape(x);
        let out = match over {
            Over::All => [1],
            Over::Sample => [shape.rows()],
            Over::Channel => [shape.channels()],
        };
        self.push(Op::Sum(over), &[x], out)
    }

    /// The adjoint of [`Tape::sum`]: every element of the result reads the sum that it is part of.
    #[track_caller]
    pub fn spread(&self, x: T, over: Over, shape: impl Into<Shape>) -> T {
        let (from, to) = (self.shape(x), shape.into());
        let expected = match over {
            Over::All => 1,
            Over::Sample => to.rows(),
            Over::Channel => to.channels(),
        };
        assert!(from.len() == expected, "spread: {from:?} to {to:?} over {over:?}");
        let op = Op::Map { expr: Expr::identity(), access: vec![over.access()] };
        self.push(op, &[x], to)
    }

    /// x plus one number per channel.
    #[track_caller]
    pub fn add_bias(&self, x: T, bias: T) -> T {
        self.add(x, self.spread(bias, Over::Channel, self.shape(x)))
    }

    /// This rank's part of the mean over the batch of the world: sums over ranks are then means.
    #[track_caller]
    pub fn batch_mean(&self, x: T) -> T {
        let count = self.shape(x).len() * self.world();
        self.affine(self.sum(x, Over::All), 1.0 / count as f64, 0.0)
    }

    /// u8 or f32 numbers of the host in the run's type: `scale · x + shift`.
    #[track_caller]
    pub fn convert(&self, x: T, scale: f64, shift: f64) -> T {
        self.push(Op::Convert { scale, shift }, &[x], self.shape(x))
    }
}
