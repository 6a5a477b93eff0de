//! Noise and dropout: draws from counters, without a generator's state.

use crate::op::{Law, Op, Owner};
use crate::{Dtype, Shape, T, Tape};

impl Tape {
    /// A batch of draws; row i of rank r belongs to global sample i · world + r.
    #[track_caller]
    pub fn noise(&self, law: Law, shape: impl Into<Shape>) -> T {
        let stream = self.stream();
        if self.inner.borrow().fed {
            let given = self.input(&format!("noise.{stream}"), Dtype::Real, shape);
            return self.affine(given, 1.0, 0.0);
        }
        let owner = if self.is_alone() { Owner::Alone } else { Owner::Batch };
        self.push(Op::Noise { law, stream, owner }, &[], shape)
    }

    /// Keeps each value with probability `keep`, times `scale`, and puts 0 for the others. `scale` is
    /// usually 1/keep.
    #[track_caller]
    pub fn dropout(&self, x: T, keep: f64, scale: f64) -> T {
        assert!(!self.is_alone(), "dropout belongs to the samples of a world");
        let stream = self.stream();
        self.push(Op::Dropout { keep, scale, stream }, &[x], self.shape(x))
    }

    /// Whether draws are those of one rank although there are others.
    fn is_alone(&self) -> bool {
        self.world() != self.inner.borrow().world
    }
}
