//! Peers that do not keep to what ranks say to each other.

use super::key::{self, Claim};
use super::message::{Message, PROTOCOL};
use super::wire::Wire;
use super::*;
use std::net::{SocketAddr, TcpStream};
use std::thread;

const NONCE: [u8; 32] = [7; 32];

fn meeting(rank: usize, at: At, key: Option<&str>) -> Meeting {
    Meeting {
        rank,
        world: 2,
        at,
        card: Vec::new(),
        arrival: Duration::from_secs(1),
        deadline: Duration::from_secs(1),
        stray: Duration::from_secs(1),
        key: key.map(Key::new),
        last_words: |_| {},
    }
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// The next message, unless the peer closes before.
fn next(wire: &mut Wire) -> Option<Message> {
    let end = Instant::now() + Duration::from_secs(5);
    while Instant::now() < end {
        match wire.next(100_000) {
            Ok(Some(frame)) => return Message::decode(&frame),
            Ok(None) => thread::sleep(Duration::from_millis(1)),
            Err(_) => return None,
        }
    }
    panic!("neither a message nor an end");
}

/// What rank 0 ends with, while somebody does this to it.
fn visit(key: Option<&str>, act: impl FnOnce(&mut Wire)) -> String {
    let (listener, at) = listener();
    let meeting = meeting(0, At::Listener(listener), key);
    thread::scope(|scope| {
        let gate = scope.spawn(|| meet(&meeting).map(drop).unwrap_err().to_string());
        act(&mut Wire::new(TcpStream::connect(at).unwrap()).unwrap());
        gate.join().unwrap()
    })
}

fn hello(protocol: u64, keyed: bool) -> Vec<u8> {
    Message::Hello { protocol, keyed, nonce: NONCE }.encode()
}

fn introduction(proof: [u8; 32]) -> Vec<u8> {
    let about = Introduction::of_this(1, 2, Vec::new()).encode();
    Message::Introduction { proof, about }.encode()
}

#[test]
fn another_protocol_ends_all_but_those_with_a_key() {
    let newer = |wire: &mut Wire| {
        wire.send(&hello(PROTOCOL + 1, true)).unwrap();
        match next(wire) {
            Some(Message::Refusal { why }) => assert!(why.contains("another version"), "{why}"),
            other => panic!("{other:?}"),
        }
    };
    let told = visit(None, newer);
    assert!(told.contains("another version of Duel has come from 127.0.0.1"), "{told}");
    let told = visit(Some("key"), newer);
    assert!(told.contains("rank 1 of 2 did not come"), "{told}");
}

#[test]
fn an_old_proof_is_none() {
    // Heard in another meeting, with another nonce of rank 0.
    let about = Introduction::of_this(1, 2, Vec::new()).encode();
    let old = key::proof(Some(&Key::new("key")), &Claim::Rank(&about), &NONCE, &[9; 32]);
    let told = visit(Some("key"), |wire| {
        wire.send(&hello(PROTOCOL, true)).unwrap();
        assert!(matches!(next(wire), Some(Message::Challenge { keyed: true, .. })));
        wire.send(&introduction(old)).unwrap();
        match next(wire) {
            Some(Message::Refusal { why }) => assert!(why.contains("another key"), "{why}"),
            other => panic!("{other:?}"),
        }
    });
    assert!(told.contains("rank 1 of 2 did not come"), "{told}");
}

#[test]
fn whoever_speaks_out_of_turn_is_turned_away() {
    let early = |wire: &mut Wire| {
        wire.send(&introduction([0; 32])).unwrap();
        assert_eq!(next(wire), None);
    };
    let told = visit(None, early);
    assert!(told.contains("it spoke out of turn"), "{told}");
    let twice = |wire: &mut Wire| {
        wire.send(&hello(PROTOCOL, false)).unwrap();
        assert!(matches!(next(wire), Some(Message::Challenge { keyed: false, .. })));
        wire.send(&hello(PROTOCOL, false)).unwrap();
        assert_eq!(next(wire), None);
    };
    let told = visit(None, twice);
    assert!(told.contains("it spoke out of turn"), "{told}");
    let rank_0 = |wire: &mut Wire| {
        wire.send(&hello(PROTOCOL, false)).unwrap();
        assert!(next(wire).is_some());
        let about = Introduction::of_this(0, 2, Vec::new()).encode();
        wire.send(&Message::Introduction { proof: [0; 32], about }.encode()).unwrap();
        assert_eq!(next(wire), None);
    };
    let told = visit(None, rank_0);
    assert!(told.contains("nonsense of itself"), "{told}");
}

#[test]
fn a_rank_0_without_the_key_learns_nothing() {
    let (listener, at) = listener();
    let meeting = meeting(1, At::Named { host: at.ip().to_string(), port: at.port() }, Some("key"));
    let told = thread::scope(|scope| {
        let rank = scope.spawn(|| meet(&meeting).map(drop).unwrap_err().to_string());
        let mut wire = Wire::new(listener.accept().unwrap().0).unwrap();
        assert!(matches!(next(&mut wire), Some(Message::Hello { keyed: true, .. })));
        let challenge = Message::Challenge { keyed: true, nonce: NONCE, proof: [1; 32] };
        wire.send(&challenge.encode()).unwrap();
        // Not who it is, and no proof.
        assert_eq!(next(&mut wire), None);
        rank.join().unwrap()
    });
    assert!(told.contains("they have different keys"), "{told}");
}
