//! Uniform and normal noise, a function of seed, stream, tick and place.

use super::chunks::{TASK, chunks};
use super::math::Math;
use super::vectorized::vectorized;
use tape::philox;

/// Which numbers a tensor `[rows, row]` gets.
///
/// Element j of row i takes word j mod 4 of block j / 4 of the global sample `i·world + rank`: the
/// rows of all ranks together are the rows that one rank would have drawn. For weights, which are
/// the same on every rank, there is one row, rank 0 and world 1.
#[derive(Clone, Copy, Debug)]
pub struct Draw {
    /// Seed of the run.
    pub seed: u64,
    /// The place in the program that draws.
    pub stream: u32,
    /// The step.
    pub tick: u64,
    /// This rank.
    pub rank: u32,
    /// Number of ranks.
    pub world: u32,
    /// Elements of one row.
    pub row: usize,
}

/// The random words of a part of one row.
#[derive(Clone, Copy)]
pub(super) struct Words {
    seed: u64,
    stream: u32,
    tick: u64,
    sample: u32,
    first: u32,
}

impl Words {
    /// The words of elements `4·i .. 4·i + 4` of the part.
    #[inline(always)]
    pub(super) fn block(&self, i: u32) -> [u32; 4] {
        let block = self.first.wrapping_add(i);
        philox::block(self.seed, self.stream, self.tick, self.sample, block)
    }
}

impl Draw {
    /// Calls `f(start, part, words)` for parts of rows of `out`, in parallel. A part begins at a
    /// multiple of four elements of its row.
    pub(super) fn parts<R: Math>(&self, out: &mut [R], f: impl Fn(usize, &mut [R], Words) + Sync) {
        if out.is_empty() {
            return;
        }
        assert_eq!(out.len() % self.row, 0, "whole rows of {} elements", self.row);
        let words = |row: usize, column: usize| Words {
            seed: self.seed,
            stream: self.stream,
            tick: self.tick,
            sample: (row as u32).wrapping_mul(self.world).wrapping_add(self.rank),
            first: (column / 4) as u32,
        };
        if self.row <= TASK {
            chunks([out], TASK / self.row * self.row, |at, [part]| {
                for (i, row) in part.chunks_mut(self.row).enumerate() {
                    let start = at + i * self.row;
                    f(start, row, words(start / self.row, 0));
                }
            });
        } else {
            for (i, row) in out.chunks_mut(self.row).enumerate() {
                chunks([row], TASK, |at, [part]| {
                    f(i * self.row + at, part, words(i, at));
                });
            }
        }
    }
}

/// Fills `out`, `[rows, row]`, with uniform numbers in [lo, hi).
pub fn uniform<R: Math>(out: &mut [R], lo: f64, hi: f64, at: Draw) {
    let (lo, span) = (R::from_f64(lo), R::from_f64(hi - lo));
    at.parts(out, |_, part, words| {
        fill_uniform(part, words, lo, span);
    });
}

vectorized! {
    fn fill_uniform[R: Math](out: &mut [R], words: Words, lo: R, span: R) {
        let (blocks, rest) = out.as_chunks_mut::<4>();
        for (i, out) in blocks.iter_mut().enumerate() {
            let w = words.block(i as u32);
            for j in 0..4 {
                out[j] = lo + span * R::uniform24(w[j]);
            }
        }
        let w = words.block(blocks.len() as u32);
        for (out, w) in rest.iter_mut().zip(w) {
            *out = lo + span * R::uniform24(w);
        }
    }
}

/// Fills `out`, `[rows, row]`, with normal numbers.
///
/// Box–Muller: of words a, b the numbers are √(−2 ln u)·cos 2πv and √(−2 ln u)·sin 2πv with
/// u = 1 − uniform(a) in (0, 1] and v = uniform(b), so none exceeds 5.77 standard deviations. An
/// f64 run takes the same uniforms; f32 differs from it by at most 3.5 units in its last place.
pub fn normal<R: Math>(out: &mut [R], mean: f64, std: f64, at: Draw) {
    let (mean, std) = (R::from_f64(mean), R::from_f64(std));
    at.parts(out, |_, part, words| {
        fill_normal(part, words, mean, std);
    });
}

vectorized! {
    fn fill_normal[R: Math](out: &mut [R], words: Words, mean: R, std: R) {
        let (blocks, rest) = out.as_chunks_mut::<4>();
        for (i, out) in blocks.iter_mut().enumerate() {
            let z = four_normals::<R>(words.block(i as u32));
            for j in 0..4 {
                out[j] = mean + std * z[j];
            }
        }
        if !rest.is_empty() {
            let z = four_normals::<R>(words.block(blocks.len() as u32));
            for (out, z) in rest.iter_mut().zip(z) {
                *out = mean + std * z;
            }
        }
    }
}

#[inline(always)]
fn four_normals<R: Math>(w: [u32; 4]) -> [R; 4] {
    let (a, b) = (box_muller::<R>(w[0], w[1]), box_muller::<R>(w[2], w[3]));
    [a.0, a.1, b.0, b.1]
}

#[inline(always)]
fn box_muller<R: Math>(a: u32, b: u32) -> (R, R) {
    let ln = (R::ONE - R::uniform24(a)).ln();
    let radius = (-(ln + ln)).sqrt();
    let turn = R::uniform24(b);
    (radius * turn.cos_2pi(), radius * turn.sin_2pi())
}

#[cfg(test)]
mod tests {
    use super::super::chunks::in_pools;
    use super::*;

    fn draw(row: usize) -> Draw {
        Draw { seed: 0x1234_5678_9abc, stream: 3, tick: 17, rank: 0, world: 1, row }
    }

    /// Mean of xᵖ over `n` numbers.
    fn moment(x: &[f32], power: i32) -> f64 {
        x.iter().map(|x| f64::from(*x).powi(power)).sum::<f64>() / x.len() as f64
    }

    /// Bounds are five standard errors: √(Var xᵖ / n) with n = 10⁶.
    #[test]
    fn moments() {
        let n = 1_000_000;
        let x = in_pools(|| {
            let mut x = vec![0.0_f32; n];
            normal(&mut x, 0.0, 1.0, draw(n));
            x
        });
        for (power, expected, variance) in
            [(1, 0.0, 1.0), (2, 1.0, 2.0), (3, 0.0, 15.0), (4, 3.0, 96.0)]
        {
            let bound = 5.0 * f64::sqrt(variance / n as f64);
            assert!((moment(&x, power) - expected).abs() < bound, "{power}: {}", moment(&x, power));
        }
        let neighbours = x.windows(2).map(|w| f64::from(w[0] * w[1])).sum::<f64>() / n as f64;
        assert!(neighbours.abs() < 5e-3, "{neighbours}");
        assert!(x.iter().all(|x| x.abs() < 5.78));

        let mut x = vec![0.0_f32; n];
        uniform(&mut x, -1.0, 1.0, draw(n));
        for (power, expected, variance) in
            [(1, 0.0, 1.0 / 3.0), (2, 1.0 / 3.0, 4.0 / 45.0), (4, 0.2, 16.0 / 225.0)]
        {
            let bound = 5.0 * f64::sqrt(variance / n as f64);
            assert!((moment(&x, power) - expected).abs() < bound, "{power}: {}", moment(&x, power));
        }
        assert!(x.iter().all(|x| (-1.0..1.0).contains(x)));
    }

    #[test]
    fn ranks_share_the_rows_of_one() {
        for row in [1, 3, 101, 16_385] {
            let rows = 6;
            let mut one = vec![0.0_f32; rows * row];
            normal(&mut one, 0.5, 2.0, draw(row));
            for rank in 0..2 {
                let mut half = vec![0.0_f32; rows / 2 * row];
                normal(&mut half, 0.5, 2.0, Draw { rank, world: 2, ..draw(row) });
                for (i, part) in half.chunks(row).enumerate() {
                    let from = (2 * i + rank as usize) * row;
                    assert_eq!(part, &one[from..from + row]);
                }
            }
        }
    }

    #[test]
    fn elements_do_not_depend_on_the_length_of_the_row() {
        let (mut long, mut short) = (vec![0.0_f32; 50_003], vec![0.0_f32; 21]);
        uniform(&mut long, 0.0, 1.0, draw(50_003));
        uniform(&mut short, 0.0, 1.0, draw(21));
        assert_eq!(long[..21], short[..]);
        let w = philox::block(0x1234_5678_9abc, 3, 17, 0, 12_500);
        assert_eq!(long[50_000], philox::uniform24(w[0]));
    }

    #[test]
    fn f64_draws_the_same() {
        let n = 400_000;
        let (mut single, mut double) = (vec![0.0_f32; n], vec![0.0_f64; n]);
        uniform(&mut single, 0.0, 1.0, draw(n));
        uniform(&mut double, 0.0, 1.0, draw(n));
        assert!(single.iter().zip(&double).all(|(s, d)| f64::from(*s) == *d));

        normal(&mut single, 0.0, 1.0, draw(n));
        normal(&mut double, 0.0, 1.0, draw(n));
        let mut worst: f64 = 0.0;
        for (s, d) in single.iter().zip(&double) {
            let near = *d as f32;
            let ulp = f64::from(f32::from_bits(near.abs().to_bits() + 1)) - f64::from(near.abs());
            worst = worst.max((f64::from(*s) - d).abs() / ulp);
        }
        assert!(worst <= 3.5, "{worst}");
    }
}
