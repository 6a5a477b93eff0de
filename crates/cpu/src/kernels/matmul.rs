//! Products of plain matrices.

use super::epilogue::Epilogue;
use super::gemm::{Matrix, Pack, Transposed, Work, WorkSize, gemm};
use super::math::Math;
use super::tile::{Layout, WIDEST};

mod vector;

/// Work space of [`matmul`].
pub fn matmul_work(_m: usize, n: usize, k: usize) -> WorkSize {
    let shared = k * (n + WIDEST);
    WorkSize { shared, ..WorkSize::default() }
}

/// `C (+)= op(A) · op(B)` in row-major order: op(A) is m × k, op(B) is k × n, C is m × n.
/// `a` holds op(A), or its transpose if `ta`; likewise `b`.
///
/// # Panics
/// If a slice has another length than its matrix, or `work` is smaller than [`matmul_work`].
pub fn matmul<R: Math>(
    m: usize,
    n: usize,
    k: usize,
    a: &[R],
    ta: bool,
    b: &[R],
    tb: bool,
    c: &mut [R],
    accumulate: bool,
    work: &mut Work<R>,
) {
    assert_eq!(a.len(), m * k, "A is {m} × {k}");
    assert_eq!(b.len(), k * n, "B is {k} × {n}");
    assert_eq!(c.len(), m * n, "C is {m} × {n}");
    match (m, n, k) {
        (_, 1, _) if !ta => return vector::times(a, b, c, accumulate),
        (_, 1, _) => return vector::transposed_times(a, b, c, accumulate),
        (1, ..) if tb => return vector::times(b, a, c, accumulate),
        (1, ..) => return vector::transposed_times(b, a, c, accumulate),
        (_, _, 1) => return vector::outer(a, b, c, accumulate),
        _ => {}
    }
    let (layout, pitch) = if ta { (Layout::Columns, m) } else { (Layout::Rows, k) };
    let a = Matrix { data: a, pitch };
    let pitch = if tb { k } else { n };
    let b = Matrix { data: b, pitch };
    let transposed;
    let b: &dyn Pack<R> = match tb {
        true => {
            transposed = Transposed(b);
            &transposed
        }
        false => &b,
    };
    let (place, epilogue) = (&|i, j| i * n + j, &mut Epilogue::None);
    // SAFETY: rows of C follow each other.
    unsafe { gemm((m, n, k), (layout, &a), (b, None), c, place, accumulate, epilogue, work) }
}
