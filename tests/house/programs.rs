//! Random programs: the memory plan never gives away what is still needed, and fusion changes
//! nothing but the rounding.

use proptest::prelude::*;
use std::collections::HashMap;
use tape::{
    Compiled, Fusion, Home, Init, Kind, Norm, Options, Over, Program, Space, Statistics, T, Tape,
    Window,
};
use tests::Bench;

/// What to record next, and on which of the tensors that are there.
#[derive(Clone, Debug)]
struct Choice {
    op: u8,
    a: usize,
    b: usize,
}

fn choices() -> impl Strategy<Value = Vec<Choice>> {
    let choice = (0..26u8, 0..64usize, 0..64usize).prop_map(|(op, a, b)| Choice { op, a, b });
    prop::collection::vec(choice, 1..24)
}

/// Rows and columns of every matrix in a random program; also four 2×2 images of 3 channels.
const SHAPE: [usize; 2] = [4, 12];

const IMAGES: [usize; 4] = [4, 2, 2, 3];

struct Recorded {
    tape: Tape,
    init: Program,
    step: Program,
    outputs: Vec<T>,
}

/// A norm that makes nothing of numbers that differ by their rounding.
fn norm(tape: &Tape) -> Norm {
    let network = tape.network("norm");
    let numbers =
        |name, mean| tape.parameter(network, name, [3], Init::Rows(vec![mean, -0.4, 0.7]));
    let running = tape.buffer(network, "running", [2, 3], Init::Rows(vec![0.0, 1.0]));
    Norm {
        gain: numbers("gain", 1.0),
        shift: numbers("shift", 0.3),
        running,
        eps: 0.1,
        momentum: 0.1,
    }
}

/// A forward pass made of the choices, its gradient, and an update.
fn record(choices: &[Choice]) -> Recorded {
    let tape = Tape::new(1);
    let n = tape.network("n");
    let square = tape.parameter(n, "square", [12, 12], Init::normal(0.3));
    let filter = tape.parameter(n, "filter", [3, 3, 3, 3], Init::normal(0.3));
    let bias = tape.parameter(n, "bias", [12], Init::normal(0.3));
    let colour = tape.parameter(n, "colour", [3], Init::normal(0.3));
    let start = tape.parameter(n, "start", SHAPE, Init::normal(1.0));
    let rate = tape.scalar("rate");
    let velocity = tape.state("velocity", tape.shape(tape.flat(n)), Init::Constant(0.0));
    let norm = norm(&tape);
    let mut outputs = vec![norm.running];
    let step = tape.record("step", |t| {
        let mut there = vec![start];
        let mut images = vec![t.reshape(start, IMAGES)];
        for choice in choices {
            let a = there[choice.a % there.len()];
            let b = there[choice.b % there.len()];
            let image = |x| t.reshape(x, IMAGES);
            let window = Window { kernel: 3, stride: 1, pad: 1 };
            if let Some(x) = convolved(t, choice, &images, [filter, colour], &norm) {
                images.push(x);
                continue;
            }
            there.push(match choice.op {
                0 => t.add(a, b),
                1 => t.sub(a, b),
                2 => t.mul(t.tanh(a), t.sigmoid(b)),
                3 => t.leaky_relu(a, 0.2),
                4 => t.affine(a, 0.5, 0.1),
                5 => t.softplus(a),
                6 => t.matmul(a, square),
                7 => t.matmul_of(a, false, square, true),
                8 => t.add_bias(a, bias),
                9 => t.reshape(t.fprop(image(a), filter, window), SHAPE),
                10 => t.reshape(t.dgrad(image(a), filter, window), SHAPE),
                11 => t.spread(t.sum(a, Over::Sample), Over::Sample, SHAPE),
                12 => t.tanh(t.spread(t.sum(a, Over::Channel), Over::Channel, SHAPE)),
                13 => t.mul(a, t.tanh(t.sum(b, Over::All))),
                14 => t.dropout(a, 0.7, 1.0 / 0.7),
                15 => t.reshape(t.upsample(t.max_pool(image(a))), SHAPE),
                16 => t.reshape(t.upsample(t.block_sum(image(a))), SHAPE),
                17 => t.sqrt(t.affine(t.square(a), 1.0, 0.5)),
                _ => t.reshape(images[choice.b % images.len()], SHAPE),
            });
        }
        let [last, image] =
            [&there, &images].map(|all| *all.last().expect("something is recorded"));
        let last = t.add(last, t.reshape(image, SHAPE));
        let loss = t.batch_mean(t.tanh(last));
        let gradient = t.flat_gradient(n, loss);
        t.commit(&[gradient]);
        outputs.push(t.output("loss", t.affine(loss, 1.0, 0.0)));
        outputs.push(t.output("gradient", t.affine(gradient, 1.0, 0.0)));
        t.sgd(t.flat(n), velocity, gradient, rate, rate);
    });
    outputs.push(tape.flat(n));
    let init = tape.record_init();
    Recorded { tape, init, step, outputs }
}

/// An image made of images, if that is what is chosen: what convolutions may be fused with.
fn convolved(
    t: &Tape,
    choice: &Choice,
    images: &[T],
    [filter, colour]: [T; 2],
    norm: &Norm,
) -> Option<T> {
    let newest = images[images.len() - 1 - choice.a % images.len().min(2)];
    let other = images[choice.b % images.len()];
    let window = Window { kernel: 3, stride: 1, pad: 1 };
    Some(match choice.op {
        18 => t.fprop(newest, filter, window),
        19 => t.dgrad(newest, filter, window),
        20 => t.batch_norm(newest, norm, Statistics::Batch),
        21 => t.leaky_relu(t.batch_norm(newest, norm, Statistics::Batch), 0.2),
        22 => t.leaky_relu(t.add_bias(newest, colour), 0.1),
        23 => t.tanh(newest),
        24 => t.add(newest, other),
        _ => return None,
    })
}

/// Every way to compile.
fn all_options() -> impl Iterator<Item = Options> {
    let fusions = [Fusion::All, Fusion::Results, Fusion::None];
    fusions.into_iter().flat_map(|fusion| [false, true].map(|narrow| Options { fusion, narrow }))
}

/// Runs a program on memory whose bytes hold the name of what was written there last, and looks at
/// every read whether it finds what it came for. Reals have four bytes.
fn overwritten(compiled: &Compiled, program: Program) -> Option<String> {
    let root = |mut t: T| {
        while let Home::Within { of, .. } = compiled.tensor(t).home {
            t = of;
        }
        t
    };
    let mut cells: HashMap<usize, T> = HashMap::new();
    for node in &compiled.program(program).nodes {
        let cells_of = |t: T| {
            let place = compiled.plan.byte_offset(t, 4);
            let (space, offset) = place.expect("used tensors have a place");
            let tensor = compiled.tensor(t);
            let inside = space == Space::Arena;
            let len = if inside { tensor.shape.len() * tensor.dtype.bytes(4) } else { 0 };
            offset..offset + len
        };
        for &t in &node.ins {
            for cell in cells_of(t) {
                if cells.get(&cell) != Some(&root(t)) {
                    return Some(format!("{} reads {}", node.op.name(), compiled.label(t)));
                }
            }
        }
        for &t in &node.outs {
            cells.extend(cells_of(t).map(|cell| (cell, root(t))));
        }
    }
    None
}

proptest! {
    #[test]
    fn nothing_is_overwritten_while_it_is_needed(choices in choices()) {
        let Recorded { tape, step, .. } = record(&choices);
        for options in all_options() {
            let compiled = tape.compile(&options);
            prop_assert_eq!(overwritten(&compiled, step), None);
            for t in compiled.all() {
                let tensor = compiled.tensor(t);
                let place = compiled.plan.byte_offset(t, 4);
                if let (Kind::Temp, Some((space, offset))) = (tensor.kind, place) {
                    let end = offset + tensor.shape.len() * tensor.dtype.bytes(4);
                    prop_assert!(end <= 4 * compiled.plan.arena || space == Space::State);
                }
            }
        }
    }

    #[test]
    fn fusion_changes_rounding_alone(choices in choices()) {
        let Recorded { tape, init, step, outputs } = record(&choices);
        let run = |fusion| {
            let mut bench = Bench::new(&tape, 8, 1, &Options { fusion, narrow: false });
            bench.clock.scalars = vec![0.1];
            bench.run(init);
            for tick in 1..3 {
                bench.clock.tick = tick;
                bench.run(step);
            }
            outputs.iter().map(|&t| bench.read(t, tape.shape(t).len())).collect::<Vec<_>>()
        };
        let (plain, all, results) =
            (run(Fusion::None), run(Fusion::All), run(Fusion::Results));
        for (fused, plain) in all.iter().chain(&results).zip(plain.iter().chain(&plain)) {
            let norm = plain.iter().map(|x| x * x).sum::<f64>().sqrt().max(1e-6);
            let off = fused.iter().zip(plain).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt();
            // Rounding in f64, made larger where 1 − y² of a saturated tanh cancels. A wrong fusion is
            // off by about one.
            prop_assert!(off / norm < 1e-7, "off by {}", off / norm);
        }
    }
}
