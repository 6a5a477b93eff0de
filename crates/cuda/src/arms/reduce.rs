//! Sums: `kernels/reduce.cu`.

use super::activation;
use crate::builder::Builder;
use crate::launch::{Grid, Launch, Params};
use crate::tensor::{Tensor, Type};
use tape::{Access, Expr, Node, Over, Shape};

/// Threads of a block.
const THREADS: u32 = 256;
/// Sums over at most so many elements take one launch, which adds in f64.
const FEW: u32 = 2048;
/// Elements of a row that a block adds at least, and at most, so that a thread adds few enough in f32.
const PIECE: [u32; 2] = [8 * 1024, 64 * 1024];
/// Rows that a thread adds at most.
const ROWS: u32 = 256;
/// Parts of a sum that a thread adds, where there are as many.
const PARTS: u32 = 8;
/// Operands of one launch of `pack`.
const PACKED: usize = 16;

#[derive(Clone, Copy)]
#[repr(C)]
struct SumRowsParams {
    x: Tensor,
    parts: Tensor,
    each: u32,
    piece: u32,
    pieces: u32,
    wide: u32,
}

// SAFETY: the twin of `SumRowsParams` in reduce.cu, with no padding.
unsafe impl Params for SumRowsParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct SumColumnsParams {
    x: Tensor,
    parts: Tensor,
    rows: u32,
    columns: u32,
    piece: u32,
    across: u32,
    wide: u32,
    unused: u32,
}

// SAFETY: the twin of `SumColumnsParams` in reduce.cu, with no padding.
unsafe impl Params for SumColumnsParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct SumPartsParams {
    parts: Tensor,
    y: Tensor,
    count: u32,
    sum_stride: u32,
    part_stride: u32,
    lanes: u32,
}

// SAFETY: the twin of `SumPartsParams` in reduce.cu, with no padding.
unsafe impl Params for SumPartsParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct PackParams {
    x: [Tensor; PACKED],
    y: Tensor,
    count: u32,
    unused: u32,
}

// SAFETY: the twin of `PackParams` in reduce.cu, with no padding.
unsafe impl Params for PackParams {}

#[derive(Clone, Copy)]
#[repr(C)]
struct FindNotFiniteParams {
    x: Tensor,
    flag: Tensor,
    wide: u32,
    unused: u32,
}

// SAFETY: the twin of `FindNotFiniteParams` in reduce.cu, with no padding.
unsafe impl Params for FindNotFiniteParams {}

pub(super) fn sum(b: &mut Builder<'_>, node: &Node, over: Over) {
    let [x, y] = [b.tensor(node.ins[0]), b.tensor(node.outs[0])];
    match over {
        Over::All | Over::Sample => rows(b, x, y),
        Over::Channel => columns(b, x, y),
    }
}

fn wide(x: Tensor) -> bool {
    x.aligned(16) && x.dtype != Type::U8
}

/// Sums over the rows of `x`, `[y.len, …]`, into `y`.
fn rows(b: &mut Builder<'_>, x: Tensor, y: Tensor) {
    let each = x.len / y.len.max(1);
    if each <= FEW {
        return parts(b, x, y, each, [each, 1]);
    }
    // Two blocks to a multiprocessor are enough bytes in flight.
    let [least, most] = PIECE;
    let piece = x.len.div_ceil(4 * b.card.multiprocessors).clamp(least, most).next_multiple_of(4);
    let pieces = each.div_ceil(piece);
    let partial = if pieces == 1 { y } else { b.scratch(Type::F32, (y.len * pieces) as usize) };
    let quads = wide(x) && (y.len == 1 || each.is_multiple_of(4));
    let wide = u32::from(quads);
    let params = SumRowsParams { x, parts: partial, each, piece, pieces, wide };
    b.launch("sum_rows", Grid::line(y.len * pieces, THREADS), &params);
    if pieces > 1 {
        parts(b, partial, y, pieces, [pieces, 1]);
    }
}

/// Sums over the columns of `x`, `[…, y.len]`, into `y`.
pub(super) fn columns(b: &mut Builder<'_>, x: Tensor, y: Tensor) {
    let columns = y.len;
    if columns == 1 {
        return rows(b, x, y);
    }
    let rows = x.len / columns.max(1);
    if x.len <= FEW {
        return parts(b, x, y, rows, [1, columns]);
    }
    let quads = wide(x) && columns.is_multiple_of(4);
    let threads = if quads { columns / 4 } else { columns };
    let across = threads.next_power_of_two().min(32);
    let down = THREADS / across;
    let wide_blocks = threads.div_ceil(across);
    // As many pieces as fill the card twice, but four rows to a thread at least.
    let fill = (2 * b.card.multiprocessors).div_ceil(wide_blocks);
    let piece = rows.div_ceil(fill).clamp(4 * down, ROWS * down).next_multiple_of(down);
    let pieces = rows.div_ceil(piece);
    assert!(pieces <= 65_535, "{rows} rows are too many");
    let partial = if pieces == 1 { y } else { b.scratch(Type::F32, (columns * pieces) as usize) };
    let wide = u32::from(quads);
    let params =
        SumColumnsParams { x, parts: partial, rows, columns, piece, across, wide, unused: 0 };
    let grid = Grid { blocks: [wide_blocks, pieces, 1], threads: THREADS, shared: 0 };
    b.launch("sum_columns", grid, &params);
    if pieces > 1 {
        parts(b, partial, y, pieces, [1, columns]);
    }
}

/// `y[s]` = Σ over j below `count` of `x[s · sum_stride + j · part_stride]`, in f64.
pub(super) fn parts(b: &mut Builder<'_>, x: Tensor, y: Tensor, count: u32, strides: [u32; 2]) {
    if y.len == 0 {
        return;
    }
    let [sum_stride, part_stride] = strides;
    let lanes = count.div_ceil(PARTS).next_power_of_two().min(THREADS);
    let params = SumPartsParams { parts: x, y, count, sum_stride, part_stride, lanes };
    let blocks = y.len.div_ceil(THREADS / lanes);
    b.launch("sum_parts", Grid::line(blocks, THREADS), &params);
}

pub(super) fn pack(b: &mut Builder<'_>, node: &Node) {
    let y = b.tensor(node.outs[0]);
    for (i, some) in node.ins.chunks(PACKED).enumerate() {
        let mut x = [Tensor::NONE; PACKED];
        for (x, &t) in x.iter_mut().zip(some) {
            *x = b.tensor(t);
        }
        let count = some.len() as u32;
        let y = y.part((i * PACKED) as u32, count);
        b.launch("pack", Grid::line(1, 32), &PackParams { x, y, count, unused: 0 });
    }
}

/// `to` ← `from`.
pub(super) fn copy(b: &mut Builder<'_>, from: Tensor, to: Tensor) {
    let shape = Shape::new(&[to.len as usize]);
    activation::map_into(b, &Expr::identity(), &[Access::Full], &[from], to, shape);
}

/// Writes to `flag` 1 where a value of `x` is not finite, else 0.
pub(crate) fn finite(x: Tensor, flag: Tensor) -> Launch {
    let params = FindNotFiniteParams { x, flag, wide: u32::from(wide(x)), unused: 0 };
    Launch::new("find_not_finite", Grid::line(1, 1024), &params)
}
