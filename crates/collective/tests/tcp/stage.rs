//! Groups for tests.

use collective::Lost;
use collective::tcp::{At, MeetError, Meeting, TcpGroup, meet};
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Longer than an honest rank may take on a busy machine.
pub const ARRIVAL: Duration = Duration::from_secs(20);
/// What a busy machine may add to a deadline.
pub const SLACK: Duration = Duration::from_secs(5);

/// Options of a rank, of a world of so many.
pub fn meeting(rank: usize, world: usize, at: At) -> Meeting {
    Meeting {
        rank,
        world,
        at,
        card: vec![("version".to_string(), "1".to_string())],
        arrival: ARRIVAL,
        deadline: Duration::from_secs(3),
        stray: Duration::from_secs(2),
        key: None,
        last_words: |words| eprintln!("{words}"),
    }
}

/// A socket that rank 0 may listen at, and where it is.
pub fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    (listener, at)
}

/// Where others find it.
pub fn named(at: SocketAddr) -> At {
    At::Named { host: at.ip().to_string(), port: at.port() }
}

/// Where nobody listens, and nobody else will: all of 127.0.0.0/8 is this host.
pub fn unused() -> SocketAddr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [low, high, ..] = std::process::id().to_le_bytes();
    let at = [127, 1 + high % 250, low, NEXT.fetch_add(1, Ordering::Relaxed)];
    SocketAddr::from((at, 7001))
}

/// Meets in as many threads, each with its options.
pub fn meet_all(meetings: Vec<Meeting>) -> Vec<Result<TcpGroup, MeetError>> {
    thread::scope(|scope| {
        let ranks: Vec<_> =
            meetings.iter().map(|meeting| scope.spawn(move || meet(meeting))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// What they end with who cannot meet.
pub fn refusals(meetings: Vec<Meeting>) -> Vec<String> {
    let refusal = |met: Result<TcpGroup, MeetError>| match met {
        Ok(_) => panic!("they met"),
        Err(error) => error.to_string(),
    };
    meet_all(meetings).into_iter().map(refusal).collect()
}

/// Options of all ranks of a world, to be changed.
pub fn meetings(world: usize) -> Vec<Meeting> {
    let (listener, at) = listener();
    let others = (1..world).map(|rank| meeting(rank, world, named(at)));
    std::iter::once(meeting(0, world, At::Listener(listener))).chain(others).collect()
}

/// A group of so many ranks, changed so.
pub fn groups(world: usize, change: impl Fn(&mut Meeting)) -> Vec<TcpGroup> {
    let mut meetings = meetings(world);
    meetings.iter_mut().for_each(change);
    meet_all(meetings).into_iter().map(|group| group.unwrap()).collect()
}

/// Does something on each rank, all at once.
pub fn on_all<T: Send>(groups: &[TcpGroup], act: impl Fn(&TcpGroup) -> T + Sync) -> Vec<T> {
    let act = &act;
    thread::scope(|scope| {
        let ranks: Vec<_> = groups.iter().map(|group| scope.spawn(move || act(group))).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).collect()
    })
}

/// The loss that comes within so long.
pub fn loss_within(group: &dyn collective::Group, most: Duration) -> Lost {
    let begun = Instant::now();
    loop {
        match group.check() {
            Err(lost) => return lost,
            Ok(()) if begun.elapsed() > most => panic!("no loss within {most:?}"),
            Ok(()) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// All of these are in a text.
#[track_caller]
pub fn assert_told(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}
