//! Images and copies in other types.

use crate::fed::both;
use crate::parity::parity_in;
use cuda::Precision;
use tape::{Dtype, Init, Op, Tape};

#[test]
fn bytes_and_numbers_of_the_host() {
    for (dtype, n) in [(Dtype::U8, 1), (Dtype::U8, 4099), (Dtype::F32, 3), (Dtype::F32, 5003)] {
        let record = |t: &Tape| {
            let x = t.input("x", dtype, [n, 3]);
            t.output("y", t.convert(x, 2.0 / 255.0, -1.0));
        };
        let Some(results) = both(Precision::F32, record, |_, i| (i % 256) as f64) else { return };
        for (exact, found) in results.outputs[0].1.iter().zip(&results.outputs[0].2) {
            // Scale, product and sum are rounded, each at most 2.
            let bound = 2.0 * 3.0 * f64::from(f32::EPSILON);
            assert!((exact - found).abs() <= bound, "{found} instead of {exact}");
        }
    }
}

/// Bytes are exact in bf16 where they are not scaled.
#[test]
fn bytes_in_bf16() {
    for n in [1, 1367] {
        let record = |t: &Tape| {
            let x = t.convert(t.input("x", Dtype::U8, [n, 3]), 1.0, 0.0);
            t.output("y", t.maxout(x, 1));
        };
        let Some(results) = both(Precision::Bf16, record, |_, i| (i % 256) as f64) else { return };
        let narrow = results
            .nodes(|node, dtype| matches!(node.op, Op::Convert { .. }) && dtype == Dtype::Bf16);
        assert_eq!(narrow, 1);
        results.close(0.0);
    }
}

/// Weights of odd sizes, one behind the other: the copies that products read begin at multiples of 16 bytes,
/// and one is longer than a block copies at once.
#[test]
fn copies_of_weights() {
    parity_in("cast", Precision::Bf16, |tape| {
        let network = tape.network("n");
        let sizes = [[5, 3], [3, 7], [7, 613], [613, 9], [9, 1]];
        let weight = |(i, size): (usize, &[usize; 2])| {
            tape.parameter(network, &format!("w{i}"), *size, Init::Constant(0.0))
        };
        let weights: Vec<_> = sizes.iter().enumerate().map(weight).collect();
        tape.record("p", |t| {
            for (i, (&w, size)) in weights.iter().zip(sizes).enumerate() {
                let x = t.input(&format!("x{i}"), Dtype::Real, [4, size[0]]);
                t.output(&format!("y{i}"), t.matmul(x, w));
            }
        });
    });
}
