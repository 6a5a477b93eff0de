//! Penalties on the slope of D at each sample. They hold a gradient, so D's step differentiates twice.

use model::Gan;
use tape::{Law, Over, Statistics, T, Tape};

/// Under the root of the gradient's norm, whose derivative is infinite at 0.
const ROOT_EPS: f64 = 1e-12;

/// `E (‖∇D(x̂)‖ − 1)²` at x̂ = G(z) + ε (x − G(z)), with one ε uniform on [0, 1) for each sample
/// (Gulrajani et al. 2017).
pub(super) fn distance_from_one(t: &Tape, gan: &Gan, [real, fake]: [T; 2]) -> T {
    let shape = t.shape(real);
    let eps = t.noise(Law::Uniform { low: 0.0, high: 1.0 }, [shape.rows()]);
    let eps = t.spread(eps, Over::Sample, shape); // [n, h, w, c]
    let between = t.add(fake, t.mul(eps, t.sub(real, fake))); // x̂
    let d = gan.discriminate(t, between, Statistics::Batch); // D(x̂)
    let norm = t.sqrt(t.affine(squared_slope(t, between, d), 1.0, ROOT_EPS));
    t.batch_mean(t.square(t.affine(norm, 1.0, -1.0)))
}

/// `E ‖∇D(x)‖² + E ‖∇D(G(z))‖²`: the regularisers R1 and R2 of Mescheder et al. 2018, section 4.1, before
/// their factor γ/2. D's answers to the samples are those of the game, with the same dropout.
pub(super) fn distance_from_zero(t: &Tape, samples: [T; 2], logits: [T; 2]) -> T {
    let [r1, r2] = [0, 1].map(|i| t.batch_mean(squared_slope(t, samples[i], logits[i])));
    t.add(r1, r2)
}

/// `‖∇D(x)‖²` for each sample, `[n]`, of D's answers d to x.
fn squared_slope(t: &Tape, x: T, d: T) -> T {
    let slope = t.grad(t.sum(d, Over::All), &[x])[0]; // ∇D(x), [n, h, w, c]
    t.sum(t.square(slope), Over::Sample)
}
