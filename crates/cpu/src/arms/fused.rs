//! The arm of fused convolutions: tables per channel are made of what batch norm left, and the kernels
//! use them where they read and where they finish.

use super::{halves, operands};
use crate::executor::{Step, Tools};
use crate::kernels::conv::{self, Weights};
use crate::kernels::epilogue::Epilogue;
use crate::kernels::map;
use crate::kernels::math::Math;
use crate::kernels::operand::Operand;
use crate::memory::{Memory, Reader, View};
use tape::{Access, Conv, Finish, Fused, Operands, Pass, Read};

/// Elements of the tables of a convolution.
pub(crate) fn tables_len(fused: &Fused) -> usize {
    let Conv { c, k, .. } = fused.conv;
    let (reads, result) = match fused.pass {
        Pass::Fprop => ([c, 0], k),
        Pass::Dgrad => ([k, 0], c),
        Pass::Wgrad => ([c, k], 0),
    };
    let tables = |read| match read {
        Read::Plain => 0,
        Read::Normalized { .. } => 1,
        Read::Gradient { .. } => 3,
    };
    let finish = usize::from(matches!(fused.finish, Finish::GradientSums { .. }));
    tables(fused.reads[0]) * reads[0] + tables(fused.reads[1]) * reads[1] + finish * result
}

/// Runs one fused convolution.
pub(super) fn run<R: Math>(
    fused: &Fused,
    step: &Step,
    memory: &mut Memory<R>,
    tools: &mut Tools<R>,
) {
    let Operands { reads, finish, .. } = fused.operands(&step.ins);
    let (r, [result, sums]) = match step.outs[..] {
        [result, sums] => memory.operands([result, sums]),
        _ => {
            let (r, [result]) = memory.operands([step.outs[0]]);
            (r, [result, &mut [][..]])
        }
    };
    let mut tables = Tables { free: &mut tools.tables };
    let x = read(fused.reads[0], reads[0], r, &mut tables);
    if fused.pass == Pass::Wgrad {
        let dy = read(fused.reads[1], reads[1], r, &mut tables);
        return conv::wgrad(&fused.conv, x, dy, result, fused.accumulate, &mut tools.work);
    }
    let mut inputs;
    let mut epilogue = match &fused.finish {
        Finish::Plain => Epilogue::None,
        Finish::Map { expr, access } => {
            inputs = operands(finish, &access[1..], |v| r.read(v).as_ptr());
            inputs.rotate_right(1);
            inputs[0] = map::Operand::new(result.as_ptr(), result.len(), Access::Full);
            let (operands, each) = (&inputs[..access.len()], result.len() / step.extents[0]);
            Epilogue::Map { expr, operands, each, registers: &tools.registers }
        }
        Finish::Moments => Epilogue::Moments { shift: halves(r.read(finish[0])).0, sums },
        Finish::GradientSums { slope } => {
            let [x, statistics, gain, shift] = [0, 1, 2, 3].map(|i| r.read(finish[i]));
            let (mean, istd) = halves(statistics);
            let tables = [mean, istd, tables.scale(gain, istd), shift];
            Epilogue::GradientSums { x, tables, slope: R::from_f64(*slope), sums }
        }
    };
    let kernel = if fused.pass == Pass::Fprop { conv::fprop } else { conv::dgrad };
    let weights = Weights { raw: r.read(reads[1][0]), kept: tools.shelf.get(step.kept) };
    kernel(&fused.conv, x, weights, result, &mut epilogue, &mut tools.work);
}

/// Hands out the memory that was allocated for tables.
struct Tables<'a, R> {
    free: &'a mut [R],
}

impl<'a, R: Math> Tables<'a, R> {
    /// A table of these values, which are computed in f64.
    fn of(&mut self, len: usize, value: impl Fn(usize) -> f64) -> &'a [R] {
        let (table, free) = std::mem::take(&mut self.free).split_at_mut(len);
        self.free = free;
        for (j, x) in table.iter_mut().enumerate() {
            *x = R::from_f64(value(j));
        }
        table
    }

    /// Gain over standard deviation.
    fn scale(&mut self, gain: &[R], istd: &[R]) -> &'a [R] {
        self.of(gain.len(), |j| gain[j].to_f64() * istd[j].to_f64())
    }
}

/// What a kernel reads, from the operands of a read.
fn read<'a, R: Math>(
    read: Read,
    operands: &[View],
    r: Reader<'a, R>,
    tables: &mut Tables<'a, R>,
) -> Operand<'a, R> {
    match read {
        Read::Plain => Operand::Plain(r.read(operands[0])),
        Read::Normalized { slope } => {
            let [x, statistics, gain, shift] = [0, 1, 2, 3].map(|i| r.read(operands[i]));
            let (mean, istd) = halves(statistics);
            let scale = tables.scale(gain, istd);
            Operand::Normalized { x, mean, scale, shift, slope: R::from_f64(slope) }
        }
        Read::Gradient { count } => {
            let [d, x, statistics, gain, sums] = [0, 1, 2, 3, 4].map(|i| r.read(operands[i]));
            let ((mean, istd), (first, second)) = (halves(statistics), halves(sums));
            let c = gain.len();
            let factor = |j: usize| gain[j].to_f64() * istd[j].to_f64();
            let share = 1.0 / count as f64;
            let slope = |j: usize| -factor(j) * istd[j].to_f64() * second[j].to_f64() * share;
            let summand = |j: usize| -factor(j) * first[j].to_f64() * share;
            let [a, b, c] = [tables.of(c, factor), tables.of(c, slope), tables.of(c, summand)];
            Operand::Gradient { d, x, mean, a, b, c }
        }
    }
}
