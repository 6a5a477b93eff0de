//! How fast this machine computes and moves numbers, measured in about a second.

use crate::kernels::chunks::chunks;
use crate::kernels::gemm::Work;
use crate::kernels::isa::vectorize;
use crate::kernels::matmul::{matmul, matmul_work};
use rayon::ThreadPool;
use std::time::{Duration, Instant};

/// Side of the matrices: three of them fit the second-level cache of most machines, as a step's do.
const SIDE: usize = 512;

/// Elements of the long arrays: together 96 MiB, more than most caches hold.
const LONG: usize = 8 << 20;

/// How long each of the two is tried.
const PATIENCE: Duration = Duration::from_millis(350);

/// What the threads of a pool reach together, at their best.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Billions of additions and multiplications of f32 a second, in our own matrix product.
    pub gflops: f64,
    /// Gigabytes a second that `a ← b + s · c` reads and writes in arrays no cache holds.
    pub gigabytes: f64,
}

/// Measures the threads of a pool.
pub fn speed(pool: &ThreadPool) -> Speed {
    pool.install(|| Speed { gflops: product(pool.current_num_threads()), gigabytes: triad() })
}

fn product(threads: usize) -> f64 {
    let n = SIDE;
    let (a, b) = (vec![0.5f32; n * n], vec![0.25f32; n * n]);
    let mut c = vec![0.0f32; n * n];
    let mut work = Work::new(threads, matmul_work(n, n, n));
    let seconds = best(|| matmul(n, n, n, &a, false, &b, false, &mut c, false, &mut work));
    std::hint::black_box(&c);
    2.0 * (n * n * n) as f64 / seconds / 1e9
}

fn triad() -> f64 {
    let [mut a, mut b, mut c] = [0.0f32, 1.0, 2.0].map(|x| vec![x; LONG]);
    let seconds = best(|| {
        chunks([&mut a, &mut b, &mut c], 1 << 16, |_, [a, b, c]| {
            vectorize(|| {
                for ((a, b), c) in a.iter_mut().zip(&*b).zip(&*c) {
                    *a = *b + 0.5 * *c;
                }
            });
        });
    });
    std::hint::black_box(&a);
    (3 * LONG * size_of::<f32>()) as f64 / seconds / 1e9
}

/// Seconds of the fastest call: whatever else the machine does only ever slows one down.
fn best(mut f: impl FnMut()) -> f64 {
    let began = Instant::now();
    let mut best = f64::INFINITY;
    while began.elapsed() < PATIENCE {
        let start = Instant::now();
        f();
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}
