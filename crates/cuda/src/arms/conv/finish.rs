//! Which finish of the kernels is that of a fused convolution.

use crate::arms::gemm::{Finish, Kind};
use crate::expr::Operation;
use crate::tensor::{Tensor, Type};
use tape::{Access, Binary, Expr, Finish as Finishes, Step, Unary};

/// The kernels' finish of a result y of rows of `n`, given its further operands; none where kernels have
/// none. Where sums are left, the caller says.
pub fn of(finish: &Finishes, others: &[Tensor], y: Tensor, n: usize) -> Option<Finish> {
    let plain = Finish::plain(y, n);
    match finish {
        Finishes::Plain => Some(plain),
        Finishes::Map { expr, access } => map(expr, access, others, plain, n),
        Finishes::Moments => Some(Finish { kind: Kind::Moments, bias: others[0].at, ..plain }),
        Finishes::GradientSums { slope } => {
            let [x, statistics, gain, shift] = *others else { return None };
            Some(Finish {
                statistics: statistics.at,
                gain: gain.at,
                shift: shift.at,
                slope: *slope as f32,
                ..plain.with(Kind::GradientSums, x, n)
            })
        }
    }
}

/// What a register of an expression holds.
#[derive(Clone, Copy)]
enum Value {
    /// The product, D.
    Result,
    /// A further operand.
    Other(usize),
    /// D and a bias.
    Biased(usize),
    /// What a finish gives.
    Done(Finish),
}

fn map(
    expr: &Expr,
    access: &[Access],
    others: &[Tensor],
    plain: Finish,
    n: usize,
) -> Option<Finish> {
    use Value::{Biased, Done, Other, Result};
    let activate = |bias: Option<usize>, activation: Operation, slope: f64| Finish {
        kind: Kind::Activate,
        bias: bias.map_or(0, |i| others[i].at),
        activation: activation as u32,
        slope: slope as f32,
        ..plain
    };
    let mut values: Vec<Value> = Vec::new();
    for step in &expr.steps {
        values.push(match *step {
            Step::Input(0) => Result,
            Step::Input(i) => Other(i as usize - 1),
            Step::Unary(f, x) => {
                let bias = match values[x as usize] {
                    Result => None,
                    Biased(i) => Some(i),
                    _ => return None,
                };
                Done(match f {
                    Unary::Leaky(slope) => activate(bias, Operation::Leaky, slope),
                    Unary::Tanh => activate(bias, Operation::Tanh, 1.0),
                    Unary::Sigmoid => activate(bias, Operation::Sigmoid, 1.0),
                    _ => return None,
                })
            }
            Step::Binary(Binary::Add, a, b) => match (values[a as usize], values[b as usize]) {
                (Result, Other(i)) | (Other(i), Result) => match access[i + 1] {
                    Access::Channel if others[i].dtype == Type::F32 => Biased(i),
                    Access::Full => Done(plain.with(Kind::Accumulate, others[i], n)),
                    _ => return None,
                },
                _ => return None,
            },
            Step::Binary(Binary::Gate(slope), a, b) => {
                match (values[a as usize], values[b as usize]) {
                    (Result, Other(i)) if access[i + 1] == Access::Full => {
                        let slope = slope as f32;
                        Done(Finish { slope, ..plain.with(Kind::Gate, others[i], n) })
                    }
                    _ => return None,
                }
            }
            Step::Const(_) | Step::Binary(..) => return None,
        });
    }
    match *values.last()? {
        Result => Some(plain),
        Biased(i) => Some(activate(Some(i), Operation::Leaky, 1.0)),
        Done(finish) => Some(finish),
        Other(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A result of 24 elements, and two operands: one of its shape, one of its channels.
    fn found(steps: &[Step]) -> Option<(Kind, u64, f32)> {
        let y = Tensor::f32(256, 24);
        let others = [Tensor::f32(512, 24), Tensor::f32(1024, 4)];
        let access = [Access::Full, Access::Full, Access::Channel];
        let finish =
            Finishes::Map { expr: Expr { steps: steps.to_vec() }, access: access.to_vec() };
        of(&finish, &others, y, 4).map(|f| (f.kind, f.other.at + f.bias, f.slope))
    }

    #[test]
    fn finds_what_kernels_can_do() {
        let [d, full, channel] = [0, 1, 2].map(Step::Input);
        let add = Step::Binary(Binary::Add, 0, 1);
        let leaky = |x| Step::Unary(Unary::Leaky(0.25), x);
        assert_eq!(found(&[d]), Some((Kind::Plain, 0, 1.0)));
        assert_eq!(found(&[d, full, add]), Some((Kind::Accumulate, 512, 1.0)));
        assert_eq!(found(&[channel, d, add]), Some((Kind::Activate, 1024, 1.0)));
        assert_eq!(found(&[d, channel, add, leaky(2)]), Some((Kind::Activate, 1024, 0.25)));
        assert_eq!(found(&[d, leaky(0)]), Some((Kind::Activate, 0, 0.25)));
        let gate = |a, b| Step::Binary(Binary::Gate(0.5), a, b);
        assert_eq!(found(&[d, full, gate(0, 1)]), Some((Kind::Gate, 512, 0.5)));
        // The other way round, of a sum, of a square: nothing that a kernel ends with.
        assert_eq!(found(&[d, full, gate(1, 0)]), None);
        assert_eq!(found(&[d, full, add, leaky(2)]), None);
        assert_eq!(found(&[d, Step::Unary(Unary::Square, 0)]), None);
    }
}
