//! `Map`: runs an expression block by block, so that what one step leaves is in the first-level cache
//! when the next one reads it.

use super::math::Math;
use super::parallel::{Scratch, parallel};
use super::real::Real;
use super::vectorized::vectorized;
use tape::{Access, Binary, Expr, Step, Unary};

/// Elements of one register.
pub(super) const BLOCK: usize = 256;
/// Elements of one task.
const TASK: usize = 32 * 1024;
/// Scratch that each thread needs.
pub const SCRATCH: usize = Expr::MAX_STEPS * BLOCK;

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
                let place = Place { at, n, each, channels };
                block(expr, operands, registers, place);
                let result = result(expr, registers, n);
                // SAFETY: the caller vouches for `out`; the registers are ours.
                unsafe { std::ptr::copy_nonoverlapping(result.as_ptr(), out.at(at), n) };
                at += n;
            }
        });
    });
}

/// Elements `at .. at + n` of a result with `each` elements to a row.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub at: usize,
    pub n: usize,
    pub each: usize,
    pub channels: usize,
}

vectorized! {
    /// Computes every register for the elements of one block.
    pub(super) fn block[R: Math](
        expr: &Expr,
        operands: &[Operand<R>],
        registers: &mut [R],
        place: Place,
    ) {
        let n = place.n;
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

/// The first `n` elements of what [`block`] computed.
pub(super) fn result<'a, R>(expr: &Expr, registers: &'a [R], n: usize) -> &'a [R] {
    &registers[(expr.steps.len() - 1) * BLOCK..][..n]
}

#[inline(always)]
fn register<R>(registers: &[R], k: u8, n: usize) -> &[R] {
    &registers[k as usize * BLOCK..][..n]
}

#[inline(always)]
fn load<R: Real>(operand: Operand<R>, into: &mut [R], place: Place) {
    // SAFETY: the caller of `map` vouches for operands; the slice ends before anything is written.
    let all = unsafe { std::slice::from_raw_parts(operand.start, operand.len) };
    let Place { at, n, each, channels } = place;
    match operand.access {
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
