//! Pooling and upsampling.

use crate::fed::{both, ties_and_nan};
use crate::parity::parity_in;
use cuda::Precision;
use tape::{Dtype, Op, Over, Tape};

/// Channels by four and one by one, lines of one block and of many.
const SHAPES: [[usize; 4]; 6] =
    [[1, 2, 2, 1], [3, 4, 2, 3], [2, 6, 10, 5], [2, 2, 4, 132], [3, 10, 6, 64], [1, 32, 62, 7]];

#[test]
fn pooling_and_upsampling_with_their_gradients() {
    for shape in SHAPES {
        for precision in [Precision::F32, Precision::Bf16] {
            parity_in("pool", precision, |tape| {
                tape.record("p", |t| {
                    // Exact in bf16, so that the same pixel wins.
                    let x = t.convert(t.input("x", Dtype::U8, shape), 1.0 / 128.0, -1.0);
                    let y = t.output("pooled", t.max_pool(x));
                    let loss = t.sum(t.square(y), Over::All);
                    let dx = t.output("scattered", t.grad(loss, &[x])[0]);
                    t.output("upsampled", t.upsample(x));
                    t.output("summed", t.block_sum(x));
                    // The gradient of the scatter in what it scatters is a pick of something else.
                    let again = t.sum(t.mul(dx, t.square(x)), Over::All);
                    t.output("picked", t.grad(again, &[y])[0]);
                });
            });
        }
    }
}

/// Among equals the first wins, row by row, and a NaN wins against numbers; exactly as on cores.
#[test]
fn equals_and_nan() {
    for c in [3, 8] {
        let record = |t: &Tape| {
            let x = t.input("x", Dtype::Real, [2, 6, 10, c]);
            let y = t.output("y", t.max_pool(x));
            let dy = t.input("dy", Dtype::Real, [2, 3, 5, c]);
            let loss = t.sum(t.mul(y, dy), Over::All);
            t.output("dx", t.grad(loss, &[x])[0]);
            t.output("sum", t.block_sum(x));
        };
        let Some(results) = both(Precision::F32, record, ties_and_nan) else { return };
        results.close(0.0);
        assert!(results.outputs[0].2.iter().any(|y| y.is_nan()));
        let scatters = results.nodes(|node, _| matches!(node.op, Op::PoolScatter(_)));
        assert_eq!(scatters, 1);
    }
}
