//! Features of thin images.

use super::{Bands, PIXELS};
use crate::kernels::gemm::{Buffers, Matrix, Pack, Transposed, Work};
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::real::Real;
use crate::kernels::tile::{Path, best_walk};
use tape::Conv;

/// Most rows of a tile.
const ROWS: usize = 64;

/// As [`super::super::fprop`]. A row of C is a feature: its window is read from the image tap by tap.
pub fn fprop<R: Real>(g: &Conv, x: &[R], w: &[R], y: &mut [R], work: &mut Work<R>) {
    let taps = g.r * g.s * g.c;
    let bands = Bands::new(g, PIXELS);
    let walk = best_walk(work.walks(), PIXELS, g.k);
    let (scratch, shared) = work.parts();
    let weights = Transposed(Matrix { data: w, pitch: taps });
    let panel = taps * walk.nr;
    for (j, to) in (0..g.k).step_by(walk.nr).zip(shared.chunks_exact_mut(panel)) {
        weights.pack(0..taps, j..(j + walk.nr).min(g.k), to, walk.nr);
    }

    let weights = &*shared;
    let y = Shared::new(y);
    let (nr, run) = (walk.nr, g.s * g.c);
    let path = Path { segments: g.r, len: run, a: [1, bands.pitch], b: [nr, run * nr] };
    parallel(g.n * bands.count, |task| {
        let n = task / bands.count;
        let rows = bands.rows(task % bands.count, g);
        let first = (n * g.p + rows.start) * g.q;
        scratch.with(|buffer| {
            let image = Buffers::new(buffer).a;
            bands.copy(g, x, n, rows.clone(), image);
            let features = rows.len() * g.q;
            let (mut starts, mut places) = ([0; ROWS], [0; ROWS]);
            for i in (0..features).step_by(walk.mr) {
                let count = walk.mr.min(features - i);
                for (j, feature) in (i..i + count).enumerate() {
                    let (p, q) = (feature / g.q, feature % g.q);
                    starts[j] = p * g.stride * bands.pitch + q * g.stride * g.c;
                    places[j] = (first + feature) * g.k;
                }
                let (starts, places) = (&starts[..count], &places[..count]);
                for (j, panel) in (0..g.k).step_by(nr).zip(weights.chunks_exact(panel)) {
                    let columns = j..(j + nr).min(g.k);
                    // SAFETY: bands have features of their own.
                    unsafe {
                        walk.multiply(&path, (image, starts), panel, &y, places, columns, false)
                    };
                }
            }
        });
    });
}
