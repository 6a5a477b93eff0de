//! Activations that follow a normalisation.

use super::math::Math;

/// An activation, computed while the value is at hand. Its derivative is taken from its output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// y = x.
    None,
    /// y = max(x, 0).
    Relu,
    /// y = x above 0 and slope·x elsewhere; the slope must be positive.
    Leaky(f64),
    /// y = tanh x.
    Tanh,
    /// y = 1 / (1 + e⁻ˣ).
    Sigmoid,
}

/// One activation as a type, so that loops are compiled for each and hold no branch on it.
pub(super) trait Activation<R>: Copy + Sync {
    fn apply(self, x: R) -> R;
    /// The derivative at the point whose output is `y`.
    fn derivative(self, y: R) -> R;
}

#[derive(Clone, Copy)]
pub(super) struct Identity;
#[derive(Clone, Copy)]
pub(super) struct Relu;
#[derive(Clone, Copy)]
pub(super) struct Leaky<R>(pub(super) R);
#[derive(Clone, Copy)]
pub(super) struct Tanh;
#[derive(Clone, Copy)]
pub(super) struct Sigmoid;

macro_rules! activation {
    ($t:ty, |$a:ident, $x:ident| $apply:expr, |$y:ident| $derivative:expr) => {
        impl<R: Math> Activation<R> for $t {
            #[inline(always)]
            fn apply(self, $x: R) -> R {
                let $a = self;
                $apply
            }
            #[inline(always)]
            fn derivative(self, $y: R) -> R {
                let $a = self;
                $derivative
            }
        }
    };
}

// Comparisons are such that a NaN passes through.
activation!(Identity, |_a, x| x, |_y| R::ONE);
activation!(Relu, |_a, x| if x <= R::ZERO { R::ZERO } else { x }, |y| if y <= R::ZERO {
    R::ZERO
} else {
    R::ONE
});
activation!(Leaky<R>, |a, x| if x > R::ZERO { x } else { a.0 * x }, |y| if y > R::ZERO {
    R::ONE
} else {
    a.0
});
activation!(Tanh, |_a, x| x.tanh(), |y| R::ONE - y * y);
activation!(Sigmoid, |_a, x| x.sigmoid(), |y| y * (R::ONE - y));

/// Evaluates `$body`, in which `$a` is the type that stands for `$act`; `R` is the element type.
macro_rules! hoist {
    ($act:expr, |$a:ident| $body:expr) => {
        match $act {
            Act::None => {
                let $a = Identity;
                $body
            }
            Act::Relu => {
                let $a = Relu;
                $body
            }
            Act::Leaky(slope) => {
                let $a = Leaky(R::from_f64(slope));
                $body
            }
            Act::Tanh => {
                let $a = Tanh;
                $body
            }
            Act::Sigmoid => {
                let $a = Sigmoid;
                $body
            }
        }
    };
}

pub(super) use hoist;
