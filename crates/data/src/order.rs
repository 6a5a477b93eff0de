//! The order of an epoch and its augmentation: pure functions of a seed, so that nothing has to be saved.

/// A bijection of `0..n` drawn from (seed, epoch), evaluated one place at a time in constant memory.
///
/// A Feistel network over a grid of a × b ≥ n cells (Black & Rogaway 2002, "Ciphers with arbitrary finite
/// domains", method 3): a number is a column and a row, and rounds add to one a hash of the other. The grid
/// exceeds n by less than √n + 1; the rare result beyond n is encrypted again until it is below n, which
/// keeps the map a bijection of `0..n`.
#[derive(Clone, Copy, Debug)]
pub struct Permutation {
    n: u64,
    /// Columns and rows of the grid.
    a: u64,
    b: u64,
    keys: [u64; ROUNDS],
}

/// Four rounds suffice against distinguishers of order √n queries in theory; twice that costs nanoseconds.
const ROUNDS: usize = 8;

/// What a hash is drawn for, so that order and augmentation are independent.
const ORDER: u64 = 0x6f72_6465_7200_0001;
const FLIP: u64 = 0x666c_6970_0000_0002;

impl Permutation {
    /// The order of `epoch` of a data set of `n` ≥ 1 images.
    pub fn new(seed: u64, epoch: u64, n: u64) -> Permutation {
        let n = n.max(1);
        let a = n.isqrt() + u64::from(n.isqrt() * n.isqrt() < n);
        let mut keys = [0; ROUNDS];
        for (round, key) in keys.iter_mut().enumerate() {
            *key = hash([ORDER, seed, epoch, round as u64]);
        }
        Permutation { n, a, b: n.div_ceil(a), keys }
    }

    /// The image at place `i` of the epoch.
    pub fn at(&self, i: u64) -> u64 {
        debug_assert!(i < self.n);
        let mut x = i;
        loop {
            x = self.encrypt(x);
            if x < self.n {
                return x;
            }
        }
    }

    fn encrypt(&self, x: u64) -> u64 {
        let (mut row, mut column) = (x / self.a, x % self.a);
        for pair in self.keys.chunks_exact(2) {
            column = (column + below(mix(row ^ pair[0]), self.a)) % self.a;
            row = (row + below(mix(column ^ pair[1]), self.b)) % self.b;
        }
        row * self.a + column
    }
}

/// Whether image `index` is mirrored in `epoch`: a fair coin drawn from (seed, epoch, index).
pub fn flipped(seed: u64, epoch: u64, index: u64) -> bool {
    hash([FLIP, seed, epoch, index]) >> 63 == 1
}

/// Maps a uniform 64-bit number to `0..n` by its high bits.
fn below(x: u64, n: u64) -> u64 {
    ((u128::from(x) * u128::from(n)) >> 64) as u64
}

fn hash(words: [u64; 4]) -> u64 {
    words.into_iter().fold(0, |state, word| mix(state ^ word))
}

/// SplitMix64 (Steele, Lea & Flood 2014): an increment and a bijective finaliser.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_shows_every_image_once() {
        for n in [1, 2, 3, 4, 5, 7, 16, 17, 99, 100, 101, 1000, 4097, 60_000] {
            for (seed, epoch) in [(0, 0), (0, 1), (1, 0), (u64::MAX, u64::MAX)] {
                let order = Permutation::new(seed, epoch, n);
                let mut seen = vec![false; n as usize];
                (0..n).for_each(|i| seen[order.at(i) as usize] = true);
                assert!(seen.iter().all(|&s| s), "n = {n}, seed {seed}, epoch {epoch}");
            }
        }
    }

    /// Pearson's statistic of `counts` against a uniform expectation.
    fn chi_square(counts: &[u32]) -> f64 {
        let expected = counts.iter().sum::<u32>() as f64 / counts.len() as f64;
        counts.iter().map(|&c| (f64::from(c) - expected).powi(2) / expected).sum()
    }

    #[test]
    fn all_orders_of_four_are_equally_likely() {
        let mut counts = std::collections::BTreeMap::new();
        for epoch in 0..24_000 {
            let order = Permutation::new(5, epoch, 4);
            *counts.entry([0, 1, 2, 3].map(|i| order.at(i))).or_insert(0) += 1;
        }
        let counts: Vec<u32> = counts.into_values().collect();
        assert_eq!(counts.len(), 24);
        // 23 degrees of freedom: mean 23, standard deviation 6.8; 60 is beyond the 1 - 3e-5 quantile.
        assert!(chi_square(&counts) < 60.0, "{}", chi_square(&counts));
    }

    #[test]
    fn a_large_order_looks_uniform() {
        let n = 60_000;
        // Where does place i go? 16 x 16 cells, 255 - 30 = 225 degrees of freedom with both margins fixed:
        // mean 225, standard deviation 21; 340 is more than five of them above.
        // Who follows whom? The distance between neighbours falls into 256 bins, 255 degrees of freedom.
        for epoch in 0..8 {
            let order = Permutation::new(9, epoch, n);
            let (mut cells, mut gaps) = (vec![0; 256], vec![0; 256]);
            for i in 0..n {
                let (here, next) = (order.at(i), order.at((i + 1) % n));
                cells[(i * 16 / n * 16 + here * 16 / n) as usize] += 1;
                gaps[((n + next - here) % n * 256 / n) as usize] += 1;
            }
            assert!(chi_square(&cells) < 340.0, "cells {}", chi_square(&cells));
            assert!(chi_square(&gaps) < 375.0, "gaps {}", chi_square(&gaps));
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let n = 10_000;
        let base = Permutation::new(0, 0, n);
        for other in [Permutation::new(0, 1, n), Permutation::new(1, 0, n)] {
            let same = (0..n).filter(|&i| base.at(i) == other.at(i)).count();
            // Fixed points of a random permutation are Poisson with mean 1.
            assert!(same < 10, "{same} places agree");
        }
    }

    #[test]
    fn flips_are_a_fair_coin_and_change_with_the_epoch() {
        let heads = (0..10_000).filter(|&i| flipped(3, 0, i)).count();
        let agree = (0..10_000).filter(|&i| flipped(3, 0, i) == flipped(3, 1, i)).count();
        // Standard deviation 50; five of them.
        assert!(heads.abs_diff(5000) < 250 && agree.abs_diff(5000) < 250, "{heads} {agree}");
    }
}
