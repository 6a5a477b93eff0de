//! Register tiles that walk along operands where they lie, without packing them.
//!
//! Each row of A starts at a place of its own, and the dimension that is summed over is cut into
//! segments of equal length: the rows of a window in an image, or the pixels of some rows.

use super::LARGEST;
use crate::kernels::parallel::Shared;
use crate::kernels::real::Real;
use std::ops::Range;

/// How the operands of a [`Walk`] are laid out along the dimension that is summed over.
#[derive(Clone, Copy, Debug)]
pub struct Path {
    /// How many segments there are.
    pub segments: usize,
    /// Products of a segment.
    pub len: usize,
    /// Elements of A from one product to the next, and from one segment to the next.
    pub a: [usize; 2],
    /// Elements of B from one row to the next, and from one segment to the next.
    pub b: [usize; 2],
}

impl Path {
    /// Elements from the first product to the last, in A or in B.
    fn span(&self, steps: [usize; 2]) -> usize {
        (self.len - 1) * steps[0] + (self.segments - 1) * steps[1]
    }
}

/// `(path, a, starts, b, c, rows, add)`: `c[rows[i] + j] (+)= Σ a[starts[i] + …] · b[… + j]`.
pub(super) type Kernel<R> =
    unsafe fn(&Path, *const R, *const usize, *const R, *mut R, *const usize, bool);

/// One register tile.
pub struct Walk<R> {
    /// Rows of C.
    pub mr: usize,
    /// Columns of C.
    pub nr: usize,
    /// Vector registers in a row of C.
    pub(super) vectors: usize,
    pub(super) kernel: Kernel<R>,
}

/// The tile that computes an m × n product in the fewest cycles; see [`best`](super::best).
pub fn best_walk<R>(walks: &'static [Walk<R>], m: usize, n: usize) -> &'static Walk<R> {
    let cost = |w: &&Walk<R>| {
        super::step(w.mr, w.vectors) * m.div_ceil(w.mr).max(1) * n.div_ceil(w.nr).max(1)
    };
    walks.iter().min_by_key(cost).expect("there are tiles")
}

impl<R: Real> Walk<R> {
    /// `c[rows[i] + j] (+)= Σ a[starts[i] + along the path] · b[along the path + j − columns.start]`
    /// for `i < rows.len() ≤ mr` and `j` in `columns`, at most `nr`.
    ///
    /// Rows of `b` are read over the whole width of the tile, whatever lies behind `columns`.
    ///
    /// # Safety
    /// No other task may touch those elements of `c` meanwhile, and this machine must have the
    /// instruction set that the tile is for.
    pub unsafe fn multiply(
        &self,
        path: &Path,
        (a, starts): (&[R], &[usize]),
        b: &[R],
        c: &Shared<R>,
        rows: &[usize],
        columns: Range<usize>,
        add: bool,
    ) {
        assert!(path.segments > 0 && path.len > 0, "an empty sum");
        assert!(starts.len() == rows.len() && rows.len() <= self.mr && columns.len() <= self.nr);
        let last = path.span(path.a);
        assert!(starts.iter().all(|start| start + last < a.len()), "{} elements of A", a.len());
        assert!(path.span(path.b) + self.nr <= b.len(), "{} elements of B", b.len());
        if rows.len() == self.mr && columns.len() == self.nr {
            assert!(rows.iter().all(|&row| row + columns.end <= c.len()));
            let (to, starts) = (c.at(columns.start), starts.as_ptr());
            let (a, b, rows) = (a.as_ptr(), b.as_ptr(), rows.as_ptr());
            // SAFETY: A, B and C are long enough by the assertions, C is ours by the contract, and
            // the kernels at hand are those of this machine's instruction set.
            return unsafe { (self.kernel)(path, a, starts, b, to, rows, add) };
        }
        let mut whole = [R::ZERO; LARGEST];
        let (mut begins, mut places) = ([0; LARGEST], [0; LARGEST]);
        for i in 0..self.mr {
            // What is too much computes the first row again.
            begins[i] = *starts.get(i).unwrap_or(&starts[0]);
            places[i] = i * self.nr;
        }
        let (to, begins, places) = (whole.as_mut_ptr(), begins.as_ptr(), places.as_ptr());
        // SAFETY: as above; `whole` holds mr × nr elements, which the table of tiles checks.
        unsafe { (self.kernel)(path, a.as_ptr(), begins, b.as_ptr(), to, places, false) };
        // SAFETY: ours by the contract.
        unsafe { super::cut(&whole, self.nr, c, rows, columns, add) };
    }
}

/// Defines the kernel of such tiles; the operands are those of [`kernel!`](super::kernel).
macro_rules! walk {
    (
        $(#[$attribute:meta])* $name:ident, $t:ty, $lanes:literal,
        $zero:path, $load:path, $store:path, $broadcast:path, $multiply_add:path, $add:path
    ) => {
        $(#[$attribute])*
        unsafe fn $name<const MR: usize, const NV: usize>(
            path: &crate::kernels::tile::walk::Path,
            a: *const $t,
            starts: *const usize,
            b: *const $t,
            c: *mut $t,
            rows: *const usize,
            add: bool,
        ) {
            // SAFETY: `Walk::multiply` checked the lengths of A, B, C, `starts` and `rows`.
            unsafe {
                let mut from = [a; MR];
                for i in 0..MR {
                    from[i] = a.add(*starts.add(i));
                }
                let mut sums = [[$zero(); NV]; MR];
                for segment in 0..path.segments {
                    let mut at = segment * path.a[1];
                    let mut b = b.add(segment * path.b[1]);
                    for _ in 0..path.len {
                        let mut row = [$zero(); NV];
                        for j in 0..NV {
                            row[j] = $load(b.add(j * $lanes));
                        }
                        for i in 0..MR {
                            let x = $broadcast(*from[i].add(at));
                            for j in 0..NV {
                                sums[i][j] = $multiply_add(x, row[j], sums[i][j]);
                            }
                        }
                        at += path.a[0];
                        b = b.wrapping_add(path.b[0]);
                    }
                }
                for i in 0..MR {
                    let to = c.add(*rows.add(i));
                    for j in 0..NV {
                        let to = to.add(j * $lanes);
                        let sum = if add { $add($load(to), sums[i][j]) } else { sums[i][j] };
                        $store(to, sum);
                    }
                }
            }
        }
    };
}

/// The table of a kernel's tiles: rows × vectors.
macro_rules! walks {
    ($name:ident, $t:ty, $kernel:ident, $lanes:literal, [$($mr:literal x $nv:literal),+]) => {
        pub(super) static $name: &[crate::kernels::tile::walk::Walk<$t>] = &[$({
            const { assert!($mr * $nv * $lanes <= super::LARGEST && $nv * $lanes <= super::WIDEST) };
            crate::kernels::tile::walk::Walk {
                mr: $mr,
                nr: $nv * $lanes,
                vectors: $nv,
                kernel: $kernel::<$mr, $nv>,
            }
        }),+];
    };
}

pub(super) use {walk, walks};
