//! Sums of expressions.

use crate::fed::{Results, both};
use cuda::Precision;
use tape::{Dtype, Op, Over, Tape};

/// Rows and elements of a row: one, few, a piece and more, rows that do not begin at multiples of 16 bytes,
/// several pieces.
const SHAPES: [[usize; 2]; 8] =
    [[1, 1], [128, 1], [5, 3], [3, 1028], [3, 4097], [2, 12_288], [2, 9001], [1, 70_001]];

fn value(name: &str, i: usize) -> f64 {
    ((i * 29 + name.len() * 7) % 253) as f64 / 64.0 - 2.0
}

/// Sums of the losses that training has, and of one that reads operands in every way.
fn losses(t: &Tape, [rows, row]: [usize; 2], dtype: Dtype) {
    let shape = [rows, row];
    for over in [Over::All, Over::Sample] {
        let name = |loss: &str| format!("{loss} {over:?}");
        let input = |of: &str, shape: [usize; 2]| match dtype {
            Dtype::Real => t.input(&name(of), Dtype::Real, shape),
            _ => t.convert(t.input(&name(of), dtype, shape), 1.0, 0.0),
        };
        t.output(&name("softplus"), t.sum(t.softplus(input("logits", shape)), over));
        let x = input("x", shape);
        let difference = t.affine(t.sub(x, input("y", shape)), 1.0, -1.0);
        t.output(&name("squares"), t.sum(t.square(difference), over));
        let spread =
            |of: &str, len: usize, by| t.spread(t.input(&name(of), Dtype::Real, [len]), by, shape);
        let sample = spread("sample", rows, Over::Sample);
        let channel = spread("channel", row, Over::Channel);
        let z = t.add(t.mul(sample, channel), t.mul(x, spread("scalar", 1, Over::All)));
        t.output(&name("mixed"), t.sum(t.sigmoid(z), over));
    }
}

/// All summands are positive, so that a sum's error is a share of it.
fn agree(results: &Results, bound: f64) {
    let sums = results.nodes(|node, _| matches!(node.op, Op::MapSum { .. }));
    assert_eq!(sums, results.outputs.len(), "sums are fused");
    for (name, exact, found) in &results.outputs {
        for (exact, found) in exact.iter().zip(found) {
            let off = (found / exact - 1.0).abs();
            assert!(off <= bound, "{name}: {found} instead of {exact}");
        }
    }
}

#[test]
fn sums_of_losses() {
    for shape in SHAPES {
        let record = |t: &Tape| losses(t, shape, Dtype::Real);
        let Some(results) = both(Precision::F32, record, value) else { return };
        // A summand has some ten roundings; a thread adds at most 64 in f32, a block 8 levels.
        agree(&results, 40.0 * f64::from(f32::EPSILON));
    }
}

#[test]
fn sums_of_bf16_are_f32() {
    for shape in [[128, 2], [3, 1028], [2, 9001]] {
        // These numbers are exact in bf16, so the sums are as good as those of f32.
        let record = |t: &Tape| losses(t, shape, Dtype::F32);
        let Some(results) = both(Precision::Bf16, record, value) else { return };
        agree(&results, 40.0 * f64::from(f32::EPSILON));
    }
}

/// What lies behind the end of a sum is not part of it: 1/x there would be no number.
#[test]
fn a_run_that_ends_early() {
    for n in [1, 2, 3, 5, 1023, 1025, 4099] {
        let record = |t: &Tape| {
            let x = t.input("x", Dtype::Real, [n]);
            t.output("y", t.sum(t.reciprocal(x), Over::All));
        };
        let Some(results) = both(Precision::F32, record, |_, _| 2.0) else { return };
        assert_eq!(results.outputs[0].2, [n as f64 / 2.0]);
    }
}
