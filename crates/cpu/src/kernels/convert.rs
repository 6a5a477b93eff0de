//! Bytes and f32 numbers of the host to the run's type.

use super::parallel::{Shared, parallel};
use super::real::Real;
use super::vectorized::vectorized;

/// Elements of one task.
const TASK: usize = 64 * 1024;

/// `y = scale · x + shift`, x being u8 or little-endian f32: the number of bytes tells which.
pub fn convert<R: Real>(x: &[u8], y: &mut [R], scale: f64, shift: f64) {
    let size = x.len() / y.len().max(1);
    assert!(size * y.len() == x.len() && (size == 1 || size == 4), "u8 or f32");
    let len = y.len();
    let y = Shared::new(y);
    let (scale, shift) = (R::from_f64(scale), R::from_f64(shift));
    parallel(len.div_ceil(TASK), |task| {
        let from = task * TASK;
        let n = TASK.min(len - from);
        // SAFETY: tasks are disjoint ranges.
        let y = unsafe { y.part(from, n) };
        let x = &x[from * size..][..n * size];
        match size {
            1 => from_bytes(x, y, scale, shift),
            _ => from_f32(x, y, scale, shift),
        }
    });
}

vectorized! {
    fn from_bytes[R: Real](x: &[u8], y: &mut [R], scale: R, shift: R) {
        for (y, &x) in y.iter_mut().zip(x) {
            *y = scale * R::from_f64(f64::from(x)) + shift;
        }
    }
}

vectorized! {
    fn from_f32[R: Real](x: &[u8], y: &mut [R], scale: R, shift: R) {
        for (y, x) in y.iter_mut().zip(x.chunks_exact(4)) {
            let x = f32::from_le_bytes([x[0], x[1], x[2], x[3]]);
            *y = scale * R::from_f64(f64::from(x)) + shift;
        }
    }
}
