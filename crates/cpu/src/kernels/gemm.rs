//! One blocked matrix product for everything: `C (+)= A · B`.
//!
//! The operands need not lie in memory as matrices: [`Pack`] copies a block of one into a buffer
//! of the size of a cache, where the [register tiles](super::tile) work on it. A convolution is a
//! product whose A is packed from windows of an image.
//!
//! C is cut into tasks by the shape of the product alone, and each of its elements is summed by one
//! task in one order, so the bytes do not depend on the number of threads.

use super::epilogue::{Epilogue, Finish};
use super::math::Math;
use super::parallel::{Shared, chunk, parallel};
use super::real::Real;
use super::tile::{BLOCK, Layout, PITCH, Tile, best};
use std::ops::Range;

mod kept;
mod pack;
mod work;

pub use kept::Kept;
pub(super) use pack::copy_run;
pub use pack::{Matrix, Pack, Transposed};
pub(super) use work::{Buffers, PACKED, Parts, aligned};
pub use work::{Work, WorkSize};

/// Tasks that keep every thread of a machine busy.
const MANY: usize = 16;
/// Multiply-adds below which a task is not worth cutting: some ten microseconds.
const SMALL: usize = 1 << 20;
/// A panel of B that stays in the fastest cache.
const DEPTH_BYTES: usize = 32 << 10;
/// Rows of B that are packed by one task.
const PACKED_ROWS: usize = 256;

/// Where B comes from.
#[derive(Clone, Copy)]
pub(super) enum Right<'a, R> {
    /// Packed as a whole before: panels of `nr` columns, each of all rows of B, which are so many.
    Panels(&'a [R], usize),
    /// Packed by each task.
    Rows(&'a dyn Pack<R>),
}

/// A product that tasks compute block by block.
pub(super) struct Product<'a, 'e, R: 'static> {
    pub tile: &'static Tile<R>,
    pub a: (Layout, &'a dyn Pack<R>),
    pub b: Right<'a, R>,
    pub c: Shared<R>,
    /// Where element (row, column) of C is; columns follow each other.
    pub place: &'a (dyn Fn(usize, usize) -> usize + Sync),
    pub accumulate: bool,
    pub finish: &'a Finish<'e, 'e, R>,
}

impl<R: Math> Product<'_, '_, R> {
    /// Computes at most [`BLOCK`] × [`BLOCK`] elements of C, summing over `depth`, and finishes them as
    /// a piece of part `part`.
    ///
    /// # Safety
    /// No other task may touch those elements meanwhile.
    pub unsafe fn block(
        &self,
        part: usize,
        rows: Range<usize>,
        columns: Range<usize>,
        depth: Range<usize>,
        block_a: &mut [R],
        block_b: &mut [R],
    ) {
        let (mr, nr) = (self.tile.mr, self.tile.nr);
        let mut places = [0; BLOCK];
        for (place, row) in places.iter_mut().zip(rows.clone()) {
            *place = (self.place)(row, columns.start);
        }
        let places = &places[..rows.len()];
        if depth.is_empty() && !self.accumulate {
            for &place in places {
                // SAFETY: the contract of this function.
                unsafe { self.c.part(place, columns.len()) }.fill(R::ZERO);
            }
        }

        let deep = (DEPTH_BYTES / (nr * R::BYTES)).min(BLOCK);
        let steps = chunk_evenly(depth.len(), 1, deep);
        for from in depth.clone().step_by(steps) {
            let ks = from..(from + steps).min(depth.end);
            let (layout, a) = self.a;
            match layout {
                Layout::Rows => a.pack(rows.clone(), ks.clone(), block_a, PITCH),
                Layout::Columns => a.pack(ks.clone(), rows.clone(), block_a, PITCH),
            }
            if let Right::Rows(b) = self.b {
                b.pack(ks.clone(), columns.clone(), block_b, PITCH);
            }
            let add = self.accumulate || from > depth.start;
            for j in (0..columns.len()).step_by(nr) {
                let b = match self.b {
                    Right::Rows(_) => (&block_b[j..], PITCH),
                    Right::Panels(packed, all) => {
                        let panel = (columns.start + j) / nr;
                        (&packed[(panel * all + ks.start) * nr..], nr)
                    }
                };
                let across = j..(j + nr).min(columns.len());
                for (i, places) in places.chunks(mr).enumerate() {
                    let at = match layout {
                        Layout::Rows => i * mr * PITCH,
                        Layout::Columns => i * mr,
                    };
                    let a = (layout, &block_a[at..]);
                    // SAFETY: the contract of this function.
                    unsafe {
                        let (c, across) = (&self.c, across.clone());
                        self.tile.multiply(ks.len(), a, b, c, places, across, add);
                    }
                }
            }
        }
        // SAFETY: the contract of this function.
        unsafe { self.finish.rows(part, places, columns, &self.c) }
    }
}

/// The size of even parts of `whole`: multiples of `unit`, at most `most`.
pub(super) fn chunk_evenly(whole: usize, unit: usize, most: usize) -> usize {
    let most = (most / unit).max(1);
    let units = whole.div_ceil(unit);
    units.div_ceil(units.div_ceil(most).max(1)).max(1) * unit
}

/// A matrix C cut into blocks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    m: usize,
    n: usize,
    mc: usize,
    nc: usize,
}

impl Grid {
    /// Blocks of at most `mc` × `nc`.
    pub fn new<R>(m: usize, n: usize, mc: usize, nc: usize, tile: &Tile<R>) -> Self {
        let mc = chunk_evenly(m, tile.mr, mc.min(BLOCK));
        let nc = chunk_evenly(n, tile.nr, nc.min(BLOCK));
        Self { m, n, mc, nc }
    }

    /// Large blocks if there are many, otherwise smaller ones, down to what is worth a task.
    pub fn balanced<R>(m: usize, n: usize, k: usize, tile: &Tile<R>) -> Self {
        let (mut mc, mut nc) = (192, BLOCK);
        loop {
            let grid = Self::new(m, n, mc, nc, tile);
            (mc, nc) = (grid.mc, grid.nc);
            let smallest = mc <= 4 * tile.mr && nc <= 2 * tile.nr;
            if grid.tasks() >= MANY || mc * nc * k <= SMALL || smallest {
                return grid;
            }
            if nc <= 2 * tile.nr || (mc > 4 * tile.mr && 2 * mc >= nc) {
                mc = mc.div_ceil(2);
            } else {
                nc = nc.div_ceil(2);
            }
        }
    }

    /// How many blocks there are.
    pub fn tasks(&self) -> usize {
        self.m.div_ceil(self.mc) * self.n.div_ceil(self.nc)
    }

    /// Blocks from top to bottom.
    pub fn down(&self) -> usize {
        self.m.div_ceil(self.mc)
    }

    /// The row of blocks that a task is in.
    pub fn row(&self, task: usize) -> usize {
        task / self.n.div_ceil(self.nc)
    }

    /// Rows and columns of one block. Neighbours share their rows of A.
    pub fn block(&self, task: usize) -> (Range<usize>, Range<usize>) {
        let across = self.n.div_ceil(self.nc);
        let (i, j) = (task / across * self.mc, task % across * self.nc);
        let rows = i..(i + self.mc).min(self.m);
        (rows, j..(j + self.nc).min(self.n))
    }
}

/// Packs all of B (k × n) into panels of the tile's width.
pub(super) fn pack_panels<R: Real>(
    tile: &Tile<R>,
    (k, n): (usize, usize),
    b: &dyn Pack<R>,
    to: &mut [R],
) {
    let nr = tile.nr;
    let (panels, parts) = (n.div_ceil(nr), k.div_ceil(PACKED_ROWS));
    assert!(to.len() >= panels * k * nr, "the work space is too small");
    let to = Shared::new(to);
    parallel(panels * parts, |task| {
        let (j, from) = (task / parts * nr, task % parts * PACKED_ROWS);
        let rows = from..(from + PACKED_ROWS).min(k);
        // SAFETY: each task has rows of a panel of its own.
        let to = unsafe { to.part(j * k + from * nr, rows.len() * nr) };
        b.pack(rows, j..(j + nr).min(n), to, nr);
    });
}

/// `C (+)= A · B` for A of m × k and B of k × n; element (i, j) of C is `c[place(i, j)]`.
///
/// # Safety
/// `place` must give different elements different places.
pub(super) unsafe fn gemm<R: Math>(
    (m, n, k): (usize, usize, usize),
    a: (Layout, &dyn Pack<R>),
    b: (&dyn Pack<R>, Option<&mut Kept<R>>),
    c: &mut [R],
    place: &(dyn Fn(usize, usize) -> usize + Sync),
    accumulate: bool,
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    if m * n == 0 {
        return;
    }
    let tile = best(work.tiles(), m, n);
    let Parts { scratch, shared, partials } = work.parts();
    let (b, kept) = b;
    let grid = Grid::balanced(m, n, k, tile);
    // What only one task reads is packed by that task, and stays in its cache.
    let b = match kept {
        None if grid.down() == 1 => Right::Rows(b),
        kept => {
            let pack = |to: &mut [R]| pack_panels(tile, (k, n), b, to);
            Right::Panels(Kept::or_else(kept, shared, pack), k)
        }
    };
    let finish = &Finish::new(epilogue, grid.down(), n, partials);
    let c = Shared::new(c);
    let product = Product { tile, a, b, c, place, accumulate, finish };
    parallel(grid.tasks(), |task| {
        let (rows, columns) = grid.block(task);
        scratch.with(|buffer| {
            let Buffers { a, b, .. } = Buffers::new(buffer);
            // SAFETY: the blocks of a grid do not overlap.
            unsafe { product.block(grid.row(task), rows, columns, 0..k, a, b) }
        });
    });
    epilogue.end(grid.down(), m, partials);
}

/// Adds up `parts`, each as long as `to`, in their order.
pub(super) fn sum_parts<R: Real>(parts: &[R], to: &mut [R], accumulate: bool) {
    let whole = to.len();
    let piece = chunk(whole, 1, 1 << 12);
    let to = Shared::new(to);
    parallel(whole.div_ceil(piece), |task| {
        let from = task * piece;
        let len = piece.min(whole - from);
        // SAFETY: pieces do not overlap.
        let to = unsafe { to.part(from, len) };
        if !accumulate {
            to.fill(R::ZERO);
        }
        for part in parts.chunks_exact(whole) {
            for (to, &x) in to.iter_mut().zip(&part[from..][..len]) {
                *to += x;
            }
        }
    });
}
