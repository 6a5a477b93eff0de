//! Draws.

use crate::parity::{device, reals};
use cuda::Precision;
use tape::{Clock, Device, Dtype, Init, Kind, Law, Options, Program, T, Tape};

/// A seed, a tick and a rank with bits above the 32nd.
const CLOCK: Clock = Clock {
    seed: 0x0123_4567_89ab_cdef,
    tick: (1 << 40) + 17,
    rank: 1,
    scalars: vec![],
    check: false,
};
/// Rows of one element, of less than a block of four, of whole blocks, of blocks and a rest.
const SHAPES: [[usize; 2]; 6] = [[5, 1], [4, 3], [3, 4], [7, 33], [2, 1024], [3, 5001]];
const UNIFORM: Law = Law::Uniform { low: -1.5, high: 0.7 };
const NORMAL: Law = Law::Normal { mean: 0.25, std: 1.5 };

/// What a device makes of `outputs` after it has run all programs.
fn results(gpu: &mut dyn Device, tape: &Tape, options: &Options, outputs: &[T]) -> Vec<Vec<f64>> {
    gpu.load(tape, options).expect("the tape loads");
    for t in tape.all().into_iter().filter(|&t| tape.tensor(t).kind == Kind::Input) {
        let values: Vec<u8> = (0..tape.shape(t).len()).map(|i| (37 * i + 5) as u8).collect();
        gpu.write(t, &values).expect("it can be written");
    }
    for program in 0..tape.compile(options).programs.len() {
        gpu.run(Program(program), &CLOCK).expect("it runs");
    }
    let read = |&t: &T| {
        let mut bytes = vec![0; 4 * tape.shape(t).len()];
        gpu.read(t, &mut bytes).expect("it can be read");
        reals(&bytes, 4)
    };
    outputs.iter().map(read).collect()
}

/// The same on cores, in f32, and on a GPU.
fn both(tape: &Tape, precision: Precision, outputs: &[T]) -> Option<[Vec<Vec<f64>>; 2]> {
    let mut gpu = device(precision, true)?;
    let mut cores = cpu::device(cpu::pool(1).expect("a thread"), 4);
    let exact = results(&mut *cores, tape, &Options::default(), outputs);
    let found = results(&mut gpu, tape, &precision.options(), outputs);
    Some([exact, found])
}

/// Draws of rank 1 among 3 are those of the cores, bit for bit.
#[test]
fn a_batch() {
    let tape = Tape::new(3);
    let mut outputs = Vec::new();
    tape.record("p", |t| {
        for shape in SHAPES {
            for law in [UNIFORM, NORMAL] {
                let name = format!("y{}", outputs.len());
                outputs.push(t.output(&name, t.noise(law, shape)));
            }
        }
    });
    let Some([exact, found]) = both(&tape, Precision::F32, &outputs) else { return };
    assert!(exact.iter().flatten().any(|x| *x > 3.0), "normals have a tail");
    assert_eq!(exact, found);
}

/// First values of weights: the same on all ranks, whatever the tick, in streams of their own.
#[test]
fn weights() {
    let tape = Tape::new(3);
    let state = |(i, law): (usize, Law)| tape.state(&format!("w{i}"), [3, 67 + i], Init::Draw(law));
    let outputs: Vec<T> = [UNIFORM, NORMAL, UNIFORM].into_iter().enumerate().map(state).collect();
    tape.record_init();
    let Some([exact, found]) = both(&tape, Precision::F32, &outputs) else { return };
    assert_ne!(exact[0][..67], exact[2][..67], "each has a stream");
    assert_eq!(exact, found);
}

/// Dropout leaves the same elements, and its gradient goes where they are: u8 / 64 is exact in bf16, and so
/// is twice that.
#[test]
fn dropout() {
    let tape = Tape::new(3);
    let mut outputs = Vec::new();
    tape.record("p", |t| {
        for shape in [[5, 3], [4, 240], [3, 1001]] {
            let x =
                t.convert(t.input(&format!("x{}", shape[1]), Dtype::U8, shape), 1.0 / 64.0, -2.0);
            // A view that is not aligned.
            let view = t.slice(x, 1, [shape[0] - 1, shape[1]]);
            for (x, keep) in [(x, 0.5), (view, 0.8)] {
                let y = t.dropout(x, keep, 2.0);
                let dx = t.grad(t.sum(t.square(y), tape::Over::All), &[x])[0];
                for copy in [t.affine(y, 1.0, 0.0), t.affine(dx, 1.0, 0.0)] {
                    outputs.push(t.output(&format!("y{}", outputs.len()), copy));
                }
            }
        }
    });
    for precision in [Precision::F32, Precision::Bf16] {
        let Some([exact, found]) = both(&tape, precision, &outputs) else { return };
        let dropped = exact[4].iter().filter(|y| **y == 0.0).count();
        assert!((400..560).contains(&dropped), "half of 960, and the zeros of x: {dropped}");
        assert_eq!(exact, found, "{}", precision.name());
    }
}
