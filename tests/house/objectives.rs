//! The objectives beside those of Goodfellow et al. 2014: what D learns, what V is worth then, and what G
//! descends.

use model::{Gan, Model};
use serde_json::json;
use std::f64::consts::LN_2;
use tape::{Dtype, Init, Tape};
use tests::{Bench, Stage, experiment};
use train::{Objective, Relativistic};

/// Probabilities of eight states, in sixteenths.
const P: [usize; 8] = [5, 1, 3, 1, 2, 2, 1, 1];
const Q: [usize; 8] = [1, 3, 1, 2, 2, 4, 1, 2];

/// A table D that has ascended V between p and q: its logits, and V.
fn best_table(objective: Objective, p: [usize; 8], q: [usize; 8]) -> (Vec<f64>, f64) {
    let states = |counts: [usize; 8]| -> Vec<usize> {
        (0..8).flat_map(|state| std::iter::repeat_n(state, counts[state])).collect()
    };
    // Every pair of a state under p and one under q is a row, so that pairs are independent.
    let (ps, qs) = (states(p), states(q));
    let pairs = || ps.iter().flat_map(|&x| qs.iter().map(move |&y| (x, y)));
    let one_hot = |state: usize| (0..8).map(move |i| f64::from(u8::from(i == state)));
    let rows = ps.len() * qs.len();

    let t = Tape::new(1);
    let model: Model = serde_json::from_value(json!({"goodfellow": {}})).expect("defaults");
    let gan = Gan::new(&t, &model, [1, 1, 1]);
    let d = t.network("table");
    let table = t.parameter(d, "logits", [8, 1], Init::normal(0.1));
    let [x, y] = ["x", "y"].map(|name| t.input(name, Dtype::Real, [rows, 8]));
    let velocity = t.state("velocity", [8], Init::Constant(0.0));
    let (rate, momentum) = (t.scalar("rate"), t.scalar("momentum"));
    let mut value = None;
    let step = t.record("step", |t| {
        let logits = [t.matmul(x, table), t.matmul(y, table)];
        let loss = objective.discriminator(t, &gan, logits, logits);
        let gradient = t.flat_gradient(d, loss);
        t.commit(&[gradient]);
        t.sgd(t.flat(d), velocity, gradient, rate, momentum);
        value = Some(t.output("value", t.affine(loss, -1.0, 0.0)));
    });
    let init = t.record_init();
    let mut bench = Bench::f64(&t);
    bench.run(init);
    bench.write(x, &pairs().flat_map(|(x, _)| one_hot(x)).collect::<Vec<_>>());
    bench.write(y, &pairs().flat_map(|(_, y)| one_hot(y)).collect::<Vec<_>>());
    let steps = 1500;
    for i in 0..steps {
        // The rate falls to 0: the hinge has kinks, about which a step of constant size goes to and fro.
        bench.clock.scalars = vec![4.0 * (1.0 - f64::from(i) / f64::from(steps)), 0.5];
        bench.run(step);
    }
    (bench.read(table, 8), bench.read(value.expect("recorded"), 1)[0])
}

fn over_states(of: impl Fn(f64, f64) -> f64) -> f64 {
    (0..8).map(|i| of(P[i] as f64 / 16.0, Q[i] as f64 / 16.0)).sum()
}

/// Mao et al. 2017, equation 5 with a = 0, b = 1.
#[test]
fn least_squares_learns_the_ratio_of_densities() {
    let (table, value) = best_table(Objective::LeastSquares, P, Q);
    for (i, d) in table.into_iter().enumerate() {
        let best = P[i] as f64 / (P[i] + Q[i]) as f64;
        assert!((d - best).abs() < 1e-10, "state {i}: D is {d}, not {best}");
    }
    let best = -over_states(|p, q| p * q / (p + q)) / 2.0;
    assert!((value - best).abs() < 1e-12, "V is {value}, not {best}");
}

/// The best D is the sign of p − q.
#[test]
fn the_hinge_learns_which_density_is_larger() {
    let (table, value) = best_table(Objective::Hinge, P, Q);
    for (i, d) in table.into_iter().enumerate().filter(|&(i, _)| P[i] != Q[i]) {
        let best = if P[i] > Q[i] { 1.0 } else { -1.0 };
        // It comes to rest within a last few steps, each 4 / 1500 of a probability.
        assert!((d - best).abs() < 1e-2, "state {i}: D is {d}, not {best}");
    }
    let best = -2.0 * over_states(f64::min);
    assert!((value - best).abs() < 1e-2, "V is {value}, not {best}");
}

/// The best D is log p / q and a constant.
#[test]
fn pairs_learn_the_logarithm_of_the_ratio() {
    let (table, value) = best_table(Objective::Relativistic(Relativistic::default()), P, Q);
    let log_ratio = |i: usize| (P[i] as f64 / Q[i] as f64).ln();
    for i in 1..8 {
        let (found, best) = (table[i] - table[0], log_ratio(i) - log_ratio(0));
        assert!((found - best).abs() < 1e-6, "states {i} and 0: {found}, not {best}");
    }
    let pair = |i: usize, j: usize| (P[i] * Q[j]) as f64 / 256.0;
    let term = |i: usize, j: usize| pair(i, j) * (pair(i, j) / (pair(i, j) + pair(j, i))).ln();
    let best: f64 = (0..8).flat_map(|i| (0..8).map(move |j| term(i, j))).sum();
    assert!((value - best).abs() < 1e-10, "V is {value}, not {best}");
    assert!(value > -LN_2);
}

/// Against p_g = p_data nothing is better than the optimum, and elsewhere something is.
#[test]
fn v_is_smallest_where_g_has_won() {
    for (objective, words) in [
        (Objective::Minimax, "−log 4"),
        (Objective::NonSaturating, "−log 4"),
        (Objective::LeastSquares, "−1/4"),
        (Objective::Hinge, "−2"),
        (Objective::Relativistic(Relativistic::default()), "−log 2"),
    ] {
        let optimum = objective.optimum().expect("a number");
        assert_eq!(objective.optimum_in_words(), Some(words));
        let (table, won) = best_table(objective, P, P);
        assert!((won - optimum).abs() < 1e-9, "{objective:?}: V is {won}, not {optimum}");
        if let Some(indifference) = objective.indifference() {
            let says = |&logit: &f64| match objective.is_logistic() {
                true => 1.0 / (1.0 + (-logit).exp()),
                false => logit,
            };
            assert!(table.iter().all(|d| (says(d) - indifference).abs() < 1e-6), "{table:?}");
        }
        let (_, elsewhere) = best_table(objective, P, Q);
        assert!(elsewhere > optimum + 0.01, "{objective:?}: {elsewhere} is no better");
    }
}

/// G's losses at given answers, and their slopes.
#[test]
fn what_g_descends() {
    let (fake, real) = ([0.3, -1.7, 2.5, 0.0], [0.9, 0.2, -0.4, 3.0]);
    let t = Tape::new(1);
    let n = t.network("answers");
    let d_fake = t.parameter(n, "fake", [4, 1], Init::Constant(0.0));
    let d_real = t.input("real", Dtype::Real, [4, 1]);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    type Pointwise = fn(f64, f64) -> f64;
    let games: [(Objective, Pointwise); 3] = [
        (Objective::LeastSquares, |f, _| (f - 1.0).powi(2) / 2.0),
        (Objective::Hinge, |f, _| -f),
        (Objective::Relativistic(Relativistic { penalty: 7.0 }), |f, r| (r - f).exp().ln_1p()),
    ];
    let mut results = Vec::new();
    let program = t.record("losses", |t| {
        for (i, (game, _)) in games.iter().enumerate() {
            let loss = game.generator(t, d_fake, || d_real);
            let slope = t.affine(t.grad(loss, &[d_fake])[0], 4.0, 0.0);
            let loss = t.output(&format!("loss {i}"), t.affine(loss, 1.0, 0.0));
            results.push((loss, t.output(&format!("slope {i}"), slope)));
        }
    });
    let mut bench = Bench::f64(&t);
    bench.write(d_fake, &fake);
    bench.write(d_real, &real);
    bench.run(program);
    for ((game, at), (loss, slope)) in games.into_iter().zip(results) {
        let expected = (0..4).map(|i| at(fake[i], real[i])).sum::<f64>() / 4.0;
        assert!((bench.read(loss, 1)[0] - expected).abs() < 1e-14, "{game:?}");
        for (i, slope) in bench.read(slope, 4).into_iter().enumerate() {
            let expected = match game {
                Objective::LeastSquares => fake[i] - 1.0,
                Objective::Hinge => -1.0,
                _ => -sigmoid(real[i] - fake[i]),
            };
            assert!((slope - expected).abs() < 1e-14, "{game:?}: {slope}, not {expected}");
        }
    }
}

/// ‖∇D‖ of a linear D is that of its weights, anywhere: γ/2 (R1 + R2) = γ ‖w‖². V leaves it out.
#[test]
fn the_relativistic_penalty_of_a_linear_d() {
    let report = |penalty: f64| {
        let spec = experiment(json!({
            "model": {"goodfellow": {
                "generator": {"latent": 2, "hidden": []},
                "discriminator": {"maxout": [], "keep_input": 1, "keep_hidden": 1},
            }},
            "objective": {"relativistic": {"penalty": penalty}},
            "batch": 4,
        }));
        let mut stage = Stage::new(Tape::new(1), &spec, [1, 2, 1], Dtype::U8, 8);
        stage.bench.run(stage.recorded.init);
        stage.bench.write_bytes(stage.recorded.real, &[3, 90, 255, 18, 40, 0, 200, 77]);
        stage.write("discriminator.0.weight", &[3.0, -4.0]);
        stage.bench.run(stage.recorded.steps.discriminator);
        stage.read("report.discriminator")
    };
    let (without, with) = (report(0.0), report(0.2));
    assert!((with[0] - without[0] - 0.2 * 25.0).abs() < 1e-12, "{with:?} {without:?}");
    assert!((with[3] - without[3]).abs() < 1e-12 && (with[3] + without[0]).abs() < 1e-12);
}
