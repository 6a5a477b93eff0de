//! Batch norm.

use crate::parity::{clock, device, difference, parity, play, reals};
use cuda::Precision;
use tape::{Act, Device, Dtype, Init, Norm, Options, Over, Statistics, T, Tape};

/// Shapes [m, c]: one channel, few, many, counts of lines that do not divide, tiles that are not full, and
/// more rows than a thread adds.
const SHAPES: [[usize; 2]; 8] =
    [[900, 1], [701, 3], [60, 33], [12, 515], [300, 64], [301, 12], [9, 1028], [9000, 4]];

/// Multiples of 1/64 in [−2, 2), which bf16 holds exactly: a rounded value would be on the other side of a
/// leaky ReLU now and then, and the gradient another one.
fn exact(t: &Tape, name: &str, shape: [usize; 2]) -> T {
    t.convert(t.input(name, Dtype::U8, shape), 1.0 / 64.0, -2.0)
}

fn act(t: &Tape, act: Act, x: T) -> T {
    match act {
        Act::None => x,
        Act::Leaky(slope) => t.leaky_relu(x, slope),
        Act::Tanh => t.tanh(x),
        Act::Sigmoid => t.sigmoid(x),
    }
}

/// y, dx, gradients of gain and shift, and running statistics of act(norm(x)) with a loss Σ w · y.
fn forward_and_back(tape: &Tape, shape: [usize; 2], f: Act, statistics: Statistics) {
    let network = tape.network("n");
    let norm = tape.norm(network, "norm", shape[1], 1e-5);
    tape.record("p", |t| {
        let [x, w] = ["x", "w"].map(|name| exact(t, name, shape));
        record(t, x, w, &norm, f, statistics);
    });
}

fn record(t: &Tape, x: T, w: T, norm: &Norm, f: Act, statistics: Statistics) {
    let y = act(t, f, t.batch_norm(x, norm, statistics));
    let loss = t.sum(t.mul(y, w), Over::All);
    t.output("y", t.affine(y, 1.0, 0.0));
    if statistics != Statistics::Running {
        for (name, g) in
            ["dx", "dgain", "dshift"].into_iter().zip(t.grad(loss, &[x, norm.gain, norm.shift]))
        {
            t.output(name, t.affine(g, 1.0, 0.0));
        }
    }
    t.commit(&[loss]);
}

#[test]
fn every_activation() {
    for f in [Act::None, Act::Leaky(0.0), Act::Leaky(0.2), Act::Tanh, Act::Sigmoid] {
        parity("batch_norm", |tape| forward_and_back(tape, [200, 16], f, Statistics::Batch));
    }
}

#[test]
fn every_shape() {
    for shape in SHAPES {
        for precision in [Precision::F32, Precision::Bf16] {
            let Some(worst) = difference(precision, |tape| {
                forward_and_back(tape, shape, Act::Leaky(0.2), Statistics::BatchAndUpdate);
            }) else {
                return;
            };
            // f32: sums are added in pieces of some rows, and then in f64. bf16: a result is rounded once, or
            // is a few operations behind one that was, each 2⁻⁹ off.
            let bound = if precision == Precision::F32 { 2e-6 } else { 8e-3 };
            assert!(worst < bound, "{shape:?} in {}: {worst:.1e}", precision.name());
        }
    }
}

#[test]
fn running_statistics_normalize_too() {
    parity("batch_norm", |tape| {
        forward_and_back(tape, [77, 20], Act::Tanh, Statistics::Running);
    });
}

/// Views that do not begin where four elements may be read at once.
#[test]
fn tensors_that_are_not_aligned() {
    parity("batch_norm", |tape| {
        let network = tape.network("n");
        let norm = tape.norm(network, "norm", 8, 1e-5);
        tape.record("p", |t| {
            let [x, w] = ["x", "w"].map(|name| t.slice(exact(t, name, [41, 8]), 5, [40, 8]));
            record(t, x, w, &norm, Act::Leaky(0.2), Statistics::BatchAndUpdate);
        });
    });
}

/// Values around 1000 with a spread of 1: sums of squares in f32 would leave nothing of the variance, sums
/// around the running mean do.
#[test]
fn a_mean_far_from_zero() {
    let record = |tape: &Tape| {
        let running = tape.state("running", [2, 4], Init::Rows(vec![1000.0, 1.0]));
        let [gain, shift] = [1.0, 0.0].map(|v| tape.state(&format!("{v}"), [4], Init::Constant(v)));
        tape.record_init();
        tape.record("p", |t| {
            let x = t.convert(t.input("x", Dtype::U8, [4096, 4]), 1.0 / 64.0, 998.0);
            let norm = Norm { gain, shift, running, eps: 1e-5, momentum: 0.1 };
            let y = t.batch_norm(x, &norm, Statistics::Batch);
            t.output("y", t.affine(y, 1.0, 0.0));
        });
    };
    // x and the mean have 24 bits: 3e-5 of the deviation, which is 1.15.
    if let Some(worst) = difference(Precision::F32, record) {
        assert!(worst < 5e-5, "{worst:.1e}");
    }
}

/// A step that is not finite leaves the running statistics as they were.
#[test]
fn a_fault_stops_the_running_statistics() {
    let Some(mut gpu) = device(Precision::F32, true) else { return };
    let tape = Tape::new(1);
    let norm = tape.norm(tape.network("n"), "norm", 5, 1e-5);
    let x = tape.input("x", Dtype::F32, [7, 5]);
    let program = tape.record("p", |t| {
        let y = t.batch_norm(t.convert(x, 1.0, 0.0), &norm, Statistics::BatchAndUpdate);
        t.commit(&[y]);
    });
    gpu.load(&tape, &Precision::F32.options()).expect("the tape loads");
    let before: Vec<u8> = (0..10).flat_map(|i| (0.5_f32 + i as f32).to_le_bytes()).collect();
    let mut after = vec![0; before.len()];
    for (value, faulty) in [(f32::INFINITY, true), (1.5, false)] {
        let mut values = [1.0_f32; 35];
        values[33] = value;
        gpu.write(tape.fault(), &0.0_f32.to_le_bytes()).expect("it can be written");
        gpu.write(norm.running, &before).expect("it can be written");
        gpu.write(x, &values.map(f32::to_le_bytes).concat()).expect("a batch");
        gpu.run(program, &clock(&tape)).expect("it runs");
        gpu.read(norm.running, &mut after).expect("it can be read");
        assert_eq!(before == after, faulty, "{value}: {:?}", reals(&after, 4));
    }
}

/// Sums are added in one order: the same bytes each time.
#[test]
fn the_same_bytes_twice() {
    let tape = Tape::new(1);
    forward_and_back(&tape, [3000, 24], Act::Leaky(0.2), Statistics::BatchAndUpdate);
    let run = || {
        let mut gpu = device(Precision::Bf16, true)?;
        Some(play(&mut gpu, &tape, &Options { ..Precision::Bf16.options() }))
    };
    let Some(first) = run() else { return };
    assert!(first.iter().any(|(_, values)| values.iter().any(|x| *x != 0.0)));
    assert_eq!(Some(first), run());
}
