//! What a step takes on ranks and links that are not here.

use super::kinds::Kind;
use super::link::Link;
use super::stretches::{Part, Stretches};
use serde::Serialize;

/// Sums of so many bytes do not wait behind all longer ones, as in the engines,
const SHORT: u64 = 64 << 10;
/// but for so many bytes of those, which are under way on the same link.
const UNDER_WAY: f64 = (4 << 20) as f64;

/// What a model says of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Outcome {
    /// Seconds of the step.
    pub seconds: f64,
    /// Seconds that are waited for gradients.
    pub gradient_wait: f64,
    /// Seconds that are waited for sums of batch norms, and for figures.
    pub message_wait: f64,
    /// The part of the gradients' bytes that is added up when its backward pass ends, 0 to 1.
    pub hidden: f64,
}

/// Goes through an iteration as each of `ranks` does it. Where sums go on beside the work, long ones take the link
/// one after the other, in the order in which they are begun; otherwise each is done where it is awaited.
pub fn predict(of: &Stretches, ranks: usize, link: &Link, beside: bool) -> Outcome {
    let mut outcome = Outcome::default();
    let (mut now, mut idle_from) = (0.0_f64, 0.0_f64);
    let mut ready = vec![0.0; of.sums.len()];
    let (mut gradients, mut hidden) = (0, 0);
    // When the backward pass ended whose buckets are being waited for.
    let mut ended: Option<f64> = None;
    for part in &of.parts {
        match *part {
            Part::Work(seconds) => {
                now += seconds;
                ended = ended.filter(|_| seconds == 0.0);
            }
            Part::Begin(sum) => {
                let takes = link.sum(ranks, of.sums[sum].bytes as f64);
                ready[sum] = match (beside, of.sums[sum].bytes <= SHORT) {
                    (true, true) => {
                        let busy = idle_from.min(now + UNDER_WAY / link.bandwidth);
                        now.max(busy) + takes
                    }
                    (true, false) => {
                        idle_from = now.max(idle_from) + takes;
                        idle_from
                    }
                    (false, _) => takes,
                };
            }
            Part::Await(sum) => {
                let there = if beside { ready[sum] } else { now + ready[sum] };
                let wait = (there - now).max(0.0);
                if of.sums[sum].kind == Kind::Gradient {
                    let end = *ended.get_or_insert(now);
                    gradients += of.sums[sum].bytes;
                    hidden += if there <= end { of.sums[sum].bytes } else { 0 };
                    outcome.gradient_wait += wait;
                } else {
                    outcome.message_wait += wait;
                }
                now += wait;
            }
        }
    }
    outcome.seconds = now;
    outcome.hidden = if gradients == 0 { 0.0 } else { hidden as f64 / gradients as f64 };
    outcome
}

#[cfg(test)]
mod tests {
    use super::super::stretches::Sum;
    use super::*;

    /// 1 MB takes a second between two ranks, and nothing has a latency but what is said.
    fn link(latency: f64) -> Link {
        Link { name: String::new(), call: 0.0, latency, bandwidth: 1e6, reach: usize::MAX }
    }

    fn gradient(megabytes: u64) -> Sum {
        Sum { kind: Kind::Gradient, bytes: 1_000_000 * megabytes }
    }

    /// Three buckets, begun at 1 s, 3 s and 4 s, which take 1 s, 4 s and 2 s; the pass ends at 4 s.
    fn pass() -> Stretches {
        use Part::{Await, Begin, Work};
        Stretches {
            parts: vec![
                Work(1.0),
                Begin(0),
                Work(2.0),
                Begin(1),
                Work(1.0),
                Begin(2),
                Await(0),
                Await(1),
                Await(2),
                Work(0.5),
            ],
            sums: vec![gradient(1), gradient(4), gradient(2)],
        }
    }

    #[test]
    fn sums_go_on_behind_the_work() {
        // The first is there at 2 s; the second at 7 s; the third, behind it, at 9 s.
        let outcome = predict(&pass(), 2, &link(0.0), true);
        assert_eq!((outcome.seconds, outcome.gradient_wait), (9.5, 5.0));
        assert!((outcome.hidden - 1.0 / 7.0).abs() < 1e-12);
        // Nothing beside the work: all of it is waited for.
        let outcome = predict(&pass(), 2, &link(0.0), false);
        assert_eq!((outcome.seconds, outcome.gradient_wait, outcome.hidden), (11.5, 7.0, 0.0));
        // One rank adds nothing up.
        let outcome = predict(&pass(), 1, &link(9.0), true);
        assert_eq!((outcome.seconds, outcome.gradient_wait, outcome.hidden), (4.5, 0.0, 1.0));
    }

    #[test]
    fn messages_wait_for_what_is_under_way() {
        use Part::{Await, Begin, Work};
        let norm = Sum { kind: Kind::Norm, bytes: 0 };
        let parts =
            vec![Work(1.0), Begin(1), Await(1), Begin(0), Begin(1), Await(1), Work(1.0), Await(0)];
        let program =
            |megabytes| Stretches { parts: parts.clone(), sums: vec![gradient(megabytes), norm] };
        // Four ranks: two rounds of 0.25 s on an idle link. Of 1 MB, two rounds of 1.25 s from 1.5 s on, all is
        // under way: the second message comes at 4.5 s, and work ends at 5.5 s.
        let outcome = predict(&program(1), 4, &link(0.25), true);
        assert_eq!((outcome.seconds, outcome.message_wait), (5.5, 3.5));
        assert_eq!((outcome.gradient_wait, outcome.hidden), (0.0, 1.0));
        // Of 8 MB, a ring's 12 s and six hops, there at 15 s, 4 MiB are.
        let outcome = predict(&program(8), 4, &link(0.25), true);
        let under_way = UNDER_WAY / 1e6;
        assert!((outcome.message_wait - (0.5 + under_way + 0.5)).abs() < 1e-9, "{outcome:?}");
        assert!((outcome.seconds - 15.0).abs() < 1e-9, "{outcome:?}");
    }
}
