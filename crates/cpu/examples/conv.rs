//! Speed of the convolutions and products of two DCGANs, beside that of the register tile alone and
//! beside what memory allows: the roofline is the smaller of the tile's speed and of operations per
//! byte times bandwidth, where every operand and result moves once.
//!
//! `cargo run --release -p cpu --example conv [threads …]`, by default 1 and 2. Best of twenty.

use cpu::kernels::conv::{conv_work, dgrad, fprop, wgrad};
use cpu::kernels::epilogue::Epilogue;
use cpu::kernels::gemm::Work;
use cpu::kernels::isa::isa;
use cpu::kernels::matmul::{matmul, matmul_work};
use cpu::kernels::operand::Operand;
use cpu::kernels::parallel::Shared;
use cpu::kernels::tile::{Layout, PITCH, Tiles};
use cpu::speed;
use std::time::Instant;
use tape::Conv;

/// Kernel 4, stride 2, pad 1: `[size, size, c]` to `[size / 2, size / 2, k]`.
fn halving(n: usize, size: usize, c: usize, k: usize) -> Conv {
    let (p, q) = (size / 2, size / 2);
    Conv { n, h: size, w: size, c, p, q, k, r: 4, s: 4, stride: 2, pad: 1 }
}

/// Seconds of the fastest of twenty calls, after one that is not counted.
fn best(mut f: impl FnMut()) -> f64 {
    f();
    let mut seconds = f64::INFINITY;
    for _ in 0..20 {
        let start = Instant::now();
        f();
        seconds = seconds.min(start.elapsed().as_secs_f64());
    }
    seconds
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

/// GFLOP/s of the first tile on operands that stay in the cache.
fn peak() -> f64 {
    let tile = &f32::tiles(isa())[0];
    let k = 256;
    let (a, b) = (numbers(tile.mr * PITCH), numbers(k * tile.nr));
    let mut c = vec![0.0; tile.mr * tile.nr];
    let rows: Vec<usize> = (0..tile.mr).map(|i| i * tile.nr).collect();
    let calls = 20_000;
    let seconds = best(|| {
        let c = Shared::new(&mut c);
        for _ in 0..calls {
            let (a, b) = ((Layout::Rows, &a[..]), (&b[..], tile.nr));
            // SAFETY: there is one thread, and the tile is for this machine.
            unsafe { tile.multiply(k, a, b, &c, &rows, 0..tile.nr, true) };
        }
    });
    2e-9 * (calls * k * tile.mr * tile.nr) as f64 / seconds
}

fn main() {
    let mut threads: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    if threads.is_empty() {
        threads = vec![1, 2];
    }
    let layers = [
        ("a  64×64   3 →  64", halving(128, 64, 3, 64)),
        ("a  32×32  64 → 128", halving(128, 32, 64, 128)),
        ("a  16×16 128 → 256", halving(128, 16, 128, 256)),
        ("a   8×8  256 → 512", halving(128, 8, 256, 512)),
        ("b  32×32   1 →  64", halving(64, 32, 1, 64)),
        ("b  16×16  64 → 128", halving(64, 16, 64, 128)),
        ("b   8×8  128 → 256", halving(64, 8, 128, 256)),
    ];
    // z → 4×4, and the last layer of D.
    let products = [
        ("a  128×8192×100", 128, 8192, 100),
        ("a  128×1×8192", 128, 1, 8192),
        ("b  64×4096×100", 64, 4096, 100),
        ("b  64×1×4096", 64, 1, 4096),
    ];
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let peak = peak() * threads as f64;
        let memory = speed(&pool, 4).gigabytes;
        println!("{threads} threads ({:?})", isa());
        println!("the tile alone: {peak:.0} GFLOP/s; memory: {memory:.1} GB/s");
        println!("GFLOP/s (share of the tile's, share of the roofline)");
        println!("{:18} {:>18} {:>18} {:>18}", "", "fprop", "dgrad", "wgrad");
        let line = |name: &str, flops: f64, elements: usize, seconds: [f64; 3]| {
            let roof = peak.min(flops / (4 * elements) as f64 * memory);
            print!("{name:18}");
            for seconds in seconds {
                let rate = 1e-9 * flops / seconds;
                print!(" {rate:7.1} ({:3.0}%{:4.0}%)", 100.0 * rate / peak, 100.0 * rate / roof);
            }
            println!();
        };
        for (name, g) in &layers {
            let mut x = numbers(g.n * g.h * g.w * g.c);
            let mut w = numbers(g.k * g.r * g.s * g.c);
            let mut y = numbers(g.n * g.p * g.q * g.k);
            let mut work = Work::new(threads, conv_work(g));
            let seconds = pool.install(|| {
                [
                    best(|| {
                        fprop(
                            g,
                            Operand::Plain(&x),
                            w[..].into(),
                            &mut y,
                            &mut Epilogue::None,
                            &mut work,
                        )
                    }),
                    best(|| {
                        dgrad(
                            g,
                            Operand::Plain(&y),
                            w[..].into(),
                            &mut x,
                            &mut Epilogue::None,
                            &mut work,
                        )
                    }),
                    best(|| {
                        wgrad(g, Operand::Plain(&x), Operand::Plain(&y), &mut w, false, &mut work)
                    }),
                ]
            });
            line(name, 2.0 * g.macs() as f64, x.len() + w.len() + y.len(), seconds);
        }
        for (name, m, n, k) in products {
            let (mut z, mut w, mut y) = (numbers(m * k), numbers(k * n), numbers(m * n));
            let sizes = [matmul_work(m, n, k), matmul_work(m, k, n), matmul_work(k, n, m)];
            let size = sizes[0].max(sizes[1]).max(sizes[2]);
            let mut work = Work::new(threads, size);
            let seconds = pool.install(|| {
                [
                    best(|| matmul(m, n, k, &z, false, &w, false, &mut y, false, &mut work)),
                    best(|| matmul(m, k, n, &y, false, &w, true, &mut z, false, &mut work)),
                    best(|| matmul(k, n, m, &z, true, &y, false, &mut w, false, &mut work)),
                ]
            });
            line(name, 2.0 * (m * n * k) as f64, m * k + k * n + m * n, seconds);
        }
    }
}
