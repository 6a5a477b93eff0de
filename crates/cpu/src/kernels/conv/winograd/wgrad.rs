//! `wgrad`: pixels and gradients of features are gathered to points, multiplied point by point over all
//! tiles, and scattered to the weights of each phase.

use super::stage::{Side, Window};
use super::transform::{gather_gradients, gather_pixels, scatter_weights, sized};
use super::{LANES, POINTS, Phase, ROWS, STAGE, Tiles};
use crate::kernels::gemm::{Parts, Work, aligned, chunk_evenly, sum_parts};
use crate::kernels::lanes::Vectors;
use crate::kernels::operand::Operand;
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::tile::{Layout, PITCH, Tile, best};
use std::ops::Range;
use tape::Conv;

/// Most features of a block.
const FEATURES: usize = 128;
/// Most channels of a block, of which all phases are taken: 128 columns share the gathered features.
const WIDE: usize = 32;
/// Elements from one row of channels to the next: an odd number of cache lines in f32.
const NARROW: usize = WIDE + 16;
/// Elements of the products of all phases.
const PRODUCTS: usize = 4 * POINTS * LINES * NARROW;
/// Features with what fills the last tile.
const LINES: usize = FEATURES + 16;
/// Elements that a thread works with.
pub(super) const SCRATCH: usize = ROWS * PITCH + 2 * ROWS * NARROW + PRODUCTS + STAGE + 3 * LANES;
/// Tasks that keep every thread of a machine busy.
const MANY: usize = 16;
/// Tiles that are worth a part of their own.
const FEW: usize = 256;

/// Into how many parts the tiles are cut: each sums the weights on its own.
pub(in crate::kernels::conv) fn parts(g: &Conv) -> usize {
    let blocks = g.k.div_ceil(FEATURES) * g.c.div_ceil(WIDE);
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
    let pass = Pass { g, x, dy, phases: std::array::from_fn(|index| Phase::of_image(index, g)) };
    let tile = best(work.tiles(), g.k.min(FEATURES), g.c.min(WIDE));
    let tall = chunk_evenly(g.k, LANES, FEATURES);
    let wide = chunk_evenly(g.c, LANES, WIDE);
    let (down, across) = (g.k.div_ceil(tall), g.c.div_ceil(wide));
    let (parts, tiles, len) = (parts(g), Tiles::new(g).count(g.n), dw.len());
    let Parts { scratch, shared, .. } = work.parts();
    let to = match parts {
        1 => Shared::new(dw),
        _ => Shared::new(&mut shared[..parts * len]),
    };
    // Neighbouring tasks read the same features.
    parallel(parts * down * across, |task| {
        let (part, k) = (task / across / down, task / across % down * tall);
        let c = task % across * wide;
        let block = Block {
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
    phases: [Phase; 4],
}

/// The weights of one task, of all phases, and the tiles that it sums over.
struct Block {
    tiles: Range<usize>,
    features: Range<usize>,
    channels: Range<usize>,
}

impl<R: Vectors> Pass<'_, R> {
    /// Points down and across, of all phases together.
    fn points(&self) -> [usize; 2] {
        let most = |axis: usize| self.phases.iter().map(|p| p.points()[axis]).max();
        [0, 1].map(|axis| most(axis).expect("there are phases"))
    }

    fn block(
        &self,
        tile: &Tile<R>,
        block: &Block,
        start: usize,
        dw: &Shared<R>,
        accumulate: bool,
        buffer: &mut [R],
    ) {
        let [_, wide] = self.points();
        let deep = self.deep();
        let buffer = aligned(buffer);
        let (features, buffer) = buffer.split_at_mut(ROWS * PITCH);
        let (pixels, buffer) = buffer.split_at_mut(2 * ROWS * NARROW);
        let (products, buffer) = buffer.split_at_mut(PRODUCTS);
        let stage = &mut buffer[..STAGE];
        let rows = block.features.len().next_multiple_of(tile.mr);
        let places: [usize; LINES] = std::array::from_fn(|row| row * NARROW);

        for from in block.tiles.clone().step_by(deep) {
            let tiles = from..(from + deep).min(block.tiles.end);
            let add = from > block.tiles.start;
            self.gather_features(block, tiles.clone(), stage, features);
            let mut rest = &mut *products;
            // Phases of the same rows are gathered together.
            for (index, phase) in self.phases.iter().enumerate() {
                let (pair, other) = (&self.phases[index / 2 * 2..][..2], index % 2);
                if other == 0 {
                    self.gather_pixels(block, pair, tiles.clone(), stage, pixels);
                }
                let pixels = &pixels[other * ROWS * NARROW..][..ROWS * NARROW];
                let [down, across] = phase.points();
                for point in 0..down * across {
                    let shared = point / across * wide + point % across;
                    let a = &features[shared * deep * PITCH..];
                    let b = &pixels[point * deep * NARROW..];
                    let (products, others) = rest.split_at_mut(rows * NARROW);
                    rest = others;
                    let products = Shared::new(products);
                    for j in (0..block.channels.len()).step_by(tile.nr) {
                        let columns = j..(j + tile.nr).min(block.channels.len());
                        for i in (0..rows).step_by(tile.mr) {
                            let (a, b) = ((Layout::Columns, &a[i..]), (&b[j..], NARROW));
                            let (places, columns) = (&places[i..i + tile.mr], columns.clone());
                            // SAFETY: the buffer is this thread's; the tile is for this machine.
                            unsafe {
                                tile.multiply(tiles.len(), a, b, &products, places, columns, add);
                            }
                        }
                    }
                }
            }
        }
        let mut rest = &*products;
        for phase in &self.phases {
            let size = phase.points();
            let (products, others) = rest.split_at(size[0] * size[1] * rows * NARROW);
            rest = others;
            self.scatter(block, phase, products, rows * NARROW, start, dw, accumulate);
        }
    }

    /// Tiles that are gathered together.
    fn deep(&self) -> usize {
        let [rows, columns] = self.points();
        ROWS / (rows * columns)
    }

    /// Gathers gradients of features: two pixels to a tile, none outside.
    fn gather_features(
        &self,
        block: &Block,
        tiles: Range<usize>,
        stage: &mut [R],
        features: &mut [R],
    ) {
        let (g, size) = (self.g, self.points());
        let side = Side { h: g.p, w: g.q, c: g.k };
        for strip in Tiles::new(g).strips(tiles.start, tiles.end) {
            let window = Window::of_results(&strip);
            let (n, c) = (strip.count, block.features.len());
            let at = every(size, strip.at * PITCH, self.deep() * PITCH);
            window.stage(&self.dy, side, strip.image, block.features.clone(), stage);
            let steps = window.steps_of_results(c);
            let last = at.iter().max().expect("points") + (n - 1) * PITCH + c;
            assert!(last <= features.len() && c.is_multiple_of(LANES));
            assert!(steps.end([2, 2], n, c) <= stage.len());
            // SAFETY: as asserted.
            unsafe { sized!(size, gather_gradients(stage, steps, c, n, features, &at, PITCH)) };
        }
    }

    /// Gathers pixels of two phases, one behind the other.
    fn gather_pixels(
        &self,
        block: &Block,
        pair: &[Phase],
        tiles: Range<usize>,
        stage: &mut [R],
        pixels: &mut [R],
    ) {
        let g = self.g;
        let side = Side { h: g.h, w: g.w, c: g.c };
        for strip in Tiles::new(g).strips(tiles.start, tiles.end) {
            let window = Window::new(pair, &strip);
            let (n, c) = (strip.count, block.channels.len());
            window.stage(&self.x, side, strip.image, block.channels.clone(), stage);
            for (phase, pixels) in pair.iter().zip(pixels.chunks_exact_mut(ROWS * NARROW)) {
                let size = phase.points();
                let at = every(size, strip.at * NARROW, self.deep() * NARROW);
                let steps = window.steps(phase, &strip, c);
                let last = at.iter().max().expect("points") + (n - 1) * NARROW + c;
                assert!(last <= pixels.len() && c.is_multiple_of(LANES));
                assert!(steps.end(size, n, c) <= stage.len());
                // SAFETY: as asserted.
                unsafe { sized!(size, gather_pixels(stage, steps, c, n, pixels, &at, NARROW)) };
            }
        }
    }

    /// From the products of a phase to its weights.
    fn scatter(
        &self,
        block: &Block,
        phase: &Phase,
        products: &[R],
        each_point: usize,
        start: usize,
        dw: &Shared<R>,
        accumulate: bool,
    ) {
        let Conv { r, s, c, .. } = *self.g;
        let Phase { down, across } = phase;
        let mut starts = [start; POINTS];
        for (t, at) in starts[..down.taps * across.taps].iter_mut().enumerate() {
            let (i, j) = (down.tap(t / across.taps), across.tap(t % across.taps));
            *at = start + ((block.features.start * r + i) * s + j) * c + block.channels.start;
        }
        let extents = (block.features.len(), block.channels.len());
        let (size, each) = (phase.points(), r * s * c);
        let last = starts.iter().max().expect("taps") + (extents.0 - 1) * each + extents.1;
        assert!(last <= dw.len() && extents.1.is_multiple_of(LANES));
        assert!(size[0] * size[1] * each_point <= products.len());
        let (from, to) = ((each_point, NARROW), (&starts, each));
        // SAFETY: as asserted; the weights of a block belong to its task.
        unsafe { sized!(size, scatter_weights(products, from, extents, dw, to, accumulate)) }
    }
}

/// Where each point begins.
fn every([rows, columns]: [usize; 2], first: usize, each: usize) -> [usize; POINTS] {
    let mut at = [first; POINTS];
    for (point, at) in at[..rows * columns].iter_mut().enumerate() {
        *at += point * each;
    }
    at
}
