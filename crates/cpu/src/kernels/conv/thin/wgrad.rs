//! The gradient by the weights of thin images.

use super::{Bands, MANY};
use crate::kernels::gemm::{Buffers, Pack, Parts, Work};
use crate::kernels::operand::{Operand, Pixels};
use crate::kernels::parallel::{Shared, chunk, parallel};
use crate::kernels::real::Real;
use crate::kernels::tile::{Path, best_walk};
use tape::Conv;

/// Most rows of a tile.
const ROWS: usize = 16;
/// Features of a band, which stay in the first-level cache while all of the taps meet them.
pub const NEAR: usize = 96;

/// Into how many parts the images are cut, each of which sums on its own.
pub fn parts(g: &Conv) -> usize {
    g.n.min(MANY)
}

/// As [`wgrad`](super::super::wgrad). A row of C is a tap, which walks along the image from feature to
/// feature; its columns are features, read where they lie.
pub fn wgrad<R: Real>(
    g: &Conv,
    x: Operand<'_, R>,
    dy: Operand<'_, R>,
    dw: &mut [R],
    accumulate: bool,
    work: &mut Work<R>,
) {
    let taps = g.r * g.s * g.c;
    let bands = Bands::new(g, NEAR);
    let walk = best_walk(work.walks(), taps, g.k);
    let Parts { scratch, shared, .. } = work.parts();
    let parts = parts(g);
    let steps = g.k.div_ceil(walk.nr) * taps.div_ceil(walk.mr);
    let sums = Shared::new(&mut shared[..parts * taps * g.k]);
    // Tiles read whole vectors: features that end within one are copied.
    let width = g.k.next_multiple_of(walk.nr);
    parallel(parts, |part| {
        let images = part * g.n / parts..(part + 1) * g.n / parts;
        let first = images.start;
        scratch.with(|buffer| {
            let Buffers { a: image, b: block, .. } = Buffers::new(buffer);
            for (n, band) in images.flat_map(|n| (0..bands.count).map(move |band| (n, band))) {
                let rows = bands.rows(band, g);
                bands.copy(g, &x, n, rows.clone(), image);
                let from = (n * g.p + rows.start) * g.q;
                let pixels = from..from + rows.len() * g.q;
                let mut next = pixels.end * g.k;
                let share = (pixels.len() * g.k).div_ceil(steps);
                let features = match dy {
                    Operand::Plain(dy) if width == g.k => &dy[from * g.k..next],
                    _ => {
                        Pixels { data: dy, pitch: g.k }.pack(pixels, 0..g.k, block, width);
                        &*block
                    }
                };
                let a = [g.stride * g.c, g.stride * bands.pitch];
                let path = Path { segments: rows.len(), len: g.q, a, b: [width, g.q * width] };
                let add = (n, band) > (first, 0);
                for j in (0..g.k).step_by(walk.nr) {
                    for i in (0..taps).step_by(walk.mr) {
                        let (mut starts, mut places) = ([0; ROWS], [0; ROWS]);
                        let count = walk.mr.min(taps - i);
                        for (at, tap) in (i..i + count).enumerate() {
                            let (r, along) = (tap / (g.s * g.c), tap % (g.s * g.c));
                            starts[at] = r * bands.pitch + along;
                            places[at] = (part * taps + tap) * g.k;
                        }
                        let (starts, places) = (&starts[..count], &places[..count]);
                        let columns = j..(j + walk.nr).min(g.k);
                        let b = &features[j..];
                        // The features of the next band come while this one is at work.
                        dy.prefetch(next..next + share);
                        next += share;
                        // SAFETY: each part has sums of its own.
                        unsafe {
                            walk.multiply(&path, (image, starts), b, &sums, places, columns, add)
                        };
                    }
                }
            }
        });
    });
    sum_transposed(&shared[..parts * taps * g.k], taps, dw, accumulate);
}

/// `to[k, tap] (+)= Σ sums[part, tap, k]`, parts in their order.
fn sum_transposed<R: Real>(sums: &[R], taps: usize, to: &mut [R], accumulate: bool) {
    let (whole, k) = (to.len(), to.len() / taps);
    let piece = chunk(k, 16, 16);
    let to = Shared::new(to);
    parallel(k.div_ceil(piece), |task| {
        let mine = task * piece..((task + 1) * piece).min(k);
        // SAFETY: tasks have features of their own.
        let to = unsafe { to.part(mine.start * taps, mine.len() * taps) };
        if !accumulate {
            to.fill(R::ZERO);
        }
        for part in sums.chunks_exact(whole) {
            for (tap, sums) in part.chunks_exact(k).enumerate() {
                for (to, &x) in to[tap..].iter_mut().step_by(taps).zip(&sums[mine.clone()]) {
                    *to += x;
                }
            }
        }
    });
}
