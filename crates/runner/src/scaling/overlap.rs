//! What of the sums of an iteration was hidden behind computation.

use super::kinds::{Kind, Kinds};
use super::noted::Note;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Whoever asks for a sum that is there gets it within this time: a lock, a look, and a thread that looks at the
/// same moment.
const AT_ONCE: Duration = Duration::from_micros(200);

/// Sums of one kind in one iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Waited {
    /// How many.
    pub messages: u64,
    /// Bytes that are added up.
    pub bytes: u64,
    /// Seconds that the rank waited for them.
    pub seconds: f64,
}

/// What the sums of one iteration cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Overlap {
    /// Buckets of gradients.
    pub gradients: Waited,
    /// Bytes of those that were added up when the backward pass of their network had ended.
    pub hidden_bytes: u64,
    /// Batch norms' sums.
    pub norms: Waited,
    /// Everything else.
    pub figures: Waited,
}

impl Overlap {
    /// Of what was noted in an iteration. A backward pass ends where the first of its buckets is asked for; those
    /// that are there then were hidden.
    pub(crate) fn of(notes: &[Note], kinds: &Kinds) -> Self {
        let mut all = Self::default();
        let timed = notes.iter().filter_map(|note| Some((note, note.asked?, note.back?)));
        let mut gradients: Vec<(Instant, Instant, u64)> = Vec::new();
        for (note, asked, back) in timed {
            let kind = kinds.at(&note.place);
            let waited = match kind {
                Kind::Gradient => &mut all.gradients,
                Kind::Norm => &mut all.norms,
                Kind::Figures => &mut all.figures,
            };
            waited.messages += 1;
            waited.bytes += note.bytes as u64;
            waited.seconds += (back - asked).as_secs_f64();
            if kind == Kind::Gradient {
                gradients.push((asked, back, note.bytes as u64));
            }
        }
        all.hidden_bytes = hidden(gradients);
        all
    }

    /// The part of the gradients' bytes that was hidden, 0 to 1.
    pub fn hidden(&self) -> f64 {
        if self.gradients.bytes == 0 {
            return 0.0;
        }
        self.hidden_bytes as f64 / self.gradients.bytes as f64
    }

    /// Seconds of the iteration in which the rank did nothing but wait.
    pub fn seconds(&self) -> f64 {
        self.gradients.seconds + self.norms.seconds + self.figures.seconds
    }

    /// The middle of several iterations, figure by figure: what is counted is the same in all.
    pub fn median(of: &[Self]) -> Self {
        let middle = |figure: fn(&Self) -> f64| median(of.iter().map(figure).collect());
        let Some(first) = of.first() else { return Self::default() };
        let mut all = *first;
        all.gradients.seconds = middle(|o| o.gradients.seconds);
        all.norms.seconds = middle(|o| o.norms.seconds);
        all.figures.seconds = middle(|o| o.figures.seconds);
        all.hidden_bytes = middle(|o| o.hidden_bytes as f64) as u64;
        all
    }
}

/// The lower of the middle ones; 0 of none.
pub(super) fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of.get(of.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Bytes that were there when the first bucket of their pass was asked for: those asked for right behind it, and
/// given back before anything had to be waited for. Buckets are asked for in the order in which they were begun,
/// and that is the order in which a link carries them.
fn hidden(mut gradients: Vec<(Instant, Instant, u64)>) -> u64 {
    gradients.sort_by_key(|(asked, ..)| *asked);
    let (mut bytes, mut waiting, mut ended) = (0, false, None);
    for (asked, back, of) in gradients {
        // Computation between two of them: another pass.
        let next_pass = ended.is_none_or(|ended| asked - ended > AT_ONCE);
        if next_pass {
            waiting = false;
        }
        waiting |= back - asked > AT_ONCE;
        if !waiting {
            bytes += of;
        }
        ended = Some(back);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_at_once_was_hidden() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let soon = Duration::from_micros(20);
        // One pass: two buckets are there, the third takes 5 ms, and the fourth was behind it on the link.
        let pass = |from: u64| {
            [
                (at(from), at(from) + soon, 100),
                (at(from) + soon, at(from) + 2 * soon, 30),
                (at(from) + 2 * soon, at(from + 5), 7),
                (at(from + 5), at(from + 5) + soon, 1),
            ]
        };
        assert_eq!(hidden(pass(0).to_vec()), 130);
        // The next pass counts anew.
        let both = [pass(0), pass(50)].concat();
        assert_eq!(hidden(both), 260);
        assert_eq!(hidden(Vec::new()), 0);
    }

    #[test]
    fn the_middle_is_not_moved_by_one_slow_step() {
        let step = |ms: f64, hidden_bytes| {
            let gradients = Waited { messages: 2, bytes: 10, seconds: ms };
            Overlap { gradients, hidden_bytes, ..Overlap::default() }
        };
        let middle = Overlap::median(&[step(1.0, 8), step(90.0, 0), step(2.0, 8)]);
        assert_eq!((middle.gradients.seconds, middle.hidden()), (2.0, 0.8));
        assert_eq!(Overlap::median(&[]).hidden(), 0.0);
    }
}
