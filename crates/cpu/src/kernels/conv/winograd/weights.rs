//! Weights, transformed to points and packed into panels for the register tiles.

use super::transform::{gather_taps, sized};
use super::{LANES, POINTS, Phase};
use crate::kernels::lanes::Vectors;
use crate::kernels::parallel::{Shared, parallel};

use crate::kernels::tile::BLOCK;
use std::array::from_fn;
use tape::Conv;

/// The phases that one result is summed over, and the products that are behind it.
#[derive(Clone, Copy)]
pub(super) struct Group {
    phases: [Phase; 4],
    used: usize,
    /// Channels that each phase is summed over.
    pub depth: usize,
    /// Channels of the result.
    pub columns: usize,
}

impl Group {
    /// `fprop`: features are summed over all phases of the image.
    pub fn of_features(g: &Conv) -> Self {
        let phases = from_fn(|index| Phase::of_image(index, g));
        Self { phases, used: 4, depth: g.c, columns: g.k }
    }

    /// `dgrad`: each phase of the image is computed by itself.
    pub fn of_image(index: usize, g: &Conv) -> Self {
        let phases = [Phase::of_features(index, g); 4];
        Self { phases, used: 1, depth: g.k, columns: g.c }
    }

    pub fn phases(&self) -> &[Phase] {
        &self.phases[..self.used]
    }

    /// Points down and across, of all phases together.
    pub fn points(&self) -> [usize; 2] {
        let most = |axis: usize| self.phases().iter().map(|p| p.points()[axis]).max();
        [0, 1].map(|axis| most(axis).expect("a group has phases"))
    }

    /// Channels of a phase that are summed in one go.
    pub fn chunk(&self) -> usize {
        (BLOCK / self.used).min(self.depth)
    }

    /// Phases up to `phase` that have this point; phases that do not have it are not summed there.
    pub fn before(&self, phase: usize, point: [usize; 2]) -> usize {
        self.phases[..phase].iter().filter(|p| p.has(point)).count()
    }

    /// Products of this point for each result.
    pub fn sum(&self, point: [usize; 2]) -> usize {
        self.before(self.used, point) * self.depth
    }

    /// Where the panels of each point begin.
    pub fn starts(&self, nr: usize) -> [usize; POINTS] {
        let (mut starts, mut next) = ([0; POINTS], 0);
        for (start, point) in starts.iter_mut().zip(self.all()) {
            *start = next;
            next += self.sum(point) * self.columns.next_multiple_of(nr);
        }
        starts
    }

    /// Elements of all panels.
    pub fn len(&self, nr: usize) -> usize {
        self.all().map(|point| self.sum(point)).sum::<usize>() * self.columns.next_multiple_of(nr)
    }

    /// All points, row by row.
    pub fn all(&self) -> impl Iterator<Item = [usize; 2]> + use<> {
        let [down, across] = self.points();
        (0..down * across).map(move |p| [p / across, p % across])
    }

    /// The row of the panels of `point` in which channel `channel` of a phase lies.
    fn row(&self, phase: usize, point: [usize; 2], channel: usize) -> usize {
        let from = channel / self.chunk() * self.chunk();
        let here = self.chunk().min(self.depth - from);
        from * self.before(self.used, point) + self.before(phase, point) * here + channel - from
    }
}

/// Elements that the packed weights of both directions take, whichever is more.
pub(in crate::kernels::conv) fn packed_len(g: &Conv) -> usize {
    use crate::kernels::tile::WIDEST;
    let padded = |group: Group| group.len(1) / group.columns * (group.columns + WIDEST);
    let image: usize = (0..4).map(|index| padded(Group::of_image(index, g))).sum();
    image.max(padded(Group::of_features(g)))
}

/// Whether the channels of a result are the features or those of the image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    Features,
    Image,
}

/// Packs the weights of a group, `[k, r, s, c]`, into panels of `nr` columns for each point.
pub(super) fn pack<R: Vectors>(
    g: &Conv,
    group: &Group,
    columns: Columns,
    w: &[R],
    to: &mut [R],
    nr: usize,
) {
    let to = Shared::new(&mut to[..group.len(nr)]);
    let starts = group.starts(nr);
    // A task packs some features of one phase: of a row of panels, or whole rows of each.
    let features = nr.min(g.k);
    let tasks = g.k.div_ceil(features);
    parallel(tasks * group.used, |task| {
        let (phase, from) = (task % group.used, task / group.used * features);
        let panels = Panels { g, group, phase, columns, starts: &starts, nr };
        let features = from..(from + features).min(g.k);
        panels.pack(features, w, &to);
    });
}

/// Where weights go.
struct Panels<'a> {
    g: &'a Conv,
    group: &'a Group,
    phase: usize,
    columns: Columns,
    starts: &'a [usize; POINTS],
    nr: usize,
}

impl Panels<'_> {
    /// Packs some features: a group of channels of each, point by point, so that what is written stays
    /// in the first-level cache.
    fn pack<R: Vectors>(&self, features: std::ops::Range<usize>, w: &[R], to: &Shared<R>) {
        let Panels { g, group, nr, .. } = *self;
        let Phase { down, across } = group.phases[self.phase];
        let [rows, columns] = [down.points(), across.points()];
        let wide = group.points()[1];
        let mut points = [R::ZERO; POINTS * LANES];
        for channel in (0..g.c).step_by(LANES) {
            for k in features.clone() {
                let mut starts = [0; POINTS];
                for (t, start) in starts[..down.taps * across.taps].iter_mut().enumerate() {
                    let (r, s) = (down.tap(t / across.taps), across.tap(t % across.taps));
                    *start = ((k * g.r + r) * g.s + s) * g.c + channel;
                    assert!(*start + LANES <= w.len(), "weights of {g:?}");
                }
                // SAFETY: taps lie within `w` as asserted, points within the array.
                unsafe { sized!([rows, columns], gather_taps(w, &starts, LANES, &mut points)) };
                for (p, point) in points.as_chunks::<LANES>().0[..rows * columns].iter().enumerate()
                {
                    let at = [p / columns, p % columns];
                    let start = self.starts[at[0] * wide + at[1]];
                    let all = group.sum(at);
                    let place = |row: usize, column: usize| {
                        start + (column / nr * all + row) * nr + column % nr
                    };
                    match self.columns {
                        Columns::Features => {
                            let row = group.row(self.phase, at, channel);
                            // SAFETY: tasks have features of their own; rows of a chunk follow each other.
                            let to = unsafe { to.strided(place(row, k), LANES, nr) };
                            for (to, &x) in to.zip(point) {
                                *to = x;
                            }
                        }
                        Columns::Image => {
                            let row = group.row(self.phase, at, k);
                            let mut done = 0;
                            while done < LANES {
                                let run = (LANES - done).min(nr - (channel + done) % nr);
                                // SAFETY: tasks have features of their own, which are rows here.
                                let to = unsafe { to.part(place(row, channel + done), run) };
                                to.copy_from_slice(&point[done..done + run]);
                                done += run;
                            }
                        }
                    }
                }
            }
        }
    }
}
