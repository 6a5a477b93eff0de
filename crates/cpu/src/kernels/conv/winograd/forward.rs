//! `fprop` and `dgrad`: pixels are gathered to points, multiplied point by point, and scattered to
//! results.

use super::super::Weights;
use super::stage::{Side, Window};
use super::transform::{gather_pixels, scatter_results, sized};
use super::weights::{Columns, Group, pack};
use super::{COLUMNS, LANES, POINTS, PRODUCTS, ROWS, STAGE, Tiles, unit};
use crate::kernels::epilogue::{Epilogue, Finish};
use crate::kernels::gemm::{Kept, Parts, Work, aligned, chunk_evenly};
use crate::kernels::lanes::Vectors;
use crate::kernels::math::Math;
use crate::kernels::operand::Operand;
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::prefetch;
use crate::kernels::tile::{Layout, PITCH, Tile, best};
use std::ops::Range;
use tape::Conv;

/// Tasks that keep every thread of a machine busy.
const MANY: usize = 12;

/// See [`super::super::fprop`].
pub(in crate::kernels::conv) fn fprop<R: Math>(
    g: &Conv,
    x: Operand<'_, R>,
    w: Weights<'_, R>,
    y: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    let (read, written) = (Side { h: g.h, w: g.w, c: g.c }, Side { h: g.p, w: g.q, c: g.k });
    let pass = Pass { g, groups: [Group::of_features(g); 4], count: 1, read, written };
    pass.run(x, w, y, epilogue, work);
}

/// See [`super::super::dgrad`].
pub(in crate::kernels::conv) fn dgrad<R: Math>(
    g: &Conv,
    dy: Operand<'_, R>,
    w: Weights<'_, R>,
    dx: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    let (read, written) = (Side { h: g.p, w: g.q, c: g.k }, Side { h: g.h, w: g.w, c: g.c });
    let groups = std::array::from_fn(|index| Group::of_image(index, g));
    let pass = Pass { g, groups, count: 4, read, written };
    pass.run(dy, w, dx, epilogue, work);
}

/// Weights of so many elements are found again in a cache that is near.
const NEAR: usize = 1 << 20;

/// One of the two.
struct Pass<'a> {
    g: &'a Conv,
    groups: [Group; 4],
    count: usize,
    read: Side,
    written: Side,
}

/// Tiles and columns of one task.
struct Block {
    group: usize,
    tiles: Range<usize>,
    columns: Range<usize>,
}

impl Pass<'_> {
    fn run<R: Math>(
        &self,
        x: Operand<'_, R>,
        w: Weights<'_, R>,
        y: &mut [R],
        epilogue: &mut Epilogue<'_, R>,
        work: &mut Work<R>,
    ) {
        let tiles = Tiles::new(self.g).count(self.g.n);
        let tile = best(work.tiles(), tiles, self.written.c);
        let Parts { scratch, shared, partials } = work.parts();
        let columns = if self.count == 1 { Columns::Features } else { Columns::Image };
        let start =
            |group: usize| -> usize { self.groups[..group].iter().map(|g| g.len(tile.nr)).sum() };
        let panels = Kept::or_else(w.kept, shared, |to| {
            for (index, group) in self.groups[..self.count].iter().enumerate() {
                pack(self.g, group, columns, w.raw, &mut to[start(index)..], tile.nr);
            }
        });
        let [mut tall, wide] = self.largest(tile);
        let across = self.written.c.div_ceil(wide);
        while self.count * across * tiles.div_ceil(tall) < MANY && tall > 4 * tile.mr {
            tall = chunk_evenly(tall / 2, tile.mr, tall);
        }
        tall = chunk_evenly(tiles, tile.mr, tall);
        let down = tiles.div_ceil(tall);
        let finish = Finish::new(epilogue, self.count * down, self.written.c, partials);
        let y = Shared::new(y);
        parallel(self.count * down * across, |task| {
            let (group, column) = (task / across % self.count, task % across * wide);
            let from = task / across / self.count * tall;
            let block = Block {
                group,
                tiles: from..(from + tall).min(tiles),
                columns: column..(column + wide).min(self.written.c),
            };
            let part = group * down + from / tall;
            scratch.with(|buffer| {
                let mut places = [0; 4 * ROWS / 9];
                let places = self.places(&block, &mut places);
                self.block(tile, &x, &panels[start(group)..], &block, places, &y, buffer);
                // SAFETY: every result is in one tile of one group, and there in one block.
                unsafe { finish.rows(part, places, block.columns, &y) };
            });
        });
        epilogue.end(self.count * down, self.g.n * self.written.h * self.written.w, partials);
    }

    /// Most tiles and columns of a block.
    fn largest<R>(&self, tile: &Tile<R>) -> [usize; 2] {
        let points = self.groups.iter().map(|g| g.points().iter().product::<usize>()).max();
        let tall = ROWS / points.expect("there are groups") / tile.mr * tile.mr;
        [tall, chunk_evenly(self.written.c, unit(tile.nr), COLUMNS)]
    }

    fn block<R: Vectors>(
        &self,
        tile: &Tile<R>,
        x: &Operand<'_, R>,
        panels: &[R],
        block: &Block,
        places: &[usize],
        y: &Shared<R>,
        buffer: &mut [R],
    ) {
        let group = &self.groups[block.group];
        let [down, across] = group.points();
        let rows = block.tiles.len().next_multiple_of(tile.mr);
        let buffer = aligned(buffer);
        let (gathered, buffer) = buffer.split_at_mut(ROWS * PITCH);
        let (products, buffer) = buffer.split_at_mut(ROWS * PRODUCTS);
        let stage = &mut buffer[..STAGE];
        let n = block.columns.len();
        let (starts, far) = (group.starts(tile.nr), group.len(tile.nr) > NEAR);
        let lines: [usize; ROWS / 9] = std::array::from_fn(|row| row * PRODUCTS);

        for from in (0..group.depth).step_by(group.chunk()) {
            let channels = from..(from + group.chunk()).min(group.depth);
            self.gather(x, group, channels.clone(), block, rows, stage, gathered);
            let panel = |index: usize, column: usize, from: usize| {
                let meet = group.before(group.phases().len(), [index / across, index % across]);
                starts[index] + (column / tile.nr * group.depth + from) * meet * tile.nr
            };
            for (index, point) in group.all().enumerate() {
                let meet = group.before(group.phases().len(), point);
                let depth = meet * channels.len();
                let products = &mut products[index * rows * PRODUCTS..][..rows * PRODUCTS];
                let products = Shared::new(products);
                for (j, column) in block.columns.clone().step_by(tile.nr).enumerate() {
                    let b = (&panels[panel(index, column, from)..], tile.nr);
                    let next = match index + 1 < down * across {
                        _ if column + tile.nr < block.columns.end => {
                            panel(index, column + tile.nr, from)
                        }
                        true => panel(index + 1, block.columns.start, from),
                        false => panel(0, block.columns.start, channels.end),
                    };
                    let share = depth * tile.nr * tile.mr / rows;
                    let width = tile.nr.min(block.columns.end - column);
                    for i in (0..rows).step_by(tile.mr) {
                        if far {
                            let next = next + i / tile.mr * share;
                            prefetch::read(panels.as_ptr().wrapping_add(next), share);
                        }
                        let a = &gathered[(index * rows + i) * PITCH..];
                        let across = j * tile.nr..j * tile.nr + width;
                        let places = &lines[i..i + tile.mr];
                        // SAFETY: the buffer is this thread's; the tile is for this machine.
                        unsafe {
                            let a = (Layout::Rows, a);
                            tile.multiply(depth, a, b, &products, places, across, from > 0);
                        }
                    }
                }
            }
        }
        let (size, each) = ([down, across], rows * PRODUCTS);
        let last = places.iter().max().expect("a block has tiles") + n;
        assert!(last <= y.len() && products.len() >= down * across * each);
        // SAFETY: results lie within y and products within the buffer, as asserted; the places of a
        // block belong to its task.
        unsafe { sized!(size, scatter_results(products, each, PRODUCTS, n, places, y)) };
    }

    /// Gathers channels of a block's tiles.
    fn gather<R: Vectors>(
        &self,
        x: &Operand<'_, R>,
        group: &Group,
        channels: Range<usize>,
        block: &Block,
        rows: usize,
        stage: &mut [R],
        gathered: &mut [R],
    ) {
        let [_, wide] = group.points();
        for strip in Tiles::new(self.g).strips(block.tiles.start, block.tiles.end) {
            let window = Window::new(group.phases(), &strip);
            for from in channels.clone().step_by(window.channels()) {
                let some = from..(from + window.channels()).min(channels.end);
                let (n, c) = (strip.count, some.len());
                window.stage(x, self.read, strip.image, some, stage);
                for (index, phase) in group.phases().iter().enumerate() {
                    let size = phase.points();
                    let mut at = [0; POINTS];
                    for (p, at) in at[..size[0] * size[1]].iter_mut().enumerate() {
                        let point = [p / size[1], p % size[1]];
                        let row = (point[0] * wide + point[1]) * rows + strip.at;
                        let before = group.before(index, point) * channels.len();
                        *at = row * PITCH + before + from - channels.start;
                    }
                    let steps = window.steps(phase, &strip, c);
                    assert!(at.iter().all(|at| at + (n - 1) * PITCH + c <= gathered.len()));
                    assert!(steps.end(size, n, c) <= stage.len() && c.is_multiple_of(LANES));
                    // SAFETY: as asserted.
                    unsafe {
                        sized!(size, gather_pixels(stage, steps, c, n, gathered, &at, PITCH))
                    };
                }
            }
        }
    }

    /// Where the results of a block's tiles begin, four to a tile.
    fn places<'a>(&self, block: &Block, places: &'a mut [usize]) -> &'a [usize] {
        let step = if self.count == 1 { 1 } else { 2 };
        let (top, left) = (block.group / 2 % 2, block.group % 2);
        let places = &mut places[..4 * block.tiles.len()];
        let mut four = places.chunks_exact_mut(4);
        for strip in Tiles::new(self.g).strips(block.tiles.start, block.tiles.end) {
            for column in strip.column..strip.column + strip.count {
                let four = four.next().expect("as many as tiles");
                for (i, place) in four.iter_mut().enumerate() {
                    let y = (2 * strip.row + i / 2) * step + top;
                    let x = (2 * column + i % 2) * step + left;
                    let Side { h, w, c } = self.written;
                    *place = ((strip.image * h + y) * w + x) * c + block.columns.start;
                }
            }
        }
        places
    }
}
