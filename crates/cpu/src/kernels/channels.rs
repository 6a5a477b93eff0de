//! Loops over `[m, c]` with one value per channel, whatever `c` is.
//!
//! Channels are innermost, so a row is a vector loop if there are many of them. With 1 or 3 it
//! would not be, and therefore few channels are taken several rows at a time: a *period* of
//! elements, over which the values per channel repeat.

use super::chunks::{TASK, chunks};
use super::real::Real;
use super::vectorized::vectorized;
use std::ops::Range;

/// Fewer channels than this are repeated, and tables of this size fit on the stack.
pub const WIDE: usize = 64;

/// Elements after which the values per channel repeat: the largest multiple of `c` up to [`WIDE`],
/// or `c` itself.
pub fn period(c: usize) -> usize {
    c * (WIDE / c.max(1)).max(1)
}

/// The tables `values`, `[c]` each, repeated to the period of `c`, in `space` where need be.
pub fn repeated<'a, R: Real, const N: usize>(
    values: [&'a [R]; N],
    space: &'a mut [[R; WIDE]; N],
) -> [&'a [R]; N] {
    let c = values.first().map_or(0, |v| v.len());
    let period = period(c);
    if period == c {
        return values;
    }
    for (values, space) in values.iter().zip(space.iter_mut()) {
        for (i, slot) in space[..period].iter_mut().enumerate() {
            *slot = values[i % c];
        }
    }
    space.each_ref().map(|s| &s[..period])
}

/// Elements of a task that writes `[m, c]`.
pub fn task(c: usize) -> usize {
    let period = period(c).max(1);
    TASK.div_ceil(period) * period
}

/// Elements of a task that sums over rows: enough rows that adding the tasks' sums costs little.
fn sum_task(c: usize) -> usize {
    task(c).max(WIDE * period(c))
}

/// Elements of scratch that [`sums`] needs for `len` elements of `c` channels and `count` sums.
pub fn sums_scratch(len: usize, c: usize, count: usize) -> usize {
    len.div_ceil(sum_task(c).max(1)) * count * period(c)
}

/// Sums per channel over `len = m·c` elements: `out` is `[count, c]`.
///
/// `add(range, sums)` adds the elements of a range, which starts at channel 0, to `sums`,
/// `[count, period(c)]`. The sums of the tasks are added in order and in f64, so the error does
/// not grow with m.
pub fn sums<R: Real>(
    len: usize,
    c: usize,
    scratch: &mut [R],
    out: &mut [R],
    add: impl Fn(Range<usize>, &mut [R]) + Sync,
) {
    if c == 0 {
        return;
    }
    let (period, each) = (period(c), sum_task(c));
    let slot = out.len() / c * period;
    let scratch = &mut scratch[..len.div_ceil(each) * slot];
    chunks([&mut *scratch], slot, |at, [sums]| {
        let from = at / slot * each;
        sums.fill(R::ZERO);
        add(from..len.min(from + each), sums);
    });
    for (s, out) in out.chunks_mut(c).enumerate() {
        for (tile, out) in out.chunks_mut(WIDE).enumerate() {
            let mut total = [0.0; WIDE];
            for slot in scratch.chunks(slot) {
                let sums = &slot[s * period..(s + 1) * period];
                for row in sums.chunks(c) {
                    let row = &row[tile * WIDE..][..out.len()];
                    add_exactly(&mut total, row);
                }
            }
            for (out, total) in out.iter_mut().zip(total) {
                *out = R::from_f64(total);
            }
        }
    }
}

vectorized! {
    fn add_exactly[R: Real](total: &mut [f64; WIDE], row: &[R]) {
        for (total, x) in total.iter_mut().zip(row) {
            *total += x.to_f64();
        }
    }
}
