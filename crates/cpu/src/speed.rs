//! How fast this machine computes and moves numbers at best, measured in about a second.

use crate::kernels::chunks::chunks;
use crate::kernels::isa::{isa, vectorize};
use crate::kernels::parallel::Shared;
use crate::kernels::real::Real;
use crate::kernels::tile::{Layout, PITCH, Tile, Tiles};
use rayon::ThreadPool;
use std::time::{Duration, Instant};

/// The dimension that a tile sums over: its operands stay in a first-level cache.
const DEPTH: usize = 96;

/// Calls of a tile between two looks at the clock: some milliseconds, beside which it does not count
/// that the threads do not begin at once.
const CALLS: usize = 10_000;

/// Bytes of the three long arrays together. Caches of servers hold hundreds of megabytes, but lend
/// one program a part of that.
const LONG: usize = 384 << 20;

/// How long each of the two is tried.
const PATIENCE: Duration = Duration::from_millis(400);

/// What the threads of a pool reach together, at their best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Billions of additions and multiplications a second in the innermost loop of our products,
    /// its operands in the cache: what no product can exceed.
    pub gflops: f64,
    /// Gigabytes a second that `a ← b + s · c` reads and writes in arrays no cache holds.
    pub gigabytes: f64,
}

impl Speed {
    /// The better of two measurements: whatever else the machine does only ever slows one down.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        let gflops = self.gflops.max(other.gflops);
        Self { gflops, gigabytes: self.gigabytes.max(other.gigabytes) }
    }

    /// The most billions of operations a second that can be reached with so many operations for each
    /// byte that is moved: the roofline.
    pub fn roof(&self, intensity: f64) -> f64 {
        self.gflops.min(intensity * self.gigabytes)
    }
}

/// Measures the threads of a pool, in f32 or, where reals have 8 bytes, in f64.
pub fn speed(pool: &ThreadPool, real_bytes: usize) -> Speed {
    let gflops = match real_bytes {
        8 => multiply_adds::<f64>(pool),
        _ => multiply_adds::<f32>(pool),
    };
    Speed { gflops, gigabytes: pool.install(triad) }
}

/// The best rate of any register tile on all threads at once.
fn multiply_adds<R: Real + Tiles>(pool: &ThreadPool) -> f64 {
    let tiles = R::tiles(isa());
    let rates = tiles.iter().map(|tile| {
        let seconds = best(PATIENCE / tiles.len() as u32, || {
            pool.broadcast(|_| repeat(tile));
        });
        let flops = 2 * CALLS * DEPTH * tile.mr * tile.nr * pool.current_num_threads();
        flops as f64 / seconds / 1e9
    });
    rates.fold(0.0, f64::max)
}

fn repeat<R: Real>(tile: &Tile<R>) {
    let (a, b) = (vec![R::ONE; tile.mr * PITCH], vec![R::ZERO; DEPTH * tile.nr]);
    let mut c = vec![R::ZERO; tile.mr * tile.nr];
    let rows: Vec<usize> = (0..tile.mr).map(|i| i * tile.nr).collect();
    let shared = Shared::new(&mut c);
    for _ in 0..CALLS {
        let (a, b) = ((Layout::Rows, &a[..]), (&b[..], tile.nr));
        // SAFETY: the sums are this thread's own, and the tile is for this machine.
        unsafe { tile.multiply(DEPTH, a, b, &shared, &rows, 0..tile.nr, true) };
    }
    std::hint::black_box(&c);
}

fn triad() -> f64 {
    let elements = LONG / 3 / size_of::<f32>();
    let [mut a, mut b, mut c] = [0.5f32, 1.0, 2.0].map(|x| vec![x; elements]);
    let seconds = best(PATIENCE, || {
        chunks([&mut a, &mut b, &mut c], 1 << 16, |_, [a, b, c]| {
            vectorize(|| {
                for ((a, b), c) in a.iter_mut().zip(&*b).zip(&*c) {
                    *a = *b + 0.5 * *c;
                }
            });
        });
    });
    std::hint::black_box(&a);
    (3 * elements * size_of::<f32>()) as f64 / seconds / 1e9
}

/// Seconds of the fastest call: whatever else the machine does only ever slows one down.
fn best(patience: Duration, mut f: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while began.elapsed() < patience {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}
