//! Strangers who find rank 0's port.

use crate::stage::*;
use collective::Group;
use collective::tcp::{At, meet};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// Two ranks, the second of which comes when the strangers have come; how long that takes it.
fn meet_with(act: impl FnOnce(SocketAddr) -> Vec<TcpStream>) -> (Duration, Vec<TcpStream>) {
    let mut meetings = meetings(2);
    let second = meetings.pop().unwrap();
    let At::Named { host, port } = &second.at else { unreachable!() };
    let at = SocketAddr::new(host.parse().unwrap(), *port);
    thread::scope(|scope| {
        let first = scope.spawn(|| meet(&meetings[0]).unwrap());
        let strangers = act(at);
        let begun = Instant::now();
        let second = meet(&second).unwrap();
        let took = begun.elapsed();
        let groups = [first.join().unwrap(), second];
        assert!(on_all(&groups, |group| group.part()).iter().all(Result::is_ok));
        (took, strangers)
    })
}

fn say(at: SocketAddr, words: &[u8]) -> TcpStream {
    let mut stranger = TcpStream::connect(at).unwrap();
    stranger.write_all(words).unwrap();
    stranger
}

#[test]
fn strangers_do_no_harm() {
    let (took, strangers) = meet_with(|at| {
        let mut strangers = Vec::new();
        for _ in 0..10 {
            strangers.push(say(at, b"GET / HTTP/1.1\r\nHost: rank0\r\n\r\n"));
            strangers.push(say(at, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"));
            strangers.push(say(at, b"DUEL\xff\xff\xff\xff"));
            strangers.push(say(at, b"DUEL\x04\0\0\0four"));
            strangers.push(say(at, b"DUE"));
            strangers.push(say(at, b""));
            // A port scanner.
            drop(say(at, b""));
        }
        strangers
    });
    // None of them is waited for.
    assert!(took < Duration::from_secs(2), "{took:?}");
    for mut stranger in strangers {
        stranger.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // Nothing is said to them; an end or a reset.
        assert!(!matches!(stranger.read(&mut [0; 8]), Ok(said) if said > 0));
    }
}

#[test]
fn strangers_are_sent_away_while_ranks_are_awaited() {
    let (listener, at) = listener();
    let mut first = meeting(0, 2, At::Listener(listener));
    first.arrival = Duration::from_secs(4);
    let told = thread::scope(|scope| {
        let gate = scope.spawn(|| meet(&first).map(drop).unwrap_err().to_string());
        let mut garbage = say(at, b"EHLO rank0\r\n");
        let mut silent = say(at, b"DU");
        for (stranger, most) in [(&mut garbage, 1), (&mut silent, 3)] {
            let begun = Instant::now();
            stranger.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            assert!(!matches!(stranger.read(&mut [0; 8]), Ok(said) if said > 0));
            assert!(begun.elapsed() < Duration::from_secs(most) + Duration::from_secs(2));
        }
        gate.join().unwrap()
    });
    assert_told(&told, &["turned away were 127.0.0.1", "EHLO rank0", "did not say who it is"]);
}

#[test]
fn a_crowd_does_not_keep_ranks_out() {
    let (took, _crowd) = meet_with(|at| (0..400).map(|_| say(at, b"")).collect());
    assert!(took < SLACK, "{took:?}");
}

#[test]
fn whoever_drips_is_sent_away_in_time() {
    let (listener, at) = listener();
    let mut first = meeting(0, 2, At::Listener(listener));
    first.arrival = Duration::from_secs(5);
    thread::scope(|scope| {
        let gate = scope.spawn(|| meet(&first).map(drop).unwrap_err().to_string());
        let mut drip = say(at, b"DUEL\0\x01\0\0");
        let begun = Instant::now();
        // Each byte comes in time for a reader who waits for the next one only.
        while drip.write_all(b"x").is_ok() {
            assert!(begun.elapsed() < Duration::from_secs(4), "it is still heard");
            thread::sleep(Duration::from_millis(50));
        }
        assert_told(&gate.join().unwrap(), &["did not say who it is"]);
    });
}
