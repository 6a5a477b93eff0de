//! Maxout (Goodfellow et al. 2013): of the pieces of a unit, the largest.
//!
//! `x` is `[rows, units·pieces]`, the pieces of a unit side by side. Among equals the first wins,
//! and a NaN wins against numbers, so that it is not lost.

use super::chunks::{TASK, chunks};
use super::real::Real;
use super::vectorized::vectorized;

/// `y = v` at the largest of `x` in each unit. Forward it is `pick(x, x, y)`.
/// `v` and `x` are `[rows, units·pieces]`, `y` is `[rows, units]`.
pub fn pick<R: Real>(v: &[R], x: &[R], y: &mut [R]) {
    let pieces = x.len() / y.len().max(1);
    assert_eq!((x.len(), v.len()), (pieces * y.len(), x.len()), "whole units");
    chunks([y], (TASK / pieces.max(1)).max(1), |at, [y]| {
        let range = at * pieces..(at + y.len()) * pieces;
        let (v, x) = (&v[range.clone()], &x[range]);
        match pieces {
            2 => pick_of(v.as_chunks::<2>().0, x.as_chunks().0, y),
            3 => pick_of(v.as_chunks::<3>().0, x.as_chunks().0, y),
            4 => pick_of(v.as_chunks::<4>().0, x.as_chunks().0, y),
            5 => pick_of(v.as_chunks::<5>().0, x.as_chunks().0, y),
            _ => {
                for ((v, x), y) in v.chunks(pieces).zip(x.chunks(pieces)).zip(y) {
                    *y = v[winner(x)];
                }
            }
        }
    });
}

/// The adjoint of [`pick`] in `v`: `dy`, `[rows, units]`, to the winners in `dx`, and 0 elsewhere.
pub fn scatter<R: Real>(dy: &[R], x: &[R], dx: &mut [R]) {
    let pieces = x.len() / dy.len().max(1);
    assert_eq!((x.len(), dx.len()), (pieces * dy.len(), x.len()), "whole units");
    chunks([dx], (TASK / pieces.max(1)).max(1) * pieces, |at, [dx]| {
        let x = &x[at..][..dx.len()];
        let dy = &dy[at / pieces..][..dx.len() / pieces];
        match pieces {
            2 => scatter_of(dy, x.as_chunks::<2>().0, dx.as_chunks_mut().0),
            3 => scatter_of(dy, x.as_chunks::<3>().0, dx.as_chunks_mut().0),
            4 => scatter_of(dy, x.as_chunks::<4>().0, dx.as_chunks_mut().0),
            5 => scatter_of(dy, x.as_chunks::<5>().0, dx.as_chunks_mut().0),
            _ => {
                for ((dy, x), dx) in dy.iter().zip(x.chunks(pieces)).zip(dx.chunks_mut(pieces)) {
                    dx.fill(R::ZERO);
                    dx[winner(x)] = *dy;
                }
            }
        }
    });
}

/// Whether `candidate` takes the place of `best`.
#[inline(always)]
#[allow(clippy::eq_op)] // how to ask for NaN without a branch
pub(super) fn beats<R: Real>(candidate: R, best: R) -> bool {
    (candidate > best) | ((candidate != candidate) & (best == best))
}

#[inline(always)]
fn winner<R: Real>(x: &[R]) -> usize {
    let mut at = 0;
    for (i, candidate) in x.iter().enumerate() {
        if beats(*candidate, x[at]) {
            at = i;
        }
    }
    at
}

vectorized! {
    /// For a number of pieces known to the compiler, which then selects instead of branching.
    fn pick_of[R: Real, const P: usize](v: &[[R; P]], x: &[[R; P]], y: &mut [R]) {
        for ((v, x), y) in v.iter().zip(x).zip(y) {
            let (mut best, mut picked) = (x[0], v[0]);
            for i in 1..P {
                let wins = beats(x[i], best);
                best = if wins { x[i] } else { best };
                picked = if wins { v[i] } else { picked };
            }
            *y = picked;
        }
    }
}

vectorized! {
    fn scatter_of[R: Real, const P: usize](dy: &[R], x: &[[R; P]], dx: &mut [[R; P]]) {
        for ((dy, x), dx) in dy.iter().zip(x).zip(dx) {
            let (mut best, mut at) = (x[0], 0_u32);
            for i in 1..P {
                let wins = beats(x[i], best);
                best = if wins { x[i] } else { best };
                at = if wins { i as u32 } else { at };
            }
            for i in 0..P {
                dx[i] = if at == i as u32 { *dy } else { R::ZERO };
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::{in_pools, numbers};
    use super::*;

    #[test]
    fn picks_and_scatters() {
        for (units, pieces) in
            [(1, 1), (9_001, 2), (13, 3), (7_777, 4), (20_003, 5), (3_001, 7), (2, 20_000)]
        {
            let x: Vec<f32> = numbers(units * pieces, 3);
            let v: Vec<f32> = numbers(units * pieces, 4);
            let dy: Vec<f32> = numbers(units, 5);
            let (y, dx) = in_pools(|| {
                let (mut y, mut dx) = (vec![9.0; units], vec![9.0; units * pieces]);
                pick(&v, &x, &mut y);
                scatter(&dy, &x, &mut dx);
                (y, dx)
            });
            for u in 0..units {
                let unit = &x[u * pieces..][..pieces];
                let most = unit.iter().copied().fold(f32::NEG_INFINITY, f32::max);
                let at = unit.iter().position(|x| *x == most).unwrap();
                assert_eq!(y[u], v[u * pieces + at]);
                for i in 0..pieces {
                    assert_eq!(dx[u * pieces + i], if i == at { dy[u] } else { 0.0 });
                }
            }
        }
    }

    #[test]
    fn ties_and_nan() {
        for pieces in 2..=6 {
            let mut x = vec![1.0_f64; pieces];
            let v: Vec<f64> = (0..pieces).map(|i| i as f64).collect();
            let mut y = [9.0];
            pick(&v, &x, &mut y);
            assert_eq!(y[0], 0.0, "the first of equals");
            x[1] = f64::NAN;
            let mut dx = vec![9.0; pieces];
            pick(&v, &x, &mut y);
            scatter(&[5.0], &x, &mut dx);
            assert_eq!((y[0], dx[0], dx[1]), (1.0, 0.0, 5.0));
        }
    }
}
