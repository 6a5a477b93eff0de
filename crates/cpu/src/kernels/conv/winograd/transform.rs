//! The small matrices: from pixels to points, from points to results. Everything is done to vectors of
//! channels.

use super::LANES;
use crate::kernels::parallel::Shared;
use crate::kernels::real::Real;
use crate::kernels::vectorized::vectorized;
use std::array::from_fn;

/// One vector.
type V<R> = [R; LANES];

/// Points down and across, as a type.
#[derive(Clone, Copy)]
pub(super) struct Size<const DOWN: usize, const ACROSS: usize>;

#[inline(always)]
pub(super) fn load<R: Real>(from: &[R], at: usize) -> V<R> {
    *from[at..].first_chunk().expect("a whole vector")
}

#[inline(always)]
pub(super) fn store<R: Real>(to: &mut [R], at: usize, v: V<R>) {
    *to[at..].first_chunk_mut().expect("a whole vector") = v;
}

#[inline(always)]
fn add<R: Real>(a: V<R>, b: V<R>) -> V<R> {
    from_fn(|i| a[i] + b[i])
}

#[inline(always)]
fn sub<R: Real>(a: V<R>, b: V<R>) -> V<R> {
    from_fn(|i| a[i] - b[i])
}

#[inline(always)]
fn half<R: Real>(a: V<R>) -> V<R> {
    let half = R::from_f64(0.5);
    a.map(|a| half * a)
}

/// Bᵀ x: as many pixels as points, in the order 0, 1, ∞, −1.
#[inline(always)]
fn pixels<R: Real, const N: usize>(x: [V<R>; N]) -> [V<R>; N] {
    from_fn(|point| match (N, point) {
        (3, 0) => sub(x[0], x[1]),
        (3, 1) => x[1],
        (3, _) => sub(x[1], x[2]),
        (_, 0) => sub(x[0], x[2]),
        (_, 1) => add(x[1], x[2]),
        (_, 2) => sub(x[1], x[3]),
        _ => sub(x[2], x[1]),
    })
}

/// A dy: two gradients of results.
#[inline(always)]
fn gradients<R: Real, const N: usize>(e: [V<R>; 2]) -> [V<R>; N] {
    from_fn(|point| match point {
        0 => e[0],
        1 => add(e[0], e[1]),
        2 => e[1].map(|e| -e),
        _ => sub(e[0], e[1]),
    })
}

/// Aᵀ m: two results.
#[inline(always)]
fn results<R: Real, const N: usize>(m: [V<R>; N]) -> [V<R>; 2] {
    if N == 3 {
        return [add(m[0], m[1]), sub(m[1], m[2])];
    }
    [add(add(m[0], m[1]), m[3]), sub(sub(m[1], m[3]), m[2])]
}

/// G w: taps, one fewer than points; what follows them is not read.
#[inline(always)]
pub(super) fn taps<R: Real, const N: usize>(w: [V<R>; N]) -> [V<R>; N] {
    if N == 3 {
        return from_fn(|point| [w[0], add(w[0], w[1]), w[1]][point]);
    }
    let (ends, middle) = (half(add(w[0], w[2])), half(w[1]));
    from_fn(|point| [w[0], add(ends, middle), w[2], sub(ends, middle)][point])
}

/// Gᵀ m: gradients of taps, and something behind them.
#[inline(always)]
fn weights<R: Real, const N: usize>(m: [V<R>; N]) -> [V<R>; N] {
    if N == 3 {
        return from_fn(|tap| [add(m[0], m[1]), add(m[1], m[2]), m[2]][tap]);
    }
    let (both, apart) = (half(add(m[1], m[3])), half(sub(m[1], m[3])));
    from_fn(|tap| [add(m[0], both), apart, add(m[2], both), m[2]][tap])
}

/// Rows become columns.
#[inline(always)]
fn flipped<T: Copy, const A: usize, const B: usize>(x: [[T; B]; A]) -> [[T; A]; B] {
    from_fn(|j| from_fn(|i| x[i][j]))
}

vectorized! {
    /// `count` neighbouring tiles of `stage`, rows of `length` pixels with `c` channels: point p of tile
    /// t goes to `to[at[p] + t · pitch ..]`.
    pub(super) fn gather_pixels[R: Real, const DOWN: usize, const ACROSS: usize](
        _size: Size<DOWN, ACROSS>,
        stage: &[R],
        length: usize,
        c: usize,
        count: usize,
        to: &mut [R],
        at: &[usize],
        pitch: usize,
    ) {
        for tile in 0..count {
            for channel in (0..c).step_by(LANES) {
                let x: [[V<R>; ACROSS]; DOWN] = from_fn(#[inline(always)] |i| from_fn(#[inline(always)] |j| {
                    load(stage, (i * length + 2 * tile + j) * c + channel)
                }));
                let points = flipped(flipped(x.map(pixels)).map(pixels));
                for i in 0..DOWN {
                    for j in 0..ACROSS {
                        let at = at[i * ACROSS + j] + tile * pitch + channel;
                        store(to, at, points[i][j]);
                    }
                }
            }
        }
    }
}

vectorized! {
    /// The same for gradients of results: two rows of `2 · count` pixels.
    pub(super) fn gather_gradients[R: Real, const DOWN: usize, const ACROSS: usize](
        _size: Size<DOWN, ACROSS>,
        stage: &[R],
        length: usize,
        c: usize,
        count: usize,
        to: &mut [R],
        at: &[usize],
        pitch: usize,
    ) {
        for tile in 0..count {
            for channel in (0..c).step_by(LANES) {
                let e: [[V<R>; 2]; 2] = from_fn(#[inline(always)] |i| from_fn(#[inline(always)] |j| {
                    load(stage, (i * length + 2 * tile + j) * c + channel)
                }));
                let rows: [[V<R>; ACROSS]; 2] = e.map(gradients);
                let points: [[V<R>; DOWN]; ACROSS] = flipped(rows).map(gradients);
                for i in 0..DOWN {
                    for j in 0..ACROSS {
                        let at = at[i * ACROSS + j] + tile * pitch + channel;
                        store(to, at, points[j][i]);
                    }
                }
            }
        }
    }
}

vectorized! {
    /// The 2×2 results of each tile: tile t has its products at `products[p · points + t · pitch ..]` for
    /// point p, and its results, `columns` elements each, begin at `places[4t ..]` of `y`.
    ///
    /// Nobody else may touch these results meanwhile.
    pub(super) fn scatter_results[R: Real, const DOWN: usize, const ACROSS: usize](
        _size: Size<DOWN, ACROSS>,
        products: &[R],
        points: usize,
        pitch: usize,
        columns: usize,
        places: &[usize],
        y: &Shared<R>,
    ) {
        for (tile, places) in places.as_chunks::<4>().0.iter().enumerate() {
            // SAFETY: the contract of this function; results of a tile do not overlap.
            let y = places.map(|place| unsafe { y.part(place, columns) });
            for column in (0..columns).step_by(LANES) {
                let m: [[V<R>; ACROSS]; DOWN] = from_fn(#[inline(always)] |i| from_fn(#[inline(always)] |j| {
                    load(products, (i * ACROSS + j) * points + tile * pitch + column)
                }));
                let rows: [[V<R>; DOWN]; 2] = flipped(m.map(results));
                for (j, column_of) in rows.map(results).into_iter().enumerate() {
                    for (i, v) in column_of.into_iter().enumerate() {
                        store(y[2 * i + j], column, v);
                    }
                }
            }
        }
    }
}

vectorized! {
    /// The gradients of a phase's weights: row `row` of point p is at `products[p · points + row · pitch
    /// ..]`; tap (i, j) of it, `columns` elements, is `place(row, [i, j])` of `dw`, where `accumulate` adds.
    ///
    /// Nobody else may touch these weights meanwhile.
    pub(super) fn scatter_weights[R: Real, const DOWN: usize, const ACROSS: usize](
        _size: Size<DOWN, ACROSS>,
        products: &[R],
        points: usize,
        pitch: usize,
        extents: (usize, usize),
        place: &dyn Fn(usize, [usize; 2]) -> usize,
        dw: &Shared<R>,
        accumulate: bool,
    ) {
        let (rows, columns) = extents;
        for row in 0..rows {
            for column in (0..columns).step_by(LANES) {
                let m: [[V<R>; ACROSS]; DOWN] = from_fn(#[inline(always)] |i| from_fn(#[inline(always)] |j| {
                    load(products, (i * ACROSS + j) * points + row * pitch + column)
                }));
                let taps = flipped(flipped(m.map(weights)).map(weights));
                for i in 0..DOWN - 1 {
                    for j in 0..ACROSS - 1 {
                        // SAFETY: the contract of this function.
                        let dw = unsafe { dw.part(place(row, [i, j]) + column, LANES) };
                        let before = if accumulate { load(dw, 0) } else { [R::ZERO; LANES] };
                        store(dw, 0, add(before, taps[i][j]));
                    }
                }
            }
        }
    }
}

/// Calls `$f` with the [`Size`] of these points first.
macro_rules! sized {
    ($points:expr, $f:ident($($argument:expr),* $(,)?)) => {
        match $points {
            [3, 3] => $f($crate::kernels::conv::winograd::transform::Size::<3, 3>, $($argument),*),
            [3, 4] => $f($crate::kernels::conv::winograd::transform::Size::<3, 4>, $($argument),*),
            [4, 3] => $f($crate::kernels::conv::winograd::transform::Size::<4, 3>, $($argument),*),
            [4, 4] => $f($crate::kernels::conv::winograd::transform::Size::<4, 4>, $($argument),*),
            other => unreachable!("{other:?} points"),
        }
    };
}

pub(super) use sized;
