//! `Map`: runs an expression block by block, so that what one step leaves is in the first-level cache
//! when the next one reads it. `MapSum`: the same, summed.

use super::chunks::chunks;
use super::math::Math;
use super::parallel::{Scratch, parallel};
use super::real::Real;
use super::vectorized::vectorized;
use tape::{Access, Binary, Expr, Step, Unary};

/// Elements of one register.
pub(super) const BLOCK: usize = 256;
/// Elements of one task.
const TASK: usize = 32 * 1024;
/// Scratch that each thread needs: registers, and lanes of a sum.
pub const SCRATCH: usize = (Expr::MAX_STEPS + 1) * BLOCK;

/// An operand: its elements, and how they are read.
#[derive(Clone, Copy)]
pub struct Operand<R> {
    start: *const R,
    len: usize,
    access: Access,
}

// SAFETY: operands are only read while a map runs, see `map`.
unsafe impl<R: Sync> Sync for Operand<R> {}

impl<R> Operand<R> {
    /// Reads these elements.
    pub fn new(elements: *const R, len: usize, access: Access) -> Self {
        Self { start: elements, len, access }
    }
}

/// Writes `expr` of the operands to `len` elements at `out`; `rows` and `channels` are the first and
/// last extent of the result.
///
/// # Safety
/// Every operand must be readable for its length, and `out` writable for `len`. An operand may lie
/// where `out` does if it is read as [`Access::Full`]; otherwise the two must not overlap.
pub unsafe fn map<R: Math>(
    expr: &Expr,
    operands: &[Operand<R>],
    out: *mut R,
    [len, rows, channels]: [usize; 3],
    scratch: &Scratch<R>,
) {
    struct Out<R>(*mut R);
    // SAFETY: tasks write disjoint ranges.
    unsafe impl<R: Send> Sync for Out<R> {}
    impl<R> Out<R> {
        fn at(&self, at: usize) -> *mut R {
            // SAFETY: tasks stay within the length that the caller of `map` vouched for.
            unsafe { self.0.add(at) }
        }
    }
    let out = Out(out);
    let each = len / rows.max(1);
    parallel(len.div_ceil(TASK), |task| {
        scratch.with(|registers| {
            let end = len.min((task + 1) * TASK);
            let mut at = task * TASK;
            while at < end {
                let n = BLOCK.min(end - at);
                let place = Place { starts: &[at], len: n, each, channels };
                block(expr, operands, registers, place);
                let result = result(expr, registers, n);
                // SAFETY: the caller vouches for `out`; the registers are ours.
                unsafe { std::ptr::copy_nonoverlapping(result.as_ptr(), out.at(at), n) };
                at += n;
            }
        });
    });
}

/// Elements of scratch for [`map_sum`] into `n` sums of `each` elements.
pub fn sum_scratch(n: usize, each: usize) -> usize {
    if each <= TASK { 0 } else { n * each.div_ceil(TASK) }
}

/// Writes to each element of `out` the sum of `expr` over an equal share of `len` elements; `rows` and
/// `channels` are the first and last extent of what is summed.
///
/// # Safety
/// Every operand must be readable for its length, and not overlap `out`.
pub unsafe fn map_sum<R: Math>(
    expr: &Expr,
    operands: &[Operand<R>],
    out: &mut [R],
    [len, rows, channels]: [usize; 3],
    scratch: &Scratch<R>,
    partials: &mut [R],
) {
    let each = len / out.len();
    let pieces = each.div_ceil(TASK).max(1);
    let add = |first: usize, sums: &mut [R]| {
        scratch.with(|scratch| {
            let (registers, lanes) = scratch.split_at_mut(Expr::MAX_STEPS * BLOCK);
            for (i, sum) in sums.iter_mut().enumerate() {
                let (whole, piece) = ((first + i) / pieces, (first + i) % pieces);
                let end = whole * each + each.min((piece + 1) * TASK);
                let mut at = whole * each + piece * TASK;
                lanes.fill(R::ZERO);
                while at < end {
                    let n = BLOCK.min(end - at);
                    let place = Place { starts: &[at], len: n, each: len / rows, channels };
                    block(expr, operands, registers, place);
                    let result = result(expr, registers, n);
                    lanes.iter_mut().zip(result).for_each(|(lane, x)| *lane += *x);
                    at += n;
                }
                *sum = R::from_f64(lanes.iter().map(|x| x.to_f64()).sum());
            }
        });
    };
    if pieces == 1 {
        return chunks([out], (TASK / each.max(1)).max(1), |at, [sums]| add(at, sums));
    }
    let partials = &mut partials[..out.len() * pieces];
    chunks([&mut *partials], 1, |at, [sums]| add(at, sums));
    for (sum, parts) in out.iter_mut().zip(partials.chunks(pieces)) {
        *sum = R::from_f64(parts.iter().map(|x| x.to_f64()).sum());
    }
}

/// Runs of `len` elements of a result with `each` elements to a row; together at most [`BLOCK`].
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub starts: &'a [usize],
    pub len: usize,
    pub each: usize,
    pub channels: usize,
}

vectorized! {
    /// Computes every register for the elements of one block.
    pub(super) fn block[R: Math](
        expr: &Expr,
        operands: &[Operand<R>],
        registers: &mut [R],
        place: Place<'_>,
    ) {
        let n = place.starts.len() * place.len;
        for (i, step) in expr.steps.iter().enumerate() {
            let (before, rest) = registers.split_at_mut(i * BLOCK);
            let into = &mut rest[..n];
            match *step {
                Step::Input(k) => load(operands[k as usize], into, place),
                Step::Const(v) => into.fill(R::from_f64(v)),
                Step::Unary(f, a) => unary(f, register(before, a, n), into),
                Step::Binary(f, a, b) => {
                    binary(f, register(before, a, n), register(before, b, n), into);
                }
            }
        }
    }
}

/// Computes an activation, or the gate of one, where operand 0 lies: `y` holds its elements from `at` on.
/// Other expressions are left alone, and `false` is returned.
pub(super) fn at_once<R: Real>(
    expr: &Expr,
    operands: &[Operand<R>],
    y: &mut [R],
    at: usize,
) -> bool {
    match expr.steps[..] {
        [Step::Input(0), Step::Unary(Unary::Leaky(slope), 0)] => leaky(y, R::from_f64(slope)),
        [Step::Input(0), Step::Input(1), Step::Binary(Binary::Gate(slope), 0, 1)]
            if operands[1].access == Access::Full =>
        {
            let by = operands[1];
            assert!(at + y.len() <= by.len);
            // SAFETY: the caller of `map` vouches for operands; this one does not lie where `y` does.
            let by = unsafe { std::slice::from_raw_parts(by.start.add(at), y.len()) };
            gate(y, by, R::from_f64(slope));
        }
        _ => return false,
    }
    true
}

vectorized! {
    fn leaky[R: Real](y: &mut [R], slope: R) {
        for y in y {
            *y = if *y > R::ZERO { *y } else { slope * *y };
        }
    }
}

vectorized! {
    fn gate[R: Real](y: &mut [R], by: &[R], slope: R) {
        for (y, by) in y.iter_mut().zip(by) {
            *y = if *by > R::ZERO { *y } else { slope * *y };
        }
    }
}

/// The first `n` elements of what [`block`] computed.
pub(super) fn result<'a, R>(expr: &Expr, registers: &'a [R], n: usize) -> &'a [R] {
    &registers[(expr.steps.len() - 1) * BLOCK..][..n]
}

#[inline(always)]
fn register<R>(registers: &[R], k: u8, n: usize) -> &[R] {
    &registers[k as usize * BLOCK..][..n]
}

#[inline(always)]
fn load<R: Real>(operand: Operand<R>, into: &mut [R], place: Place<'_>) {
    // SAFETY: the caller of `map` vouches for operands; the slice ends before anything is written.
    let all = unsafe { std::slice::from_raw_parts(operand.start, operand.len) };
    for (&at, into) in place.starts.iter().zip(into.chunks_exact_mut(place.len)) {
        load_run(operand.access, all, into, at, place);
    }
}

#[inline(always)]
fn load_run<R: Real>(access: Access, all: &[R], into: &mut [R], at: usize, place: Place<'_>) {
    let Place { len: n, each, channels, .. } = place;
    match access {
        Access::Full => into.copy_from_slice(&all[at..at + n]),
        Access::Scalar => into.fill(all[0]),
        Access::Sample => {
            let mut done = 0;
            while done < n {
                let row = (at + done) / each;
                let run = ((row + 1) * each - at - done).min(n - done);
                into[done..done + run].fill(all[row]);
                done += run;
            }
        }
        Access::Channel => {
            let mut done = 0;
            while done < n {
                let from = (at + done) % channels;
                let run = (channels - from).min(n - done);
                into[done..done + run].copy_from_slice(&all[from..from + run]);
                done += run;
            }
        }
    }
}

#[inline(always)]
fn unary<R: Math>(f: Unary, x: &[R], into: &mut [R]) {
    #[inline(always)]
    fn each<R: Real>(x: &[R], into: &mut [R], f: impl Fn(R) -> R) {
        for (y, &x) in into.iter_mut().zip(x) {
            *y = f(x);
        }
    }
    match f {
        Unary::Affine { scale, shift } => {
            let (scale, shift) = (R::from_f64(scale), R::from_f64(shift));
            each(x, into, |x| scale * x + shift);
        }
        Unary::Leaky(slope) => {
            let slope = R::from_f64(slope);
            each(x, into, |x| if x > R::ZERO { x } else { slope * x });
        }
        Unary::Tanh => each(
            x,
            into,
            #[inline(always)]
            |x| x.tanh(),
        ),
        Unary::Sigmoid => each(
            x,
            into,
            #[inline(always)]
            |x| x.sigmoid(),
        ),
        Unary::Softplus => each(
            x,
            into,
            #[inline(always)]
            |x| x.softplus(),
        ),
        Unary::Sqrt => each(x, into, |x| x.sqrt()),
        Unary::Square => each(x, into, |x| x * x),
        Unary::Reciprocal => each(x, into, |x| R::ONE / x),
    }
}

#[inline(always)]
fn binary<R: Real>(f: Binary, a: &[R], b: &[R], into: &mut [R]) {
    #[inline(always)]
    fn each<R: Real>(a: &[R], b: &[R], into: &mut [R], f: impl Fn(R, R) -> R) {
        for ((y, &a), &b) in into.iter_mut().zip(a).zip(b) {
            *y = f(a, b);
        }
    }
    match f {
        Binary::Add => each(a, b, into, |a, b| a + b),
        Binary::Sub => each(a, b, into, |a, b| a - b),
        Binary::Mul => each(a, b, into, |a, b| a * b),
        Binary::Div => each(a, b, into, |a, b| a / b),
        Binary::Gate(slope) => {
            let slope = R::from_f64(slope);
            each(a, b, into, |a, b| if b > R::ZERO { a } else { slope * a });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::chunks::{in_pools, numbers};
    use super::*;

    /// Sums of tanh(a)·b with b per channel, over everything and per row, against a loop.
    #[test]
    fn sums_of_any_length() {
        let expr = Expr {
            steps: vec![
                Step::Input(0),
                Step::Unary(Unary::Tanh, 0),
                Step::Input(1),
                Step::Binary(Binary::Mul, 1, 2),
            ],
        };
        for (rows, row, c) in [(1, 1, 1), (300, 1, 1), (7, 129, 43), (3, TASK, 4), (2, 100_002, 3)]
        {
            let (a, b) = (numbers::<f64>(rows * row, 3), numbers::<f64>(c, 4));
            for sums in [1, rows] {
                let found = in_pools(|| {
                    let operands = [
                        Operand::new(a.as_ptr(), a.len(), Access::Full),
                        Operand::new(b.as_ptr(), c, Access::Channel),
                    ];
                    let mut out = vec![9.0; sums];
                    let mut partials = vec![9.0; sum_scratch(sums, rows * row / sums)];
                    let scratch = Scratch::new(2, SCRATCH);
                    let extents = [rows * row, rows, c];
                    // SAFETY: both operands are as long as they say.
                    unsafe {
                        map_sum(&expr, &operands, &mut out, extents, &scratch, &mut partials);
                    }
                    out
                });
                let value = |i: usize| a[i].tanh() * b[i % c];
                for (i, found) in found.iter().enumerate() {
                    let each = rows * row / sums;
                    let expected: f64 = (i * each..(i + 1) * each).map(value).sum();
                    // tanh is good to a few roundings, and there are 200 thousand of at most 1.
                    assert!((found - expected).abs() < 1e-11, "{rows} {row} {found} {expected}");
                }
            }
        }
    }
}
