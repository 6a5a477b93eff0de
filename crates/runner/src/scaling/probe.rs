//! Latency and bandwidth of the engine that is here.

use super::link::Link;
use super::noted::Notes;
use super::overlap::median;
use collective::{Engine, Lost, Numbers, Place};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// Numbers of four bytes that are added up: from one to 64 MB of them.
const LENGTHS: [usize; 7] = [1, 256, 4 << 10, 64 << 10, 1 << 20, 4 << 20, 16 << 20];
/// As many bytes are added up at each length, or as often as this.
const BYTES: usize = 128 << 20;
const MOST: usize = 200;

/// What sums take on this engine.
#[derive(Clone, Debug, Serialize)]
pub struct Probed {
    /// Bytes, and the median of the seconds.
    pub sums: Vec<(u64, f64)>,
    /// Microseconds of one round.
    pub latency_us: f64,
    /// What a rank sends at 64 MB.
    pub gigabytes: f64,
    #[serde(skip)]
    pub(crate) link: Link,
}

/// Adds up numbers over all ranks, each of which calls this, from begin to end with nothing between.
///
/// # Errors
/// A peer that is lost.
pub(crate) fn probe(notes: &Notes, ranks: usize) -> Result<Probed, Lost> {
    let mut engine = notes.clone();
    let mut sums = Vec::with_capacity(LENGTHS.len());
    for length in LENGTHS {
        let (program, operation) = ("probe".to_string(), format!("{length} numbers"));
        let place = Arc::new(Place { program, operation });
        let mut numbers = vec![0.0_f32; length];
        let times = (BYTES / (4 * length)).clamp(2, MOST);
        let mut taken = Vec::with_capacity(times);
        // The first is not counted: ranks compare their places, and pages are touched.
        for time in 0..=times {
            let since = Instant::now();
            let whole = Numbers::F32(numbers.as_mut_ptr(), length);
            // SAFETY: nobody else has them, and they are freed only where the sum has ended or, below, not at all.
            let ended = unsafe { engine.begin(whole, &place) };
            if let Err(lost) = ended.and_then(|ticket| engine.finish(ticket)) {
                // Peers may write to them still.
                std::mem::forget(numbers);
                return Err(lost);
            }
            if time > 0 {
                taken.push(since.elapsed().as_secs_f64());
            }
        }
        sums.push((4 * length as u64, median(taken)));
    }
    notes.take();
    Ok(Probed::of(sums, ranks))
}

impl Probed {
    /// What the shortest and the longest sum say: one is rounds of latency, the other a ring or tree of bytes.
    fn of(sums: Vec<(u64, f64)>, ranks: usize) -> Self {
        let n = ranks as f64;
        let rounds = n.log2().ceil().max(1.0);
        let [(_, shortest), (bytes, longest)] =
            [sums.first(), sums.last()].map(|sum| sum.copied().unwrap_or((0, 1.0)));
        let latency = shortest / rounds;
        let sent = 2.0 * (n - 1.0) / n * bytes as f64;
        let bandwidth = sent / (longest - 2.0 * (n - 1.0) * latency).max(longest / 2.0);
        let name = "here".to_string();
        let link = Link { name, call: 0.0, latency, bandwidth, reach: ranks };
        Self { sums, latency_us: 1e6 * latency, gigabytes: 1e-9 * bandwidth, link }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_found_again() {
        let name = String::new();
        let link = Link { name, call: 0.0, latency: 5e-5, bandwidth: 2e8, reach: 4 };
        for ranks in [2, 4] {
            let sum = |bytes: u64| (bytes, link.sum(ranks, bytes as f64));
            let found = Probed::of(vec![sum(4), sum(4096), sum(64 << 20)], ranks);
            assert!((found.latency_us / 50.0 - 1.0).abs() < 1e-3, "{found:?}");
            assert!((found.gigabytes / 0.2 - 1.0).abs() < 1e-3, "{found:?}");
        }
    }

    #[test]
    fn the_engine_of_this_process_is_probed() {
        let (_group, engine) =
            collective::local_ranks(1, std::time::Duration::from_secs(5)).remove(0);
        let probed = probe(&Notes::new(engine), 1).expect("one rank");
        assert!(probed.sums.iter().all(|(_, seconds)| *seconds > 0.0));
        assert_eq!(probed.sums.len(), LENGTHS.len());
    }
}
