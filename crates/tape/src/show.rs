//! Programs as text: what is computed, where it lies, what it costs.

use crate::op::{Node, Op};
use crate::plan::Space;
use crate::{Compiled, Dtype, Owner, Program, T, Tensor};
use std::fmt::Write;

impl Compiled {
    /// A program, one line per node: result, shape, place, operation, operands, FLOPs, elements moved.
    pub fn print(&self, program: Program) -> String {
        let listing = self.program(program);
        let rows: Vec<[String; 6]> = listing
            .nodes
            .iter()
            .map(|node| {
                let out = node.outs[0];
                let names: Vec<String> = node.outs.iter().map(|&t| self.label(t)).collect();
                [
                    names.join(", "),
                    self.print_shape(out),
                    self.print_place(out),
                    self.print_operation(node),
                    amount(self.flops(node)),
                    amount(self.traffic(node)),
                ]
            })
            .collect();
        let head = ["result", "shape", "place", "operation", "flop", "moved"];
        let mut width = head.map(|h| h.chars().count());
        for row in &rows {
            for (w, cell) in width.iter_mut().zip(row) {
                *w = (*w).max(cell.chars().count());
            }
        }
        width[3] = width[3].min(78);
        let mut text = String::new();
        let mut line = |cells: [&str; 6]| {
            let [result, shape, place, operation, flop, moved] = cells;
            let pad = |s: &str, w: usize| " ".repeat(w.saturating_sub(s.chars().count()));
            write!(text, "{result}{}  {shape}{}  ", pad(result, width[0]), pad(shape, width[1]))
                .expect("strings take everything");
            write!(
                text,
                "{place}{}  {operation}{}  ",
                pad(place, width[2]),
                pad(operation, width[3])
            )
            .expect("strings take everything");
            writeln!(text, "{}{flop}  {}{moved}", pad(flop, width[4]), pad(moved, width[5]))
                .expect("strings take everything");
        };
        line(head);
        for row in &rows {
            line([&row[0], &row[1], &row[2], &row[3], &row[4], &row[5]]);
        }
        text
    }

    /// What a program costs, in a line.
    pub fn print_cost(&self, program: Program, real: usize) -> String {
        let listing = self.program(program);
        let flops: u64 = listing.nodes.iter().map(|n| self.flops(n)).sum();
        // Inputs are counted as the reals that they become.
        let size = |tensor: &Tensor| match tensor.dtype {
            Dtype::Bf16 => tensor.shape.len() * Dtype::Bf16.bytes(real),
            Dtype::Real | Dtype::U8 | Dtype::F32 => tensor.shape.len() * real,
        };
        let moved: u64 = listing.nodes.iter().map(|n| self.moved(n, size)).sum();
        format!(
            "{}: {} operations, {}FLOP, {}B moved, {}B of the arena",
            listing.name,
            listing.nodes.iter().filter(|n| !n.op.is_view()).count(),
            amount(flops),
            amount(moved),
            amount((self.plan.arena_of[program.0] * real) as u64),
        )
    }

    /// What lies in memory, in a line; `working` bytes are the device's own.
    pub fn print_memory(&self, real: usize, working: usize) -> String {
        format!(
            "peak memory {}B: {}B of state, {}B of arena, {}B of input, {}B that kernels work with",
            amount((self.plan.total_bytes(real) + working) as u64),
            amount((self.plan.state * real) as u64),
            amount((self.plan.arena * real) as u64),
            amount(self.plan.bytes as u64),
            amount(working as u64),
        )
    }

    /// The operation and its operands.
    pub fn print_operation(&self, node: &Node) -> String {
        let names: Vec<String> = node.ins.iter().map(|&t| self.label(t)).collect();
        let operands = names.join(", ");
        match &node.op {
            Op::Map { expr, .. } => expr.print(|i| names[i].clone()),
            Op::Fprop(c) | Op::Dgrad(c) | Op::Wgrad { conv: c, .. } => {
                let sum =
                    if matches!(node.op, Op::Wgrad { accumulate: true, .. }) { " +" } else { "" };
                format!("{}{sum} {operands}  {}×{}/{}", node.op.name(), c.r, c.s, c.stride)
            }
            Op::Matmul { ta, tb, accumulate } => {
                let t = |turn: bool| if turn { "ᵀ" } else { "" };
                let sum = if *accumulate { " +" } else { "" };
                let rest = names.get(2).map_or(String::new(), |s| format!(", {s}"));
                format!("matmul{sum} {}{}, {}{}{rest}", names[0], t(*ta), names[1], t(*tb))
            }
            Op::Sum(over) => format!("sum over {over:?} {operands}"),
            Op::MapSum { expr, over, .. } => {
                format!("sum over {over:?} {}", expr.print(|i| names[i].clone()))
            }
            Op::Fused(fused) => fused.print(&names),
            Op::Convert { scale, shift } => format!("{scale:.6} · {operands} + {shift}"),
            Op::Normalize(act) | Op::NormalizeSums(act) | Op::NormalizeGrad { act, .. } => {
                format!("{} {act:?} {operands}", node.op.name())
            }
            Op::Dropout { keep, scale, stream } => {
                format!("dropout {operands}  keep {keep} × {scale} stream {stream}")
            }
            Op::Noise { law, stream, owner } => {
                let alone = if *owner == Owner::Alone { " alone" } else { "" };
                format!("noise {law:?} stream {stream}{alone}")
            }
            Op::MaxoutPick { pieces } | Op::MaxoutScatter { pieces } => {
                format!("{} {operands}  of {pieces}", node.op.name())
            }
            Op::PoolPick(_) | Op::PoolScatter(_) | Op::Upsample(_) | Op::BlockSum(_) => {
                format!("{} {operands}  2×2", node.op.name())
            }
            Op::AllReduce { world } => format!("all_reduce {operands}  world {world}"),
            Op::Slice { offset } => format!("slice {operands}  from {offset}"),
            _ => format!("{} {operands}", node.op.name()),
        }
    }

    fn print_shape(&self, t: T) -> String {
        let tensor = self.tensor(t);
        let narrow = if tensor.dtype == Dtype::Bf16 { " bf16" } else { "" };
        format!("{:?}{narrow}", tensor.shape)
    }

    /// The memory and the first element there, counted in reals; a view of a narrow tensor may begin at
    /// half a real.
    fn print_place(&self, t: T) -> String {
        match self.plan.byte_offset(t, 4) {
            Some((Space::State, offset)) => format!("s+{}", offset as f64 / 4.0),
            Some((Space::Arena, offset)) => format!("a+{}", offset as f64 / 4.0),
            Some((Space::Bytes, offset)) => format!("b+{offset}"),
            None => "nowhere".to_string(),
        }
    }
}

/// A number to three digits, with its unit's prefix.
pub fn amount(n: u64) -> String {
    let prefixes = ["", " k", " M", " G", " T", " P"];
    let mut value = n as f64;
    let mut prefix = 0;
    while value >= 999.5 && prefix + 1 < prefixes.len() {
        value /= 1000.0;
        prefix += 1;
    }
    match prefix {
        0 => format!("{n} "),
        _ => {
            let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
            format!("{value:.digits$}{} ", prefixes[prefix]).trim_end().to_string()
        }
    }
}
