//! Convolutions of images with few channels that read functions of tensors and finish their results,
//! against the same made of single steps, with each instruction set and both element types.
//!
//! Operands are small multiples of powers of two, so that whatever order a function of them is computed
//! in, nothing is rounded: the bytes must be those of a convolution of the function's values.

use cpu::kernels::conv::{conv_work, dgrad, fprop, wgrad};
use cpu::kernels::epilogue::Epilogue;
use cpu::kernels::gemm::Work;
use cpu::kernels::isa::{Isa, available};
use cpu::kernels::map;
use cpu::kernels::math::Math;
use cpu::kernels::operand::Operand;
use cpu::kernels::parallel::Scratch;
use tape::{Access, Binary, Conv, Expr};

/// Multiples of 1/16 in [−1, 1).
fn draw<R: Math>(len: usize, seed: u64) -> Vec<R> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        R::from_f64((state >> 59) as f64 / 16.0 - 1.0)
    };
    (0..len).map(|_| next()).collect()
}

/// The tensors and tables `[c]` that operands are functions of.
struct Source<R> {
    x: Vec<R>,
    d: Vec<R>,
    tables: [Vec<R>; 4],
}

impl<R: Math> Source<R> {
    fn new(len: usize, c: usize, seed: u64) -> Self {
        let tables = [1, 2, 3, 4].map(|table| draw(c, seed + table));
        Self { x: draw(len, seed + 5), d: draw(len, seed + 6), tables }
    }

    fn slope() -> R {
        R::from_f64(0.25)
    }

    /// The three kinds of operand.
    fn operands(&self) -> [Operand<'_, R>; 3] {
        let [mean, a, b, c] = self.tables.each_ref().map(|table| &table[..]);
        let (x, d) = (&self.x[..], &self.d[..]);
        let normalized = Operand::Normalized { x, mean, scale: a, shift: b, slope: Self::slope() };
        [Operand::Plain(x), normalized, Operand::Gradient { d, x, mean, a, b, c }]
    }

    /// Their values.
    fn values(&self) -> [Vec<R>; 3] {
        let at = |i: usize| self.tables.each_ref().map(|table| table[i % table.len()]);
        let normalized = |(i, &x): (usize, &R)| {
            let [mean, scale, shift, _] = at(i);
            let z = scale * (x - mean) + shift;
            if z > R::ZERO { z } else { Self::slope() * z }
        };
        let gradient = |(i, &x): (usize, &R)| {
            let [mean, a, b, c] = at(i);
            a * self.d[i] + b * (x - mean) + c
        };
        let each = || self.x.iter().enumerate();
        [self.x.clone(), each().map(normalized).collect(), each().map(gradient).collect()]
    }
}

/// Runs `f` with one thread and with two; the results must be the same.
fn in_pools<T: PartialEq + Send>(what: &str, f: impl Fn(usize) -> T + Sync) -> T {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| f(threads))
    };
    let one = run(1);
    assert!(one == run(2), "{what}: two threads differ from one");
    one
}

/// fprop, or dgrad, of an operand, with an epilogue.
fn convolve<R: Math>(
    (g, isa, forwards): (&Conv, Isa, bool),
    threads: usize,
    operand: Operand<'_, R>,
    out: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
) {
    let w = draw::<R>(g.k * g.r * g.s * g.c, 99);
    let mut work = Work::with_isa(threads, conv_work(g), isa);
    match forwards {
        true => fprop(g, operand, w[..].into(), out, epilogue, &mut work),
        false => dgrad(g, operand, w[..].into(), out, epilogue, &mut work),
    }
}

/// What is not written stays NaN and is found.
fn nothing<R: Math>(len: usize) -> Vec<R> {
    vec![R::from_f64(f64::NAN); len]
}

fn check_operands<R: Math>(g: &Conv, isa: Isa) {
    let images = Source::<R>::new(g.n * g.h * g.w * g.c, g.c, 10);
    let features = Source::<R>::new(g.n * g.p * g.q * g.k, g.k, 20);
    for kind in 0..3 {
        let what = format!("{g:?} of operand {kind} with {isa:?}");
        let both = [(true, &images, &features), (false, &features, &images)];
        for (forwards, source, result) in both {
            let run = |operand| {
                in_pools(&what, |threads| {
                    let mut out = nothing(result.x.len());
                    let epilogue = &mut Epilogue::None;
                    convolve((g, isa, forwards), threads, operand, &mut out, epilogue);
                    out
                })
            };
            let values = &source.values()[kind];
            let expected = run(Operand::Plain(values));
            assert!(run(source.operands()[kind]) == expected, "{what}, forwards: {forwards}");
        }
        let run = |x: Operand<'_, R>, dy: Operand<'_, R>| {
            in_pools(&what, |threads| {
                let mut work = Work::with_isa(threads, conv_work(g), isa);
                let mut dw = vec![R::ONE; g.k * g.r * g.s * g.c];
                wgrad(g, x, dy, &mut dw, true, &mut work);
                dw
            })
        };
        let (x, dy) = (images.operands()[2 - kind], features.operands()[kind]);
        let (x_values, dy_values) = (&images.values()[2 - kind], &features.values()[kind]);
        let expected = run(Operand::Plain(x_values), Operand::Plain(dy_values));
        assert!(run(x, dy) == expected, "wgrad of {what}");
    }
}

/// Sums of `terms` numbers, each rounded, are off by no more than so many roundings of the whole.
fn assert_sums<R: Math>(got: &[R], expected: &[f64], magnitudes: &[f64], terms: usize, what: &str) {
    let epsilon = if R::BYTES == 4 { f32::EPSILON as f64 } else { f64::EPSILON };
    for ((got, expected), magnitude) in got.iter().zip(expected).zip(magnitudes) {
        let error = (got.to_f64() - expected).abs();
        assert!(error <= epsilon * terms as f64 * magnitude, "{what}: {got}, not {expected}");
    }
}

fn check_epilogues<R: Math>(g: &Conv, isa: Isa, forwards: bool) {
    let what = format!("{g:?} with {isa:?}, forwards: {forwards}");
    let (from, to, c) = match forwards {
        true => (g.n * g.h * g.w * g.c, g.n * g.p * g.q * g.k, g.k),
        false => (g.n * g.p * g.q * g.k, g.n * g.h * g.w * g.c, g.c),
    };
    let input = draw::<R>(from, 30);
    let run = |threads: usize, epilogue: &mut Epilogue<'_, R>| {
        let mut y = nothing(to);
        convolve((g, isa, forwards), threads, Operand::Plain(&input), &mut y, epilogue);
        y
    };
    let plain = in_pools(&what, |threads| run(threads, &mut Epilogue::None));
    let source = Source::<R>::new(to, c, 40);
    let [mean, scale, shift, istd] = source.tables.each_ref().map(|table| &table[..]);
    let rows = to / c;

    let (y, sums) = in_pools(&what, |threads| {
        let mut sums = vec![R::ZERO; 2 * c + 1];
        let y = run(threads, &mut Epilogue::Moments { shift: mean, sums: &mut sums });
        (y, sums)
    });
    assert!(y == plain, "moments change nothing: {what}");
    let (mut expected, mut magnitudes) = (vec![0.0; 2 * c], vec![0.0; 2 * c]);
    for (i, y) in plain.iter().enumerate() {
        let d = y.to_f64() - mean[i % c].to_f64();
        for (at, term) in [(i % c, d), (c + i % c, d * d)] {
            expected[at] += term;
            magnitudes[at] += term.abs();
        }
    }
    assert_sums(&sums[..2 * c], &expected, &magnitudes, rows + 4, &what);
    assert_eq!(sums[2 * c], R::from_f64(rows as f64), "{what}");

    let (y, sums) = in_pools(&what, |threads| {
        let mut sums = vec![R::ZERO; 2 * c];
        let tables = [mean, istd, scale, shift];
        let slope = Source::<R>::slope();
        let (x, sums_of) = (&source.x[..], &mut sums);
        let y = run(threads, &mut Epilogue::GradientSums { x, tables, slope, sums: sums_of });
        (y, sums)
    });
    let (mut expected, mut magnitudes) = (vec![0.0; 2 * c], vec![0.0; 2 * c]);
    for (i, (&plain, &y)) in plain.iter().zip(&y).enumerate() {
        let j = i % c;
        let centred = source.x[i] - mean[j];
        let open = scale[j] * centred + shift[j] > R::ZERO;
        assert_eq!(y, if open { plain } else { Source::<R>::slope() * plain }, "{what}");
        let d = y.to_f64();
        for (at, term) in [(j, d), (c + j, d * (centred * istd[j]).to_f64())] {
            expected[at] += term;
            magnitudes[at] += term.abs();
        }
    }
    assert_sums(&sums, &expected, &magnitudes, rows + 4, &what);

    let y = in_pools(&what, |threads| {
        let registers = &Scratch::new(threads, map::SCRATCH);
        let operand = |x: &[R], access| map::Operand::new(x.as_ptr(), x.len(), access);
        let mut y = nothing(to);
        let operands = &[operand(&y, Access::Full), operand(shift, Access::Channel)];
        let (expr, each) = (&Expr::binary(Binary::Add), to / g.n);
        let epilogue = &mut Epilogue::Map { expr, operands, each, registers };
        convolve((g, isa, forwards), threads, Operand::Plain(&input), &mut y, epilogue);
        y
    });
    for (i, (&y, &plain)) in y.iter().zip(&plain).enumerate() {
        assert_eq!(y, plain + shift[i % c], "{what}");
    }
}

fn check<R: Math>(g: Conv) {
    for &isa in available() {
        check_operands::<R>(&g, isa);
        check_epilogues::<R>(&g, isa, true);
        check_epilogues::<R>(&g, isa, false);
    }
}

fn conv(
    n: usize,
    [h, w, c]: [usize; 3],
    k: usize,
    kernel: usize,
    stride: usize,
    pad: usize,
) -> Conv {
    let [p, q] = [h, w].map(|size| (size + 2 * pad - kernel) / stride + 1);
    Conv { n, h, w, c, p, q, k, r: kernel, s: kernel, stride, pad }
}

#[test]
fn kernels_of_four() {
    check::<f32>(conv(2, [32, 32, 3], 64, 4, 2, 1));
    check::<f32>(conv(3, [16, 16, 1], 64, 4, 2, 1));
    check::<f64>(conv(18, [6, 17, 3], 16, 4, 2, 1));
}

#[test]
fn other_kernels() {
    check::<f32>(conv(2, [28, 28, 1], 24, 5, 2, 2));
    check::<f32>(conv(2, [9, 20, 4], 33, 5, 2, 2));
    check::<f64>(conv(1, [9, 20, 2], 7, 3, 1, 1));
}
