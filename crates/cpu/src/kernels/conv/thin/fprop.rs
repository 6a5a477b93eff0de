//! Features of thin images.

use super::super::Weights;
use super::{Bands, PIXELS};
use crate::kernels::epilogue::{Epilogue, Finish};
use crate::kernels::gemm::{Buffers, Kept, Matrix, Pack, Parts, Transposed, Work};
use crate::kernels::math::Math;
use crate::kernels::operand::Operand;
use crate::kernels::parallel::{Shared, parallel};
use crate::kernels::prefetch;
use crate::kernels::tile::{Path, best_walk};
use tape::Conv;

/// Most features that are computed and finished at a time.
const FEATURES: usize = 64;

/// As [`fprop`](super::super::fprop). A row of C is a feature, whose window is read from the image.
pub fn fprop<R: Math>(
    g: &Conv,
    x: Operand<'_, R>,
    w: Weights<'_, R>,
    y: &mut [R],
    epilogue: &mut Epilogue<'_, R>,
    work: &mut Work<R>,
) {
    let (run, taps) = (g.s * g.c, g.r * g.s * g.c);
    let bands = Bands::new(g, PIXELS);
    let walk = best_walk(work.walks(), PIXELS, g.k);
    let Parts { scratch, shared, partials } = work.parts();
    let (nr, panel) = (walk.nr, taps * walk.nr);
    let matrix = Transposed(Matrix { data: w.raw, pitch: taps });
    let weights = Kept::or_else(w.kept, shared, |to| {
        for (j, to) in (0..g.k).step_by(nr).zip(to.chunks_exact_mut(panel)) {
            matrix.pack(0..taps, j..(j + nr).min(g.k), to, nr);
        }
    });

    let tasks = g.n * bands.count;
    let finish = Finish::new(epilogue, tasks, g.k, partials);
    let y = Shared::new(y);
    let path = Path { segments: g.r, len: run, a: [1, bands.pitch], b: [nr, run * nr] };
    parallel(tasks, |task| {
        let n = task / bands.count;
        let rows = bands.rows(task % bands.count, g);
        let (first, features) = ((n * g.p + rows.start) * g.q, rows.len() * g.q);
        scratch.with(|buffer| {
            let image = Buffers::new(buffer).a;
            bands.copy(g, &x, n, rows, image);
            let (mut starts, mut places) = ([0; FEATURES], [0; FEATURES]);
            let most = FEATURES / walk.mr * walk.mr;
            for from in (0..features).step_by(most) {
                let count = most.min(features - from);
                for (i, feature) in (from..from + count).enumerate() {
                    let (p, q) = (feature / g.q, feature % g.q);
                    starts[i] = g.stride * (p * bands.pitch + q * g.c);
                    places[i] = (first + feature) * g.k;
                }
                let (starts, places) = (&starts[..count], &places[..count]);
                for (starts, places) in starts.chunks(walk.mr).zip(places.chunks(walk.mr)) {
                    let next = (places[0] + 2 * walk.mr * g.k).min(y.len());
                    prefetch::write(y.at(next), walk.mr * g.k);
                    for (j, b) in (0..g.k).step_by(nr).zip(weights.chunks_exact(panel)) {
                        let (a, columns) = ((&*image, starts), j..(j + nr).min(g.k));
                        // SAFETY: bands have features of their own.
                        unsafe { walk.multiply(&path, a, b, &y, places, columns, false) };
                    }
                }
                // SAFETY: as above.
                unsafe { finish.rows(task, places, 0..g.k, &y) };
            }
        });
    });
    epilogue.end(tasks, g.n * g.p * g.q, partials);
}
