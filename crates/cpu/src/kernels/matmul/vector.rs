//! Products with a vector, which read or write a matrix once: as fast as memory is.

use crate::kernels::parallel::{Shared, chunk, parallel};
use crate::kernels::real::Real;
use crate::kernels::vectorized::vectorized;
use std::ops::Range;

/// Elements of a matrix that are worth a task.
const TASK: usize = 16 * 1024;
/// Columns whose sums stay in the first-level cache.
const COLUMNS: usize = 512;
/// Sums that a dot product is taken in.
const LANES: usize = 64;
/// Rows that are added to a result together.
const ROWS: usize = 4;

/// `y[i] (+)= Σ_j a[i, j] · x[j]` for `a` of `y.len()` × `x.len()`.
pub fn times<R: Real>(a: &[R], x: &[R], y: &mut [R], accumulate: bool) {
    let (m, k) = (y.len(), x.len());
    let rows = chunk(m, 1, TASK.div_ceil(k.max(1)));
    let y = Shared::new(y);
    parallel(m.div_ceil(rows), |task| {
        let mine = task * rows..((task + 1) * rows).min(m);
        // SAFETY: tasks have rows of their own.
        let y = unsafe { y.part(mine.start, mine.len()) };
        for (i, y) in mine.zip(y) {
            let sum = dot(&a[i * k..][..k], x);
            *y = if accumulate { *y + sum } else { sum };
        }
    });
}

/// `y[j] (+)= Σ_i x[i] · a[i, j]` for `a` of `x.len()` × `y.len()`: its rows, each times a number.
pub fn transposed_times<R: Real>(a: &[R], x: &[R], y: &mut [R], accumulate: bool) {
    let n = y.len();
    let columns = chunk(n, 16, COLUMNS);
    let y = Shared::new(y);
    parallel(n.div_ceil(columns), |task| {
        let mine = task * columns..((task + 1) * columns).min(n);
        // SAFETY: tasks have columns of their own.
        let y = unsafe { y.part(mine.start, mine.len()) };
        if !accumulate {
            y.fill(R::ZERO);
        }
        add_rows(a, n, mine, x, y);
    });
}

/// `c[i, j] (+)= x[i] · y[j]`.
pub fn outer<R: Real>(x: &[R], y: &[R], c: &mut [R], accumulate: bool) {
    let (m, n) = (x.len(), y.len());
    let rows = chunk(m, 1, TASK.div_ceil(n.max(1)));
    let c = Shared::new(c);
    parallel(m.div_ceil(rows), |task| {
        let mine = task * rows..((task + 1) * rows).min(m);
        // SAFETY: tasks have rows of their own.
        let c = unsafe { c.part(mine.start * n, mine.len() * n) };
        for (&x, c) in x[mine].iter().zip(c.chunks_exact_mut(n)) {
            scale(x, y, c, accumulate);
        }
    });
}

vectorized! {
    fn dot[R: Real](a: &[R], b: &[R]) -> R {
        let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
        let mut sums = [R::ZERO; LANES];
        for (a, b) in a.iter().zip(b) {
            for j in 0..LANES {
                sums[j] += a[j] * b[j];
            }
        }
        for (sum, (&a, &b)) in sums.iter_mut().zip(a_rest.iter().zip(b_rest)) {
            *sum += a * b;
        }
        let mut width = LANES;
        while width > 1 {
            width /= 2;
            for j in 0..width {
                sums[j] += sums[j + width];
            }
        }
        sums[0]
    }
}

vectorized! {
    fn add_rows[R: Real](a: &[R], n: usize, columns: Range<usize>, x: &[R], y: &mut [R]) {
        let row = |i: usize| &a[i * n..][columns.clone()];
        let (fours, rest) = x.as_chunks::<ROWS>();
        for (i, x) in fours.iter().enumerate() {
            let rows: [&[R]; ROWS] = std::array::from_fn(|j| row(i * ROWS + j));
            let [p, q, r, s] = rows.map(|row| &row[..y.len()]);
            for j in 0..y.len() {
                y[j] += (x[0] * p[j] + x[1] * q[j]) + (x[2] * r[j] + x[3] * s[j]);
            }
        }
        for (i, &x) in rest.iter().enumerate() {
            for (y, &a) in y.iter_mut().zip(row(fours.len() * ROWS + i)) {
                *y += x * a;
            }
        }
    }
}

vectorized! {
    fn scale[R: Real](x: R, y: &[R], c: &mut [R], accumulate: bool) {
        if accumulate {
            for (c, &y) in c.iter_mut().zip(y) {
                *c += x * y;
            }
        } else {
            for (c, &y) in c.iter_mut().zip(y) {
                *c = x * y;
            }
        }
    }
}
