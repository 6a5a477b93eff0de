//! Directional derivatives in f64 for each operation. First order within 1e-6, second within 1e-5:
//! the differences themselves are good to about 1e-9.

use tape::{Init, Law, Over, Statistics, T, Tape, Window};
use tests::gradient::{Function, weighted};

const FIRST: f64 = 1e-6;
const SECOND: f64 = 1e-5;

fn both<F: Fn(&Tape, &[T]) -> T, const N: usize>(name: &str, shapes: [&[usize]; N], f: F) {
    let function = Function::new(shapes, f);
    let first = function.first_order();
    assert!(first < FIRST, "{name}: first order is off by {first:e}");
    let second = function.second_order();
    assert!(second < SECOND, "{name}: second order is off by {second:e}");
}

fn first<F: Fn(&Tape, &[T]) -> T, const N: usize>(name: &str, shapes: [&[usize]; N], f: F) {
    let error = Function::new(shapes, f).first_order();
    assert!(error < FIRST, "{name}: first order is off by {error:e}");
}

#[test]
fn convolutions() {
    for (kernel, stride, pad) in [(4, 2, 1), (5, 2, 2), (3, 1, 1), (4, 1, 1), (5, 1, 2)] {
        let window = Window { kernel, stride, pad };
        let w = [3, kernel, kernel, 2];
        both("fprop", [&[2, 6, 4, 2], &w], |t, x| {
            // Squared, so that the second derivative in both operands is not zero.
            weighted(t, t.square(t.fprop(x[0], x[1], window)))
        });
        both("dgrad", [&[2, 3, 2, 3], &w], |t, x| {
            weighted(t, t.square(t.dgrad(x[0], x[1], window)))
        });
        // The weight gradient is reached through the gradient of a convolution.
        both("wgrad", [&[2, 6, 4, 2], &w], |t, x| {
            let y = t.sum(t.square(t.fprop(x[0], x[1], window)), Over::All);
            let dw = t.grad(y, &[x[1]])[0];
            weighted(t, t.square(dw))
        });
    }
}

#[test]
fn matrix_products() {
    for (ta, tb) in [(false, false), (true, false), (false, true), (true, true)] {
        let a: [usize; 2] = if ta { [4, 3] } else { [3, 4] };
        let b: [usize; 2] = if tb { [5, 4] } else { [4, 5] };
        both("matmul", [&a, &b], |t, x| weighted(t, t.square(t.matmul_of(x[0], ta, x[1], tb))));
    }
}

#[test]
fn elementwise() {
    type Unary = fn(&Tape, T) -> T;
    let unary: [(&str, Unary); 9] = [
        ("affine", |t, x| t.affine(x, 0.7, -0.2)),
        ("relu", |t, x| t.relu(x)),
        ("leaky_relu", |t, x| t.leaky_relu(x, 0.2)),
        ("tanh", |t, x| t.tanh(x)),
        ("sigmoid", |t, x| t.sigmoid(x)),
        ("softplus", |t, x| t.softplus(x)),
        ("square", |t, x| t.square(x)),
        ("sqrt", |t, x| t.sqrt(t.affine(t.square(x), 1.0, 0.5))),
        ("reciprocal", |t, x| t.reciprocal(t.affine(t.square(x), 1.0, 0.5))),
    ];
    for (name, f) in unary {
        both(name, [&[3, 7]], |t, x| weighted(t, t.square(f(t, x[0]))));
    }
    type Binary = fn(&Tape, T, T) -> T;
    let binary: [(&str, Binary); 4] = [
        ("add", |t, a, b| t.add(a, b)),
        ("sub", |t, a, b| t.sub(a, b)),
        ("mul", |t, a, b| t.mul(a, b)),
        ("div", |t, a, b| t.div(a, t.affine(t.square(b), 1.0, 0.5))),
    ];
    for (name, f) in binary {
        both(name, [&[3, 7], &[3, 7]], |t, x| weighted(t, t.square(f(t, x[0], x[1]))));
        both(name, [&[3, 7], &[1]], |t, x| weighted(t, t.square(f(t, x[0], x[1]))));
    }
}

#[test]
fn sums_and_broadcasts() {
    for over in [Over::All, Over::Sample, Over::Channel] {
        both("sum", [&[3, 2, 2, 5]], |t, x| weighted(t, t.square(t.sum(t.square(x[0]), over))));
        let from: &[usize] = match over {
            Over::All => &[1],
            Over::Sample => &[3],
            Over::Channel => &[5],
        };
        both("spread", [from, &[3, 2, 2, 5]], |t, x| {
            let wide = t.spread(x[0], over, t.shape(x[1]));
            weighted(t, t.square(t.mul(wide, x[1])))
        });
    }
    both("bias", [&[4, 6], &[6]], |t, x| weighted(t, t.tanh(t.add_bias(x[0], x[1]))));
}

#[test]
fn maxout_and_dropout() {
    both("maxout", [&[4, 15]], |t, x| weighted(t, t.square(t.maxout(t.tanh(x[0]), 3))));
    both("dropout", [&[4, 15]], |t, x| weighted(t, t.square(t.dropout(t.tanh(x[0]), 0.6, 1.5))));
}

#[test]
fn maxout_over_channels() {
    both("maxout", [&[2, 3, 2, 6]], |t, x| weighted(t, t.square(t.maxout(t.tanh(x[0]), 2))));
}

#[test]
fn pooling_and_upsampling() {
    both("max_pool", [&[2, 4, 6, 3]], |t, x| weighted(t, t.square(t.max_pool(t.tanh(x[0])))));
    both("upsample", [&[2, 2, 3, 3]], |t, x| {
        // Squared behind different factors, so that the four copies of a pixel do not agree.
        let noise = t.noise(Law::Uniform { low: 0.5, high: 1.5 }, [2, 4, 6, 3]);
        weighted(t, t.square(t.mul(noise, t.upsample(t.tanh(x[0])))))
    });
    both("block_sum", [&[2, 4, 6, 3]], |t, x| weighted(t, t.square(t.block_sum(t.tanh(x[0])))));
    // The scattering of a pooled gradient is itself differentiated in what it scatters.
    both("max_pool twice", [&[2, 4, 4, 3], &[2, 4, 4, 3]], |t, x| {
        let pooled = t.max_pool(t.mul(x[0], t.tanh(x[1])));
        weighted(t, t.tanh(t.max_pool(t.square(t.upsample(pooled)))))
    });
}

#[test]
fn batch_norm() {
    type Act = fn(&Tape, T) -> T;
    let acts: [(&str, Act); 4] = [
        ("none", |_, x| x),
        ("relu", |t, x| t.relu(x)),
        ("leaky", |t, x| t.leaky_relu(x, 0.2)),
        ("tanh", |t, x| t.tanh(x)),
    ];
    for (name, act) in acts {
        first(name, [&[6, 2, 2, 3], &[3], &[3]], |t, x| {
            let running = t.state("running", [2, 3], Init::Rows(vec![0.3, 1.0]));
            let norm = tape::Norm { gain: x[1], shift: x[2], running, eps: 1e-5, momentum: 0.1 };
            let y = t.batch_norm(t.square(x[0]), &norm, Statistics::Batch);
            weighted(t, t.square(act(t, y)))
        });
    }
}

/// Shared operands, chains that fuse, products that accumulate.
#[test]
fn a_network_used_twice() {
    let shapes: [&[usize]; 4] = [&[4, 3], &[3, 5], &[5], &[5, 1]];
    both("two passes", shapes, |t, x| {
        let pass = |input: T| {
            let h = t.leaky_relu(t.add_bias(t.matmul(input, x[1]), x[2]), 0.1);
            t.softplus(t.matmul(h, x[3]))
        };
        let other = t.noise(Law::Uniform { low: -1.0, high: 1.0 }, [4, 3]);
        t.add(t.batch_mean(pass(x[0])), t.batch_mean(pass(t.tanh(other))))
    });
}
