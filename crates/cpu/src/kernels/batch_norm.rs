//! Batch normalisation (Ioffe & Szegedy 2015, algorithms 1 and 2), forward and backward, with the
//! activation that follows it.
//!
//! Tensors are `[m, c]`: every axis but the channels is one axis of m. Statistics travel between
//! ranks as sums, so each step is cut there: [`moments`], sums over ranks, [`statistics`],
//! [`normalize`]; backward [`grad_sums`], sums over ranks, [`grad`].

use super::activation::{Act, Activation, Identity, Leaky, Relu, Sigmoid, Tanh, hoist};
use super::channels::{self, WIDE, repeated};
use super::chunks::chunks;
use super::math::Math;
use super::real::Real;
use super::vectorized::vectorized;

/// Elements of scratch for [`moments`] and [`grad_sums`] over `[m, c]`.
pub fn sums_scratch(m: usize, c: usize) -> usize {
    channels::sums_scratch(m * c, c, 2)
}

/// `sums = [Σ(x − r), Σ(x − r)², m]`, `[2c + 1]`, of `x`, `[m, c]`, with `r = shift`, `[c]`.
///
/// The shift keeps the difference of the two sums from cancelling; the best is close to the mean,
/// and it must be the same on all ranks. In f32 the count is exact up to 2²⁴.
pub fn moments<R: Real>(x: &[R], shift: &[R], sums: &mut [R], scratch: &mut [R]) {
    let c = shift.len();
    assert_eq!(sums.len(), 2 * c + 1, "two sums per channel and the count");
    let mut space = [[R::ZERO; WIDE]; 1];
    let [shift] = repeated([shift], &mut space);
    channels::sums(x.len(), c, scratch, &mut sums[..2 * c], |range, sums| {
        let x = &x[range];
        let (first, second) = sums.split_at_mut(shift.len());
        add_moments(x, shift, first, second);
    });
    sums[2 * c] = R::from_f64((x.len() / c.max(1)) as f64);
}

vectorized! {
    fn add_moments[R: Real](x: &[R], shift: &[R], first: &mut [R], second: &mut [R]) {
        for x in x.chunks(shift.len()) {
            for (((x, r), first), second) in x.iter().zip(shift).zip(&mut *first).zip(&mut *second) {
                let d = *x - *r;
                *first += d;
                *second += d * d;
            }
        }
    }
}

/// `stats = [mean, 1/√(variance + eps)]`, `[2c]`, from what [`moments`] gave, summed over ranks.
/// The variance is biased (divided by the count).
pub fn statistics<R: Real>(sums: &[R], shift: &[R], eps: f64, stats: &mut [R]) {
    let c = shift.len();
    for j in 0..c {
        let (mean, variance) = mean_and_variance(sums, c, j);
        stats[j] = R::from_f64(shift[j].to_f64() + mean);
        stats[c + j] = R::from_f64(1.0 / (variance + eps).sqrt());
    }
}

/// Updates `running = [mean, variance]`, `[2c]`, in PyTorch's convention:
/// `new = (1 − momentum)·old + momentum·batch`, the variance unbiased.
pub fn running<R: Real>(sums: &[R], shift: &[R], momentum: f64, running: &mut [R]) {
    let c = shift.len();
    let count = sums[2 * c].to_f64();
    let unbias = count / (count - 1.0).max(1.0);
    let blend = |old: &mut R, new: f64| {
        *old = R::from_f64((1.0 - momentum) * old.to_f64() + momentum * new);
    };
    for j in 0..c {
        let (mean, variance) = mean_and_variance(sums, c, j);
        blend(&mut running[j], shift[j].to_f64() + mean);
        blend(&mut running[c + j], variance * unbias);
    }
}

/// Mean relative to the shift, and biased variance, of channel `j`. In f64, as it costs nothing.
fn mean_and_variance<R: Real>(sums: &[R], c: usize, j: usize) -> (f64, f64) {
    let count = sums[2 * c].to_f64();
    let mean = sums[j].to_f64() / count;
    let variance = sums[c + j].to_f64() / count - mean * mean;
    // Not `max`, which would make a number of a NaN.
    (mean, if variance < 0.0 { 0.0 } else { variance })
}

/// `y = act(γ·(x − mean)·invstd + β)`; `x` and `y` are `[m, c]`, `stats = [mean, invstd]`.
pub fn normalize<R: Math>(x: &[R], stats: &[R], gamma: &[R], beta: &[R], act: Act, y: &mut [R]) {
    let c = gamma.len();
    assert_eq!(x.len(), y.len(), "normalisation keeps the shape");
    let (mean, invstd) = stats.split_at(c);
    let mut space = [[R::ZERO; WIDE]; 4];
    let tables = repeated([mean, invstd, gamma, beta], &mut space);
    hoist!(act, |a| chunks([y], channels::task(c), |at, [y]| {
        let x = &x[at..][..y.len()];
        normalize_rows(x, tables, a, y);
    }));
}

vectorized! {
    fn normalize_rows[R: Math, A: Activation<R>](x: &[R], tables: [&[R]; 4], a: A, y: &mut [R]) {
        let [mean, invstd, gamma, beta] = tables;
        let period = mean.len();
        for (x, y) in x.chunks(period).zip(y.chunks_mut(period)) {
            let n = x.len();
            let (mean, invstd, gamma, beta) = (&mean[..n], &invstd[..n], &gamma[..n], &beta[..n]);
            let y = &mut y[..n];
            for j in 0..n {
                y[j] = a.apply((x[j] - mean[j]) * invstd[j] * gamma[j] + beta[j]);
            }
        }
    }
}

/// `out = [Σd, Σd·x̂]`, `[2c]`, with `d = dy·act'`, taken from `y`, and `x̂ = (x − mean)·invstd`:
/// the gradients of β and γ. `y` is not read for [`Act::None`].
pub fn grad_sums<R: Math>(
    dy: &[R],
    y: &[R],
    x: &[R],
    stats: &[R],
    act: Act,
    out: &mut [R],
    scratch: &mut [R],
) {
    let y = if act == Act::None { x } else { y };
    let c = out.len() / 2;
    let (mean, invstd) = stats.split_at(c);
    let mut space = [[R::ZERO; WIDE]; 2];
    let tables = repeated([mean, invstd], &mut space);
    hoist!(act, |a| channels::sums(x.len(), c, scratch, out, |range, sums| {
        let (dy, y, x) = (&dy[range.clone()], &y[range.clone()], &x[range]);
        let (first, second) = sums.split_at_mut(tables[0].len());
        add_grads(dy, y, x, tables, a, first, second);
    }));
}

vectorized! {
    fn add_grads[R: Math, A: Activation<R>](
        dy: &[R],
        y: &[R],
        x: &[R],
        tables: [&[R]; 2],
        a: A,
        first: &mut [R],
        second: &mut [R],
    ) {
        let [mean, invstd] = tables;
        let period = mean.len();
        for ((dy, y), x) in dy
            .chunks(period)
            .zip(y.chunks(period))
            .zip(x.chunks(period))
        {
            let n = x.len();
            let (dy, y, mean, invstd) = (&dy[..n], &y[..n], &mean[..n], &invstd[..n]);
            let (first, second) = (&mut first[..n], &mut second[..n]);
            for j in 0..n {
                let d = dy[j] * a.derivative(y[j]);
                first[j] += d;
                second[j] += d * ((x[j] - mean[j]) * invstd[j]);
            }
        }
    }
}

/// `dx = γ·invstd·(d − Σd/count − x̂·Σd·x̂/count)`, `[m, c]`. `sums` is what [`grad_sums`] gave,
/// summed over ranks, and `count` the m of all ranks together.
pub fn grad<R: Math>(
    dy: &[R],
    y: &[R],
    x: &[R],
    stats: &[R],
    gamma: &[R],
    act: Act,
    sums: &[R],
    count: R,
    dx: &mut [R],
) {
    let y = if act == Act::None { x } else { y };
    let c = gamma.len();
    let (mean, invstd) = stats.split_at(c);
    let (first, second) = sums.split_at(c);
    let mut space = [[R::ZERO; WIDE]; 5];
    let tables = repeated([mean, invstd, gamma, first, second], &mut space);
    let share = R::ONE / count;
    hoist!(act, |a| chunks([dx], channels::task(c), |at, [dx]| {
        let range = at..at + dx.len();
        let (dy, y, x) = (&dy[range.clone()], &y[range.clone()], &x[range]);
        grad_rows(dy, y, x, tables, a, share, dx);
    }));
}

vectorized! {
    fn grad_rows[R: Math, A: Activation<R>](
        dy: &[R],
        y: &[R],
        x: &[R],
        tables: [&[R]; 5],
        a: A,
        share: R,
        dx: &mut [R],
    ) {
        let [mean, invstd, gamma, first, second] = tables;
        let period = mean.len();
        for (i, dx) in dx.chunks_mut(period).enumerate() {
            let n = dx.len();
            let (dy, y, x) = (
                &dy[i * period..][..n],
                &y[i * period..][..n],
                &x[i * period..][..n],
            );
            let (mean, invstd, gamma) = (&mean[..n], &invstd[..n], &gamma[..n]);
            let (first, second) = (&first[..n], &second[..n]);
            for j in 0..n {
                let d = dy[j] * a.derivative(y[j]);
                let x_hat = (x[j] - mean[j]) * invstd[j];
                let centred = d - (first[j] + x_hat * second[j]) * share;
                dx[j] = gamma[j] * invstd[j] * centred;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::{in_pools, numbers};
    use super::*;

    const SHAPES: [(usize, usize); 6] =
        [(2, 1), (50_000, 1), (7_001, 3), (600, 33), (300, 64), (37, 515)];
    const ACTS: [Act; 5] = [Act::None, Act::Relu, Act::Leaky(0.2), Act::Tanh, Act::Sigmoid];

    /// Everything forward and backward for one rank: sums, statistics, y, gradient sums, dx.
    fn whole<R: Math>(x: &[R], dy: &[R], c: usize, act: Act) -> [Vec<R>; 5] {
        let m = x.len() / c;
        let zeros = |n: usize| vec![R::ZERO; n];
        let (shift, gamma, beta) = (numbers::<R>(c, 11), numbers::<R>(c, 12), numbers::<R>(c, 13));
        let mut scratch = zeros(sums_scratch(m, c));
        let (mut sums, mut stats, mut y) = (zeros(2 * c + 1), zeros(2 * c), zeros(x.len()));
        moments(x, &shift, &mut sums, &mut scratch);
        statistics(&sums, &shift, 1e-5, &mut stats);
        normalize(x, &stats, &gamma, &beta, act, &mut y);
        let (mut grads, mut dx) = (zeros(2 * c), zeros(x.len()));
        grad_sums(dy, &y, x, &stats, act, &mut grads, &mut scratch);
        grad(dy, &y, x, &stats, &gamma, act, &grads, sums[2 * c], &mut dx);
        [sums, stats, y, grads, dx]
    }

    /// Plain two-pass formulas; the activation from its input.
    fn naive(x: &[f64], dy: &[f64], c: usize, act: Act) -> [Vec<f64>; 4] {
        let m = (x.len() / c) as f64;
        let (gamma, beta) = (numbers::<f64>(c, 12), numbers::<f64>(c, 13));
        let (mut stats, mut y) = (vec![0.0; 2 * c], vec![0.0; x.len()]);
        let (mut grads, mut dx) = (vec![0.0; 2 * c], vec![0.0; x.len()]);
        for j in 0..c {
            let column = || (j..x.len()).step_by(c);
            let mean = column().map(|i| x[i]).sum::<f64>() / m;
            let variance = column().map(|i| (x[i] - mean).powi(2)).sum::<f64>() / m;
            let invstd = 1.0 / (variance + 1e-5).sqrt();
            (stats[j], stats[c + j]) = (mean, invstd);
            let x_hat = |i: usize| (x[i] - mean) * invstd;
            let mut d = vec![0.0; x.len()];
            for i in column() {
                let z = gamma[j] * x_hat(i) + beta[j];
                let (value, slope) = match act {
                    Act::None => (z, 1.0),
                    Act::Relu => (z.max(0.0), if z > 0.0 { 1.0 } else { 0.0 }),
                    Act::Leaky(s) => (z.max(s * z), if z > 0.0 { 1.0 } else { s }),
                    Act::Tanh => (f64::tanh(z), 1.0 / f64::cosh(z).powi(2)),
                    Act::Sigmoid => {
                        let e = f64::exp(-z);
                        (1.0 / (1.0 + e), e / (1.0 + e).powi(2))
                    }
                };
                y[i] = value;
                d[i] = dy[i] * slope;
                grads[j] += d[i];
                grads[c + j] += d[i] * x_hat(i);
            }
            for i in column() {
                let centred = d[i] - grads[j] / m - x_hat(i) * grads[c + j] / m;
                dx[i] = gamma[j] * invstd * centred;
            }
        }
        [stats, y, grads, dx]
    }

    #[test]
    fn agrees_with_the_formulas() {
        for (m, c) in SHAPES {
            for act in ACTS {
                let (x, dy) = (numbers::<f64>(m * c, 21), numbers::<f64>(m * c, 22));
                let [_, stats, y, grads, dx] = in_pools(|| whole(&x, &dy, c, act));
                let expected = naive(&x, &dy, c, act);
                for (found, expected) in [stats, y, grads, dx].iter().zip(&expected) {
                    for (found, expected) in found.iter().zip(expected) {
                        // Rounding of f64 times √m, and 1/√eps where m = 2 makes x̂ steep.
                        let bound = 1e-11 * (1.0 + expected.abs());
                        assert!(
                            (found - expected).abs() < bound,
                            "{m} {c} {act:?} {found} {expected}"
                        );
                    }
                }
            }
        }
    }

    /// The error of f32 does not depend on m: sums of 16 thousand to a million elements.
    #[test]
    fn single_precision() {
        for (m, c) in [(1 << 14, 3), (1 << 20, 1), (1 << 14, 64)] {
            let (x, dy) = (numbers::<f32>(m * c, 21), numbers::<f32>(m * c, 22));
            let single = in_pools(|| whole(&x, &dy, c, Act::Leaky(0.2)));
            let wide = |x: &[f32]| x.iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
            let double = naive(&wide(&x), &wide(&dy), c, Act::Leaky(0.2));
            let worst = |found: &[f32], expected: &[f64]| {
                let error = |(f, e): (&f32, &f64)| (f64::from(*f) - e).abs();
                found.iter().zip(expected).map(error).fold(0.0, f64::max)
            };
            assert!(worst(&single[1], &double[0]) < 2e-6, "statistics");
            assert!(worst(&single[2], &double[1]) < 4e-6, "y");
            // Where z is within rounding of 0 the two may take different sides.
            let sided =
                single[2].iter().zip(&double[1]).filter(|(s, d)| (**s > 0.0) != (**d > 0.0));
            assert!(sided.count() < 10);
            assert!(worst(&single[3], &double[2]) < 1e-6 * m as f64, "sums of gradients");
        }
    }

    #[test]
    fn a_mean_far_from_zero_needs_the_shift() {
        let x: Vec<f32> = numbers::<f32>(40_000, 5).iter().map(|x| 1_000.0 + x).collect();
        let exact = x.iter().map(|x| f64::from(*x)).sum::<f64>() / 40_000.0;
        let variance = x.iter().map(|x| (f64::from(*x) - exact).powi(2)).sum::<f64>() / 40_000.0;
        let found = |shift: f32| {
            let (mut sums, mut stats) = (vec![0.0; 3], vec![0.0; 2]);
            moments(&x, &[shift], &mut sums, &mut vec![0.0; sums_scratch(40_000, 1)]);
            statistics(&sums, &[shift], 0.0, &mut stats);
            f64::from(stats[1]).powi(-2)
        };
        assert!((found(999.9) / variance - 1.0).abs() < 1e-5, "{} {variance}", found(999.9));
        assert!((found(0.0) / variance - 1.0).abs() > 1e-3, "{} {variance}", found(0.0));
    }

    #[test]
    fn two_ranks_sum_to_one() {
        let (m, c) = (64, 5);
        let x = numbers::<f64>(m * c, 1);
        let sums = |x: &[f64]| {
            let mut sums = vec![0.0; 2 * c + 1];
            moments(x, &vec![0.1; c], &mut sums, &mut vec![0.0; sums_scratch(m, c)]);
            sums
        };
        let (one, (a, b)) = (sums(&x), x.split_at(m * c / 2));
        for ((one, a), b) in one.iter().zip(sums(a)).zip(sums(b)) {
            assert!((one - (a + b)).abs() < 1e-13);
        }
    }

    /// PyTorch: x = [1, 2, 3, 6], momentum 0.1, running statistics 0 and 1 before.
    #[test]
    fn running_statistics() {
        let (mut sums, mut stats) = (vec![0.0_f64; 3], vec![0.0, 1.0]);
        moments(&[1.0, 2.0, 3.0, 6.0], &[0.5], &mut sums, &mut [0.0; 128]);
        running(&sums, &[0.5], 0.1, &mut stats);
        assert!((stats[0] - 0.3).abs() < 1e-15);
        assert!((stats[1] - (0.9 + 0.1 * 14.0 / 3.0)).abs() < 1e-15);
    }

    #[test]
    fn conventions_at_zero_and_nan() {
        assert_eq!((Relu.derivative(0.0), Leaky(0.2).derivative(0.0)), (0.0, 0.2));
        for act in ACTS {
            let mut y = [0.0_f32];
            normalize(&[f32::NAN], &[0.0, 1.0], &[1.0], &[0.0], act, &mut y);
            assert!(y[0].is_nan(), "{act:?}");
        }
    }
}
