//! Convolutions and matrix products against plain loops in f64.
//!
//! Tolerance: adding K products in any order, each rounded, is off by at most about K · u · Σ|a·b|,
//! where u is half of the distance from 1 to the next number. Twice that is allowed.

use cpu::kernels::conv::{conv_work, dgrad, fprop, wgrad};
use cpu::kernels::epilogue::Epilogue;
use cpu::kernels::gemm::{Work, WorkSize};
use cpu::kernels::isa::available;
use cpu::kernels::math::Math;
use cpu::kernels::matmul::{matmul, matmul_work};
use cpu::kernels::operand::Operand;
use cpu::kernels::real::Real;
use tape::Conv;

/// Numbers in [−1, 1) that do not repeat.
fn draw<R: Real>(len: usize, seed: u64) -> Vec<R> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        R::from_f64((state >> 40) as f64 / (1u64 << 23) as f64 - 1.0)
    };
    (0..len).map(|_| next()).collect()
}

/// A sum as it should be, and what its tolerance is made of.
#[derive(Clone, Copy, Default)]
struct Sum {
    value: f64,
    magnitude: f64,
    terms: usize,
}

impl Sum {
    fn add<R: Real>(&mut self, a: R, b: R) {
        let product = a.to_f64() * b.to_f64();
        self.value += product;
        self.magnitude += product.abs();
        self.terms += 1;
    }
}

fn assert_close<R: Real>(got: &[R], expected: &[Sum], what: &str) {
    assert_eq!(got.len(), expected.len());
    let epsilon = if R::BYTES == 4 { f32::EPSILON as f64 } else { f64::EPSILON };
    for (at, (got, sum)) in got.iter().zip(expected).enumerate() {
        let tolerance = epsilon * sum.terms as f64 * sum.magnitude;
        let error = (got.to_f64() - sum.value).abs();
        assert!(error <= tolerance, "{what}: element {at} is {got}, not {}", sum.value);
    }
}

/// Calls `f` with the places in x, w and y of every product of the convolution.
fn products(g: &Conv, mut f: impl FnMut(usize, usize, usize)) {
    for n in 0..g.n {
        for (p, q) in (0..g.p).flat_map(|p| (0..g.q).map(move |q| (p, q))) {
            for (r, s) in (0..g.r).flat_map(|r| (0..g.s).map(move |s| (r, s))) {
                let (y, x) = (p * g.stride + r, q * g.stride + s);
                let inside = (g.pad..g.h + g.pad).contains(&y) && (g.pad..g.w + g.pad).contains(&x);
                if !inside {
                    continue;
                }
                let pixel = (n * g.h + y - g.pad) * g.w + x - g.pad;
                for k in 0..g.k {
                    let feature = ((n * g.p + p) * g.q + q) * g.k + k;
                    let tap = ((k * g.r + r) * g.s + s) * g.c;
                    for c in 0..g.c {
                        f(pixel * g.c + c, tap + c, feature);
                    }
                }
            }
        }
    }
}

fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}

/// The three operations of one geometry with each instruction set of this machine; one and two
/// threads must give the same bytes.
fn check_conv<R: Math>(g: Conv) {
    let x = draw::<R>(g.n * g.h * g.w * g.c, 1);
    let w = draw::<R>(g.k * g.r * g.s * g.c, 2);
    let dy = draw::<R>(g.n * g.p * g.q * g.k, 3);
    let dw = draw::<R>(w.len(), 4);
    let mut expected_y = vec![Sum::default(); dy.len()];
    let mut expected_dx = vec![Sum::default(); x.len()];
    let mut expected_dw = vec![Sum::default(); w.len()];
    products(&g, |i, j, k| {
        expected_y[k].add(x[i], w[j]);
        expected_dx[i].add(dy[k], w[j]);
        expected_dw[j].add(x[i], dy[k]);
    });
    let mut expected_more = expected_dw.clone();
    for (sum, &start) in expected_more.iter_mut().zip(&dw) {
        sum.add(start, R::ONE);
    }

    for &isa in available() {
        let what = |name: &str| format!("{name} of {g:?} with {isa:?}");
        let run = |threads: usize| {
            let mut work = Work::<R>::with_isa(threads, conv_work(&g), isa);
            // What is not written stays NaN and is found.
            let nan = R::from_f64(f64::NAN);
            let (mut y, mut dx) = (vec![nan; dy.len()], vec![nan; x.len()]);
            let (mut fresh, mut more) = (vec![nan; w.len()], dw.clone());
            pool(threads).install(|| {
                fprop(&g, Operand::Plain(&x), w[..].into(), &mut y, &mut Epilogue::None, &mut work);
                dgrad(
                    &g,
                    Operand::Plain(&dy),
                    w[..].into(),
                    &mut dx,
                    &mut Epilogue::None,
                    &mut work,
                );
                wgrad(&g, Operand::Plain(&x), Operand::Plain(&dy), &mut fresh, false, &mut work);
                wgrad(&g, Operand::Plain(&x), Operand::Plain(&dy), &mut more, true, &mut work);
            });
            [y, dx, fresh, more]
        };
        let one = run(1);
        assert_close(&one[0], &expected_y, &what("fprop"));
        assert_close(&one[1], &expected_dx, &what("dgrad"));
        assert_close(&one[2], &expected_dw, &what("wgrad"));
        assert_close(&one[3], &expected_more, &what("accumulated wgrad"));
        assert!(one == run(2), "{}", what("two threads differ from one"));
    }
}

/// `[h, w, c]` to `k` features with a kernel `[r, s]` and `zeros` before and after.
fn conv(
    n: usize,
    [h, w, c]: [usize; 3],
    k: usize,
    [r, s]: [usize; 2],
    stride: usize,
    [before, after]: [usize; 2],
) -> Conv {
    let p = (h + before + after - r) / stride + 1;
    let q = (w + before + after - s) / stride + 1;
    Conv { n, h, w, c, p, q, k, r, s, stride, pad: before }
}

#[test]
fn layers_of_dcgan() {
    check_conv::<f32>(conv(2, [64, 64, 3], 64, [4, 4], 2, [1, 1]));
    check_conv::<f32>(conv(3, [32, 32, 1], 64, [4, 4], 2, [1, 1]));
    check_conv::<f32>(conv(2, [16, 16, 64], 128, [4, 4], 2, [1, 1]));
    check_conv::<f32>(conv(3, [8, 8, 128], 64, [4, 4], 2, [1, 1]));
    check_conv::<f32>(conv(9, [4, 4, 96], 1, [4, 4], 1, [0, 0]));
    check_conv::<f32>(conv(30, [4, 4, 512], 20, [4, 4], 1, [0, 0]));
    check_conv::<f32>(conv(2, [32, 32, 3], 40, [5, 5], 2, [2, 2]));
    check_conv::<f32>(conv(2, [32, 32, 3], 40, [5, 5], 2, [1, 2]));
    check_conv::<f32>(conv(2, [8, 8, 70], 70, [3, 3], 1, [1, 1]));
    check_conv::<f32>(conv(2, [16, 16, 70], 3, [3, 3], 1, [1, 1]));
    check_conv::<f32>(conv(5, [9, 7, 48], 100, [1, 1], 1, [0, 0]));
}

/// Kernels of 4 and 5 with stride 2 and many channels take fewer multiplications. What they multiply are
/// sums of up to four pixels and nine weights halved twice, so errors are up to four times as large; the
/// sums here have few enough terms that the bound would notice any wrong one.
#[test]
fn fewer_multiplications() {
    for (side, c, k) in
        [([16, 16], 64, 128), ([8, 8], 128, 64), ([4, 12], 16, 48), ([36, 8], 80, 16)]
    {
        for (kernel, pads) in [(4, [1, 1]), (5, [2, 1]), (5, [1, 2]), (6, [2, 2])] {
            let [h, w] = side;
            let g = conv(3, [h, w, c], k, [kernel, kernel], 2, pads);
            check_conv::<f32>(g);
            check_conv::<f64>(g);
        }
    }
    check_conv::<f32>(conv(70, [8, 8, 32], 32, [4, 4], 2, [1, 1])); // parts of tiles
    check_conv::<f32>(conv(2, [8, 8, 272], 528, [4, 4], 2, [1, 1])); // several chunks of channels
    check_conv::<f32>(conv(2, [8, 8, 16], 16, [4, 5], 2, [1, 1])); // another number of taps down
}

#[test]
fn thin_images() {
    for (c, k) in [(1, 1), (1, 7), (2, 64), (3, 33), (4, 100), (3, 128)] {
        for kernel in [[1, 1], [2, 3], [3, 3], [4, 4], [5, 5], [5, 2]] {
            for (stride, pads) in [(1, [1, 1]), (2, [1, 1]), (2, [2, 2]), (2, [0, 3]), (3, [2, 1])]
            {
                let g = conv(2, [9, 31, c], k, kernel, stride, pads);
                check_conv::<f32>(g);
                check_conv::<f64>(g);
            }
        }
    }
    check_conv::<f32>(conv(17, [28, 28, 1], 64, [5, 5], 2, [2, 2]));
    check_conv::<f32>(conv(2, [64, 64, 3], 128, [5, 5], 2, [2, 1]));
    check_conv::<f32>(conv(2, [32, 32, 3], 64, [3, 3], 1, [1, 1]));
    check_conv::<f32>(conv(1, [3, 300, 3], 16, [3, 3], 1, [1, 1])); // a wide line
    check_conv::<f32>(conv(2, [40, 40, 2], 5, [3, 3], 4, [9, 9])); // windows beside the image
    check_conv::<f64>(conv(2, [64, 64, 3], 64, [4, 4], 2, [1, 1]));
}

#[test]
fn odd_shapes() {
    for (c, k) in [(1, 7), (3, 1), (5, 7), (17, 33)] {
        for kernel in [[1, 1], [2, 3], [3, 3], [4, 4], [5, 5], [5, 2]] {
            for stride in [1, 2, 3] {
                for pads in [[0, 0], [1, 1], [0, 2], [2, 3]] {
                    let g = conv(2, [7, 10, c], k, kernel, stride, pads);
                    check_conv::<f32>(g);
                    check_conv::<f64>(g);
                }
            }
        }
    }
}

#[test]
fn long_sums_are_cut_the_same_way_for_any_number_of_threads() {
    check_conv::<f32>(conv(6, [20, 20, 3], 8, [3, 3], 1, [1, 1])); // parts of pixels
    check_conv::<f64>(conv(3, [8, 8, 80], 70, [4, 4], 2, [1, 1])); // several blocks of each
}

#[test]
fn nothing_to_do() {
    let g = conv(2, [6, 6, 3], 4, [3, 3], 1, [1, 1]);
    for g in [Conv { n: 0, ..g }, Conv { c: 0, ..g }, Conv { k: 0, ..g }, Conv { p: 0, ..g }] {
        check_conv::<f32>(g);
    }
    check_conv::<f32>(Conv { pad: 9, ..g }); // windows that lie before the image
    check_conv::<f32>(Conv { h: 30, ..g }); // pixels that no window reaches
}

fn check_matmul<R: Math>(m: usize, n: usize, k: usize) {
    let (a, b, start) = (draw::<R>(m * k, 1), draw::<R>(k * n, 2), draw::<R>(m * n, 3));
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut expected = vec![Sum::default(); m * n];
        for i in 0..m {
            for j in 0..n {
                for l in 0..k {
                    let a = if ta { a[l * m + i] } else { a[i * k + l] };
                    let b = if tb { b[j * k + l] } else { b[l * n + j] };
                    expected[i * n + j].add(a, b);
                }
            }
        }
        let mut expected_more = expected.clone();
        for (sum, &start) in expected_more.iter_mut().zip(&start) {
            sum.add(start, R::ONE);
        }
        for &isa in available() {
            let what = format!("{m}×{n}×{k}, transposed {ta} {tb}, {isa:?}");
            let run = |threads: usize| {
                let mut work = Work::<R>::with_isa(threads, matmul_work(m, n, k), isa);
                let mut c = [vec![R::from_f64(f64::NAN); m * n], start.clone()];
                pool(threads).install(|| {
                    matmul(m, n, k, &a, ta, &b, tb, &mut c[0], false, &mut work);
                    matmul(m, n, k, &a, ta, &b, tb, &mut c[1], true, &mut work);
                });
                c
            };
            let one = run(1);
            assert_close(&one[0], &expected, &what);
            assert_close(&one[1], &expected_more, &what);
            assert!(one == run(2), "{what}: two threads differ from one");
        }
    }
}

#[test]
fn matrix_products() {
    let shapes = [(1, 1, 1), (5, 3, 2), (12, 32, 256), (13, 33, 257), (64, 1, 300), (1, 700, 20)];
    let vectors = [(1, 1, 700), (300, 1, 1), (129, 1, 130), (1, 1030, 7), (131, 260, 1)];
    for (m, n, k) in vectors {
        check_matmul::<f32>(m, n, k);
        check_matmul::<f64>(m, n, k);
    }
    for (m, n, k) in shapes.into_iter().chain([(130, 520, 100), (300, 48, 70), (0, 3, 4)]) {
        check_matmul::<f32>(m, n, k);
        check_matmul::<f64>(m, n, k);
    }
    check_matmul::<f32>(3, 4, 0);
}

#[test]
fn f64_is_exact_to_twelve_digits() {
    let g = conv(2, [8, 8, 32], 24, [4, 4], 2, [1, 1]);
    let (x, w) = (draw::<f64>(2 * 8 * 8 * 32, 1), draw::<f64>(24 * 16 * 32, 2));
    let mut expected = vec![0.0; 2 * 4 * 4 * 24];
    products(&g, |i, j, k| expected[k] += x[i] * w[j]);
    let mut y = vec![0.0; expected.len()];
    let mut work = Work::new(1, conv_work(&g));
    pool(1).install(|| {
        fprop(&g, Operand::Plain(&x), w[..].into(), &mut y, &mut Epilogue::None, &mut work)
    });
    for (got, expected) in y.iter().zip(&expected) {
        assert!((got - expected).abs() <= 1e-12, "{got}, not {expected}");
    }
}

#[test]
fn the_larger_work_space_serves_both() {
    let small = WorkSize { thread: 5, shared: 7, partials: 1 };
    let sizes = [small, WorkSize { shared: 90, ..small }];
    assert_eq!(sizes[0].max(sizes[1]), sizes[1]);
    assert_eq!(sizes[1].max(sizes[0]), sizes[1]);
}
