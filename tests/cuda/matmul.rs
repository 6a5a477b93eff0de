//! Products of matrices.

use crate::parity::parity;
use tape::{Dtype, Init, Tape};

/// m, n, k: tiles that are full and are not, one column, sums that are split; the extents of
/// a layer from the latent vector, of logits, of an outer product.
const SHAPES: [[usize; 3]; 9] = [
    [128, 64, 64],
    [8, 512, 100],
    [8, 1, 512],
    [16, 24, 1],
    [100, 240, 784],
    [5, 7, 3],
    [65, 130, 33],
    [12, 10, 2000],
    [70, 66, 258],
];

fn products(tape: &Tape, [m, n, k]: [usize; 3], [ta, tb]: [bool; 2]) {
    let turned = |rows, columns, turn| if turn { [columns, rows] } else { [rows, columns] };
    let w = tape.state("w", turned(k, n, tb), Init::Constant(0.0));
    tape.record("p", |t| {
        // Multiples of 1/64, which bf16 holds exactly.
        let x = t.convert(t.input("x", Dtype::U8, turned(m, k, ta)), 1.0 / 64.0, -2.0);
        t.output("y", t.matmul_of(x, ta, w, tb));
    });
}

#[test]
fn every_shape_and_every_way_to_lie() {
    for shape in SHAPES {
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            let name = format!("matmul {shape:?} {transposed:?}");
            parity(&name, |tape| products(tape, shape, transposed));
        }
    }
}
