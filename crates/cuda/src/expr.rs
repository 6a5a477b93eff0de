//! Expressions as kernels run them: the twin of `kernels/expr.cuh`.

use crate::division::Division;
use crate::tensor::{Tensor, Type};
use tape::{Access, Binary, Expr, Shape, Step, Unary};

/// Threads of a block that runs an expression.
pub(crate) const THREADS: u32 = 128;
/// Elements that such a block computes at once.
pub(crate) const BLOCK: u32 = 8 * THREADS;
/// Bytes of shared memory of a slot.
const SLOT: u32 = THREADS * 2 * 16;
/// Instead of the number of a slot: the result of the instruction before; nothing is kept.
const NO_SLOT: u8 = 255;

/// What an instruction does; the numbers are those of `kernels/elementary.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Operation {
    Input = 0,
    Constant = 1,
    Affine = 2,
    Leaky = 3,
    Tanh = 4,
    Sigmoid = 5,
    Softplus = 6,
    Sqrt = 7,
    Square = 8,
    Reciprocal = 9,
    Add = 10,
    Sub = 11,
    Mul = 12,
    Div = 13,
    Gate = 14,
}

impl Operation {
    /// A function of one value with its two numbers.
    pub fn unary(f: Unary) -> (Self, [f32; 2]) {
        match f {
            Unary::Affine { scale, shift } => (Self::Affine, [scale as f32, shift as f32]),
            Unary::Leaky(slope) => (Self::Leaky, [slope as f32, 0.0]),
            Unary::Tanh => (Self::Tanh, [0.0; 2]),
            Unary::Sigmoid => (Self::Sigmoid, [0.0; 2]),
            Unary::Softplus => (Self::Softplus, [0.0; 2]),
            Unary::Sqrt => (Self::Sqrt, [0.0; 2]),
            Unary::Square => (Self::Square, [0.0; 2]),
            Unary::Reciprocal => (Self::Reciprocal, [0.0; 2]),
        }
    }

    /// A function of two values with its two numbers.
    pub fn binary(f: Binary) -> (Self, [f32; 2]) {
        match f {
            Binary::Add => (Self::Add, [0.0; 2]),
            Binary::Sub => (Self::Sub, [0.0; 2]),
            Binary::Mul => (Self::Mul, [0.0; 2]),
            Binary::Div => (Self::Div, [0.0; 2]),
            Binary::Gate(slope) => (Self::Gate, [slope as f32, 0.0]),
        }
    }
}

/// `Instruction` of the kernel; `code` is operation, a, b, and where the result is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Instruction {
    code: [u8; 4],
    numbers: [f32; 2],
}

/// `Operand` of the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
struct Operand {
    tensor: Tensor,
    access: u32,
    wide: u32,
}

/// An expression with its operands, as a field of a kernel's parameters: `Expr` of the kernel.
#[derive(Clone, Copy, Debug, PartialEq)]
#[repr(C)]
pub(crate) struct Program {
    operands: [Operand; Expr::MAX_INPUTS],
    steps: [Instruction; Expr::MAX_STEPS],
    row: Division,
    channels: Division,
    length: u32,
    unused: [u32; 3],
}

/// Every number that is in range is right, so it is checked where a launch is made.
fn fits(expr: &Expr, operands: usize) {
    assert!(expr.steps.len() <= Expr::MAX_STEPS, "{} steps", expr.steps.len());
    assert!(operands <= Expr::MAX_INPUTS, "{operands} operands");
}

impl Program {
    /// The expression at the elements of `shape`, and the bytes of shared memory that it needs. `quads`:
    /// runs of four begin at multiples of 4.
    pub fn new(
        expr: &Expr,
        access: &[Access],
        operands: &[Tensor],
        shape: Shape,
        quads: bool,
    ) -> (Self, u32) {
        fits(expr, operands.len());
        let row = (shape.len() / shape.rows().max(1)).max(1) as u32;
        let channels = shape.channels().max(1) as u32;
        let nothing = Operand { tensor: Tensor::NONE, access: 0, wide: 0 };
        let mut program = Self {
            operands: [nothing; Expr::MAX_INPUTS],
            steps: [Instruction { code: [0; 4], numbers: [0.0; 2] }; Expr::MAX_STEPS],
            row: Division::by(row),
            channels: Division::by(channels),
            length: expr.steps.len() as u32,
            unused: [0; 3],
        };
        for (i, (&tensor, &access)) in operands.iter().zip(access).enumerate() {
            let quad = tensor.aligned(16) && tensor.dtype != Type::U8;
            let (access, wide) = match access {
                Access::Full => (0, quads && quad),
                Access::Sample => (1, quads && row.is_multiple_of(4)),
                Access::Channel => (2, quads && quad && channels.is_multiple_of(4)),
                Access::Scalar => (3, true),
            };
            program.operands[i] = Operand { tensor, access, wide: u32::from(wide) };
        }
        let (kept, slots) = slots(expr);
        let from = |at: usize, register: u8| {
            if register as usize + 1 == at { NO_SLOT } else { kept[register as usize] }
        };
        for (i, step) in expr.steps.iter().enumerate() {
            let (operation, numbers, a, b) = match *step {
                Step::Input(k) => (Operation::Input, [0.0; 2], k, NO_SLOT),
                Step::Const(v) => (Operation::Constant, [v as f32, 0.0], NO_SLOT, NO_SLOT),
                Step::Unary(f, a) => {
                    let (operation, numbers) = Operation::unary(f);
                    (operation, numbers, from(i, a), NO_SLOT)
                }
                Step::Binary(f, a, b) => {
                    let (operation, numbers) = Operation::binary(f);
                    (operation, numbers, from(i, a), from(i, b))
                }
            };
            let code = [operation as u8, a, b, kept[i]];
            program.steps[i] = Instruction { code, numbers };
        }
        (program, slots * SLOT)
    }
}

/// For each step the slot that keeps its result, and how many slots there are. What only the next step
/// reads is not kept, and a slot is taken again once its last reader has it.
fn slots(expr: &Expr) -> (Vec<u8>, u32) {
    let steps = &expr.steps;
    let read = |step: &Step| match *step {
        Step::Unary(_, a) => [Some(a), None],
        Step::Binary(_, a, b) => [Some(a), Some(b)],
        Step::Input(_) | Step::Const(_) => [None, None],
    };
    let mut last_read = vec![0; steps.len()];
    for (i, step) in steps.iter().enumerate() {
        for register in read(step).into_iter().flatten() {
            last_read[register as usize] = i;
        }
    }
    let mut kept = vec![NO_SLOT; steps.len()];
    let mut taken: Vec<Option<usize>> = Vec::new();
    for i in 0..steps.len() {
        taken.iter_mut().for_each(|until| *until = until.filter(|until| *until > i));
        if last_read[i] <= i + 1 {
            continue;
        }
        let slot = taken.iter().position(Option::is_none).unwrap_or_else(|| {
            taken.push(None);
            taken.len() - 1
        });
        taken[slot] = Some(last_read[i]);
        kept[i] = slot as u8;
    }
    let most = Expr::MAX_STEPS / 2;
    assert!(taken.len() <= most, "{} slots for {} steps", taken.len(), steps.len());
    (kept, taken.len() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chain needs no slot; what is read later than by the next step does, and slots are used again.
    #[test]
    fn keeps_what_is_read_later() {
        use Step::{Binary as B, Input, Unary as U};
        let chain = Expr { steps: vec![Input(0), U(Unary::Tanh, 0), U(Unary::Square, 1)] };
        assert_eq!(slots(&chain), (vec![NO_SLOT; 3], 0));
        // (a + b) · a, then the square of it less b: a and b are kept, a's slot ends at step 3.
        let steps = vec![
            Input(0),
            Input(1),
            B(Binary::Add, 0, 1),
            B(Binary::Mul, 2, 0),
            U(Unary::Tanh, 3),
            U(Unary::Square, 4),
            B(Binary::Sub, 5, 3),
            B(Binary::Div, 6, 1),
        ];
        let (kept, slots) = slots(&Expr { steps });
        assert_eq!(kept, [0, 1, NO_SLOT, 0, NO_SLOT, NO_SLOT, NO_SLOT, NO_SLOT]);
        assert_eq!(slots, 2);
    }

    /// Twelve operands that are all there before the first is used: the most that 24 steps can ask for.
    #[test]
    fn at_most_half_of_the_steps() {
        let mut steps: Vec<Step> = (0..12).map(|i| Step::Input(i % 8)).collect();
        for i in 0..11 {
            let sum = if i == 0 { 0 } else { 11 + i };
            steps.push(Step::Binary(Binary::Add, sum, i + 1));
        }
        assert_eq!(slots(&Expr { steps }).1, 12);
    }
}
