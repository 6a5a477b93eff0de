//! Dropout (Hinton et al. 2012).

use super::math::Math;
use super::noise::{Draw, Words};
use super::vectorized::vectorized;

/// `y = scale·x` where the element is kept, which happens with probability `keep`, and 0 elsewhere.
/// `x` and `y` are `[rows, row]`.
///
/// The mask is drawn again from `at` at each call, so the gradient is this same function applied to
/// the gradient of `y`. An element is kept if its uniform number is below `keep`, compared exactly.
pub fn dropout<R: Math>(x: &[R], y: &mut [R], keep: f64, scale: f64, at: Draw) {
    assert_eq!(x.len(), y.len(), "dropout keeps the shape");
    let scale = R::from_f64(scale);
    // u < keep with u = (w >> 8)·2⁻²⁴, in integers.
    let limit = (keep * 16_777_216.0).ceil() as i32;
    at.parts(y, |start, y, words| {
        let x = &x[start..][..y.len()];
        mask(x, y, words, limit, scale);
    });
}

vectorized! {
    fn mask[R: Math](x: &[R], y: &mut [R], words: Words, limit: i32, scale: R) {
        let keep = |x: R, w: u32| {
            if ((w >> 8) as i32) < limit {
                x * scale
            } else {
                R::ZERO
            }
        };
        let (x_blocks, x_rest) = x.as_chunks::<4>();
        let (y_blocks, y_rest) = y.as_chunks_mut::<4>();
        for (i, (x, y)) in x_blocks.iter().zip(&mut *y_blocks).enumerate() {
            let w = words.block(i as u32);
            for j in 0..4 {
                y[j] = keep(x[j], w[j]);
            }
        }
        let w = words.block(y_blocks.len() as u32);
        for ((x, y), w) in x_rest.iter().zip(y_rest).zip(w) {
            *y = keep(*x, w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::{in_pools, numbers};
    use super::super::noise::uniform;
    use super::*;

    #[test]
    fn keeps_the_share_and_repeats() {
        for row in [7, 240, 20_001] {
            let len = row * 21;
            let at = Draw { seed: 1, stream: 2, tick: 3, rank: 1, world: 3, row };
            let x: Vec<f32> = numbers(len, 6);
            let (y, dx) = in_pools(|| {
                let (mut y, mut dx) = (vec![9.0; len], vec![9.0; len]);
                dropout(&x, &mut y, 0.8, 1.25, at);
                dropout(&vec![1.0; len], &mut dx, 0.8, 1.25, at);
                (y, dx)
            });
            let mut u = vec![0.0_f64; len];
            uniform(&mut u, 0.0, 1.0, at);
            for i in 0..len {
                let expected = if u[i] < 0.8 { 1.25 } else { 0.0 };
                assert_eq!((dx[i], y[i]), (expected, x[i] * expected));
            }
            // Five standard errors of a coin of 0.8.
            let kept = dx.iter().filter(|d| **d != 0.0).count() as f64 / len as f64;
            assert!((kept - 0.8).abs() < 5.0 * (0.16 / len as f64).sqrt(), "{kept}");
        }
    }

    #[test]
    fn keep_all_or_nothing() {
        let at = Draw { seed: 1, stream: 2, tick: 3, rank: 0, world: 1, row: 1_000 };
        let x: Vec<f64> = numbers(1_000, 6);
        let mut y = vec![9.0; 1_000];
        dropout(&x, &mut y, 1.0, 1.0, at);
        assert_eq!(x, y);
        dropout(&x, &mut y, 0.0, 1.0, at);
        assert_eq!(y, vec![0.0; 1_000]);
    }
}
