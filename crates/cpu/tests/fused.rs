//! Convolutions that read operands through a function and finish their results, against the same done
//! one after the other: results are equal bit for bit, since a value is computed by the same formula, and
//! sums to the rounding of their parts.

use cpu::kernels::conv::{Weights, conv_work, dgrad, fprop, kept_len, wgrad};
use cpu::kernels::epilogue::Epilogue;
use cpu::kernels::gemm::{Kept, Work};
use cpu::kernels::isa::available;
use cpu::kernels::map::{self, Operand as Mapped};
use cpu::kernels::operand::Operand;
use cpu::kernels::parallel::Scratch;
use tape::{Access, Binary, Conv, Expr, Unary};

/// Numbers in [−1, 1) that do not repeat.
fn draw(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 40) as f64 / (1u64 << 23) as f64 - 1.0) as f32
    };
    (0..len).map(|_| next()).collect()
}

/// One geometry of each kind of kernel: fewer multiplications with a kernel of 4 and 5, windows and
/// phases gathered, images with few channels, narrow and wide, a product that is scattered.
const KINDS: [Conv; 7] = [
    Conv { n: 5, h: 8, w: 12, c: 48, p: 4, q: 6, k: 64, r: 4, s: 4, stride: 2, pad: 1 },
    Conv { n: 2, h: 8, w: 8, c: 80, p: 4, q: 4, k: 288, r: 5, s: 5, stride: 2, pad: 2 },
    Conv { n: 3, h: 6, w: 6, c: 20, p: 3, q: 3, k: 24, r: 4, s: 4, stride: 2, pad: 1 },
    Conv { n: 3, h: 12, w: 12, c: 3, p: 6, q: 6, k: 64, r: 4, s: 4, stride: 2, pad: 1 },
    Conv { n: 4, h: 10, w: 10, c: 1, p: 5, q: 5, k: 16, r: 5, s: 5, stride: 2, pad: 2 },
    Conv { n: 3, h: 12, w: 20, c: 3, p: 6, q: 10, k: 24, r: 4, s: 4, stride: 2, pad: 1 },
    Conv { n: 9, h: 4, w: 4, c: 32, p: 1, q: 1, k: 40, r: 4, s: 4, stride: 1, pad: 0 },
];

const SLOPE: f32 = 0.2;

fn leaky(z: f32) -> f32 {
    if z > 0.0 { z } else { SLOPE * z }
}

/// Tables of a batch norm, `[c]` each.
struct Tables {
    mean: Vec<f32>,
    scale: Vec<f32>,
    shift: Vec<f32>,
}

impl Tables {
    fn new(c: usize) -> Self {
        let [mean, scale, shift] = [31, 32, 33].map(|seed| draw(c, seed));
        Self { mean, scale, shift }
    }

    fn z(&self, x: &[f32]) -> Vec<f32> {
        let c = self.mean.len();
        let z =
            |(i, x): (usize, &f32)| self.scale[i % c] * (x - self.mean[i % c]) + self.shift[i % c];
        x.iter().enumerate().map(z).collect()
    }

    fn normalized<'a>(&'a self, x: &'a [f32]) -> Operand<'a, f32> {
        let Self { mean, scale, shift } = self;
        Operand::Normalized { x, mean, scale, shift, slope: SLOPE }
    }

    /// With other tables for the three factors.
    fn gradient<'a>(&'a self, d: &'a [f32], x: &'a [f32]) -> Operand<'a, f32> {
        let Self { mean, scale, shift } = self;
        Operand::Gradient { d, x, mean, a: scale, b: shift, c: mean }
    }

    fn gradient_of(&self, d: &[f32], x: &[f32]) -> Vec<f32> {
        let n = self.mean.len();
        let value = |i: usize| {
            let j = i % n;
            self.scale[j] * d[i] + self.shift[j] * (x[i] - self.mean[j]) + self.mean[j]
        };
        (0..x.len()).map(value).collect()
    }
}

/// Everything that the kernels need of one geometry.
struct Case {
    g: Conv,
    x: Vec<f32>,
    w: Vec<f32>,
    dy: Vec<f32>,
}

impl Case {
    fn new(g: Conv) -> Self {
        let x = draw(g.n * g.h * g.w * g.c, 1);
        let w = draw(g.k * g.r * g.s * g.c, 2);
        Self { x, w, dy: draw(g.n * g.p * g.q * g.k, 3), g }
    }

    /// Calls `f` with each instruction set, on one thread and on two, whose bytes must be equal.
    fn each(&self, f: impl Fn(&mut Work<f32>) -> Vec<Vec<f32>> + Sync) -> Vec<Vec<Vec<f32>>> {
        let run = |isa, threads| {
            let mut work = Work::with_isa(threads, conv_work(&self.g), isa);
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| f(&mut work))
        };
        let each = |&isa| {
            let one = run(isa, 1);
            assert!(one == run(isa, 2), "two threads differ from one: {:?}", self.g);
            one
        };
        available().iter().map(each).collect()
    }

    fn fprop(
        &self,
        x: Operand<'_, f32>,
        mut e: Epilogue<'_, f32>,
        work: &mut Work<f32>,
    ) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.dy.len()];
        fprop(&self.g, x, self.w[..].into(), &mut y, &mut e, work);
        y
    }

    fn dgrad(
        &self,
        dy: Operand<'_, f32>,
        mut e: Epilogue<'_, f32>,
        work: &mut Work<f32>,
    ) -> Vec<f32> {
        let mut dx = vec![f32::NAN; self.x.len()];
        dgrad(&self.g, dy, self.w[..].into(), &mut dx, &mut e, work);
        dx
    }

    fn wgrad(&self, x: Operand<'_, f32>, dy: Operand<'_, f32>, work: &mut Work<f32>) -> Vec<f32> {
        let mut dw = vec![f32::NAN; self.w.len()];
        wgrad(&self.g, x, dy, &mut dw, false, work);
        dw
    }
}

#[test]
fn operands_are_computed_while_they_are_packed() {
    for g in KINDS {
        let case = Case::new(g);
        let (image, feature) = (Tables::new(g.c), Tables::new(g.k));
        let (d_image, d_feature) = (draw(case.x.len(), 7), draw(case.dy.len(), 8));
        let activated = |tables: &Tables, x: &[f32]| -> Vec<f32> {
            tables.z(x).into_iter().map(leaky).collect()
        };
        let x = [activated(&image, &case.x), image.gradient_of(&d_image, &case.x)];
        let dy = [activated(&feature, &case.dy), feature.gradient_of(&d_feature, &case.dy)];
        for i in 0..2 {
            let computed_x = || [image.normalized(&case.x), image.gradient(&d_image, &case.x)][i];
            let computed_dy =
                || [feature.normalized(&case.dy), feature.gradient(&d_feature, &case.dy)][i];
            let found = case.each(|work| {
                let dw = case.wgrad(computed_x(), computed_dy(), work);
                let dx = case.dgrad(computed_dy(), Epilogue::None, work);
                vec![case.fprop(computed_x(), Epilogue::None, work), dx, dw]
            });
            let expected = case.each(|work| {
                let (x, dy) = (Operand::Plain(&x[i]), Operand::Plain(&dy[i]));
                let dw = case.wgrad(x, dy, work);
                vec![case.fprop(x, Epilogue::None, work), case.dgrad(dy, Epilogue::None, work), dw]
            });
            assert!(found == expected, "operand {i} of {g:?}");
        }
    }
}

/// Whether f32 sums of `terms` values agree with f64: parts hold some hundred rows, each rounded.
fn assert_sums(found: &[f32], expected: &[f64], magnitude: &[f64], what: &str) {
    for (j, found) in found.iter().enumerate() {
        let error = (f64::from(*found) - expected[j]).abs();
        assert!(error <= 5e-6 * (1.0 + magnitude[j]), "{what} {j}: {found}, not {}", expected[j]);
    }
}

#[test]
fn sums_are_taken_as_blocks_finish() {
    for g in KINDS {
        let case = Case::new(g);
        let plain = case.each(|work| {
            let y = case.fprop(Operand::Plain(&case.x), Epilogue::None, work);
            vec![y, case.dgrad(Operand::Plain(&case.dy), Epilogue::None, work)]
        });
        let found = case.each(|work| {
            let (k, c) = (draw(g.k, 5), draw(g.c, 6));
            let [mut of_y, mut of_dx] = [vec![f32::NAN; 2 * g.k + 1], vec![f32::NAN; 2 * g.c + 1]];
            let y = Epilogue::Moments { shift: &k, sums: &mut of_y };
            let y = case.fprop(Operand::Plain(&case.x), y, work);
            let dx = Epilogue::Moments { shift: &c, sums: &mut of_dx };
            let dx = case.dgrad(Operand::Plain(&case.dy), dx, work);
            vec![y, dx, of_y, of_dx]
        });
        for (plain, found) in plain.iter().zip(&found) {
            assert!(plain[..] == found[..2], "results of {g:?}");
            for (i, shift) in [draw(g.k, 5), draw(g.c, 6)].iter().enumerate() {
                let n = shift.len();
                let (mut sums, mut sizes) = (vec![0.0; 2 * n], vec![0.0; 2 * n]);
                for (at, y) in plain[i].iter().enumerate() {
                    let d = f64::from(y - shift[at % n]);
                    for (j, term) in [(at % n, d), (n + at % n, d * d)] {
                        sums[j] += term;
                        sizes[j] += term.abs();
                    }
                }
                let (count, found) = found[2 + i].split_last().unwrap();
                assert_eq!(*count as usize, plain[i].len() / n);
                assert_sums(found, &sums, &sizes, &format!("sums {i} of {g:?}"));
            }
        }
    }
}

#[test]
fn gradients_are_gated_and_summed_as_blocks_finish() {
    for g in KINDS {
        let case = Case::new(g);
        let (image, istd) = (Tables::new(g.c), draw(g.c, 9));
        let plain =
            case.each(|work| vec![case.dgrad(Operand::Plain(&case.dy), Epilogue::None, work)]);
        let found = case.each(|work| {
            let mut sums = vec![f32::NAN; 2 * g.c];
            let tables = [&image.mean[..], &istd, &image.scale, &image.shift];
            let epilogue =
                Epilogue::GradientSums { x: &case.x, tables, slope: SLOPE, sums: &mut sums };
            let d = case.dgrad(Operand::Plain(&case.dy), epilogue, work);
            vec![d, sums]
        });
        let z = image.z(&case.x);
        for (plain, found) in plain.iter().zip(&found) {
            let gated = |(dx, z): (&f32, &f32)| if *z > 0.0 { *dx } else { SLOPE * dx };
            let expected: Vec<f32> = plain[0].iter().zip(&z).map(gated).collect();
            assert!(found[0] == expected, "gated gradients of {g:?}");
            let (mut sums, mut sizes) = (vec![0.0; 2 * g.c], vec![0.0; 2 * g.c]);
            for (at, d) in expected.iter().enumerate() {
                let j = at % g.c;
                let x_hat = f64::from((case.x[at] - image.mean[j]) * istd[j]);
                for (j, term) in [(j, f64::from(*d)), (g.c + j, f64::from(*d) * x_hat)] {
                    sums[j] += term;
                    sizes[j] += term.abs();
                }
            }
            assert_sums(&found[1], &sums, &sizes, &format!("gradients of {g:?}"));
        }
    }
}

#[test]
fn expressions_are_applied_as_blocks_finish() {
    let leaky_bias =
        Expr::unary(Unary::Leaky(0.2)).inline(0, &Expr::binary(Binary::Add), &[], &[0, 1]);
    let exprs = [leaky_bias, Expr::unary(Unary::Leaky(0.2)), Expr::binary(Binary::Gate(0.2))];
    for g in KINDS {
        let case = Case::new(g);
        let (bias, by) = (draw(g.k, 11), draw(case.dy.len(), 12));
        let registers = Scratch::new(2, map::SCRATCH);
        for (i, expr) in exprs.iter().enumerate() {
            let second = [
                Mapped::new(bias.as_ptr(), bias.len(), Access::Channel),
                Mapped::new(bias.as_ptr(), bias.len(), Access::Channel),
                Mapped::new(by.as_ptr(), by.len(), Access::Full),
            ][i];
            let found = case.each(|work| {
                let mut y = vec![f32::NAN; case.dy.len()];
                let (len, each) = (y.len(), y.len() / g.n);
                let operands = [Mapped::new(y.as_ptr(), len, Access::Full), second];
                let (operands, registers) = (&operands, &registers);
                let mut epilogue = Epilogue::Map { expr, operands, each, registers };
                fprop(&g, Operand::Plain(&case.x), case.w[..].into(), &mut y, &mut epilogue, work);
                vec![y]
            });
            let plain = case.each(|work| {
                let y = case.fprop(Operand::Plain(&case.x), Epilogue::None, work);
                let gate = |y: f32, by: f32| if by > 0.0 { y } else { SLOPE * y };
                let value = |(at, &y): (usize, &f32)| match i {
                    0 => leaky(y + bias[at % g.k]),
                    1 => leaky(y),
                    _ => gate(y, by[at]),
                };
                vec![y.iter().enumerate().map(value).collect()]
            });
            assert!(found == plain, "expression {i} of {g:?}");
        }
    }
}

#[test]
fn weights_are_packed_until_they_change() {
    for g in KINDS {
        let case = Case::new(g);
        let other: Vec<f32> = case.w.iter().map(|w| 0.5 * w).collect();
        case.each(|work| {
            let mut kept = Kept::new(kept_len(&g));
            let run = |w: &[f32], kept: &mut Kept<f32>, work: &mut Work<f32>| {
                let mut y = vec![f32::NAN; case.dy.len()];
                let weights = Weights { raw: w, kept: Some(kept) };
                fprop(&g, Operand::Plain(&case.x), weights, &mut y, &mut Epilogue::None, work);
                y
            };
            let first = run(&case.w, &mut kept, work);
            let again = run(&other, &mut kept, work);
            kept.forget();
            let halved = run(&other, &mut kept, work);
            let plain = case.fprop(Operand::Plain(&case.x), Epilogue::None, work);
            assert!(first == plain && again == plain, "kept weights of {g:?}");
            // Halving is exact, and so are all sums of halves.
            assert!(halved.iter().zip(&plain).all(|(h, p)| *h == 0.5 * p), "{g:?}");
            vec![]
        });
    }
}
