//! What goes well.

use crate::stage::{groups, meet_all, meetings, on_all};
use collective::Group;
use std::time::{Duration, Instant};

#[test]
fn all_know_all() {
    let begun = Instant::now();
    let groups = groups(8, |_| {});
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    eprintln!("8 ranks met in {:?}", begun.elapsed());
    let members = groups[0].members();
    assert_eq!(members.len(), 8);
    for (rank, group) in groups.iter().enumerate() {
        assert_eq!((group.rank(), group.world()), (rank, 8));
        assert_eq!(group.members(), members);
        assert_eq!((members[rank].rank, members[rank].local_rank), (rank, rank));
        assert_eq!(members[rank].pid, std::process::id());
        assert!(group.address().is_loopback());
        assert_eq!(group.check(), Ok(()));
    }
    assert!(on_all(&groups, |group| group.part()).iter().all(Result::is_ok));
}

#[test]
fn words_come_in_the_order_of_ranks() {
    let groups = groups(5, |_| {});
    for round in 0..20u8 {
        let expected: Vec<_> = (0..5u8).map(|rank| vec![rank; usize::from(rank * round)]).collect();
        let all = on_all(&groups, |group| {
            let rank = group.rank() as u8;
            group.all_gather("words", &vec![rank; usize::from(rank * round)])
        });
        assert!(all.into_iter().all(|words| words.as_ref() == Ok(&expected)));
    }
    // More than a socket takes at a time.
    let all = on_all(&groups, |group| group.all_gather("many", &vec![group.rank() as u8; 3 << 20]));
    for words in all {
        let words = words.unwrap();
        assert!((0..5).all(|rank| words[rank] == vec![rank as u8; 3 << 20]));
    }
    assert!(on_all(&groups, |group| group.part()).iter().all(Result::is_ok));
}

#[test]
fn a_rank_alone_needs_nobody() {
    let group = meet_all(meetings(1)).remove(0).unwrap();
    assert_eq!(group.all_gather("words", b"mine"), Ok(vec![b"mine".to_vec()]));
    assert_eq!(group.check(), Ok(()));
    assert_eq!(group.part(), Ok(()));
}

#[test]
fn nobody_is_lost_after_the_end() {
    let groups = groups(3, |_| {});
    // The last one comes late, and leaves first.
    let parted = on_all(&groups, |group| {
        if group.rank() == 2 {
            std::thread::sleep(Duration::from_millis(300));
        }
        group.part()
    });
    assert_eq!(parted, [Ok(()), Ok(()), Ok(())]);
    let mut groups = groups;
    drop(groups.pop());
    std::thread::sleep(Duration::from_millis(300));
    for group in &groups {
        assert_eq!(group.check(), Ok(()));
        assert!(group.all_gather("more", b"").unwrap_err().message.contains("after the end"));
    }
}
