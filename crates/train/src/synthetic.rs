//! Data that needs no file: the normal distribution of figure 1 of Goodfellow et al. 2014.

use crate::{Refusal, Source};
use tape::{Dtype, philox};

/// Numbers from a normal distribution, as samples of extents `[1, 1, 1]`. Sample i is a function of
/// seed and i, so the position is all its state.
#[derive(Clone, Debug)]
pub struct Gaussian {
    mean: f64,
    std: f64,
    seed: u64,
    rank: u64,
    world: u64,
    position: u64,
}

/// Apart from the streams of the tape, which count from 0 and from 2³¹.
const STREAM: u32 = 1 << 30;

impl Gaussian {
    /// The part of rank `rank` of `world` in the stream of this seed, from `position` on.
    pub fn new(mean: f64, std: f64, seed: u64, [rank, world]: [usize; 2], position: u64) -> Self {
        Self { mean, std, seed, rank: rank as u64, world: world as u64, position }
    }

    /// Sample number `i` of the stream, by Box and Muller.
    fn sample(&self, i: u64) -> f64 {
        let words = philox::block(self.seed, STREAM, i >> 32, i as u32, 0);
        let [u, v] = [words[0], words[1]].map(|word| f64::from(philox::uniform24(word)));
        // 1 − u lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * (1.0 - u).ln()).sqrt();
        self.mean + self.std * radius * (std::f64::consts::TAU * v).cos()
    }
}

impl Source for Gaussian {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Refusal> {
        let rows = into.len() / 4;
        for (row, bytes) in into.chunks_exact_mut(4).enumerate() {
            let i = self.position + row as u64 * self.world + self.rank;
            bytes.copy_from_slice(&(self.sample(i) as f32).to_le_bytes());
        }
        self.position += rows as u64 * self.world;
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    /// The first of the stream: draws, since they are compared with what G makes of draws.
    fn examples(&mut self, n: usize) -> Result<Vec<u8>, Refusal> {
        Ok((0..n as u64).flat_map(|i| (self.sample(i) as f32).to_le_bytes()).collect())
    }

    fn seek(&mut self, position: u64) -> Result<(), Refusal> {
        self.position = position;
        Ok(())
    }

    fn sample(&self) -> [usize; 3] {
        [1, 1, 1]
    }

    fn dtype(&self) -> Dtype {
        Dtype::F32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(source: &mut Gaussian, n: usize) -> Vec<f32> {
        let mut bytes = vec![0; 4 * n];
        source.next(&mut bytes).unwrap();
        let number = |b: &[u8]| f32::from_le_bytes(b.try_into().unwrap());
        bytes.chunks_exact(4).map(number).collect()
    }

    /// With 100,000 draws the mean has standard error 0.5 / 316 and the variance 0.25 · √(2/n); four
    /// of them are allowed. Draws in (μ ± σ) number 68.27 %, ± 4 · 0.15 %.
    #[test]
    fn moments_are_those_of_the_distribution() {
        let n = 100_000;
        let x = numbers(&mut Gaussian::new(3.0, 0.5, 7, [0, 1], 0), n);
        let mean = x.iter().map(|&x| f64::from(x)).sum::<f64>() / n as f64;
        let second = |x: &f32| (f64::from(*x) - mean).powi(2);
        let variance = x.iter().map(second).sum::<f64>() / n as f64;
        let inside = x.iter().filter(|&&x| (x - 3.0).abs() < 0.5).count() as f64 / n as f64;
        assert!((mean - 3.0).abs() < 4.0 * 0.5 / 316.0, "{mean}");
        assert!((variance - 0.25).abs() < 4.0 * 0.25 * 0.0045, "{variance}");
        assert!((inside - 0.6827).abs() < 0.006, "{inside}");
    }

    #[test]
    fn the_position_is_all_its_state() {
        let mut straight = Gaussian::new(0.0, 1.0, 1, [0, 1], 0);
        let first = numbers(&mut straight, 10);
        let position = straight.position();
        let rest = numbers(&mut straight, 6);
        let mut resumed = Gaussian::new(0.0, 1.0, 1, [0, 1], position);
        assert_eq!(position, 10);
        assert_eq!(numbers(&mut resumed, 6), rest);
        assert_ne!(first[..6], rest[..]);
    }

    #[test]
    fn ranks_share_the_stream() {
        let whole = numbers(&mut Gaussian::new(0.0, 1.0, 1, [0, 1], 0), 6);
        for rank in 0..2 {
            let mut part = Gaussian::new(0.0, 1.0, 1, [rank, 2], 0);
            let rows = numbers(&mut part, 3);
            assert_eq!(rows, [whole[rank], whole[rank + 2], whole[rank + 4]]);
            assert_eq!(part.position(), 6);
        }
    }
}
