//! The guard, optimisers and averages.

use crate::parity::{clock, device, difference};
use cuda::Precision;
use tape::{Clock, Device, Dtype, Init, Program, T, Tape};

/// One element, a rest, whole blocks, blocks and a rest.
const LENGTHS: [usize; 4] = [1, 67, 2048, 5003];
/// Roundings of f32 that add up, of a tensor's largest value.
const FEW_ULP: f64 = 4.0 * f32::EPSILON as f64;
const ADAM: [f64; 4] = [0.5, 0.999, 1e-3, 0.02];

fn zeros(tape: &Tape, name: &str, n: usize) -> T {
    tape.state(name, [n], Init::Constant(0.0))
}

/// Records an update of `n` elements, whole tensors or views that begin at element 1.
fn update(tape: &Tape, rule: &str, n: usize, offset: usize) -> Program {
    let [p, m, v] = ["p", "moment1", "moment2"].map(|name| zeros(tape, name, n + offset));
    let g = tape.input("g", Dtype::Real, [n + offset]);
    tape.record(rule, |t| {
        let part = |x| if offset == 0 { x } else { t.slice(x, offset, [n]) };
        let [p, m, v, g] = [p, m, v, g].map(part);
        t.fault();
        match rule {
            "sgd" => t.sgd(p, m, g, t.scalar("rate"), t.scalar("momentum")),
            "adam" => {
                let corrections = ["correction1", "correction2"].map(|name| t.scalar(name));
                t.adam(p, [m, v], g, t.scalar("rate"), ADAM, corrections);
            }
            _ => t.ema(m, g, t.scalar("decay")),
        }
    })
}

#[test]
fn rules_agree_with_f64() {
    for rule in ["sgd", "adam", "ema"] {
        for (n, offset) in LENGTHS.map(|n| (n, 0)).into_iter().chain([(1001, 1)]) {
            let record = |tape: &Tape| {
                update(tape, rule, n, offset);
            };
            let Some(worst) = difference(Precision::F32, record) else { return };
            assert!(worst < FEW_ULP, "{rule} of {n} at {offset}: {worst:.1e}");
        }
    }
}

fn named(tape: &Tape, name: &str) -> T {
    let is = |&t: &T| tape.tensor(t).name.as_deref() == Some(name);
    tape.all().into_iter().find(is).expect("it was recorded")
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// Updates leave every byte as it was while there is a fault.
#[test]
fn a_fault_stops_every_update() {
    for rule in ["sgd", "adam", "ema"] {
        for fault in [7.0, f32::NAN, 0.0] {
            let Some(mut gpu) = device(Precision::F32, true) else { return };
            let tape = Tape::new(1);
            let program = update(&tape, rule, 1030, 0);
            gpu.load(&tape, &Precision::F32.options()).expect("the tape loads");
            let [values, g] = [0.5, 0.25].map(|x| bytes(&[x; 1030]));
            gpu.write(named(&tape, "g"), &g).expect("it can be written");
            gpu.write(tape.fault(), &fault.to_le_bytes()).expect("it can be written");
            let state = match rule {
                "sgd" => &["p", "moment1"][..],
                "adam" => &["p", "moment1", "moment2"],
                _ => &["moment1"],
            };
            for name in state {
                gpu.write(named(&tape, name), &values).expect("it can be written");
            }
            gpu.run(program, &clock(&tape)).expect("it runs");
            let mut changed = 0;
            for name in state {
                let t = named(&tape, name);
                let mut after = vec![0; values.len()];
                gpu.read(t, &mut after).expect("it can be read");
                changed += usize::from(after != values);
            }
            let expected = if fault == 0.0 { state.len() } else { 0 };
            assert_eq!(changed, expected, "{rule} with fault {fault}");
        }
    }
}

/// Ten tensors, more than a launch takes, of one element and of many.
struct Guarded {
    tape: Tape,
    tensors: Vec<T>,
    program: Program,
}

impl Guarded {
    fn new() -> Self {
        let tape = Tape::new(1);
        let length = |i: usize| if i.is_multiple_of(3) { 1 } else { 1021 * i };
        let input = |i: usize| tape.input(&format!("x{i}"), Dtype::Real, [length(i)]);
        let tensors: Vec<T> = (0..10).map(input).collect();
        let program = tape.record("p", |t| {
            t.commit(&tensors);
        });
        Self { tape, tensors, program }
    }
}

#[test]
fn the_guard_finds_what_is_not_finite() {
    let Some(mut gpu) = device(Precision::F32, true) else { return };
    let Guarded { tape, tensors, program } = Guarded::new();
    gpu.load(&tape, &Precision::F32.options()).expect("the tape loads");
    let len = |t: T| tape.shape(t).len();
    let mut guard = |bad: Option<(usize, usize, f32)>, fault: f32, tick: u64| {
        for (i, &t) in tensors.iter().enumerate() {
            let mut values = vec![f32::MAX; len(t)];
            if let Some((_, at, value)) = bad.filter(|(tensor, ..)| *tensor == i) {
                values[at] = value;
            }
            gpu.write(t, &bytes(&values)).expect("it can be written");
        }
        gpu.write(tape.fault(), &fault.to_le_bytes()).expect("it can be written");
        gpu.run(program, &Clock { tick, ..clock(&tape) }).expect("it runs");
        let mut after = [0; 4];
        gpu.read(tape.fault(), &mut after).expect("it can be read");
        f32::from_le_bytes(after)
    };
    assert_eq!(guard(None, 0.0, 5), 0.0, "the largest number is finite");
    let last = len(tensors[8]) - 1;
    let places =
        [(0, 0, f32::NAN), (8, last, f32::INFINITY), (9, 0, f32::NEG_INFINITY), (5, 77, f32::NAN)];
    for bad in places {
        assert_eq!(guard(Some(bad), 0.0, 4096 * 3 + 41), 42.0, "{bad:?}");
        assert_eq!(guard(Some(bad), 9.0, 41), 9.0, "a fault stays");
    }
    assert_eq!(guard(None, 9.0, 41), 9.0, "a fault stays");
    assert_eq!(guard(Some(places[0]), 0.0, 4095), 4096.0);
}
