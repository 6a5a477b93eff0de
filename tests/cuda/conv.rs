//! Convolutions.

use crate::parity::{parity, parity_in};
use cuda::Precision;
use tape::{Dtype, Init, Over, Statistics, T, Tape, Window};

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
    let w = tape.parameter(tape.network("net"), "w", shape.weights(), Init::Constant(0.0));
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

/// Shapes large enough for the largest tiles; a test of `crates/cuda` holds the choice.
#[test]
fn large_tiles() {
    let shapes = [
        Shape([1, 181, 181, 8, 128, 1, 1, 0]),
        Shape([1, 181, 181, 128, 8, 1, 1, 0]),
        Shape([1, 3, 3, 264, 1032, 5, 1, 2]),
    ];
    for shape in shapes {
        for precision in [Precision::Tf32, Precision::Bf16] {
            parity_in(&format!("conv {:?}", shape.0), precision, |tape| all_passes(tape, shape));
        }
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

/// A function of a convolution, recorded behind it.
type Function = fn(&Tape, T, [T; 2]) -> T;

/// What fusion puts behind a convolution: with a bias or none, each activation, a gate, a sum; and a
/// function that no kernel ends with.
const FUNCTIONS: [(&str, Function); 8] = [
    ("bias", |t, y, [bias, _]| t.add_bias(y, bias)),
    ("bias and leaky", |t, y, [bias, _]| t.leaky_relu(t.add_bias(y, bias), 0.2)),
    ("leaky", |t, y, _| t.leaky_relu(y, 0.2)),
    ("tanh", |t, y, _| t.tanh(y)),
    ("bias and tanh", |t, y, [bias, _]| t.tanh(t.add_bias(y, bias))),
    ("bias and sigmoid", |t, y, [bias, _]| t.sigmoid(t.add_bias(y, bias))),
    ("sum", |t, y, [_, other]| t.add(y, other)),
    ("square", |t, y, [_, other]| t.mul(t.square(y), other)),
];

#[test]
fn every_function_behind_it() {
    for (name, f) in FUNCTIONS {
        for shape in [Shape([2, 8, 8, 8, 32, 4, 2, 1]), Shape([3, 7, 5, 3, 5, 3, 1, 1])] {
            parity(&format!("conv, {name}"), |tape| {
                let network = tape.network("net");
                let zero = Init::Constant(0.0);
                let w = tape.parameter(network, "w", shape.weights(), zero.clone());
                let of_features = tape.parameter(network, "k", [shape.features()[3]], zero.clone());
                let of_image = tape.parameter(network, "c", [shape.image()[3]], zero);
                tape.record("p", |t| {
                    // An eighth of what `exact` gives: the tanh of a large number is 1.
                    let small = |name, shape: [usize; 4]| {
                        t.convert(t.input(name, Dtype::U8, shape), 1.0 / 512.0, -0.25)
                    };
                    let [x, dy] = [small("x", shape.image()), small("dy", shape.features())];
                    let y = t.fprop(x, w, shape.window());
                    t.output("y", f(t, y, [of_features, dy]));
                    let dx = t.dgrad(dy, w, shape.window());
                    t.output("dx", f(t, dx, [of_image, x]));
                });
            });
        }
    }
}

/// The gradient behind a leaky ReLU of an image is gated where the image was negative.
#[test]
fn gates() {
    for shape in [Shape([2, 8, 8, 16, 32, 4, 2, 1]), Shape([2, 6, 6, 3, 8, 4, 2, 1])] {
        parity("conv, gate", |tape| {
            let network = tape.network("net");
            let w = tape.parameter(network, "w", shape.weights(), Init::Constant(0.0));
            tape.record("p", |t| {
                let [x, dy] = [exact(t, "x", shape.image()), exact(t, "dy", shape.features())];
                let y = t.fprop(t.leaky_relu(x, 0.25), w, shape.window());
                let loss = t.sum(t.mul(y, dy), Over::All);
                t.output("dx", t.grad(loss, &[x])[0]);
            });
        });
    }
}

/// Moments behind fprop and dgrad, and sums of gradients behind both, with every slope of an activation.
#[test]
fn batch_norm_before_and_behind() {
    let shapes = [
        Shape([2, 8, 8, 16, 24, 4, 2, 1]),
        Shape([3, 7, 5, 5, 6, 3, 1, 1]),
        Shape([9, 8, 8, 3, 40, 5, 2, 2]),
    ];
    for shape in shapes {
        for slope in [0.0, 0.2, 1.0] {
            for transposed in [false, true] {
                parity(&format!("conv, norms, slope {slope}, transposed {transposed}"), |tape| {
                    norms(tape, shape, slope, transposed);
                });
            }
        }
    }
}

/// norm → leaky ReLU → convolution → norm, its result and the gradient of what comes in.
fn norms(tape: &Tape, shape: Shape, slope: f64, transposed: bool) {
    let (from, to) = if transposed {
        (shape.features(), shape.image())
    } else {
        (shape.image(), shape.features())
    };
    let network = tape.network("net");
    let before = tape.norm(network, "before", from[3], 1e-5);
    let w = tape.parameter(network, "w", shape.weights(), Init::Constant(0.0));
    let behind = tape.norm(network, "behind", to[3], 1e-5);
    tape.record("p", |t| {
        let x = exact(t, "x", from);
        let z = t.batch_norm(x, &before, Statistics::Batch);
        let z = if slope == 1.0 { z } else { t.leaky_relu(z, slope) };
        let product = |z| match transposed {
            false => t.fprop(z, w, shape.window()),
            true => t.dgrad(z, w, shape.window()),
        };
        let y = t.batch_norm(product(z), &behind, Statistics::Batch);
        t.output("y", t.affine(y, 1.0, 0.0));
        let loss = t.sum(t.mul(product(z), exact(t, "dy", to)), Over::All);
        let wrt = [x, before.gain, before.shift];
        for (name, g) in ["dx", "dgain", "dshift"].into_iter().zip(t.grad(loss, &wrt)) {
            t.output(name, t.affine(g, 1.0, 0.0));
        }
    });
}

/// A gradient that is added to another, as where a network sees two batches.
#[test]
fn gradients_of_two_batches() {
    for shape in [Shape([2, 8, 8, 8, 16, 4, 2, 1]), Shape([8, 16, 16, 3, 16, 5, 2, 2])] {
        parity("conv, two batches", |tape| {
            let network = tape.network("net");
            let w = tape.parameter(network, "w", shape.weights(), Init::Constant(0.0));
            tape.record("p", |t| {
                let losses = ["a", "b"].map(|name| {
                    let y = t.fprop(exact(t, name, shape.image()), w, shape.window());
                    t.sum(t.mul(y, exact(t, &format!("d{name}"), shape.features())), Over::All)
                });
                t.output("dw", t.grad(t.add(losses[0], losses[1]), &[w])[0]);
            });
        });
    }
}
