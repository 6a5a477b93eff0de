//! Ranks that do not come together.

use crate::stage::*;
use collective::tcp::{At, meet};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

/// All ranks end with the same words.
#[track_caller]
fn assert_all(told: &[String], parts: &[&str]) {
    for text in told {
        assert_eq!(text, &told[0]);
        assert_told(text, parts);
    }
}

#[test]
fn who_is_missing_is_named() {
    let mut meetings = meetings(6);
    meetings.retain(|meeting| ![2, 3, 5].contains(&meeting.rank));
    meetings.iter_mut().for_each(|meeting| meeting.arrival = Duration::from_secs(1));
    let begun = Instant::now();
    let told = refusals(meetings);
    assert!(begun.elapsed() < Duration::from_secs(1) + SLACK);
    let here = format!("process {}", std::process::id());
    assert_all(&told, &["ranks 2-3, 5 of 6 did not come to rank 0", "1.0 s", "rank 4", &here]);
    assert_told(&told[0], &["this host only", "DUEL_ADDR"]);
}

#[test]
fn who_comes_twice_is_named() {
    let mut meetings = meetings(3);
    meetings[2].rank = 1;
    let begun = Instant::now();
    let told = refusals(meetings);
    assert!(begun.elapsed() < SLACK, "nobody waits for rank 2");
    assert_all(&told, &["rank 1 came twice: process", "and process", "torchrun"]);
}

#[test]
fn another_world_is_named() {
    let mut meetings = meetings(3);
    meetings[1].world = 2;
    let told = refusals(meetings);
    assert_all(&told, &["rank 1", "says that there are 2 ranks", "rank 0", "says 3"]);
}

#[test]
fn another_build_or_configuration_is_named() {
    let fact = |name: &str, value: &str| (name.to_string(), value.to_string());
    let mut meetings = meetings(3);
    for meeting in &mut meetings {
        let experiment = if meeting.rank == 2 { "beef" } else { "cafe" };
        meeting.card.push(fact("experiment", experiment));
        meeting.card.push(fact("later", &meeting.rank.to_string()));
    }
    meetings[1].card[2] = fact("later", "0");
    let told = refusals(meetings);
    assert_all(
        &told,
        &["`experiment` is `cafe` on rank 0", "and `beef` on rank 2", "same program"],
    );

    let mut meetings = crate::stage::meetings(2);
    meetings[1].card.clear();
    let told = refusals(meetings);
    assert_all(&told, &["`version` is `1` on rank 0", "missing on rank 1"]);
}

#[test]
fn whoever_comes_a_little_late_is_told_too() {
    let mut meetings = meetings(3);
    meetings[1].card.clear();
    let late = meetings.pop().unwrap();
    let told = thread::scope(|scope| {
        let late = scope.spawn(move || {
            thread::sleep(Duration::from_millis(500));
            meet(&late).map(drop).unwrap_err().to_string()
        });
        let mut told = refusals(meetings);
        told.push(late.join().unwrap());
        told
    });
    assert_all(&told, &["`version`", "rank 1"]);
}

#[test]
fn whoever_leaves_again_is_named() {
    let mut meetings = meetings(3);
    meetings.pop();
    // It gives up long before rank 0 does.
    meetings[1].arrival = Duration::from_millis(200);
    let begun = Instant::now();
    let told = refusals(meetings);
    assert!(begun.elapsed() < ARRIVAL / 2, "rank 0 does not wait for rank 2 then");
    assert_told(&told[0], &["rank 1 (host", "came and left again"]);
    assert_told(&told[1], &["rank 0 at 127.0.0.1", "no answer"]);
}

#[test]
fn rank_0_may_come_last() {
    let at = unused();
    let others: Vec<_> = (1..8).map(|rank| meeting(rank, 8, named(at))).collect();
    thread::scope(|scope| {
        let others = scope.spawn(|| meet_all(others));
        thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        let first = meet(&meeting(0, 8, named(at))).unwrap();
        // Others try four times a second by then.
        assert!(begun.elapsed() < SLACK);
        eprintln!("7 ranks that waited met rank 0 in {:?}", begun.elapsed());
        assert!(others.join().unwrap().iter().all(Result::is_ok));
        drop(first);
    });
}

#[test]
fn rank_0_that_is_not_there_is_named() {
    let at = unused();
    let mut meeting = meeting(3, 4, named(at));
    meeting.arrival = Duration::from_secs(1);
    let told = refusals(vec![meeting]);
    let at = at.ip().to_string();
    assert_told(&told[0], &["rank 3 of 4", &at, "port 7001", "tries", "refused", "DUEL_ADDR"]);
}

#[test]
fn a_service_that_is_not_rank_0_is_named() {
    use std::io::Write;
    let (listener, at) = listener();
    let service = thread::spawn(move || {
        listener.set_nonblocking(true).unwrap();
        let end = Instant::now() + Duration::from_secs(2);
        while Instant::now() < end {
            if let Ok((mut visitor, _)) = listener.accept() {
                let _ = visitor.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
            }
            thread::sleep(Duration::from_millis(10));
        }
    });
    let mut meeting = meeting(1, 2, named(at));
    meeting.arrival = Duration::from_secs(1);
    let told = refusals(vec![meeting]);
    assert_told(&told[0], &["did not find rank 0", "it is no rank of Duel", "HTTP/1.1 400"]);
    service.join().unwrap();
}

#[test]
fn names_that_lead_nowhere_are_named() {
    for rank in [0, 1] {
        let host = "nowhere.invalid".to_string();
        let mut meeting = meeting(rank, 2, At::Named { host, port: 7001 });
        meeting.arrival = Duration::from_millis(500);
        let told = refusals(vec![meeting]);
        assert_told(&told[0], &["rank 0", "nowhere.invalid", "leads nowhere", "DUEL_ADDR"]);
    }
}

#[test]
fn rank_0_on_another_host_is_named() {
    // An address that is nobody's, and one that is everybody's.
    for host in ["192.0.2.1", "0.0.0.0"] {
        let at = At::Named { host: host.to_string(), port: 7001 };
        let told = refusals(vec![meeting(0, 2, at)]);
        assert_told(&told[0], &["rank 0 runs on host", host, "not an address", "DUEL_ADDR"]);
    }
}

#[test]
fn a_port_in_use_is_named() {
    let (_listener, at) = listener();
    let begun = Instant::now();
    let told = refusals(vec![meeting(0, 2, named(at))]);
    assert!(begun.elapsed() < Duration::from_secs(3) + SLACK);
    let port = at.port().to_string();
    assert_told(&told[0], &["cannot listen", &port, "another process", "DUEL_PORT"]);
}

#[test]
fn a_port_that_becomes_free_is_taken() {
    let (listener, at) = listener();
    let others = vec![meeting(0, 2, named(at)), meeting(1, 2, named(at))];
    let before = thread::spawn(move || {
        thread::sleep(Duration::from_millis(500));
        drop(listener);
    });
    let mut met = meet_all(others);
    before.join().unwrap();
    assert!(met.remove(0).is_ok());
}

#[test]
fn rank_0_listens_at_its_address_only() {
    let at = unused();
    let first = thread::spawn(move || {
        let mut meeting = meeting(0, 2, named(at));
        meeting.arrival = Duration::from_secs(2);
        refusals(vec![meeting])
    });
    let end = Instant::now() + Duration::from_secs(2);
    while TcpStream::connect(at).is_err() {
        assert!(Instant::now() < end, "it does not listen");
        thread::sleep(Duration::from_millis(5));
    }
    assert!(TcpStream::connect(("127.0.0.1", at.port())).is_err());
    assert_told(&first.join().unwrap()[0], &["rank 1 of 2 did not come"]);
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let told = refusals(vec![meeting(2, 2, named(unused()))]);
    assert_told(&told[0], &["rank 2 of 2", "numbered from 0"]);
    let told = refusals(vec![meeting(1, 2, At::Listener(listener().0))]);
    assert_told(&told[0], &["only rank 0 listens"]);
}
