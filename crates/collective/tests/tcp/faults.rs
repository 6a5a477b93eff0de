//! Ranks that do not go on, as threads of one process.

use crate::stage::*;
use collective::tcp::TcpGroup;
use collective::{Group, Kind, Lost};
use std::thread;
use std::time::{Duration, Instant};

/// How soon everybody knows.
const SOON: Duration = Duration::from_secs(2);

/// What ranks learn, which is the same for all.
#[track_caller]
fn the_loss(groups: &[TcpGroup], within: Duration) -> Lost {
    let losses = on_all(groups, |group| loss_within(group, within));
    assert!(losses.iter().all(|lost| lost == &losses[0]), "{losses:?}");
    losses[0].clone()
}

#[test]
fn whoever_leaves_early_is_lost_to_all() {
    for leaves in [0, 1] {
        let mut groups = groups(4, |_| {});
        let member = groups[0].members()[leaves].to_string();
        groups.iter().for_each(|group| group.step(7));
        // The step goes with the next sign of life.
        thread::sleep(Duration::from_millis(1500));
        drop(groups.remove(leaves));
        let lost = the_loss(&groups, SOON);
        assert_eq!(lost.kind, Kind::Peer);
        assert_told(&lost.message, &[&member, "left early, in step 7"]);
        // It stays so, for all calls.
        for group in &groups {
            assert_eq!(group.all_gather("words", b""), Err(lost.clone()));
            assert_eq!(group.part(), Err(lost.clone()));
            group.fail("too late");
            assert_eq!(group.check(), Err(lost.clone()));
        }
    }
}

#[test]
fn an_error_of_one_is_told_to_all() {
    for fails in [0, 2] {
        let groups = groups(3, |_| {});
        let member = groups[0].members()[fails].to_string();
        let begun = Instant::now();
        groups[fails].fail("disk full");
        assert!(begun.elapsed() < SOON);
        let lost = the_loss(&groups, SOON);
        assert_eq!(lost, Lost::new(Kind::Failed, format!("{member}: disk full")));
    }
}

#[test]
fn an_error_is_told_though_the_rank_ends_at_once() {
    for fails in [0, 1] {
        let mut groups = groups(3, |_| {});
        let failing = groups.remove(fails);
        failing.fail("disk full");
        drop(failing);
        assert_eq!(the_loss(&groups, SOON).kind, Kind::Failed);
    }
}

#[test]
fn whoever_waits_learns_it_at_once() {
    let groups = groups(3, |_| {});
    let begun = Instant::now();
    let learned = on_all(&groups, |group| match group.rank() {
        1 => {
            thread::sleep(Duration::from_millis(300));
            group.fail("disk full");
            Ok(vec![])
        }
        _ => group.all_gather("words", b""),
    });
    assert!(begun.elapsed() < SOON);
    for rank in [0, 2] {
        assert_eq!(learned[rank].as_ref().unwrap_err().kind, Kind::Failed);
    }
}

#[test]
fn ranks_that_do_not_do_the_same_are_named() {
    let gathers = groups(3, |_| {});
    let learned = on_all(&gathers, |group| {
        group.all_gather(if group.rank() == 1 { "hash" } else { "vote" }, b"").unwrap_err()
    });
    assert!(learned.iter().all(|lost| lost.kind == Kind::Disagree && lost == &learned[0]));
    assert_told(&learned[0].message, &["do not do the same", "rank 1 (", "`hash`", "`vote`"]);

    let ends = groups(2, |_| {});
    let learned = on_all(&ends, |group| match group.rank() {
        0 => group.all_gather("vote", b"").unwrap_err(),
        _ => group.part().unwrap_err(),
    });
    assert_eq!(learned[0], learned[1]);
    assert_told(&learned[0].message, &["rank 1 (", "at `the end`", "rank 0 (", "at `vote`"]);
}

#[test]
fn whoever_does_not_come_is_named() {
    let deadline = Duration::from_secs(2);
    for late in [0, 2] {
        let groups = groups(3, |meeting| meeting.deadline = deadline);
        groups[late].step(9);
        let begun = Instant::now();
        let learned = on_all(&groups, |group| match group.rank() == late {
            true => loss_within(group, deadline + SLACK),
            false => group.all_gather("hash", b"").unwrap_err(),
        });
        assert!(begun.elapsed() >= deadline && begun.elapsed() < deadline + SLACK);
        assert!(learned.iter().all(|lost| lost == &learned[0]), "{learned:?}");
        let who = format!("rank {late} did not come to `hash` within 2.0 s: rank {late} (host");
        assert_told(&learned[0].message, &[&who, "is in step 9"]);
    }
}

#[test]
fn too_many_words_are_refused() {
    let groups = groups(2, |_| {});
    let lost = groups[1].all_gather("weights", &vec![0; 40 << 20]).unwrap_err();
    assert_told(&lost.message, &["rank 1 (", "41943040 bytes for `weights`", "at most"]);
    assert_eq!(groups[1].check(), Ok(()));
}
