//! Sums.

use crate::fed::both;
use crate::parity::{clock, device};
use cuda::Precision;
use tape::{Clock, Device, DeviceError, Dtype, Op, Over, Program, Tape};

/// Numbers of both signs: sums of thousands nearly cancel, which f32 sums of many would not survive.
fn value(name: &str, i: usize) -> f64 {
    ((i * 2_654_435 + name.len()) % 4093) as f64 / 2048.0 - 1.0
}

/// Rows and columns: one launch and two, columns by four and one by one, more columns than a block has.
const SHAPES: [[usize; 2]; 12] = [
    [1, 1],
    [64, 1],
    [300, 7],
    [3, 5000],
    [5000, 3],
    [33_001, 1],
    [2, 33_004],
    [2, 33_001],
    [1, 70_003],
    [900, 64],
    [257, 132],
    [1200, 33],
];

#[test]
fn sums_over_everything_samples_and_channels() {
    for (shape, offset) in SHAPES.map(|s| (s, 0)).into_iter().chain([([300, 36], 1)]) {
        let record = |t: &Tape| {
            let x = t.input("x", Dtype::Real, [shape[0] * shape[1] + offset]);
            let x = t.slice(x, offset, shape);
            for over in [Over::All, Over::Sample, Over::Channel] {
                t.output(&format!("{over:?}"), t.sum(x, over));
            }
        };
        let Some(results) = both(Precision::F32, record, value) else { return };
        assert_eq!(results.nodes(|node, _| matches!(node.op, Op::Sum(_))), 3);
        for (over, exact, found) in &results.outputs {
            let each = (shape[0] * shape[1] / exact.len()) as f64;
            for (exact, found) in exact.iter().zip(found) {
                // At most 256 are added in f32 one by one, of size 1; their partial sums stay near √256.
                let bound = f64::from(f32::EPSILON) * 16.0 * each.sqrt();
                let off = (found - exact).abs();
                assert!(off <= bound, "{over} of {shape:?}: {found} instead of {exact}");
            }
        }
    }
}

#[test]
fn sums_of_bf16_are_f32() {
    for shape in [[700, 6], [300, 64], [2, 33_004]] {
        let record = |t: &Tape| {
            let x = t.convert(t.input("x", Dtype::U8, shape), 1.0, 0.0);
            for over in [Over::All, Over::Sample, Over::Channel] {
                t.output(&format!("{over:?}"), t.sum(x, over));
            }
        };
        // Whole numbers to 15 are exact in bf16, and so are their sums in f32.
        let results = both(Precision::Bf16, record, |_, i| (i * 7 % 16) as f64);
        let Some(results) = results else { return };
        let narrow = |node: &tape::Node, dtype| {
            matches!(node.op, Op::Convert { .. }) && dtype == Dtype::Bf16
        };
        assert_eq!(results.nodes(narrow), 1);
        results.close(0.0);
    }
}

/// More scalars than one launch takes, and a copy, which a sum over one rank is.
#[test]
fn packs_and_copies() {
    let record = |t: &Tape| {
        let all = t.input("x", Dtype::Real, [37]);
        let scalars: Vec<_> = (0..37).map(|i| t.slice(all, 36 - i, [1])).collect();
        t.output("packed", t.pack(&scalars));
        t.output("copied", t.all_reduce(t.slice(all, 5, [32])));
    };
    let Some(results) = both(Precision::F32, record, |_, i| i as f64) else { return };
    results.close(0.0);
    assert_eq!(results.outputs[0].2[..3], [36.0, 35.0, 34.0]);
    assert_eq!(results.outputs[1].2[..3], [5.0, 6.0, 7.0]);
}

/// A checked run names the operation whose result is not finite, wherever in it that is, and in both types.
#[test]
fn a_checked_run_finds_what_is_not_finite() {
    for (precision, n) in [(Precision::F32, 1027), (Precision::Bf16, 5000)] {
        for (at, bad) in
            [(0, f32::NAN), (n - 1, f32::INFINITY), (n / 2, f32::NEG_INFINITY), (3, 1.0)]
        {
            let Some(mut gpu) = device(precision, true) else { return };
            let tape = Tape::new(1);
            tape.record("p", |t| {
                let x = t.convert(t.input("x", Dtype::F32, [n, 2]), 1.0, 0.0);
                t.output("y", t.maxout(x, 1));
            });
            gpu.load(&tape, &precision.options()).expect("the tape loads");
            let mut values = vec![0.5_f32; 2 * n];
            values[2 * at + 1] = bad;
            let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
            gpu.write(tape.all()[0], &bytes).expect("it can be written");
            let result = gpu.run(Program(0), &Clock { check: true, ..clock(&tape) });
            match result {
                Ok(()) => assert!(bad.is_finite(), "{bad} at {at} was not found"),
                Err(DeviceError::NotFinite { op, .. }) => {
                    assert!(!bad.is_finite() && !op.contains("maxout"), "{bad} at {at}: {op}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}
