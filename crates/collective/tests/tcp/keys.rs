//! A secret of the job.

use crate::stage::*;
use collective::Group;
use collective::tcp::{Key, Meeting};
use std::time::{Duration, Instant};

/// Ranks with these keys.
fn keyed(keys: &[Option<&str>]) -> Vec<Meeting> {
    let mut meetings = meetings(keys.len());
    for (meeting, key) in meetings.iter_mut().zip(keys) {
        meeting.key = key.map(Key::new);
        meeting.arrival = Duration::from_secs(2);
    }
    meetings
}

#[test]
fn one_key_is_good() {
    let groups: Vec<_> =
        meet_all(keyed(&[Some("a"); 3])).into_iter().map(|group| group.unwrap()).collect();
    assert!(on_all(&groups, |group| group.part()).iter().all(Result::is_ok));
}

#[test]
fn another_key_is_refused_and_cannot_end_the_others() {
    for (other, why) in [(Some("b"), "different keys"), (None, "has no key, and rank 0 has one")] {
        let begun = Instant::now();
        let told = refusals(keyed(&[Some("a"), Some("a"), other]));
        // The stranger is refused, and the two others wait for the right one.
        assert!(begun.elapsed() >= Duration::from_secs(2));
        assert_told(&told[0], &["rank 2 of 3 did not come", "here are rank 1"]);
        assert_eq!(told[0], told[1]);
        assert_told(&told[2], &[why, "DUEL_JOB_KEY"]);
    }
}

#[test]
fn a_key_that_rank_0_has_not_ends_all() {
    let begun = Instant::now();
    let told = refusals(keyed(&[None, Some("a")]));
    assert!(begun.elapsed() < SLACK);
    for told in told {
        assert_told(&told, &["has a key, and rank 0 has none", "DUEL_JOB_KEY_FILE"]);
    }
}
