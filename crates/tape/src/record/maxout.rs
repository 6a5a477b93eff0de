//! Maxout (Goodfellow et al. 2013).

use crate::op::Op;
use crate::{T, Tape};

impl Tape {
    /// The maximum of each group of `pieces` adjacent columns or channels:
    /// `[…, units · pieces] → […, units]`.
    #[track_caller]
    pub fn maxout(&self, x: T, pieces: usize) -> T {
        self.maxout_pick(x, x, pieces)
    }

    /// v where x is largest within each group.
    #[track_caller]
    pub(crate) fn maxout_pick(&self, v: T, x: T, pieces: usize) -> T {
        let shape = self.shape(x);
        let columns = shape.channels();
        assert!(
            pieces > 0 && columns.is_multiple_of(pieces) && self.shape(v) == shape,
            "maxout: {columns} columns in groups of {pieces}"
        );
        self.push(Op::MaxoutPick { pieces }, &[v, x], shape.with_channels(columns / pieces))
    }

    #[track_caller]
    pub(crate) fn maxout_scatter(&self, dy: T, x: T, pieces: usize) -> T {
        self.push(Op::MaxoutScatter { pieces }, &[dy, x], self.shape(x))
    }
}
