//! The small matrices: from pixels to points, from points to results. Everything is done to vectors of
//! channels, which come in multiples of the widest one.
//!
//! The order of points is 0, 1, ∞, −1; 2 taps go without the last. All functions of vectors are
//! `unsafe` for the reason that [`Lanes`] gives, and fill unused places with anything.

use super::stage::Steps;
use crate::kernels::lanes::{Lanes, lanes};
use crate::kernels::parallel::Shared;
use crate::kernels::real::Real;

/// Points down and across, as a type.
#[derive(Clone, Copy)]
pub(super) struct Size<const DOWN: usize, const ACROSS: usize>;

/// Bᵀ x: as many pixels as points.
#[inline(always)]
unsafe fn pixels<R: Real, V: Lanes<R>, const N: usize>(x: [V; N]) -> [V; N] {
    let mut to = x;
    // SAFETY: the contract of this file, as in all that follow.
    unsafe {
        if N == 3 {
            to[0] = x[0].sub(x[1]);
            to[2] = x[1].sub(x[2]);
        } else {
            to[0] = x[0].sub(x[2]);
            to[1] = x[1].add(x[2]);
            to[2] = x[1].sub(x[3]);
            to[3] = x[2].sub(x[1]);
        }
    }
    to
}

/// A dy: of two gradients of results.
#[inline(always)]
unsafe fn gradients<R: Real, V: Lanes<R>, const N: usize>(e: [V; N]) -> [V; N] {
    let mut to = e;
    // SAFETY: as above.
    unsafe {
        to[1] = e[0].add(e[1]);
        to[2] = V::splat(R::ZERO).sub(e[1]);
        if N == 4 {
            to[3] = e[0].sub(e[1]);
        }
    }
    to
}

/// Aᵀ m: two results.
#[inline(always)]
unsafe fn results<R: Real, V: Lanes<R>, const N: usize>(m: [V; N]) -> [V; N] {
    let mut to = m;
    // SAFETY: as above.
    unsafe {
        if N == 3 {
            to[0] = m[0].add(m[1]);
            to[1] = m[1].sub(m[2]);
        } else {
            to[0] = m[0].add(m[1]).add(m[3]);
            to[1] = m[1].sub(m[3]).sub(m[2]);
        }
    }
    to
}

/// G w: of taps, one fewer than points.
#[inline(always)]
unsafe fn taps<R: Real, V: Lanes<R>, const N: usize>(w: [V; N]) -> [V; N] {
    let mut to = w;
    // SAFETY: as above.
    unsafe {
        if N == 3 {
            to[1] = w[0].add(w[1]);
            to[2] = w[1];
        } else {
            let half = V::splat(R::from_f64(0.5));
            let (ends, middle) = (w[0].add(w[2]).mul(half), w[1].mul(half));
            to[1] = ends.add(middle);
            to[3] = ends.sub(middle);
        }
    }
    to
}

/// Gᵀ m: gradients of taps.
#[inline(always)]
unsafe fn weights<R: Real, V: Lanes<R>, const N: usize>(m: [V; N]) -> [V; N] {
    let mut to = m;
    // SAFETY: as above.
    unsafe {
        if N == 3 {
            to[0] = m[0].add(m[1]);
            to[1] = m[1].add(m[2]);
        } else {
            let half = V::splat(R::from_f64(0.5));
            let (both, apart) = (m[1].add(m[3]).mul(half), m[1].sub(m[3]).mul(half));
            to[0] = m[0].add(both);
            to[1] = apart;
            to[2] = m[2].add(both);
        }
    }
    to
}

/// The matrix of a row's function on both sides: across, then down.
macro_rules! both {
    ($x:ident, $DOWN:ident, $ACROSS:ident, $f:ident) => {
        for i in 0..$DOWN {
            $x[i] = $f($x[i]);
        }
        for j in 0..$ACROSS {
            let mut column = [$x[0][j]; $DOWN];
            for i in 1..$DOWN {
                column[i] = $x[i][j];
            }
            column = $f(column);
            for i in 0..$DOWN {
                $x[i][j] = column[i];
            }
        }
    };
}

/// Defines a function that gathers `count` neighbouring tiles of `stage`, with `c` channels: point p of
/// tile t goes to `to[at[p] + t · pitch ..]`.
macro_rules! gather {
    ($(#[$meta:meta])* $name:ident, $f:ident, $count:expr) => {
        lanes! {
            $(#[$meta])*
            ///
            /// # Safety
            /// `c` must be a multiple of 16, and all places must lie within their slices.
            pub(super) unsafe fn $name[R, V; const DOWN: usize, const ACROSS: usize](
                _size: Size<DOWN, ACROSS>,
                stage: &[R],
                steps: Steps,
                c: usize,
                count: usize,
                to: &mut [R],
                at: &[usize; 16],
                pitch: usize,
            ) {
                // SAFETY: the contract of this function.
                unsafe {
                    for tile in 0..count {
                        for channel in (0..c).step_by(V::COUNT) {
                            let start = steps.start + tile * steps.tile + channel;
                            let from = stage.as_ptr().add(start);
                            let mut x = [[V::splat(R::ZERO); ACROSS]; DOWN];
                            for i in 0..$count(DOWN) {
                                for j in 0..$count(ACROSS) {
                                    x[i][j] = V::load(from.add(i * steps.row + j * steps.pixel));
                                }
                            }
                            both!(x, DOWN, ACROSS, $f);
                            for i in 0..DOWN {
                                for j in 0..ACROSS {
                                    let at = at[i * ACROSS + j] + tile * pitch + channel;
                                    x[i][j].store(to.as_mut_ptr().add(at));
                                }
                            }
                        }
                    }
                }
            }
        }
    };
}

gather!(
    /// Gathers pixels of an image.
    gather_pixels,
    pixels,
    std::convert::identity
);
gather!(
    /// Gathers gradients of results, two rows of them.
    gather_gradients,
    gradients,
    (|_| 2)
);

lanes! {
    /// The 2×2 results of each tile: tile t has its products at `products[p · points + t · pitch ..]` for
    /// point p, and its results, `columns` elements each, begin at `places[4t ..]` of `y`.
    ///
    /// # Safety
    /// Nobody else may touch these results meanwhile; `columns` must be a multiple of 16, and all places
    /// must lie within their slices.
    pub(super) unsafe fn scatter_results[R, V; const DOWN: usize, const ACROSS: usize](
        _size: Size<DOWN, ACROSS>,
        products: &[R],
        points: usize,
        pitch: usize,
        columns: usize,
        places: &[usize],
        y: &Shared<R>,
    ) {
        // SAFETY: the contract of this function.
        unsafe {
            for (tile, places) in places.as_chunks::<4>().0.iter().enumerate() {
                for column in (0..columns).step_by(V::COUNT) {
                    let from = products.as_ptr().add(tile * pitch + column);
                    let mut m = [[V::splat(R::ZERO); ACROSS]; DOWN];
                    for i in 0..DOWN {
                        for j in 0..ACROSS {
                            m[i][j] = V::load(from.add((i * ACROSS + j) * points));
                        }
                    }
                    both!(m, DOWN, ACROSS, results);
                    for i in 0..2 {
                        for j in 0..2 {
                            m[i][j].store(y.at(places[2 * i + j] + column));
                        }
                    }
                }
            }
        }
    }
}

lanes! {
    /// The gradients of a phase's weights: row `row` of point p is at `products[p · points + row · pitch
    /// ..]`, and tap t of it, `columns` elements, at `dw[starts[t] + row · each ..]`; `pitches` are (points,
    /// pitch), `extents` (rows, columns), `to` (starts, each).
    ///
    /// # Safety
    /// Nobody else may touch these weights meanwhile; `columns` must be a multiple of 16, and all places
    /// must lie within their slices.
    pub(super) unsafe fn scatter_weights[R, V; const DOWN: usize, const ACROSS: usize](
        _size: Size<DOWN, ACROSS>,
        products: &[R],
        pitches: (usize, usize),
        extents: (usize, usize),
        dw: &Shared<R>,
        to: (&[usize; 16], usize),
        accumulate: bool,
    ) {
        let ((points, pitch), (rows, columns), (starts, each)) = (pitches, extents, to);
        // SAFETY: the contract of this function.
        unsafe {
            for row in 0..rows {
                for column in (0..columns).step_by(V::COUNT) {
                    let from = products.as_ptr().add(row * pitch + column);
                    let mut m = [[V::splat(R::ZERO); ACROSS]; DOWN];
                    for i in 0..DOWN {
                        for j in 0..ACROSS {
                            m[i][j] = V::load(from.add((i * ACROSS + j) * points));
                        }
                    }
                    both!(m, DOWN, ACROSS, weights);
                    for i in 0..DOWN - 1 {
                        for j in 0..ACROSS - 1 {
                            let start = starts[i * (ACROSS - 1) + j];
                            let to = dw.at(start + row * each + column);
                            let sum = if accumulate { V::load(to).add(m[i][j]) } else { m[i][j] };
                            sum.store(to);
                        }
                    }
                }
            }
        }
    }
}

lanes! {
    /// The weights of a phase at their points: tap t, `c` channels, is at `w[starts[t] ..]`; point p goes to
    /// `to[p · c ..]`.
    ///
    /// # Safety
    /// `c` must be a multiple of 16, and all places must lie within their slices.
    pub(super) unsafe fn gather_taps[R, V; const DOWN: usize, const ACROSS: usize](
        _size: Size<DOWN, ACROSS>,
        w: &[R],
        starts: &[usize; 16],
        c: usize,
        to: &mut [R],
    ) {
        // SAFETY: the contract of this function.
        unsafe {
            for channel in (0..c).step_by(V::COUNT) {
                let mut x = [[V::splat(R::ZERO); ACROSS]; DOWN];
                for i in 0..DOWN - 1 {
                    for j in 0..ACROSS - 1 {
                        let start = starts[i * (ACROSS - 1) + j];
                        x[i][j] = V::load(w.as_ptr().add(start + channel));
                    }
                }
                both!(x, DOWN, ACROSS, taps);
                for i in 0..DOWN {
                    for j in 0..ACROSS {
                        x[i][j].store(to.as_mut_ptr().add((i * ACROSS + j) * c + channel));
                    }
                }
            }
        }
    }
}

/// Calls `$f` with the [`Size`] of these points first.
macro_rules! sized {
    ($points:expr, $f:ident($($argument:expr),* $(,)?)) => {{
        use $crate::kernels::conv::winograd::transform::Size;
        match $points {
            [3, 3] => $f(Size::<3, 3>, $($argument),*),
            [3, 4] => $f(Size::<3, 4>, $($argument),*),
            [4, 3] => $f(Size::<4, 3>, $($argument),*),
            [4, 4] => $f(Size::<4, 4>, $($argument),*),
            other => unreachable!("{other:?} points"),
        }
    }};
}

pub(super) use sized;
