//! Ranks on hosts of their own: network namespaces on a bridge, which only root may make.

use crate::processes::{DEADLINE, Rank};
use crate::stage::*;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU8, Ordering};

/// Hosts, gone when this is dropped.
struct Hosts {
    tag: String,
    number: usize,
}

/// Runs a program and tells whether it went well.
fn run(line: &str) -> bool {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output();
    output.is_ok_and(|output| output.status.success())
}

impl Hosts {
    /// Makes so many, with a bridge between them; none where that is not allowed.
    fn make(number: usize) -> Option<Self> {
        static MADE: AtomicU8 = AtomicU8::new(0);
        let one_of = MADE.fetch_add(1, Ordering::Relaxed);
        let hosts = Self { tag: format!("duel{}-{one_of}", std::process::id()), number };
        if !hosts.build() {
            eprintln!(
                "SKIPPED: network namespaces need root, `ip` and `unshare`; no link is cut here"
            );
            return None;
        }
        Some(hosts)
    }

    fn build(&self) -> bool {
        let Self { tag, number } = self;
        let switch = format!("{tag}-sw");
        run(&format!("ip netns add {switch}"))
            && run(&format!("ip -n {switch} link add br0 type bridge"))
            && run(&format!("ip -n {switch} link set br0 up"))
            && (0..*number).all(|at| {
                let host = self.name(at);
                run(&format!("ip netns add {host}"))
                    && run(&format!("ip -n {host} link set lo up"))
                    && run(&format!(
                        "ip link add v0 netns {host} type veth peer name p{at} netns {switch}"
                    ))
                    && run(&format!("ip -n {host} addr add 10.78.0.{}/24 dev v0", 10 + at))
                    && run(&format!("ip -n {host} link set v0 up"))
                    && run(&format!("ip -n {switch} link set p{at} master br0"))
                    && run(&format!("ip -n {switch} link set p{at} up"))
            })
    }

    fn name(&self, at: usize) -> String {
        format!("{}-h{at}", self.tag)
    }

    /// Starts a rank on the host of its number, under that host's name.
    fn start(&self, rank: usize, at: SocketAddr, folder: &Path, behaviour: &str) -> Rank {
        let host = self.name(rank);
        let named = format!("hostname {host}; exec \"$0\" \"$@\"");
        let below = ["ip", "netns", "exec", &host, "unshare", "-u", "sh", "-c", &named];
        Rank::start(&below, rank, self.number, at, folder, behaviour)
    }

    /// Takes the cable of a host out of the switch.
    fn cut(&self, at: usize) {
        assert!(run(&format!("ip -n {}-sw link set p{at} down", self.tag)));
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for at in 0..self.number {
            run(&format!("ip netns del {}", self.name(at)));
        }
        run(&format!("ip netns del {}-sw", self.tag));
    }
}

#[test]
fn a_cut_link_is_noticed_on_both_sides() {
    let Some(hosts) = Hosts::make(3) else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = SocketAddr::from(([10, 78, 0, 10], 7001));
    let mut ranks: Vec<_> =
        (0..3).map(|rank| hosts.start(rank, at, folder.path(), "works")).collect();
    ranks.iter_mut().for_each(Rank::ready);
    hosts.cut(2);
    let lost: Vec<_> = ranks.iter_mut().map(|rank| rank.lost(DEADLINE + SLACK)).collect();
    let silent = |rank: usize| format!("rank {rank} (host {}, process ", hosts.name(rank));
    assert_eq!(lost[0], lost[1]);
    assert_told(&lost[0], &[&silent(2), "has been silent for", "network is down", "in step"]);
    assert_told(&lost[2], &[&silent(0), "has been silent for", "network is down", "in step"]);
}

#[test]
fn an_unreachable_rank_0_is_named() {
    let Some(hosts) = Hosts::make(2) else { return };
    let folder = tempfile::tempdir().unwrap();
    hosts.cut(0);
    let at = SocketAddr::from(([10, 78, 0, 10], 7001));
    let mut rank = hosts.start(1, at, folder.path(), "seeks");
    assert_eq!(rank.ended(DEADLINE + SLACK).code(), Some(101));
    assert_told(&rank.said(), &["NotFound", "10.78.0.10", "7001"]);
}
