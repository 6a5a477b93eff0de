//! Elementwise operations and maxout.

use crate::fed::{both, ties_and_nan};
use crate::parity::{device, difference, parity_in};
use cuda::Precision;
use tape::{Dtype, Init, Op, Over, T, Tape};

/// Roundings of f32 that add up, of a tensor's largest value.
const FEW_ULP: f64 = 8.0 * f32::EPSILON as f64;
/// Rows and channels: one element, rests, whole blocks of both kernels, blocks and a rest.
const SHAPES: [[usize; 2]; 5] = [[1, 1], [3, 5], [4, 512], [5, 1000], [33, 257]];

/// Every function of x, and of x and y; positive where it must be.
fn functions(t: &Tape, x: T, y: T, positive: T) -> Vec<(&'static str, T)> {
    let gate = |slope: f64| {
        // What a gradient makes of a leaky ReLU: y where x is above 0, else slope · y.
        let z = t.leaky_relu(x, slope);
        t.grad(t.sum(t.mul(z, y), Over::All), &[x])[0]
    };
    vec![
        ("affine", t.affine(x, 1.75, -0.25)),
        ("relu", t.relu(x)),
        ("leaky", t.leaky_relu(x, 0.2)),
        ("tanh", t.tanh(x)),
        ("sigmoid", t.sigmoid(x)),
        ("softplus", t.softplus(x)),
        ("square", t.square(x)),
        ("sqrt", t.sqrt(positive)),
        ("reciprocal", t.reciprocal(t.affine(positive, 1.0, 0.5))),
        ("add", t.add(x, y)),
        ("sub", t.sub(x, y)),
        ("mul", t.mul(x, y)),
        ("div", t.div(x, t.affine(positive, 1.0, 0.5))),
        ("gate", gate(0.0)),
        ("gate with a slope", gate(0.2)),
    ]
}

#[test]
fn functions_agree_with_f64() {
    // An operand that begins between two multiples of 16 bytes is read one by one.
    for (shape, offset) in SHAPES.map(|s| (s, 0)).into_iter().chain([([9, 130], 1)]) {
        let record = |tape: &Tape| {
            tape.record("p", |t| {
                let len = shape[0] * shape[1] + offset;
                let input = |name| t.slice(t.input(name, Dtype::Real, [len]), offset, shape);
                let [x, y, positive] = ["x", "y", "moment2"].map(input);
                for (name, f) in functions(t, x, y, positive) {
                    t.output(name, f);
                }
            });
        };
        let Some(worst) = difference(Precision::F32, record) else { return };
        assert!(worst < FEW_ULP, "{shape:?} at {offset}: {worst:.1e}");
    }
}

/// The same in bf16: pooling reads what they give, so that it is not fused and not seen by the host.
#[test]
fn functions_of_bf16() {
    for c in [2, 3, 8] {
        let record = |t: &Tape| {
            let shape = [3, 10, 6, c];
            let input = |name| t.convert(t.input(name, Dtype::F32, shape), 1.0, 0.0);
            let [x, y, positive] = ["x", "y", "moment2"].map(input);
            for (name, f) in functions(t, x, y, positive) {
                t.output(name, t.block_sum(f));
            }
        };
        let value = |name: &str, i: usize| {
            let x = ((i * 37) % 101) as f64 / 64.0;
            if name == "moment2" { x } else { x - 0.75 }
        };
        let Some(results) = both(Precision::Bf16, record, value) else { return };
        let narrow =
            results.nodes(|node, dtype| matches!(node.op, Op::Map { .. }) && dtype == Dtype::Bf16);
        assert!(narrow >= 15, "{narrow} maps in bf16");
        for (name, exact, found) in &results.outputs {
            let largest = exact.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
            for (exact, found) in exact.iter().zip(found) {
                // Half a unit, 2⁻⁹, of each of four values that are at most `largest`.
                let bound = 4.0 * largest / 512.0;
                assert!((exact - found).abs() <= bound, "{name}: {found} instead of {exact}");
            }
        }
    }
}

/// Draws that are always the same.
struct Draws(u32);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 >> 8) as usize % n
    }
}

/// A random chain of some 15 functions of operands that are read in every way.
fn chain(t: &Tape, [rows, c]: [usize; 2], draws: &mut Draws) -> T {
    let shape = [rows, c];
    let input = |name: &str, len: usize| t.input(name, Dtype::Real, [len]);
    let mut known = vec![
        t.reshape(input("x", rows * c), shape),
        t.slice(input("y", rows * c + 1), 1, shape),
        t.spread(input("sample", rows), Over::Sample, shape),
        t.spread(input("channel", c), Over::Channel, shape),
        t.spread(t.slice(input("shifted", c + 1), 1, [c]), Over::Channel, shape),
        t.spread(input("scalar", 1), Over::All, shape),
    ];
    for _ in 0..12 {
        // Half of the time from the last, so that all hangs together.
        let last = known.len() - 1;
        let mut pick = || if draws.below(2) == 0 { last } else { draws.below(known.len()) };
        let (a, b) = (known[pick()], known[pick()]);
        known.push(match draws.below(9) {
            0 => t.add(a, t.affine(b, 0.5, 0.125)),
            1 => t.sub(a, b),
            2 => t.mul(a, b),
            3 => t.leaky_relu(a, 0.2),
            4 => t.tanh(a),
            5 => t.sub(t.sigmoid(a), b),
            6 => t.softplus(a),
            7 => t.sqrt(t.affine(t.square(a), 1.0, 0.5)),
            _ => t.div(a, t.affine(t.square(b), 1.0, 1.0)),
        });
    }
    let all = known.iter().copied().reduce(|a, b| t.add(a, b)).expect("there are some");
    t.output("y", all)
}

#[test]
fn chains_with_operands_read_in_every_way() {
    let mut long = 0;
    for seed in 0..24 {
        let shape = [[2, 3], [7, 12], [3, 4], [1, 1], [5, 31], [6, 400]][seed % 6];
        let record = |t: &Tape| {
            chain(t, shape, &mut Draws(seed as u32));
        };
        let value = |name: &str, i: usize| ((i * 29 + name.len() * 7) % 64) as f64 / 32.0 - 1.0;
        let Some(results) = both(Precision::F32, record, value) else { return };
        long += results.nodes(|node, _| match &node.op {
            Op::Map { expr, .. } => expr.steps.len() >= 12,
            _ => false,
        });
        let [(_, exact, found)] = &results.outputs[..] else { panic!("one output") };
        let largest = exact.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        for (exact, found) in exact.iter().zip(found) {
            // Some forty roundings of values that may be a few times the result.
            let off = (exact - found).abs() / largest;
            assert!(off < 1e-5, "chain {seed}: {found} instead of {exact}");
        }
    }
    assert!(long >= 24, "only {long} fused chains of 12 steps and more");
}

/// What is large, small, infinite or no number goes through as it does on cores.
#[test]
fn limits() {
    let special = [
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        88.0,
        -88.0,
        200.0,
        -200.0,
        65_536.0,
        -65_536.0,
        0.000_976_562_5,
        -0.000_976_562_5,
    ];
    let n = special.len();
    let record = |t: &Tape| {
        let [x, y, positive] = ["x", "y", "p"].map(|name| t.input(name, Dtype::Real, [n * n]));
        for (name, f) in functions(t, x, y, positive) {
            t.output(name, f);
        }
    };
    let value = |name: &str, i: usize| if name == "y" { special[i / n] } else { special[i % n] };
    let Some(results) = both(Precision::F32, record, value) else { return };
    results.close(4.0);
}

/// A map that takes its operand's place, as the plan says, and one that adds to a state at an odd place.
#[test]
fn results_take_the_place_of_operands() {
    for precision in [Precision::F32, Precision::Bf16] {
        let record = |t: &Tape| {
            let x = t.convert(t.input("x", Dtype::F32, [3, 6, 6, 5]), 1.0, 0.0);
            let y = t.upsample(x);
            let z = t.leaky_relu(y, 0.2);
            t.output("sum", t.block_sum(z));
        };
        let value = |_: &str, i: usize| ((i * 37) % 101) as f64 / 64.0 - 0.75;
        let Some(results) = both(precision, record, value) else { return };
        let in_place = results.nodes(|node, _| {
            let place = |t| results.compiled.plan.byte_offset(t, 4);
            matches!(node.op, Op::Map { .. }) && place(node.ins[0]) == place(node.outs[0])
        });
        assert_eq!(in_place, 1, "maps in place");
        let bound = if precision == Precision::F32 { 1e-6 } else { 4.0 / 256.0 };
        for (exact, found) in results.outputs[0].1.iter().zip(&results.outputs[0].2) {
            assert!((exact - found).abs() <= bound * 4.0, "{found} instead of {exact}");
        }
    }
    let record = |tape: &Tape| {
        let sum = tape.state("sum", [1001], Init::Constant(0.0));
        tape.record("p", |t| {
            let x = t.input("x", Dtype::Real, [1000]);
            t.accumulate(t.slice(sum, 1, [1000]), x);
        });
    };
    let Some(worst) = difference(Precision::F32, record) else { return };
    assert!(worst < FEW_ULP, "{worst:.1e}");
}

#[test]
fn maxout_and_its_gradient() {
    for pieces in [1, 2, 3, 5, 7] {
        for precision in [Precision::F32, Precision::Bf16] {
            parity_in("maxout", precision, |tape| {
                tape.record("p", |t| {
                    // Exact in bf16, so that the same piece wins.
                    let bytes = t.input("x", Dtype::U8, [37, 11 * pieces]);
                    let x = t.convert(bytes, 1.0 / 128.0, -1.0);
                    let y = t.output("y", t.maxout(x, pieces));
                    let loss = t.sum(t.square(y), Over::All);
                    t.output("dx", t.grad(loss, &[x])[0]);
                });
            });
        }
    }
}

/// Among equals the first wins, and a NaN wins against numbers; exactly as on cores.
#[test]
fn maxout_of_equals_and_of_nan() {
    let record = |t: &Tape| {
        let x = t.input("x", Dtype::Real, [40, 12]);
        let y = t.output("y", t.maxout(x, 4));
        let loss = t.sum(t.mul(y, t.input("dy", Dtype::Real, [40, 3])), Over::All);
        t.output("dx", t.grad(loss, &[x])[0]);
    };
    let Some(results) = both(Precision::F32, record, ties_and_nan) else { return };
    results.close(0.0);
    let nan = results.outputs[0].2.iter().filter(|y| y.is_nan()).count();
    assert!((20..100).contains(&nan), "{nan} of 120 are NaN");
}

/// What a launch is made of depends on nothing but the tape: two loads run the same, bit for bit.
#[test]
fn two_runs_give_the_same_bytes() {
    let bits = || {
        device(Precision::F32, true)?;
        let record = |t: &Tape| {
            chain(t, [5, 31], &mut Draws(7));
        };
        let value = |_: &str, i: usize| (i % 64) as f64 / 32.0 - 1.0;
        let results = both(Precision::F32, record, value)?;
        Some(results.outputs[0].2.iter().map(|x| x.to_bits()).collect::<Vec<u64>>())
    };
    assert_eq!(bits(), bits());
}
