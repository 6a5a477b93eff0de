//! Blocks of 2×2 pixels: max pooling, nearest-neighbour upsampling and their adjoints.
//!
//! Images are `[n, h, w, c]`, what has one pixel to a block is `[n, h/2, w/2, c]`. As heights are
//! even, line i of the small side belongs to lines 2i and 2i+1 of the large one, over the whole batch.
//! Among equals the first wins, row by row, and a NaN wins against numbers, so that it is not lost.

use super::chunks::{TASK, chunks};
use super::maxout::beats;
use super::real::Real;
use super::vectorized::vectorized;
use tape::Blocks;

/// `y = v` at the largest of `x` in each block. Forward it is `pick(x, x, y)`.
///
/// # Panics
/// If a slice has another length than its tensor; so do all of these.
pub fn pick<R: Real>(g: &Blocks, v: &[R], x: &[R], y: &mut [R]) {
    check(g, y.len(), &[v.len(), x.len()]);
    lines(y, g.w / 2 * g.c, |i, y| pick_lines(pair(g, v, i), pair(g, x, i), g.c, y));
}

/// The adjoint of [`pick`] in `v`: `dy` to the winners in `dx`, and 0 elsewhere.
pub fn scatter<R: Real>(g: &Blocks, dy: &[R], x: &[R], dx: &mut [R]) {
    check(g, dy.len(), &[x.len(), dx.len()]);
    lines(dx, 2 * g.w * g.c, |i, dx| {
        scatter_lines(line(g, dy, i), pair(g, x, i), g.c, dx.split_at_mut(g.w * g.c).into());
    });
}

/// Each pixel of `x` four times.
pub fn upsample<R: Real>(g: &Blocks, x: &[R], y: &mut [R]) {
    check(g, x.len(), &[y.len()]);
    lines(y, 2 * g.w * g.c, |i, y| {
        let (upper, lower) = y.split_at_mut(g.w * g.c);
        let pixels = line(g, x, i).chunks_exact(g.c);
        for (pixel, twice) in pixels.zip(upper.chunks_exact_mut(2 * g.c)) {
            let (left, right) = twice.split_at_mut(g.c);
            left.copy_from_slice(pixel);
            right.copy_from_slice(pixel);
        }
        lower.copy_from_slice(upper);
    });
}

/// The sum of each block, the adjoint of [`upsample`].
pub fn sum<R: Real>(g: &Blocks, dy: &[R], dx: &mut [R]) {
    check(g, dx.len(), &[dy.len()]);
    lines(dx, g.w / 2 * g.c, |i, dx| sum_lines(pair(g, dy, i), g.c, dx));
}

/// Calls `f(i, part)` for each line i of the small side, in parallel, with the `len` elements of `out`
/// that belong to it: one line if `out` is small itself, two if it is large.
fn lines<R: Real>(out: &mut [R], len: usize, f: impl Fn(usize, &mut [R]) + Sync) {
    if len == 0 {
        return;
    }
    chunks([out], TASK.div_ceil(len) * len, |at, [part]| {
        for (i, part) in part.chunks_exact_mut(len).enumerate() {
            f(at / len + i, part);
        }
    });
}

/// Line i of the small side.
fn line<'a, R>(g: &Blocks, x: &'a [R], i: usize) -> &'a [R] {
    let len = g.w / 2 * g.c;
    &x[i * len..][..len]
}

/// The two lines of the large side that line i of the small one belongs to.
fn pair<'a, R>(g: &Blocks, x: &'a [R], i: usize) -> [&'a [R]; 2] {
    let len = g.w * g.c;
    x[2 * i * len..][..2 * len].split_at(len).into()
}

/// Pixels of a block in two lines, each `[c]`, for the block that starts at `at`.
#[inline(always)]
fn block<R>(lines: [&[R]; 2], at: usize, c: usize) -> [&[R]; 4] {
    let [upper, lower] = lines;
    [&upper[at..][..c], &upper[at + c..][..c], &lower[at..][..c], &lower[at + c..][..c]]
}

/// The largest of four, and which it is.
#[inline(always)]
fn winner<R: Real>(x: [R; 4]) -> u32 {
    let (mut best, mut at) = (x[0], 0);
    for i in 1..4 {
        let wins = beats(x[i], best);
        best = if wins { x[i] } else { best };
        at = if wins { i as u32 } else { at };
    }
    at
}

vectorized! {
    fn pick_lines[R: Real](v: [&[R]; 2], x: [&[R]; 2], c: usize, y: &mut [R]) {
        for (j, y) in y.chunks_exact_mut(c).enumerate() {
            let (v, x) = (block(v, 2 * j * c, c), block(x, 2 * j * c, c));
            for (k, y) in y.iter_mut().enumerate() {
                // All four are loaded, so that selecting needs no branch.
                let (x, v) = (x.map(|x| x[k]), v.map(|v| v[k]));
                let at = winner(x);
                let upper = if at == 0 { v[0] } else { v[1] };
                let lower = if at == 2 { v[2] } else { v[3] };
                *y = if at < 2 { upper } else { lower };
            }
        }
    }
}

vectorized! {
    fn scatter_lines[R: Real](dy: &[R], x: [&[R]; 2], c: usize, dx: [&mut [R]; 2]) {
        let [upper, lower] = dx;
        let pairs = upper.chunks_exact_mut(2 * c).zip(lower.chunks_exact_mut(2 * c));
        for (j, (upper, lower)) in pairs.enumerate() {
            let x = block(x, 2 * j * c, c);
            let dy = &dy[j * c..][..c];
            let ((a, b), (d, e)) = (upper.split_at_mut(c), lower.split_at_mut(c));
            for k in 0..c {
                let at = winner(x.map(|x| x[k]));
                a[k] = if at == 0 { dy[k] } else { R::ZERO };
                b[k] = if at == 1 { dy[k] } else { R::ZERO };
                d[k] = if at == 2 { dy[k] } else { R::ZERO };
                e[k] = if at == 3 { dy[k] } else { R::ZERO };
            }
        }
    }
}

vectorized! {
    fn sum_lines[R: Real](dy: [&[R]; 2], c: usize, dx: &mut [R]) {
        for (j, dx) in dx.chunks_exact_mut(c).enumerate() {
            let [p, q, r, s] = block(dy, 2 * j * c, c);
            for (k, dx) in dx.iter_mut().enumerate() {
                *dx = (p[k] + q[k]) + (r[k] + s[k]);
            }
        }
    }
}

/// A slice of a wrong length is a mistake of the planner, not of a user.
fn check(g: &Blocks, pixels: usize, images: &[usize]) {
    assert_eq!((g.h % 2, g.w % 2), (0, 0), "whole blocks in {g:?}");
    assert_eq!(pixels, g.pixels().iter().product(), "pixels of {g:?}");
    for &len in images {
        assert_eq!(len, g.images().iter().product(), "images of {g:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::{in_pools, numbers};
    use super::*;

    /// Channels that fill vectors and that do not, lines that make a task and that do not.
    const SHAPES: [[usize; 4]; 6] = [
        [1, 2, 2, 1],
        [3, 4, 2, 3],
        [2, 6, 10, 5],
        [5, 2, 4, 129],
        [3, 10, 6, 1_000],
        [1, 32, 62, 67],
    ];

    fn blocks([n, h, w, c]: [usize; 4]) -> Blocks {
        Blocks { n, h, w, c }
    }

    /// Calls `f` with a place on the small side and the four of its block.
    fn each_block(g: &Blocks, mut f: impl FnMut(usize, [usize; 4])) {
        let [n, p, q, c] = g.pixels();
        for (at, i) in (0..n * p * q * c).enumerate() {
            let (k, j, line) = (i % c, i / c % q, i / c / q);
            let corner = ((2 * line) * g.w + 2 * j) * c + k;
            let below = corner + g.w * c;
            f(at, [corner, corner + c, below, below + c]);
        }
    }

    #[test]
    fn picks_and_scatters() {
        for g in SHAPES.map(blocks) {
            let large = g.images().iter().product();
            let x: Vec<f32> = numbers(large, 3);
            let v: Vec<f32> = numbers(large, 4);
            let dy: Vec<f32> = numbers(large / 4, 5);
            let (y, dx) = in_pools(|| {
                let (mut y, mut dx) = (vec![9.0; large / 4], vec![9.0; large]);
                pick(&g, &v, &x, &mut y);
                scatter(&g, &dy, &x, &mut dx);
                (y, dx)
            });
            each_block(&g, |at, block| {
                let most = block.iter().map(|&i| x[i]).fold(f32::NEG_INFINITY, f32::max);
                let winner = block.into_iter().find(|&i| x[i] == most).unwrap();
                assert_eq!(y[at], v[winner], "{g:?}");
                for i in block {
                    assert_eq!(dx[i], if i == winner { dy[at] } else { 0.0 }, "{g:?}");
                }
            });
        }
    }

    #[test]
    fn upsamples_and_sums() {
        for g in SHAPES.map(blocks) {
            let large = g.images().iter().product();
            let x: Vec<f64> = numbers(large / 4, 3);
            let dy: Vec<f64> = numbers(large, 4);
            let (y, dx) = in_pools(|| {
                let (mut y, mut dx) = (vec![9.0; large], vec![9.0; large / 4]);
                upsample(&g, &x, &mut y);
                sum(&g, &dy, &mut dx);
                (y, dx)
            });
            each_block(&g, |at, block| {
                assert_eq!(block.map(|i| y[i]), [x[at]; 4], "{g:?}");
                let [a, b, c, d] = block.map(|i| dy[i]);
                assert_eq!(dx[at], (a + b) + (c + d), "{g:?}");
            });
        }
    }

    #[test]
    fn ties_and_nan() {
        let g = blocks([1, 2, 2, 1]);
        let (v, mut x, mut y) = ([0.0, 1.0, 2.0, 3.0], [7.0_f64; 4], [9.0]);
        pick(&g, &v, &x, &mut y);
        assert_eq!(y[0], 0.0, "the first of equals");
        x[2] = f64::NAN;
        let mut dx = [9.0; 4];
        pick(&g, &v, &x, &mut y);
        scatter(&g, &[5.0], &x, &mut dx);
        assert_eq!((y[0], dx), (2.0, [0.0, 0.0, 5.0, 0.0]));
        sum(&g, &x, &mut y);
        assert!(y[0].is_nan());
    }

    #[test]
    fn nothing_to_do() {
        for g in [[0, 4, 4, 3], [2, 0, 4, 3], [2, 4, 0, 3], [2, 4, 4, 0]].map(blocks) {
            pick::<f32>(&g, &[], &[], &mut []);
            scatter::<f32>(&g, &[], &[], &mut []);
            upsample::<f32>(&g, &[], &mut []);
            sum::<f32>(&g, &[], &mut []);
        }
    }
}
