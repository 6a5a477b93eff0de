//! Updates of parameters over flat buffers.
//!
//! Each takes `fault`: unless it is 0, nothing is written. A step that is not finite does not
//! happen.

use super::chunks::{TASK, chunks};
use super::real::Real;
use super::vectorized::vectorized;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Gradient descent with momentum, in pylearn2's form: `v = momentum·v − rate·g`, `p += v`.
pub fn sgd<R: Real>(p: &mut [R], g: &[R], v: &mut [R], rate: f64, momentum: f64, fault: R) {
    if fault != R::ZERO {
        return;
    }
    let (rate, momentum) = (R::from_f64(rate), R::from_f64(momentum));
    chunks([p, v], TASK, |at, [p, v]| {
        let g = &g[at..][..p.len()];
        sgd_chunk(p, g, v, rate, momentum);
    });
}

vectorized! {
    fn sgd_chunk[R: Real](p: &mut [R], g: &[R], v: &mut [R], rate: R, momentum: R) {
        for ((p, g), v) in p.iter_mut().zip(g).zip(v) {
            *v = momentum * *v - rate * *g;
            *p += *v;
        }
    }
}

/// The constants of [`adam`], rounded once.
#[derive(Clone, Copy)]
struct Adam<R> {
    rate: R,
    beta1: R,
    rest1: R,
    beta2: R,
    rest2: R,
    eps: R,
    l2: R,
    root: R,
}

/// Adam (Kingma & Ba 2014, algorithm 1) with L2 regularisation, in PyTorch's form. With
/// `g' = g + l2·p`: `m = beta1·m + (1 − beta1)·g'`, `v = beta2·v + (1 − beta2)·g'²`,
/// `p −= rate·(m / correction1) / (√(v / correction2) + eps)`, where a correction is
/// `1 − beta^t` at step t = 1, 2, ….
pub fn adam<R: Real>(
    p: &mut [R],
    g: &[R],
    m: &mut [R],
    v: &mut [R],
    rate: f64,
    beta1: f64,
    beta2: f64,
    eps: f64,
    l2: f64,
    correction1: f64,
    correction2: f64,
    fault: R,
) {
    if fault != R::ZERO {
        return;
    }
    let adam = Adam {
        rate: R::from_f64(rate / correction1),
        beta1: R::from_f64(beta1),
        rest1: R::from_f64(1.0 - beta1),
        beta2: R::from_f64(beta2),
        rest2: R::from_f64(1.0 - beta2),
        eps: R::from_f64(eps),
        l2: R::from_f64(l2),
        root: R::from_f64(1.0 / correction2.sqrt()),
    };
    chunks([p, m, v], TASK, |at, [p, m, v]| {
        let g = &g[at..][..p.len()];
        adam_chunk(p, g, m, v, adam);
    });
}

vectorized! {
    fn adam_chunk[R: Real](p: &mut [R], g: &[R], m: &mut [R], v: &mut [R], a: Adam<R>) {
        for (((p, g), m), v) in p.iter_mut().zip(g).zip(m).zip(v) {
            let g = *g + a.l2 * *p;
            *m = a.beta1 * *m + a.rest1 * g;
            *v = a.beta2 * *v + a.rest2 * g * g;
            *p -= a.rate * *m / (v.sqrt() * a.root + a.eps);
        }
    }
}

/// Exponential moving average of parameters: `e = decay·e + (1 − decay)·p`.
pub fn ema<R: Real>(e: &mut [R], p: &[R], decay: f64, fault: R) {
    if fault != R::ZERO {
        return;
    }
    let (decay, rest) = (R::from_f64(decay), R::from_f64(1.0 - decay));
    chunks([e], TASK, |at, [e]| {
        let p = &p[at..][..e.len()];
        ema_chunk(e, p, decay, rest);
    });
}

vectorized! {
    fn ema_chunk[R: Real](e: &mut [R], p: &[R], decay: R, rest: R) {
        for (e, p) in e.iter_mut().zip(p) {
            *e = decay * *e + rest * *p;
        }
    }
}

/// Whether any element is infinite or NaN.
pub fn non_finite<R: Real>(x: &[R]) -> bool {
    let found = AtomicBool::new(false);
    super::parallel::parallel(x.len().div_ceil(TASK), |task| {
        let part = &x[task * TASK..x.len().min((task + 1) * TASK)];
        if !found.load(Relaxed) && any_non_finite(part) {
            found.store(true, Relaxed);
        }
    });
    found.into_inner()
}

vectorized! {
    fn any_non_finite[R: Real](x: &[R]) -> bool {
        let mut any = false;
        for x in x {
            any |= !x.is_finite();
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::{in_pools, numbers};
    use super::*;

    const LENGTHS: [usize; 4] = [1, 67, 16_385, 40_003];
    /// A few roundings of numbers of size one.
    const CLOSE: f64 = 4.0 * f32::EPSILON as f64;

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|x| f64::from(*x)).collect()
    }

    fn assert_close(found: &[f32], expected: impl Iterator<Item = f64>) {
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < CLOSE, "{found} {expected}");
        }
    }

    #[test]
    fn sgd_with_momentum() {
        for len in LENGTHS {
            let (p0, g, v0) =
                (numbers::<f32>(len, 1), numbers::<f32>(len, 2), numbers::<f32>(len, 3));
            let (p, v) = in_pools(|| {
                let (mut p, mut v) = (p0.clone(), v0.clone());
                sgd(&mut p, &g, &mut v, 0.1, 0.5, 0.0);
                (p, v)
            });
            let (p0, g, v0) = (wide(&p0), wide(&g), wide(&v0));
            assert_close(&v, (0..len).map(|i| 0.5 * v0[i] - 0.1 * g[i]));
            assert_close(&p, (0..len).map(|i| p0[i] + 0.5 * v0[i] - 0.1 * g[i]));
        }
    }

    #[test]
    fn adam_with_l2() {
        for len in LENGTHS {
            let (p0, g) = (numbers::<f32>(len, 1), numbers::<f32>(len, 2));
            let (m0, v0) = (numbers::<f32>(len, 3), numbers::<f32>(len, 4));
            let v0: Vec<f32> = v0.iter().map(|v| v.abs()).collect();
            let (p, m, v) = in_pools(|| {
                let (mut p, mut m, mut v) = (p0.clone(), m0.clone(), v0.clone());
                adam(&mut p, &g, &mut m, &mut v, 0.01, 0.5, 0.999, 1e-3, 0.02, 0.875, 0.003, 0.0);
                (p, m, v)
            });
            let (p0, g, m0, v0) = (wide(&p0), wide(&g), wide(&m0), wide(&v0));
            let g: Vec<f64> = (0..len).map(|i| g[i] + 0.02 * p0[i]).collect();
            let m1: Vec<f64> = (0..len).map(|i| 0.5 * m0[i] + 0.5 * g[i]).collect();
            let v1: Vec<f64> = (0..len).map(|i| 0.999 * v0[i] + 0.001 * g[i] * g[i]).collect();
            assert_close(&m, m1.iter().copied());
            assert_close(&v, v1.iter().copied());
            let step = |i: usize| 0.01 * (m1[i] / 0.875) / ((v1[i] / 0.003).sqrt() + 1e-3);
            assert_close(&p, (0..len).map(|i| p0[i] - step(i)));
        }
    }

    #[test]
    fn moving_average() {
        for len in LENGTHS {
            let (e0, p) = (numbers::<f32>(len, 1), numbers::<f32>(len, 2));
            let e = in_pools(|| {
                let mut e = e0.clone();
                ema(&mut e, &p, 0.99, 0.0);
                e
            });
            let (e0, p) = (wide(&e0), wide(&p));
            assert_close(&e, (0..len).map(|i| 0.99 * e0[i] + 0.01 * p[i]));
        }
    }

    #[test]
    fn a_fault_stops_every_update() {
        for fault in [1.0, f64::NAN] {
            let (mut a, mut b, mut c) = (vec![1.0; 9], vec![1.0; 9], vec![1.0; 9]);
            let g = vec![5.0; 9];
            sgd(&mut a, &g, &mut b, 0.1, 0.5, fault);
            adam(&mut a, &g, &mut b, &mut c, 0.1, 0.5, 0.9, 1e-8, 0.1, 1.0, 1.0, fault);
            ema(&mut a, &g, 0.5, fault);
            assert_eq!((a, b, c), (vec![1.0; 9], vec![1.0; 9], vec![1.0; 9]));
        }
    }

    #[test]
    fn finds_what_is_not_finite() {
        for len in LENGTHS {
            let mut x: Vec<f32> = numbers(len, 1);
            assert!(!in_pools(|| non_finite(&x)));
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                x[len - 1] = bad;
                assert!(in_pools(|| non_finite(&x)));
            }
            x[len - 1] = f32::MAX;
            assert!(!non_finite(&x));
        }
        assert!(!non_finite::<f64>(&[]));
    }
}
