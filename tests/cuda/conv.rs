//! Convolutions.

use crate::parity::parity;
use tape::{Dtype, Init, Over, T, Tape, Window};

/// A convolution: images, height, width, channels, features, kernel, stride, pad.
#[derive(Clone, Copy, Debug)]
struct Shape([usize; 8]);

impl Shape {
    fn image(&self) -> [usize; 4] {
        let [n, h, w, c, ..] = self.0;
        [n, h, w, c]
    }

    fn features(&self) -> [usize; 4] {
        let [n, h, w, _, k, _, stride, _] = self.0;
        [n, h / stride, w / stride, k]
    }

    fn weights(&self) -> [usize; 4] {
        let [_, _, _, c, k, kernel, ..] = self.0;
        [k, kernel, kernel, c]
    }

    fn window(&self) -> Window {
        let [.., kernel, stride, pad] = self.0;
        Window { kernel, stride, pad }
    }
}

/// Layers of DCGAN with kernels of 3, 4 and 5, the image side among them; channels that are whole chunks of
/// 16 bytes in f32 alone, or in no type; one channel; images that no tile divides.
const SHAPES: [Shape; 12] = [
    Shape([2, 16, 16, 3, 64, 4, 2, 1]),
    Shape([2, 8, 8, 64, 128, 4, 2, 1]),
    Shape([2, 8, 8, 32, 72, 5, 2, 2]),
    Shape([2, 8, 8, 3, 64, 5, 2, 2]),
    Shape([2, 8, 8, 16, 64, 3, 1, 1]),
    Shape([1, 16, 16, 1, 8, 4, 2, 1]),
    Shape([2, 4, 4, 64, 1, 4, 4, 0]),
    Shape([3, 7, 5, 5, 6, 3, 1, 1]),
    Shape([3, 6, 10, 12, 40, 4, 2, 1]),
    Shape([3, 7, 5, 40, 24, 5, 1, 2]),
    Shape([2, 6, 9, 7, 40, 2, 3, 0]),
    Shape([1, 2, 2, 8, 12, 7, 1, 3]),
];

/// Multiples of 1/64 in [−2, 2), which bf16 holds exactly: else a leaky ReLU would now and then be on the
/// other side, and the gradient another one.
fn exact<const N: usize>(t: &Tape, name: &str, shape: [usize; N]) -> T {
    t.convert(t.input(name, Dtype::U8, shape), 1.0 / 64.0, -2.0)
}

/// y, dx and dw of a convolution, of operands that begin and end as activations do.
fn all_passes(tape: &Tape, shape: Shape) {
    let w = tape.state("w", shape.weights(), Init::Constant(0.0));
    tape.record("p", |t| {
        let [x, dy] = [exact(t, "x", shape.image()), exact(t, "dy", shape.features())];
        let y = t.fprop(x, w, shape.window());
        let loss = t.sum(t.mul(y, dy), Over::All);
        let gradients = t.grad(loss, &[x, w]);
        t.output("y", t.affine(y, 1.0, 0.0));
        t.output("dx", gradients[0]);
        t.output("dw", gradients[1]);
    });
}

#[test]
fn every_pass_of_every_shape() {
    for shape in SHAPES {
        parity(&format!("conv {:?}", shape.0), |tape| all_passes(tape, shape));
    }
}

/// Images as they come from a host, in f32 whatever the precision, and weights at odd addresses.
#[test]
fn images_of_f32_and_weights_anywhere() {
    let shape = Shape([2, 8, 8, 8, 16, 4, 2, 1]);
    parity("conv, of f32", |tape| {
        let network = tape.network("net");
        tape.parameter(network, "before", [3], Init::Constant(0.0));
        let w = tape.parameter(network, "w", shape.weights(), Init::Constant(0.0));
        tape.record("p", |t| {
            let x = t.input("x", Dtype::Real, shape.image());
            let y = t.fprop(x, w, shape.window());
            let dy = t.input("dy", Dtype::Real, shape.features());
            let loss = t.sum(t.mul(y, dy), Over::All);
            t.output("dx", t.grad(loss, &[x])[0]);
            t.output("dw", t.grad(loss, &[w])[0]);
            t.output("y", y);
        });
    });
}
