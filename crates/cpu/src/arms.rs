//! One arm for each operation: operands are looked up, a kernel is called.

pub(crate) mod fused;

use crate::executor::{Step, Tools};
use crate::kernels::math::Math;
use crate::kernels::noise::Draw;
use crate::kernels::{
    activation, batch_norm, blocks, convert, dropout, map, matmul, maxout, noise, reduce, update,
};
use crate::memory::{Memory, View};
use tape::{Access, Act, Clock, Expr, Fused, Law, Op, Over, Owner};

/// Runs one node.
pub(crate) fn run<R: Math>(
    step: &Step,
    memory: &mut Memory<R>,
    tools: &mut Tools<R>,
    clock: &Clock,
) {
    let ins = &step.ins[..];
    let out = step.outs[0];
    let scalar = |s: tape::Scalar| clock.scalars[s.0];
    match &step.node.op {
        Op::Map { expr, access } => {
            let target = memory.pointer(out);
            let operands = operands(ins, access, |view| memory.pointer(view));
            let [rows, channels] = step.extents;
            // SAFETY: `disjoint` saw that only operands read in full lie where the result does, and
            // memory is borrowed mutably here, so nobody else reads or writes it.
            unsafe {
                map::map(
                    expr,
                    &operands[..ins.len()],
                    target,
                    [out.len, rows, channels],
                    &tools.registers,
                );
            }
        }
        Op::MapSum { expr, access, shape, .. } => {
            let (r, [sums]) = memory.operands([out]);
            let operands = operands(ins, access, |view| r.read(view).as_ptr());
            let extents = [shape.len(), shape.rows(), shape.channels()];
            // SAFETY: as above, but that `disjoint` saw no operand where the sums are.
            unsafe {
                map::map_sum(
                    expr,
                    &operands[..ins.len()],
                    sums,
                    extents,
                    &tools.registers,
                    &mut tools.partials,
                );
            }
        }
        Op::AllReduce { .. } => {
            // What other ranks add comes behind: see `sums`.
            let (from, to) = (memory.pointer(ins[0]), memory.pointer(out));
            // SAFETY: both are in bounds; `copy` allows them to overlap.
            unsafe { std::ptr::copy(from, to, out.len) };
        }
        op @ (Op::Fprop(_) | Op::Dgrad(_) | Op::Wgrad { .. }) => {
            let plain = Fused::of(op).expect("these are convolutions");
            fused::run(&plain, step, memory, tools);
        }
        Op::Fused(fused) => fused::run(fused, step, memory, tools),
        Op::Matmul { ta, tb, accumulate } => {
            let [m, n] = step.extents;
            let k = ins[0].len / m;
            let (r, [c]) = memory.operands([out]);
            let (a, b) = (r.read(ins[0]), r.read(ins[1]));
            matmul::matmul(m, n, k, a, *ta, b, *tb, c, *accumulate, &mut tools.work);
        }
        Op::Sum(over) => {
            let (r, [sum]) = memory.operands([out]);
            let x = r.read(ins[0]);
            match over {
                Over::All => reduce::all(x, sum, &mut tools.partials),
                Over::Sample => reduce::per_sample(x, sum, &mut tools.partials),
                Over::Channel => reduce::per_channel(x, sum, &mut tools.partials),
            }
        }
        Op::Convert { scale, shift } => {
            let (r, [y]) = memory.operands([out]);
            convert::convert(r.bytes(ins[0]), y, *scale, *shift);
        }
        Op::Moments => {
            let (r, [sums]) = memory.operands([out]);
            let mean = halves(r.read(ins[1])).0;
            batch_norm::moments(r.read(ins[0]), mean, sums, &mut tools.partials);
        }
        Op::Statistics { eps } => {
            let (r, [stats]) = memory.operands([out]);
            batch_norm::statistics(r.read(ins[0]), halves(r.read(ins[1])).0, *eps, stats);
        }
        Op::StoredStatistics { eps } => {
            let (r, [stats]) = memory.operands([out]);
            let (mean, variance) = halves(r.read(ins[0]));
            for j in 0..mean.len() {
                stats[j] = mean[j];
                stats[mean.len() + j] = R::ONE / (variance[j] + R::from_f64(*eps)).sqrt();
            }
        }
        Op::Normalize(act) => {
            let (r, [y]) = memory.operands([out]);
            let [x, stats, gain, shift] = [0, 1, 2, 3].map(|i| r.read(ins[i]));
            batch_norm::normalize(x, stats, gain, shift, kernel_act(*act), y);
        }
        Op::NormalizeSums(act) => {
            let (r, [sums]) = memory.operands([out]);
            let [dy, y, x, stats] = [0, 1, 2, 3].map(|i| r.read(ins[i]));
            batch_norm::grad_sums(dy, y, x, stats, kernel_act(*act), sums, &mut tools.partials);
        }
        Op::NormalizeGrad { act, count } => {
            let (r, [dx]) = memory.operands([out]);
            let [dy, y, x, stats, gain, sums] = [0, 1, 2, 3, 4, 5].map(|i| r.read(ins[i]));
            let count = R::from_f64(*count as f64);
            batch_norm::grad(dy, y, x, stats, gain, kernel_act(*act), sums, count, dx);
        }
        Op::Running { momentum } => {
            let (r, [running]) = memory.operands([out]);
            if r.read(ins[1])[0] == R::ZERO {
                // The sums were taken around the running mean as it was.
                let shift = &mut tools.partials[..running.len() / 2];
                shift.copy_from_slice(halves(running).0);
                batch_norm::running(r.read(ins[0]), shift, *momentum, running);
            }
        }
        Op::MaxoutPick { .. } => {
            let (r, [y]) = memory.operands([out]);
            maxout::pick(r.read(ins[0]), r.read(ins[1]), y);
        }
        Op::MaxoutScatter { .. } => {
            let (r, [dx]) = memory.operands([out]);
            maxout::scatter(r.read(ins[0]), r.read(ins[1]), dx);
        }
        Op::PoolPick(g) => {
            let (r, [y]) = memory.operands([out]);
            blocks::pick(g, r.read(ins[0]), r.read(ins[1]), y);
        }
        Op::PoolScatter(g) => {
            let (r, [dx]) = memory.operands([out]);
            blocks::scatter(g, r.read(ins[0]), r.read(ins[1]), dx);
        }
        Op::Upsample(g) => {
            let (r, [y]) = memory.operands([out]);
            blocks::upsample(g, r.read(ins[0]), y);
        }
        Op::BlockSum(g) => {
            let (r, [dx]) = memory.operands([out]);
            blocks::sum(g, r.read(ins[0]), dx);
        }
        Op::Dropout { keep, scale, stream } => {
            let (r, [y]) = memory.operands([out]);
            let at = draw(clock, *stream, tools.world, out.len / step.extents[0]);
            dropout::dropout(r.read(ins[0]), y, *keep, *scale, at);
        }
        Op::Noise { law, stream, owner } => {
            let (_, [y]) = memory.operands([out]);
            let at = match owner {
                Owner::Batch => draw(clock, *stream, tools.world, out.len / step.extents[0]),
                Owner::Alone => draw(clock, *stream, 1, out.len / step.extents[0]),
                Owner::Weights => Draw { tick: 0, rank: 0, ..draw(clock, *stream, 1, out.len) },
            };
            match *law {
                Law::Uniform { low, high } => noise::uniform(y, low, high, at),
                Law::Normal { mean, std } => noise::normal(y, mean, std, at),
            }
        }
        Op::Pack => {
            let (r, [row]) = memory.operands([out]);
            for (x, &view) in row.iter_mut().zip(ins) {
                *x = r.read(view)[0];
            }
        }
        Op::Guard => {
            let (r, [fault]) = memory.operands([out]);
            let bad = |view: &View| update::non_finite(r.read(*view));
            if fault[0] == R::ZERO && ins.iter().any(bad) {
                fault[0] = R::from_f64((1 + clock.tick % 4096) as f64);
            }
        }
        Op::Sgd { rate, momentum } => {
            let (r, [p, v]) = memory.operands([out, step.outs[1]]);
            let (g, fault) = (r.read(ins[0]), r.read(ins[1])[0]);
            update::sgd(p, g, v, scalar(*rate), scalar(*momentum), fault);
        }
        Op::Adam { rate, beta1, beta2, eps, l2, correction1, correction2 } => {
            let (r, [p, m, v]) = memory.operands([out, step.outs[1], step.outs[2]]);
            let (g, fault) = (r.read(ins[0]), r.read(ins[1])[0]);
            let (rate, c1, c2) = (scalar(*rate), scalar(*correction1), scalar(*correction2));
            update::adam(p, g, m, v, rate, *beta1, *beta2, *eps, *l2, c1, c2, fault);
        }
        Op::Ema { decay } => {
            let (r, [e]) = memory.operands([out]);
            update::ema(e, r.read(ins[0]), scalar(*decay), r.read(ins[1])[0]);
        }
        Op::Reshape | Op::Slice { .. } => unreachable!("views are not run"),
    }
}

/// What an expression reads, from where its operands begin.
fn operands<R>(
    ins: &[View],
    access: &[Access],
    mut start: impl FnMut(View) -> *const R,
) -> [map::Operand<R>; Expr::MAX_INPUTS] {
    std::array::from_fn(|i| match ins.get(i) {
        Some(&view) => map::Operand::new(start(view), view.len, access[i]),
        None => map::Operand::new(std::ptr::null(), 0, Access::Full),
    })
}

fn halves<R>(x: &[R]) -> (&[R], &[R]) {
    x.split_at(x.len() / 2)
}

/// Where rows of `row` elements draw.
fn draw(clock: &Clock, stream: u32, world: u32, row: usize) -> Draw {
    Draw { seed: clock.seed, stream, tick: clock.tick, rank: clock.rank as u32, world, row }
}

/// A leaky ReLU of slope 0 is a ReLU, which the kernels compute without a product.
fn kernel_act(act: Act) -> activation::Act {
    match act {
        Act::None => activation::Act::None,
        Act::Leaky(0.0) => activation::Act::Relu,
        Act::Leaky(slope) => activation::Act::Leaky(slope),
        Act::Tanh => activation::Act::Tanh,
        Act::Sigmoid => activation::Act::Sigmoid,
    }
}
