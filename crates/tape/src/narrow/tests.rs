//! Which tensors are narrow, and where they lie.

use crate::op::{Law, Op};
use crate::{
    Compiled, Dtype, Fusion, Init, Options, Over, Program, Space, Statistics, T, Tape, Window,
};
use std::collections::BTreeSet;

const DOWN: Window = Window { kernel: 4, stride: 2, pad: 1 };
const SAME: Window = Window { kernel: 3, stride: 1, pad: 1 };

fn compile(tape: &Tape, fusion: Fusion) -> Compiled {
    tape.compile(&Options { fusion, narrow: true })
}

/// A step of a small discriminator on real images and on those of a small generator: one layer with
/// batch norm, a dense one with maxout and dropout, logits.
fn step(tape: &Tape) -> Program {
    let d = tape.network("d");
    let g = tape.network("g");
    let real = tape.input("real", Dtype::U8, [4, 8, 8, 3]);
    let first = tape.parameter(d, "first", [6, 4, 4, 3], Init::normal(0.1));
    let norm = tape.norm(d, "norm", 6, 1e-5);
    let dense = tape.parameter(d, "dense", [96, 10], Init::normal(0.1));
    let bias = tape.parameter(d, "bias", [10], Init::Constant(0.0));
    let last = tape.parameter(d, "last", [5, 1], Init::normal(0.1));
    let project = tape.parameter(g, "project", [7, 96], Init::normal(0.1));
    let paint = tape.parameter(g, "paint", [6, 4, 4, 3], Init::normal(0.1));
    let rate = tape.scalar("rate");
    let velocity = tape.state("velocity", tape.shape(tape.flat(d)), Init::Constant(0.0));
    let judge = |t: &Tape, x| {
        let h = t.batch_norm(t.fprop(x, first, DOWN), &norm, Statistics::BatchAndUpdate);
        let h = t.reshape(t.leaky_relu(h, 0.2), [4, 96]);
        let h = t.maxout(t.add_bias(t.matmul(h, dense), bias), 2);
        t.matmul(t.dropout(h, 0.5, 2.0), last)
    };
    tape.record("step", |t| {
        let z = t.noise(Law::Normal { mean: 0.0, std: 1.0 }, [4, 7]);
        let pixels = t.relu(t.reshape(t.matmul(z, project), [4, 4, 4, 6]));
        let fake = t.tanh(t.dgrad(pixels, paint, DOWN));
        let on_real = t.batch_mean(t.softplus(judge(t, t.convert(real, 0.01, -1.0))));
        let loss = t.add(on_real, t.batch_mean(t.softplus(judge(t, fake))));
        let gradient = t.flat_gradient(d, loss);
        t.commit(&[gradient]);
        t.sgd(t.flat(d), velocity, gradient, rate, rate);
        t.output("loss", t.affine(loss, 1.0, 0.0));
    })
}

/// The first results of a program's operations: name of the operation, shape.
fn results(
    compiled: &Compiled,
    program: Program,
    dtype: Dtype,
) -> BTreeSet<(&'static str, Vec<usize>)> {
    let nodes = compiled.program(program).nodes.iter().filter(|n| !n.op.is_view());
    let of_type = nodes.filter(|n| compiled.tensor(n.outs[0]).dtype == dtype);
    of_type.map(|n| (n.op.name(), compiled.tensor(n.outs[0]).shape.dims().to_vec())).collect()
}

#[test]
fn activations_and_their_gradients_are_narrow_and_nothing_else() {
    let tape = Tape::new(1);
    let program = step(&tape);
    let compiled = compile(&tape, Fusion::Results);
    let narrow = [
        ("convert", vec![4, 8, 8, 3]),
        ("dgrad", vec![4, 8, 8, 3]),
        ("dropout", vec![4, 5]),
        ("fprop", vec![4, 4, 4, 6]),
        ("map", vec![4, 10]),
        ("map", vec![4, 4, 4, 6]),
        ("matmul", vec![4, 5]),
        ("matmul", vec![4, 10]),
        ("matmul", vec![4, 96]),
        ("maxout_pick", vec![4, 5]),
        ("maxout_scatter", vec![4, 10]),
        ("normalize", vec![4, 4, 4, 6]),
        ("normalize_grad", vec![4, 4, 4, 6]),
    ];
    assert_eq!(results(&compiled, program, Dtype::Bf16), BTreeSet::from(narrow));
    let real = results(&compiled, program, Dtype::Real);
    for (name, shape) in [
        ("matmul", vec![4, 1]),
        ("matmul", vec![96, 10]),
        ("matmul", vec![5, 1]),
        ("wgrad", vec![6, 4, 4, 3]),
        ("noise", vec![4, 7]),
        ("statistics", vec![2, 6]),
        ("sum", vec![10]),
        ("normalize_sums", vec![12]),
        ("map_sum", vec![1]),
    ] {
        assert!(real.contains(&(name, shape.clone())), "{name} {shape:?}: {real:?}");
    }
    // Moments are the second result of a convolution whose first is narrow.
    let mut nodes = compiled.program(program).nodes.iter();
    let two = nodes.find(|n| n.op.name() == "fprop" && n.outs.len() == 2).expect("fused moments");
    let dtypes = [two.outs[0], two.outs[1]].map(|t| compiled.tensor(t).dtype);
    assert_eq!(dtypes, [Dtype::Bf16, Dtype::Real]);
}

#[test]
fn narrow_is_what_was_real_before() {
    let tape = Tape::new(1);
    let program = step(&tape);
    for fusion in [Fusion::All, Fusion::Results, Fusion::None] {
        let wide = tape.compile(&Options { fusion, narrow: false });
        let narrow = compile(&tape, fusion);
        assert!(wide.tensors.iter().all(|t| t.dtype != Dtype::Bf16));
        // The same operations on the same operands: bytes are saved, and nothing else changes.
        let saved = |t: T| match narrow.tensor(t).dtype {
            Dtype::Bf16 => 2 * narrow.tensor(t).shape.len() as u64,
            _ => 0,
        };
        for (a, b) in wide.program(program).nodes.iter().zip(&narrow.program(program).nodes) {
            assert_eq!(wide.print_operation(a), narrow.print_operation(b));
            assert_eq!(wide.traffic(a), narrow.traffic(b));
            let operands: BTreeSet<T> = a.ins.iter().chain(&a.outs).copied().collect();
            let less = if a.op.is_view() { 0 } else { operands.into_iter().map(saved).sum() };
            assert_eq!(wide.bytes(a, 4), narrow.bytes(b, 4) + less, "{}", wide.print_operation(a));
        }
        assert_eq!(wide.plan.state, narrow.plan.state);
        assert!(narrow.plan.arena < wide.plan.arena);
        assert!(narrow.hash() != wide.hash(), "ranks of one run store alike");
    }
}

#[test]
fn a_map_follows_the_operands_of_its_shape() {
    let tape = Tape::new(1);
    let x = tape.input("x", Dtype::Real, [2, 4, 4, 3]);
    let one = tape.input("one", Dtype::Real, [1]);
    let n = tape.network("n");
    let w = tape.parameter(n, "w", [3, 3, 3, 3], Init::normal(0.1));
    let thin = tape.parameter(n, "thin", [1, 3, 3, 3], Init::normal(0.1));
    let mut made = Vec::new();
    tape.record("program", |t| {
        let y = t.fprop(x, w, SAME);
        let flat = t.reshape(y, [2, 48]);
        let real = t.mul(x, t.tanh(one));
        made = vec![
            (y, true),
            (flat, true),
            (t.tanh(flat), true),
            (t.add(real, y), true),
            // Neither a map of inputs, nor one that reads sums of what is narrow.
            (real, false),
            (t.spread(t.sum(y, Over::Channel), Over::Channel, [2, 4, 4, 3]), false),
            // Images of one channel are stored as the logits are.
            (t.fprop(x, thin, SAME), false),
            (t.output("kept", t.sigmoid(y)), false),
            (t.slice(y, 5, [7]), true),
        ];
        for (i, &(t_, _)) in
            made.iter().enumerate().filter(|(_, (t_, _))| t.tensor(*t_).name.is_none())
        {
            t.output(&format!("sum.{i}"), t.sum(t_, Over::All));
        }
    });
    let compiled = compile(&tape, Fusion::None);
    for (i, &(t, narrow)) in made.iter().enumerate() {
        assert_eq!(compiled.tensor(t).dtype == Dtype::Bf16, narrow, "number {i}");
    }
}

#[test]
fn an_accumulated_product_stays_real() {
    let tape = Tape::new(1);
    let x = tape.input("x", Dtype::Real, [4, 6]);
    let n = tape.network("n");
    let w = tape.parameter(n, "w", [6, 6], Init::normal(0.1));
    let program = tape.record("program", |t| {
        let sum = t.add(t.matmul(x, w), t.matmul_of(x, false, w, true));
        t.output("y", t.sum(sum, Over::Sample));
    });
    let dtypes = |fusion| {
        let compiled = compile(&tape, fusion);
        let nodes = &compiled.program(program).nodes;
        nodes.iter().map(|n| compiled.tensor(n.outs[0]).dtype).collect::<Vec<_>>()
    };
    let (narrow, real) = (Dtype::Bf16, Dtype::Real);
    assert_eq!(dtypes(Fusion::Results), [real, real, real]);
    assert_eq!(dtypes(Fusion::None), [narrow, narrow, narrow, real]);
}

/// Two images of 75 elements are alive at once: 80 reals each with the gap behind them, or 38 reals in
/// 48.
#[test]
fn narrow_buffers_take_half_the_arena() {
    let tape = Tape::new(1);
    let x = tape.input("x", Dtype::Real, [1, 5, 5, 3]);
    let n = tape.network("n");
    let w = tape.parameter(n, "w", [3, 3, 3, 3], Init::normal(0.1));
    let mut views = Vec::new();
    let program = tape.record("program", |t| {
        let (a, b) = (t.fprop(x, w, SAME), t.fprop(x, w, SAME));
        let view = t.slice(b, 3, [6]);
        t.output("sum", t.sum(view, Over::All));
        t.output("y", t.tanh(t.add(a, b)));
        views = vec![b, view];
    });
    let wide = tape.compile(&Options { fusion: Fusion::None, narrow: false });
    let narrow = compile(&tape, Fusion::None);
    assert_eq!([wide.plan.arena, narrow.plan.arena], [160, 96]);
    assert_eq!(wide.plan.arena_of, [160]);
    assert_eq!(wide.plan.total_bytes(4) - narrow.plan.total_bytes(4), 4 * 64);
    let places = |compiled: &Compiled| {
        views.iter().map(|&t| compiled.plan.byte_offset(t, 4).expect("used")).collect::<Vec<_>>()
    };
    let arena = |offset| (Space::Arena, offset);
    assert_eq!(places(&wide), [arena(4 * 80), arena(4 * 80 + 4 * 3)]);
    assert_eq!(places(&narrow), [arena(4 * 48), arena(4 * 48 + 2 * 3)]);
    let printed = narrow.print(program);
    assert!(printed.contains("[1, 5, 5, 3] bf16  a+48 "), "{printed}");
    assert!(printed.contains("[6] bf16           a+49.5"), "{printed}");
    // x once for both convolutions, weights twice: 2 · (75 + 81) and the two sums.
    let cost = narrow.print_cost(program, 4);
    let moved = 4 * 2 * (75 + 81) + 2 * 2 * 75 + (2 * 6 + 4) + 3 * 2 * 75 + (2 + 4) * 75;
    assert!(cost.contains(&format!("{}B moved", crate::amount(moved))), "{cost}");
}

#[test]
fn a_result_takes_the_place_of_an_operand_of_its_type() {
    let tape = Tape::new(1);
    let x = tape.input("x", Dtype::Real, [2, 4, 4, 3]);
    let n = tape.network("n");
    let w = tape.parameter(n, "w", [3, 3, 3, 3], Init::normal(0.1));
    let mut made = [x; 3];
    tape.record("program", |t| {
        let real = t.noise(Law::Uniform { low: 0.0, high: 1.0 }, [2, 4, 4, 3]);
        let y = t.fprop(x, w, SAME);
        let sum = t.add(real, y);
        t.output("y", t.sum(sum, Over::All));
        made = [real, y, sum];
    });
    for (narrow, expected) in [(false, 0), (true, 1)] {
        let compiled = tape.compile(&Options { fusion: Fusion::None, narrow });
        let [operands @ .., sum] = made.map(|t| compiled.plan.byte_offset(t, 4));
        let taken = operands.iter().position(|o| *o == sum);
        assert_eq!(taken, Some(expected));
    }
}

#[test]
#[should_panic(expected = "byte_offset")]
fn a_narrow_tensor_has_no_place_in_elements() {
    let tape = Tape::new(1);
    let program = step(&tape);
    let compiled = compile(&tape, Fusion::Results);
    let nodes = &compiled.program(program).nodes;
    let convert = nodes.iter().find(|n| matches!(n.op, Op::Convert { .. })).expect("real images");
    compiled.plan.place(convert.outs[0]);
}
