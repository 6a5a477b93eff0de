//! Register tiles: the innermost loop of every matrix product.
//!
//! A tile keeps `mr × nr` sums in registers and walks along the dimension that is summed over: one
//! row of B is loaded, each of `mr` elements of A is broadcast and multiplied with it. The same
//! body is compiled for each instruction set and element type, and chosen at run time.

use super::isa::Isa;
use super::parallel::Shared;
use super::real::Real;
use std::ops::Range;

#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
mod walk;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use walk::{Path, Walk, best_walk};

/// Most rows and columns of a packed block.
pub const BLOCK: usize = 256;
/// Elements from one row of a packed block to the next. In f32 an odd number of cache lines, so
/// that a column of a block does not fall into a few sets of the cache.
pub const PITCH: usize = BLOCK + 16;
/// At least the columns of the widest tile.
pub const WIDEST: usize = 80;
/// At least the elements of the largest tile.
const LARGEST: usize = 512;

/// How a block of A lies in memory, always with [`PITCH`] from row to row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A row of the block is a row of A: the summed dimension is contiguous.
    Rows,
    /// A row of the block is a column of A.
    Columns,
}

/// `(k, a, b, pitch of b, c, rows, add)`: `c[rows[i] + j] (+)= Σ a[i] · b[j]`.
type Kernel<R> = unsafe fn(usize, *const R, *const R, usize, *mut R, *const usize, bool);

/// One register tile.
pub struct Tile<R> {
    /// Rows of C.
    pub mr: usize,
    /// Columns of C.
    pub nr: usize,
    /// Vector registers in a row of C.
    vectors: usize,
    rows: Kernel<R>,
    columns: Kernel<R>,
}

/// The tiles of one element type, best first for large products.
pub trait Tiles: Sized + 'static {
    /// Those for `isa`.
    fn tiles(isa: Isa) -> &'static [Tile<Self>];
    /// Those that read their operands where they lie.
    fn walks(isa: Isa) -> &'static [Walk<Self>];
}

macro_rules! tiles {
    ($t:ty, $tiles:ident, $walks:ident, $avx2:ident, $avx2_walks:ident, $avx512:ident, $avx512_walks:ident) => {
        impl Tiles for $t {
            fn tiles(isa: Isa) -> &'static [Tile<$t>] {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => x86::$avx2,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => x86::$avx512,
                    #[cfg(target_arch = "aarch64")]
                    Isa::Neon => neon::$tiles,
                    _ => portable::$tiles,
                }
            }

            fn walks(isa: Isa) -> &'static [Walk<$t>] {
                match isa {
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx2 => x86::$avx2_walks,
                    #[cfg(target_arch = "x86_64")]
                    Isa::Avx512 => x86::$avx512_walks,
                    #[cfg(target_arch = "aarch64")]
                    Isa::Neon => neon::$walks,
                    _ => portable::$walks,
                }
            }
        }
    };
}

tiles!(f32, F32, F32_WALKS, AVX2_F32, AVX2_F32_WALKS, AVX512_F32, AVX512_F32_WALKS);
tiles!(f64, F64, F64_WALKS, AVX2_F64, AVX2_F64_WALKS, AVX512_F64, AVX512_F64_WALKS);

/// Half cycles of one step of the innermost loop: it takes two multiply-adds or two loads a cycle,
/// whichever is slower.
fn step(mr: usize, vectors: usize) -> usize {
    (mr * vectors).max(mr + vectors)
}

/// The tile that computes an m × n product in the fewest cycles: what sticks out over the edge is
/// lost.
pub fn best<R>(tiles: &'static [Tile<R>], m: usize, n: usize) -> &'static Tile<R> {
    let cost = |t: &&Tile<R>| step(t.mr, t.vectors) * m.div_ceil(t.mr) * n.div_ceil(t.nr);
    tiles.iter().min_by_key(cost).expect("there are tiles")
}

impl<R: Real> Tile<R> {
    /// `c[rows[i] + j] (+)= Σ_k a[i, k] · b[k, j − columns.start]` for `i < rows.len() ≤ mr` and `j` in `columns`,
    /// at most `nr`.
    ///
    /// `a` and `b` are read over the whole tile, whatever lies beyond the last row and column.
    ///
    /// # Safety
    /// No other task may touch those elements of `c` meanwhile, and this machine must have the
    /// instruction set that the tile is for.
    #[inline]
    pub unsafe fn multiply(
        &self,
        k: usize,
        (layout, a): (Layout, &[R]),
        (b, pitch): (&[R], usize),
        c: &Shared<R>,
        rows: &[usize],
        columns: Range<usize>,
        add: bool,
    ) {
        assert!(k > 0, "an empty sum");
        let (kernel, a_len) = match layout {
            Layout::Rows => (self.rows, (self.mr - 1) * PITCH + k),
            Layout::Columns => (self.columns, (k - 1) * PITCH + self.mr),
        };
        assert!(a.len() >= a_len, "{} elements of A", a.len());
        assert!(b.len() >= (k - 1) * pitch + self.nr, "{} of B", b.len());
        assert!(rows.len() <= self.mr && columns.len() <= self.nr);
        if rows.len() == self.mr && columns.len() == self.nr {
            assert!(rows.iter().all(|&row| row + columns.end <= c.len()));
            let to = c.at(columns.start);
            // SAFETY: A, B and C are long enough by the assertions, C is ours by the contract, and
            // the kernels at hand are those of this machine's instruction set.
            return unsafe { kernel(k, a.as_ptr(), b.as_ptr(), pitch, to, rows.as_ptr(), add) };
        }
        let mut whole = [R::ZERO; LARGEST];
        let mut starts = [0; LARGEST];
        for i in 0..self.mr {
            starts[i] = i * self.nr;
        }
        let (to, starts) = (whole.as_mut_ptr(), starts.as_ptr());
        // SAFETY: as above; `whole` holds mr × nr elements, which the table of tiles checks.
        unsafe { kernel(k, a.as_ptr(), b.as_ptr(), pitch, to, starts, false) };
        // SAFETY: ours by the contract.
        unsafe { cut(&whole, self.nr, c, rows, columns, add) };
    }
}

/// Writes what of a whole tile, `nr` sums to a row, lies within `rows` and `columns`.
///
/// # Safety
/// No other task may touch those elements of `c` meanwhile.
unsafe fn cut<R: Real>(
    whole: &[R],
    nr: usize,
    c: &Shared<R>,
    rows: &[usize],
    columns: Range<usize>,
    add: bool,
) {
    for (&row, sums) in rows.iter().zip(whole.chunks_exact(nr)) {
        // SAFETY: the contract of this function.
        let to = unsafe { c.part(row + columns.start, columns.len()) };
        for (to, &sum) in to.iter_mut().zip(sums) {
            *to = if add { *to + sum } else { sum };
        }
    }
}

/// Defines the kernels of [`Tile`] and of [`Walk`] for one element type and instruction set: the
/// lanes of a vector, then its zero, load, store, broadcast, multiply-add (`a · b + c`) and add.
macro_rules! kernels {
    ($(#[$attribute:meta])* $tile:ident, $walk:ident, $($operation:tt)*) => {
        crate::kernels::tile::kernel!($(#[$attribute])* $tile, $($operation)*);
        crate::kernels::tile::walk::walk!($(#[$attribute])* $walk, $($operation)*);
    };
}

macro_rules! kernel {
    (
        $(#[$attribute:meta])* $name:ident, $t:ty, $lanes:literal,
        $zero:path, $load:path, $store:path, $broadcast:path, $multiply_add:path, $add:path
    ) => {
        $(#[$attribute])*
        unsafe fn $name<const MR: usize, const NV: usize, const ROWS: bool>(
            k: usize,
            mut a: *const $t,
            mut b: *const $t,
            pitch: usize,
            c: *mut $t,
            rows: *const usize,
            add: bool,
        ) {
            use crate::kernels::tile::PITCH;
            // Constants, so that the addresses of A are one register and displacements.
            let (down, along) = if ROWS { (PITCH, 1) } else { (1, PITCH) };
            // SAFETY: `Tile::multiply` checked the lengths of A, B, C and `rows`.
            unsafe {
                let mut sums = [[$zero(); NV]; MR];
                for _ in 0..k {
                    let mut row = [$zero(); NV];
                    for j in 0..NV {
                        row[j] = $load(b.add(j * $lanes));
                    }
                    for i in 0..MR {
                        let x = $broadcast(*a.add(i * down));
                        for j in 0..NV {
                            sums[i][j] = $multiply_add(x, row[j], sums[i][j]);
                        }
                    }
                    a = a.add(along);
                    b = b.add(pitch);
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
macro_rules! table {
    ($name:ident, $t:ty, $kernel:ident, $lanes:literal, [$($mr:literal x $nv:literal),+]) => {
        pub(super) static $name: &[Tile<$t>] = &[$({
            const { assert!($mr * $nv * $lanes <= super::LARGEST && $nv * $lanes <= super::WIDEST) };
            Tile {
                mr: $mr,
                nr: $nv * $lanes,
                vectors: $nv,
                rows: $kernel::<$mr, $nv, true>,
                columns: $kernel::<$mr, $nv, false>,
            }
        }),+];
    };
}

use {kernel, kernels, table};
