//! An iteration as a model sees it: stretches of work, and sums that are begun and awaited between them.

use super::kinds::Kind;
use crate::profile::Times;
use tape::{Compiled, Node, Op, Space, T};

/// A piece of an iteration, in the order in which a rank does them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Part {
    /// So many seconds of computing.
    Work(f64),
    /// The sum of this number is begun.
    Begin(usize),
    /// The sum of this number has to be there.
    Await(usize),
}

/// A sum of an iteration.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    /// What it is of.
    pub kind: Kind,
    /// Its bytes.
    pub bytes: u64,
}

/// An iteration of one rank.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stretches {
    /// What is done.
    pub parts: Vec<Part>,
    /// What is added up.
    pub sums: Vec<Sum>,
}

impl Stretches {
    /// Of an iteration whose nodes were timed; `real` are the bytes of a number.
    pub fn of(times: &Times, real: usize) -> Self {
        let mut all = Self::default();
        for timed in &times.programs {
            let nodes = &times.compiled.program(timed.program).nodes;
            for _ in 0..timed.calls {
                let seconds = timed.nodes.iter().map(|time| time.as_secs_f64());
                all.append(&times.compiled, nodes, seconds, real);
            }
        }
        all
    }

    /// A program: a sum is awaited by whoever touches its memory first, or by the end.
    fn append(
        &mut self,
        compiled: &Compiled,
        nodes: &[Node],
        seconds: impl Iterator<Item = f64>,
        real: usize,
    ) {
        let mut open: Vec<(usize, Spot)> = Vec::new();
        for (node, seconds) in nodes.iter().zip(seconds).filter(|(node, _)| !node.op.is_view()) {
            let touched: Vec<Spot> = node
                .ins
                .iter()
                .chain(&node.outs)
                .filter_map(|&t| Spot::of(compiled, t, real))
                .collect();
            for (sum, _) in open.extract_if(.., |(_, spot)| touched.iter().any(|t| t.meets(spot))) {
                self.parts.push(Part::Await(sum));
            }
            match (&node.op, Spot::of(compiled, node.outs[0], real)) {
                (Op::AllReduce { .. }, Some(spot)) => {
                    let sum = self.sums.len();
                    let bytes = (spot.to - spot.from) as u64;
                    self.sums.push(Sum { kind: Kind::of(compiled, nodes, node), bytes });
                    self.parts.push(Part::Begin(sum));
                    open.push((sum, spot));
                }
                _ => self.parts.push(Part::Work(seconds)),
            }
        }
        self.parts.extend(open.iter().map(|(sum, _)| Part::Await(*sum)));
    }

    /// Seconds of computing.
    pub fn work(&self) -> f64 {
        self.parts.iter().map(|part| if let Part::Work(s) = part { *s } else { 0.0 }).sum()
    }

    /// The same with all work so many times as long.
    pub fn scaled(&self, by: f64) -> Self {
        self.worked(|seconds, _| by * seconds)
    }

    /// The same program with another batch, of which this is the time with `large` rows and `other` with `small`
    /// ones: each operation takes a time of its own and one for each row, neither below 0. None where the two are
    /// not the same program.
    pub fn between(&self, large: usize, other: &Self, small: usize, rows: f64) -> Option<Self> {
        let same = self.parts.len() == other.parts.len()
            && large > small
            && self.parts.iter().zip(&other.parts).all(|(a, b)| match (a, b) {
                (Part::Work(_), Part::Work(_)) => true,
                (a, b) => a == b,
            });
        if !same {
            return None;
        }
        let [large, small] = [large as f64, small as f64];
        Some(self.worked(|most, at| {
            let Part::Work(least) = other.parts[at] else { return most };
            // A machine that was disturbed may have taken longer for less.
            let each = ((most - least) / (large - small)).clamp(0.0, most / large);
            most - each * (large - rows)
        }))
    }

    fn worked(&self, of: impl Fn(f64, usize) -> f64) -> Self {
        let mut new = self.clone();
        for (at, part) in new.parts.iter_mut().enumerate() {
            if let Part::Work(seconds) = part {
                *seconds = of(*seconds, at);
            }
        }
        new
    }
}

/// Bytes of a memory.
struct Spot {
    space: Space,
    from: usize,
    to: usize,
}

impl Spot {
    fn of(compiled: &Compiled, t: T, real: usize) -> Option<Self> {
        let (space, from) = compiled.plan.byte_offset(t, real)?;
        let tensor = compiled.tensor(t);
        Some(Self { space, from, to: from + tensor.shape.len() * tensor.dtype.bytes(real) })
    }

    fn meets(&self, other: &Self) -> bool {
        self.space == other.space && self.from < other.to && other.from < self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretches(work: &[f64]) -> Stretches {
        let sums = vec![Sum { kind: Kind::Gradient, bytes: 8 }];
        let mut parts: Vec<Part> = work.iter().map(|&s| Part::Work(s)).collect();
        parts.insert(1, Part::Begin(0));
        parts.push(Part::Await(0));
        Stretches { parts, sums }
    }

    #[test]
    fn a_batch_between_takes_a_time_between() {
        // 1 s and 0.5 s a row; all of it by the row; a disturbed one that took longer for less.
        let (large, small) = (stretches(&[5.0, 8.0, 3.0]), stretches(&[3.0, 4.0, 4.0]));
        let two = large.between(8, &small, 4, 2.0).expect("the same program");
        let work =
            [Part::Work(2.0), Part::Begin(0), Part::Work(2.0), Part::Work(3.0), Part::Await(0)];
        assert_eq!(two.parts, work);
        assert_eq!(large.between(8, &small, 4, 8.0).expect("the same").parts, large.parts);
        assert!(large.between(8, &stretches(&[3.0, 4.0]), 4, 2.0).is_none());
        assert_eq!(large.scaled(0.5).work(), 8.0);
    }
}
