//! `wgrad`: pixels and gradients of features are gathered to points, multiplied point by point over all
//! tiles, and scattered to the weights of each phase.

use super::stage::Side;
use super::transform::{gather_gradients, gather_pixels, scatter_weights, sized};
use super::{Axis, CHANNELS, COLUMNS, LANES, POINTS, PRODUCTS, Phase, ROWS, STAGE, Tiles, unit};
use crate::kernels::gemm::{Parts, Work, aligned, chunk_evenly, sum_parts};
use crate::kernels::lanes::Vectors;
use crate::kernels::operand::Operand;
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::tile::{Layout, PITCH, Tile, best};
use std::ops::Range;
use tape::Conv;

/// Most features of a block.
const FEATURES: usize = 96;
/// Tasks that keep every thread of a machine busy.
const MANY: usize = 16;
/// Tiles that are worth a part of their own.
const FEW: usize = 256;

/// Into how many parts the tiles are cut: each sums the weights on its own.
pub(in crate::kernels::conv) fn parts(g: &Conv) -> usize {
    let blocks = 4 * g.k.div_ceil(FEATURES) * g.c.div_ceil(COLUMNS);
    let useful = (Tiles::new(g).count(g.n) / FEW).max(1);
    MANY.div_ceil(blocks).min(useful)
}

/// See [`super::super::wgrad`].
pub(in crate::kernels::conv) fn wgrad<R: Vectors>(
    g: &Conv,
    x: Operand<'_, R>,
    dy: Operand<'_, R>,
    dw: &mut [R],
    accumulate: bool,
    work: &mut Work<R>,
) {
    let pass = Pass { g, x, dy };
    let tile = best(work.tiles(), g.k, g.c);
    let most =
        (0..4).map(|phase| Phase::of_image(phase, g).points().iter().product::<usize>()).max();
    let tall = ROWS / most.expect("there are phases");
    let tall = chunk_evenly(g.k, unit(tile.mr), tall.min(FEATURES));
    let wide = chunk_evenly(g.c, unit(tile.nr), COLUMNS);
    let (down, across) = (g.k.div_ceil(tall), g.c.div_ceil(wide));
    let (parts, tiles, len) = (parts(g), Tiles::new(g).count(g.n), dw.len());
    let Parts { scratch, shared, .. } = work.parts();
    let to = match parts {
        1 => Shared::new(dw),
        _ => Shared::new(&mut shared[..parts * len]),
    };
    // Neighbouring tasks read the same features.
    let each = 4 * down * across;
    parallel(parts * each, |task| {
        let (part, task) = (task / each, task % each);
        let (k, c) = (task / (4 * across) * tall, task % across * wide);
        let block = Block {
            phase: Phase::of_image(task / across % 4, g),
            tiles: part * tiles / parts..(part + 1) * tiles / parts,
            features: k..(k + tall).min(g.k),
            channels: c..(c + wide).min(g.c),
        };
        let add = accumulate && parts == 1;
        scratch.with(|buffer| pass.block(tile, &block, part * len, &to, add, buffer));
    });
    if parts > 1 {
        sum_parts(&shared[..parts * len], dw, accumulate);
    }
}

struct Pass<'a, R> {
    g: &'a Conv,
    x: Operand<'a, R>,
    dy: Operand<'a, R>,
}

/// The weights of one task, and the tiles that it sums over.
struct Block {
    phase: Phase,
    tiles: Range<usize>,
    features: Range<usize>,
    channels: Range<usize>,
}

impl<R: Vectors> Pass<'_, R> {
    fn block(
        &self,
        tile: &Tile<R>,
        block: &Block,
        start: usize,
        dw: &Shared<R>,
        accumulate: bool,
        buffer: &mut [R],
    ) {
        let size = block.phase.points();
        let points = size[0] * size[1];
        let deep = ROWS / points;
        let buffer = aligned(buffer);
        let (features, buffer) = buffer.split_at_mut(ROWS * PITCH);
        let (pixels, buffer) = buffer.split_at_mut(ROWS * PITCH);
        let (products, buffer) = buffer.split_at_mut(ROWS * PRODUCTS);
        let stage = &mut buffer[..STAGE];
        let rows = block.features.len().next_multiple_of(tile.mr);
        let places: [usize; FEATURES] = std::array::from_fn(|row| row * PRODUCTS);

        for from in block.tiles.clone().step_by(deep) {
            let tiles = from..(from + deep).min(block.tiles.end);
            self.gather(block, tiles.clone(), stage, features, pixels);
            for point in 0..points {
                let a = &features[point * deep * PITCH..];
                let b = &pixels[point * deep * PITCH..];
                let products = &mut products[point * rows * PRODUCTS..][..rows * PRODUCTS];
                let products = Shared::new(products);
                for j in (0..block.channels.len()).step_by(tile.nr) {
                    let across = j..(j + tile.nr).min(block.channels.len());
                    for i in (0..rows).step_by(tile.mr) {
                        let places = &places[i..i + tile.mr];
                        let add = from > block.tiles.start;
                        // SAFETY: the buffer is this thread's; the tile is for this machine.
                        unsafe {
                            let (a, b) = ((Layout::Columns, &a[i..]), (&b[j..], PITCH));
                            tile.multiply(
                                tiles.len(),
                                a,
                                b,
                                &products,
                                places,
                                across.clone(),
                                add,
                            );
                        }
                    }
                }
            }
        }
        let Conv { r, s, c, .. } = *self.g;
        let Phase { down, across } = block.phase;
        let mut starts = [0; POINTS];
        for (t, at) in starts[..down.taps * across.taps].iter_mut().enumerate() {
            let (i, j) = (down.tap(t / across.taps), across.tap(t % across.taps));
            let first = (block.features.start * r + i) * s + j;
            *at = start + first * c + block.channels.start;
        }
        let extents = (block.features.len(), block.channels.len());
        let (pitch, each) = (rows * PRODUCTS, r * s * c);
        let last = starts.iter().max().expect("taps") + (extents.0 - 1) * each + extents.1;
        assert!(last <= dw.len() && points * pitch <= products.len());
        // SAFETY: as asserted; the weights of a block belong to its task.
        unsafe {
            sized!(
                size,
                scatter_weights(products, pitch, PRODUCTS, extents, dw, &starts, each, accumulate)
            );
        }
    }

    /// Gathers gradients of features and pixels of some tiles.
    fn gather(
        &self,
        block: &Block,
        tiles: Range<usize>,
        stage: &mut [R],
        features: &mut [R],
        pixels: &mut [R],
    ) {
        let g = self.g;
        let size = block.phase.points();
        let deep = ROWS / (size[0] * size[1]);
        let at = |strip: usize, column: usize| -> [usize; POINTS] {
            let mut at = [0; POINTS];
            for (point, at) in at[..size[0] * size[1]].iter_mut().enumerate() {
                *at = (point * deep + strip) * PITCH + column;
            }
            at
        };
        // Features lie where they are: two pixels to a tile, none outside.
        let whole = Axis { first: 0, step: 1, taps: 1, tap: 0, along: 0 };
        let whole = Phase { down: whole, across: whole };
        let image = Side { h: g.h, w: g.w, c: g.c };
        let map = Side { h: g.p, w: g.q, c: g.k };
        for strip in Tiles::new(g).strips(tiles.start, tiles.end) {
            let n = strip.count;
            for from in block.features.clone().step_by(CHANNELS) {
                let some = from..(from + CHANNELS).min(block.features.end);
                let at = at(strip.at, from - block.features.start);
                let (c, extents) = (some.len(), [2, 2 * n]);
                map.stage(&self.dy, &whole, &strip, extents, some, stage);
                let last = at.iter().max().expect("points") + (n - 1) * PITCH + c;
                assert!(last <= features.len() && c.is_multiple_of(LANES));
                assert!(4 * n * c <= stage.len());
                // SAFETY: as asserted.
                unsafe { sized!(size, gather_gradients(stage, 2 * n, c, n, features, &at, PITCH)) };
            }
            for from in block.channels.clone().step_by(CHANNELS) {
                let some = from..(from + CHANNELS).min(block.channels.end);
                let at = at(strip.at, from - block.channels.start);
                let (c, length) = (some.len(), 2 * n + size[1] - 2);
                image.stage(&self.x, &block.phase, &strip, [size[0], length], some, stage);
                let last = at.iter().max().expect("points") + (n - 1) * PITCH + c;
                assert!(last <= pixels.len() && c.is_multiple_of(LANES));
                assert!(size[0] * length * c <= stage.len());
                // SAFETY: as asserted.
                unsafe { sized!(size, gather_pixels(stage, length, c, n, pixels, &at, PITCH)) };
            }
        }
    }
}
