//! Sums over everything, per channel, and per sample.

use super::channels::{self, WIDE};
use super::chunks::{TASK, chunks};
use super::real::Real;
use super::vectorized::vectorized;

/// Elements of scratch for [`all`] over `len` elements.
pub fn all_scratch(len: usize) -> usize {
    per_sample_scratch(1, len)
}

/// The sum of `x` into `out`, `[1]`.
pub fn all<R: Real>(x: &[R], out: &mut [R], scratch: &mut [R]) {
    assert_eq!(out.len(), 1, "the sum of everything is one number");
    per_sample(x, out, scratch);
}

/// Elements of scratch for [`per_channel`] over `len = m·c` elements.
pub fn per_channel_scratch(len: usize, c: usize) -> usize {
    channels::sums_scratch(len, c, 1)
}

/// Sums over the rows of `x`, `[m, c]`, into `out`, `[c]`.
pub fn per_channel<R: Real>(x: &[R], out: &mut [R], scratch: &mut [R]) {
    let c = out.len();
    channels::sums(x.len(), c, scratch, out, |range, sums| {
        let x = &x[range];
        add_rows(x, sums);
    });
}

vectorized! {
    fn add_rows[R: Real](x: &[R], sums: &mut [R]) {
        for row in x.chunks(sums.len()) {
            for (sum, x) in sums.iter_mut().zip(row) {
                *sum += *x;
            }
        }
    }
}

/// Elements of scratch for [`per_sample`] over `n` samples of `each` elements.
pub fn per_sample_scratch(n: usize, each: usize) -> usize {
    if each <= TASK { 0 } else { n * each.div_ceil(TASK) }
}

/// Sums over each row of `x`, `[n, e]`, into `out`, `[n]`.
pub fn per_sample<R: Real>(x: &[R], out: &mut [R], scratch: &mut [R]) {
    if x.is_empty() || out.is_empty() {
        return out.fill(R::ZERO);
    }
    let each = x.len() / out.len();
    assert_eq!(each * out.len(), x.len(), "rows of equal length");
    if each <= TASK {
        return chunks([out], TASK / each, |at, [out]| {
            let x = &x[at * each..][..out.len() * each];
            sum_rows(x, each, out);
        });
    }
    let pieces = each.div_ceil(TASK);
    let scratch = &mut scratch[..out.len() * pieces];
    chunks([&mut *scratch], 1, |at, [partial]| {
        let sample = &x[at / pieces * each..][..each];
        let from = at % pieces * TASK;
        let piece = &sample[from..each.min(from + TASK)];
        sum_rows(piece, piece.len(), partial);
    });
    for (out, partials) in out.iter_mut().zip(scratch.chunks(pieces)) {
        *out = R::from_f64(partials.iter().map(|p| p.to_f64()).sum());
    }
}

vectorized! {
    fn sum_rows[R: Real](x: &[R], each: usize, out: &mut [R]) {
        for (out, x) in out.iter_mut().zip(x.chunks(each)) {
            *out = sum(x);
        }
    }
}

/// In lanes, so that it is the same sum for vectors of any width.
#[inline(always)]
fn sum<R: Real>(x: &[R]) -> R {
    let mut lanes = [R::ZERO; WIDE];
    let (whole, rest) = x.as_chunks::<WIDE>();
    for x in whole {
        for (lane, x) in lanes.iter_mut().zip(x) {
            *lane += *x;
        }
    }
    for (lane, x) in lanes.iter_mut().zip(rest) {
        *lane += *x;
    }
    let mut width = WIDE / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::super::chunks::{in_pools, numbers};
    use super::*;

    /// A chain of up to 512 numbers in [−1, 1) walks to about 13, so each addition rounds by at most
    /// 13·ε/2. Roundings are random: four standard deviations of `terms` of them.
    fn close(found: f32, expected: f64, terms: usize) {
        let bound = f64::from(f32::EPSILON) * (26.0 * (terms as f64).sqrt() + expected.abs());
        assert!((f64::from(found) - expected).abs() < bound, "{found} {expected}");
    }

    #[test]
    fn channels_of_any_number() {
        for (m, c) in
            [(1, 1), (70_001, 1), (9_001, 3), (513, 33), (259, 64), (130, 129), (33, 1030)]
        {
            let x: Vec<f32> = numbers(m * c, 1);
            let sums = in_pools(|| {
                let mut out = vec![9.0; c];
                per_channel(&x, &mut out, &mut vec![9.0; per_channel_scratch(m * c, c)]);
                out
            });
            for j in 0..c {
                close(sums[j], x.iter().skip(j).step_by(c).map(|v| f64::from(*v)).sum(), m);
            }
        }
    }

    #[test]
    fn samples_of_any_length() {
        for (n, e) in
            [(1, 1), (300, 1), (7, 129), (40, 1000), (3, TASK), (3, TASK + 1), (2, 100_003)]
        {
            let x: Vec<f32> = numbers(n * e, 2);
            let sums = in_pools(|| {
                let mut out = vec![9.0; n];
                per_sample(&x, &mut out, &mut vec![9.0; per_sample_scratch(n, e)]);
                out
            });
            for (sum, x) in sums.iter().zip(x.chunks(e)) {
                close(*sum, x.iter().map(|v| f64::from(*v)).sum(), e);
            }
        }
    }

    /// A chain of 16 million f32 additions of 0.1 would be off by 8 %.
    #[test]
    fn error_does_not_grow() {
        let x = vec![0.1_f32; 1 << 24];
        let mut out = [0.0];
        all(&x, &mut out, &mut vec![0.0; all_scratch(x.len())]);
        let exact = f64::from(0.1_f32) * x.len() as f64;
        assert!((f64::from(out[0]) / exact - 1.0).abs() < 1e-5, "{} {exact}", out[0]);
        let mut out = [0.0];
        per_channel(&x, &mut out, &mut vec![0.0; per_channel_scratch(x.len(), 1)]);
        assert!((f64::from(out[0]) / exact - 1.0).abs() < 1e-5, "{} {exact}", out[0]);
    }
}
