//! Recorded gradients against central differences along random directions, in f64.

use crate::Bench;
use tape::{Init, Over, Shape, T, Tape};

/// Half the distance of the two points of a difference. In f64 a central difference is then wrong by
/// about h² = 1e-10 of a third derivative and ε/h = 2e-11 of the value.
const STEP: f64 = 1e-5;

/// A scalar function of some tensors, recorded on a tape.
pub struct Function<F> {
    /// Shapes of the arguments, which are drawn from a standard normal distribution.
    pub shapes: Vec<Shape>,
    /// Records the function.
    pub record: F,
}

impl<F: Fn(&Tape, &[T]) -> T> Function<F> {
    /// A function of arguments with these shapes.
    pub fn new<const N: usize>(shapes: [&[usize]; N], record: F) -> Self {
        Self { shapes: shapes.map(Shape::new).to_vec(), record }
    }

    /// The largest relative error of first derivatives along three random directions.
    pub fn first_order(&self) -> f64 {
        self.compare(|tape, xs| (self.record)(tape, xs))
    }

    /// The same for second derivatives: of the squared norm of the gradient, weighted by noise so
    /// that no element's error hides behind another's.
    pub fn second_order(&self) -> f64 {
        self.compare(|tape, xs| {
            let y = (self.record)(tape, xs);
            let mut total = tape.constant(0.0, [1]);
            for g in tape.grad(y, xs) {
                total = tape.add(total, weighted(tape, tape.square(g)));
            }
            total
        })
    }

    fn compare(&self, f: impl Fn(&Tape, &[T]) -> T) -> f64 {
        let tape = Tape::new(1);
        let network = tape.network("n");
        let name = |i: usize| format!("x{i}");
        let arguments: Vec<T> = (0..self.shapes.len())
            .map(|i| tape.parameter(network, &name(i), self.shapes[i], Init::normal(1.0)))
            .collect();
        let mut value = None;
        let mut gradient = Vec::new();
        let program = tape.record("function", |t| {
            let y = f(t, &arguments);
            gradient = t.grad(y, &arguments);
            for (i, g) in gradient.iter_mut().enumerate() {
                // A copy: gradients may share memory with one another.
                *g = t.output(&format!("g{i}"), t.affine(*g, 1.0, 0.0));
            }
            value = Some(t.output("y", t.affine(y, 1.0, 0.0)));
        });
        let (value, flat) = (value.expect("recorded"), tape.flat(network));
        let init = tape.record_init();
        let len = tape.shape(flat).len();
        let mut bench = Bench::f64(&tape);
        let mut worst = 0.0f64;
        let mut draws = 0;
        let mut seed = 0;
        while draws < 3 {
            seed += 1;
            assert!(seed < 50, "a kink lies along every direction");
            bench.clock.seed = seed;
            bench.run(init);
            let at = bench.read(flat, len);
            // The flat buffer holds the last argument first.
            bench.run(program);
            let mut slope = Vec::with_capacity(len);
            for (g, shape) in gradient.iter().zip(&self.shapes).rev() {
                slope.extend(bench.read(*g, shape.len()));
            }
            bench.clock.seed = seed + 1000;
            bench.run(init);
            let direction = bench.read(flat, len);
            bench.clock.seed = seed;
            let recorded: f64 = slope.iter().zip(&direction).map(|(g, v)| g * v).sum();
            let error = against_differences(recorded, |h| {
                let moved: Vec<f64> = at.iter().zip(&direction).map(|(x, v)| x + h * v).collect();
                bench.write(flat, &moved);
                bench.run(program);
                bench.read(value, 1)[0]
            });
            let Some(error) = error else { continue };
            worst = worst.max(error);
            draws += 1;
        }
        worst
    }
}

/// The relative error of a recorded slope at 0 of a function on a line. Nothing where an activation
/// changes side or an argmax its winner between the points: two differences then disagree with each
/// other by more than their own error, and the caller draws anew.
pub fn against_differences(recorded: f64, mut point: impl FnMut(f64) -> f64) -> Option<f64> {
    let mut difference = |h: f64| (point(h) - point(-h)) / (2.0 * h);
    let (far, near) = (difference(STEP), difference(STEP / 2.0));
    let scale = recorded.abs().max(near.abs()).max(1e-3);
    let smooth = (far - near).abs() / scale < 1e-7;
    smooth.then(|| (recorded - near).abs() / scale)
}

/// Σ of x times fixed noise: a scalar that every element of x moves by its own amount.
pub fn weighted(tape: &Tape, x: T) -> T {
    let law = tape::Law::Normal { mean: 0.0, std: 1.0 };
    let noise = tape.noise(law, tape.shape(x));
    tape.sum(tape.mul(x, noise), Over::All)
}
