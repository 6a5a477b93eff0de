//! The protocol against a client that speaks it, and as MPICH speaks it.

use super::relay::line;
use super::server::{Server, WELCOME};
use super::*;
use crate::{Member, Place};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

/// Two ranks on two machines, of which this is the first.
struct Two([Member; 2]);

impl Group for Two {
    fn rank(&self) -> usize {
        0
    }
    fn members(&self) -> &[Member] {
        &self.0
    }
    fn address(&self) -> IpAddr {
        Ipv4Addr::LOCALHOST.into()
    }
    fn deadline(&self) -> Duration {
        Duration::from_secs(20)
    }
    fn all_gather(&self, _: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        Ok(vec![mine.to_vec(); 2])
    }
    fn step(&self, _: u64) {}
    fn enter_place(&self, _: &Arc<Place>) {}
    fn leave_place(&self) {}
    fn check(&self) -> Result<(), Lost> {
        Ok(())
    }
    fn fail(&self, _: &str) {}
    fn part(&self) -> Result<(), Lost> {
        Ok(())
    }
}

/// A rank that speaks PMI.
struct Client(BufReader<TcpStream>);

impl Client {
    /// Comes with these words; answers with what it is told, if anything.
    fn greet(server: &Server, words: &str) -> (Self, Option<String>) {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        // Whoever is sent away may find the line closed while it speaks.
        let _ = writeln!(stream, "{words}");
        let mut lines = BufReader::new(stream);
        let answer = line(&mut lines).ok();
        (Self(lines), answer)
    }

    fn say(&mut self, words: &str) {
        writeln!(self.0.get_mut(), "cmd={words}").unwrap();
    }

    fn ask(&mut self, words: &str) -> String {
        self.say(words);
        self.hear()
    }

    fn hear(&mut self) -> String {
        let line = line(&mut self.0).unwrap();
        line.trim_end().strip_prefix("cmd=").unwrap().to_string()
    }
}

fn serve() -> Server {
    let member = |rank, host: &str| Member { rank, host: host.to_string(), pid: 1, local_rank: 0 };
    let group: Arc<dyn Group> = Arc::new(Two([member(0, "a"), member(1, "b")]));
    Server::start(&group).unwrap()
}

#[test]
fn ranks_tell_each_other_words() {
    let server = serve();
    let [mut zero, mut one] = [0, 1].map(|rank| {
        let (client, answer) = Client::greet(&server, &format!("{} {rank}", server.secret));
        assert_eq!(answer.as_deref(), Some(WELCOME));
        client
    });
    for client in [&mut zero, &mut one] {
        let init = client.ask("init pmi_version=1 pmi_subversion=1");
        assert_eq!(init, "response_to_init pmi_version=1 pmi_subversion=1 rc=0");
        let maxes = client.ask("get_maxes");
        assert_eq!(maxes, "maxes kvsname_max=256 keylen_max=64 vallen_max=1024");
        assert_eq!(client.ask("get_appnum"), "appnum appnum=0");
        assert_eq!(client.ask("get_universe_size"), "universe_size size=2");
        let mapping = client.ask("get kvsname=x key=PMI_process_mapping");
        assert_eq!(mapping, "get_result rc=0 msg=success value=(vector,(0,1,1),(1,1,1))");
    }
    let space = zero.ask("get_my_kvsname");
    assert_eq!(space, one.ask("get_my_kvsname"));
    let space = space.strip_prefix("my_kvsname kvsname=").unwrap();
    // Twice: a barrier lets all go on and can be used again.
    for turn in ["first", "second"] {
        let key = format!("kvsname={space} key=card-{turn}");
        assert_eq!(zero.ask(&format!("put {key} value=0AF={turn}")), "put_result rc=0 msg=success");
        one.say("barrier_in");
        assert_eq!(zero.ask("barrier_in"), "barrier_out");
        assert_eq!(one.hear(), "barrier_out");
        let got = one.ask(&format!("get {key}"));
        assert_eq!(got, format!("get_result rc=0 msg=success value=0AF={turn}"));
    }
    let nothing = one.ask(&format!("get kvsname={space} key=nothing"));
    assert!(nothing.starts_with("get_result rc=-1"), "{nothing}");
    assert!(one.ask("publish_name service=a").starts_with("publish_name_result rc=-1"));
    assert_eq!(one.ask("finalize"), "finalize_ack");
}

#[test]
fn strangers_are_not_let_in() {
    let server = serve();
    let other = "0".repeat(server.secret.len());
    let two = format!("{} 2", server.secret);
    for words in
        ["GET / HTTP/1.1", "", &format!("{other} 0"), &format!("{} -1", server.secret), &two]
    {
        assert_eq!(Client::greet(&server, words).1, None, "{words}");
    }
    let zero = format!("{} 0", server.secret);
    let (_kept, first) = Client::greet(&server, &zero);
    assert_eq!(first.as_deref(), Some(WELCOME));
    assert_eq!(Client::greet(&server, &zero).1, None, "a rank comes once");
    assert_ne!(serve().secret, server.secret);
}

#[test]
fn words_of_ranks_have_three_parts() {
    assert_eq!(parts("4711 abc MPICH Version: 4"), Some((4711, "abc", "MPICH Version: 4")));
    assert_eq!(parts("0  MPICH"), Some((0, "", "MPICH")));
    assert_eq!(parts("x y z"), None);
}
