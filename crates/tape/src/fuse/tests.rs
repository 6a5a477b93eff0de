//! Each rule of fusion, and what keeps it from being applied.

use crate::op::{Node, Op};
use crate::{
    Access, Binary, Conv, Dtype, Expr, Fusion, Init, Network, Norm, Options, Over, Statistics, T,
    Tape, Window,
};

const WINDOW: Window = Window { kernel: 3, stride: 1, pad: 1 };

/// A tape on which programs are recorded.
struct Stage {
    tape: Tape,
    network: Network,
    /// Images of 3 channels.
    x: T,
    /// Weights from 3 channels to 3.
    w: T,
    bias: T,
    norm: Norm,
}

impl Stage {
    fn new() -> Self {
        let tape = Tape::new(1);
        let network = tape.network("n");
        let x = tape.input("x", Dtype::Real, [2, 4, 4, 3]);
        let w = tape.parameter(network, "w", [3, 3, 3, 3], Init::normal(0.1));
        let bias = tape.parameter(network, "bias", [3], Init::Constant(0.0));
        let norm = tape.norm(network, "norm", 3, 1e-5);
        Self { tape, network, x, w, bias, norm }
    }

    fn fprop(&self, x: T) -> T {
        self.tape.fprop(x, self.w, WINDOW)
    }

    fn normalized(&self, x: T) -> T {
        self.tape.batch_norm(x, &self.norm, Statistics::Batch)
    }

    /// Changes state, in place.
    fn write(&self, state: T) {
        let one = Op::Map { expr: Expr::constant(1.0), access: Vec::new() };
        self.tape.push_into(one, &[], &[state]);
    }

    /// The operations of a program after fusion, as they are printed, without views.
    fn fused(&self, body: impl FnOnce(&Tape)) -> Vec<String> {
        self.fused_so_far(Fusion::All, body)
    }

    fn fused_so_far(&self, fusion: Fusion, body: impl FnOnce(&Tape)) -> Vec<String> {
        let program = self.tape.record("program", body);
        let compiled = self.tape.compile(&Options { fusion, narrow: false });
        let nodes = compiled.program(program).nodes.iter().filter(|n| !n.op.is_view());
        nodes.map(|n| compiled.print_operation(n)).collect()
    }
}

/// How many of the operations contain this text.
fn count(operations: &[String], text: &str) -> usize {
    operations.iter().filter(|o| o.contains(text)).count()
}

#[test]
fn a_convolution_takes_the_map_behind_it() {
    let s = Stage::new();
    let operations = s.fused(|t| {
        t.output("y", t.leaky_relu(t.add_bias(s.fprop(s.x), s.bias), 0.2));
    });
    assert_eq!(operations, ["fprop x, n.w  3×3/1 → leaky((_ + n.bias), 0.2)"]);
}

#[test]
fn of_two_convolutions_the_later_takes_their_sum() {
    let s = Stage::new();
    let operations = s.fused(|t| {
        let a = t.dgrad(s.x, s.w, WINDOW);
        let b = s.fprop(s.x);
        t.output("y", t.tanh(t.sub(b, a)));
    });
    assert_eq!(operations[0], "dgrad x, n.w  3×3/1");
    assert!(operations[1].starts_with("fprop x, n.w  3×3/1 → tanh((_ − %"), "{operations:?}");
    assert_eq!(operations.len(), 2);
}

#[test]
fn a_result_that_others_see_keeps_its_map_apart() {
    let s = Stage::new();
    let operations = s.fused(|t| {
        let y = s.fprop(s.x);
        t.output("tanh", t.tanh(y));
        t.output("mean", t.sum(y, Over::Channel));
    });
    assert_eq!(count(&operations, "→"), 0, "two readers: {operations:?}");
    let s = Stage::new();
    let operations = s.fused(|t| {
        let y = t.output("y", s.fprop(s.x));
        t.output("tanh", t.tanh(y));
    });
    assert_eq!(count(&operations, "→"), 0, "an output: {operations:?}");
}

#[test]
fn a_map_stays_behind_what_it_reads() {
    let s = Stage::new();
    let operations = s.fused(|t| {
        let y = s.fprop(s.x);
        s.write(s.bias);
        t.output("y", t.add_bias(y, s.bias));
    });
    assert_eq!(operations[0], "fprop x, n.w  3×3/1");
    assert_eq!(operations.len(), 3);
    let s = Stage::new();
    let sum = s.tape.state("sum", [2, 4, 4, 3], Init::Constant(0.0));
    let operations = s.fused(|t| t.accumulate(sum, s.fprop(s.x)));
    assert_eq!(operations.len(), 2, "state is written where it is read: {operations:?}");
}

#[test]
fn a_result_that_is_spread_stays() {
    let s = Stage::new();
    let one = s.tape.input("one", Dtype::Real, [1, 1, 1, 3]);
    let operations = s.fused(|t| {
        let access = vec![Access::Full, Access::Channel];
        let op = Op::Map { expr: Expr::binary(Binary::Add), access };
        t.output("y", t.push(op, &[s.x, s.fprop(one)], [2, 4, 4, 3]));
    });
    assert_eq!(operations[0], "fprop one, n.w  3×3/1");
    assert_eq!(operations.len(), 2);
}

#[test]
fn gradients_by_weights_are_only_accumulated() {
    let s = Stage::new();
    let operations = s.fused(|t| {
        let conv = Conv { n: 2, h: 4, w: 4, c: 3, p: 4, q: 4, k: 3, r: 3, s: 3, stride: 1, pad: 1 };
        let op = Op::Wgrad { conv, accumulate: false };
        let product = |x| t.push(op.clone(), &[x, s.x], [3, 3, 3, 3]);
        let sum = t.add(product(s.x), product(s.normalized(s.fprop(s.x))));
        t.output("y", t.affine(t.reshape(sum, [81]), 2.0, 0.0));
    });
    assert_eq!(count(&operations, "wgrad + normalized("), 1, "{operations:?}");
    assert_eq!(operations.last().map(|o| &o[..3]), Some("2·"), "{operations:?}");
}

#[test]
fn moments_are_a_second_result() {
    let s = Stage::new();
    let operations = s.fused(|t| {
        t.output("y", s.normalized(s.fprop(s.x)));
    });
    assert_eq!(operations[0], "fprop x, n.w  3×3/1 + moments(n.norm.running)");
    assert_eq!(count(&operations, "normalize None"), 1, "an output is written: {operations:?}");
    let s = Stage::new();
    let operations = s.fused(|t| {
        let y = s.fprop(s.x);
        s.write(s.norm.running);
        t.output("y", s.normalized(y));
    });
    assert_eq!(count(&operations, "+ moments"), 0, "{operations:?}");
    assert_eq!(count(&operations, "moments %"), 1, "{operations:?}");
}

/// Two convolutions with a norm between them, and the gradient of it all.
fn two_layers(between: impl Fn(&Stage, T)) -> Vec<String> {
    two_layers_so_far(Fusion::All, between)
}

fn two_layers_so_far(fusion: Fusion, between: impl Fn(&Stage, T)) -> Vec<String> {
    let s = Stage::new();
    s.fused_so_far(fusion, |t| {
        let h = t.leaky_relu(s.normalized(s.fprop(s.x)), 0.2);
        let y = s.fprop(h);
        between(&s, h);
        let gradient = t.flat_gradient(s.network, t.batch_mean(t.square(y)));
        t.output("gradient", t.affine(gradient, 1.0, 0.0));
    })
}

#[test]
fn neither_a_norm_nor_its_gradient_is_written() {
    let operations = two_layers(|_, _| {});
    assert_eq!(count(&operations, "normalize ") + count(&operations, "normalize_"), 0);
    let z = ["fprop leaky(normalized(%", "wgrad leaky(normalized(%"];
    for text in z {
        assert_eq!(count(&operations, text), 1, "{text}: {operations:?}");
    }
    assert_eq!(count(&operations, "→ gate(_, normalized(%"), 1, "{operations:?}");
    assert_eq!(count(&operations, "wgrad + x, gradient(%"), 1, "{operations:?}");
}

#[test]
fn reads_stay_plain_where_only_results_are_fused() {
    let operations = two_layers_so_far(Fusion::Results, |_, _| {});
    assert_eq!(count(&operations, "normalize Leaky(0.2)"), 1, "{operations:?}");
    assert_eq!(count(&operations, "normalize_grad None"), 1, "{operations:?}");
    assert_eq!(count(&operations, "gradient("), 0, "{operations:?}");
    // The sums of the norm's gradient are still a second result, and so are its moments.
    assert_eq!(count(&operations, "normalized(%"), 1, "{operations:?}");
    assert_eq!(count(&operations, "→ gate(_, normalized(%"), 1, "{operations:?}");
    assert_eq!(count(&operations, "+ moments"), 1, "{operations:?}");
    let operations = two_layers_so_far(Fusion::None, |_, _| {});
    assert_eq!(count(&operations, "→") + count(&operations, "+ moments"), 0, "{operations:?}");
}

#[test]
fn a_norm_that_a_map_reads_is_written() {
    let operations = two_layers(|s, h| {
        s.tape.output("tanh", s.tape.tanh(h));
    });
    assert_eq!(count(&operations, "normalize Leaky(0.2)"), 1, "{operations:?}");
    assert_eq!(count(&operations, "leaky(normalized("), 0, "{operations:?}");
    // Its gradient reads x, and not what it gave.
    assert_eq!(count(&operations, "→ gate(_, normalized(%"), 1, "{operations:?}");
}

#[test]
fn a_norm_whose_gain_changes_is_computed_before() {
    let operations = two_layers(|s, _| s.write(s.norm.gain));
    assert_eq!(count(&operations, "normalize Leaky(0.2)"), 1, "{operations:?}");
    assert_eq!(count(&operations, "normalize_sums Leaky(0.2)"), 1, "{operations:?}");
    assert_eq!(count(&operations, "normalize_grad Leaky(0.2)"), 1, "{operations:?}");
}

#[test]
fn a_norm_is_read_while_its_gain_is_what_it_was() {
    for late in [false, true] {
        let s = Stage::new();
        let operations = s.fused(|t| {
            let h = s.normalized(s.fprop(s.x));
            let first = s.fprop(h);
            let write = || s.write(s.norm.gain);
            (!late).then(write);
            t.output("y", t.sub(t.dgrad(h, s.w, WINDOW), first));
            late.then(write);
        });
        let read = if late { 2 } else { 0 };
        assert_eq!(count(&operations, " normalized(%"), read, "{operations:?}");
    }
}

#[test]
fn a_sum_computes_its_map() {
    let s = Stage::new();
    let operations = s.fused(|t| {
        t.output("all", t.sum(t.softplus(s.x), Over::All));
        let square = t.square(s.x);
        t.output("sample", t.sum(square, Over::Sample));
        t.output("channel", t.sum(t.tanh(s.x), Over::Channel));
        let twice = t.sigmoid(s.x);
        t.output("once", t.sum(twice, Over::All));
        t.output("twice", twice);
    });
    assert_eq!(operations[0], "sum over All softplus(x)");
    assert_eq!(operations[1], "sum over Sample x²");
    assert_eq!(operations[2], "tanh(x)");
    assert_eq!(count(&operations, "sum over All twice"), 1, "{operations:?}");
}

/// A convolution of 2·9·3·3 multiply-adds for each of 32 pixels reads x of 96 elements, 81 weights, and
/// writes as many as it reads.
#[test]
fn costs_of_a_fused_convolution() {
    let s = Stage::new();
    let program = s.tape.record("program", |t| {
        let h = t.leaky_relu(s.normalized(s.fprop(s.x)), 0.2);
        t.output("y", t.tanh(s.fprop(h)));
    });
    let compiled = s.tape.compile(&Options::default());
    let nodes = &compiled.program(program).nodes;
    let costs = |node: &Node| (compiled.flops(node), compiled.traffic(node));
    let [first, .., last] = &nodes[..] else { panic!("two convolutions and more") };
    assert_eq!(costs(first), (2 * 32 * 81 + 4 * 96, 96 + 81 + 6 + 96 + 7));
    // Statistics, gain and shift are read besides.
    assert_eq!(costs(last), (2 * 32 * 81 + 4 * 96 + 96, 96 + 6 + 3 + 3 + 81 + 96));
}
