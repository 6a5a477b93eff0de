//! What rank 0 serves, in threads that live as long as its process.

use super::error::PmiError;
use super::mapping::mapping;
use super::message::{LIMITS, Request};
use super::relay;
use crate::Group;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a rank is told that has proved to be one.
pub(super) const WELCOME: &str = "welcome\n";
/// How long somebody may take to say who it is.
const GREETING: Duration = Duration::from_secs(5);
/// How often somebody is looked for at the door.
const LOOK: Duration = Duration::from_millis(5);
/// A thread needs little: it reads a line and answers.
const STACK: usize = 256 << 10;

/// Where ranks find it, and what they have to know.
pub(super) struct Server {
    pub port: u16,
    pub secret: String,
}

/// What the threads share.
struct Service {
    secret: String,
    world: usize,
    space: String,
    deadline: Duration,
    state: Mutex<State>,
}

struct State {
    values: HashMap<String, String>,
    /// Each rank's connection, from when it has come until it leaves.
    ranks: Vec<Option<TcpStream>>,
    came: usize,
    waiting: usize,
}

impl Server {
    /// Serves the ranks of this group, at its address and a free port.
    pub fn start(group: &Arc<dyn Group>) -> Result<Self, PmiError> {
        let address = SocketAddr::new(group.address(), 0);
        let begin = || {
            let listener = TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            let port = listener.local_addr()?.port();
            let secret = random()?;
            let space = format!("duel_{}_{}", std::process::id(), &random()?[..16]);
            let service = Service::new(group, secret.clone(), space);
            thread::Builder::new()
                .name("pmi-door".to_string())
                .spawn(move || service.door(&listener))?;
            Ok(Self { port, secret })
        };
        begin().map_err(|why: std::io::Error| PmiError::NoServer { address, why: why.to_string() })
    }
}

impl Service {
    fn new(group: &Arc<dyn Group>, secret: String, space: String) -> Arc<Self> {
        let world = group.world();
        let mapping = ("PMI_process_mapping".to_string(), mapping(group.members()));
        let state = State {
            values: HashMap::from([mapping]),
            ranks: (0..world).map(|_| None).collect(),
            came: 0,
            waiting: 0,
        };
        let deadline = group.deadline();
        Arc::new(Self { secret, world, space, deadline, state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets ranks in, until all have come or the deadline is over.
    fn door(self: Arc<Self>, listener: &TcpListener) {
        let since = Instant::now();
        while self.state().came < self.world && since.elapsed() < self.deadline {
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    if error.kind() != ErrorKind::WouldBlock {
                        tracing::warn!(%error, "a rank of MPI could not be let in");
                    }
                    thread::sleep(LOOK);
                    continue;
                }
            };
            let service = Arc::clone(&self);
            let thread = thread::Builder::new().name("pmi".to_string()).stack_size(STACK);
            if let Err(error) = thread.spawn(move || service.client(stream)) {
                tracing::warn!(%error, "no thread for a rank of MPI");
            }
        }
    }

    /// Serves one connection.
    fn client(&self, stream: TcpStream) {
        // Whoever is no rank is not answered.
        let Ok((rank, mut lines)) = self.greet(stream) else { return };
        while let Ok(line) = relay::line(&mut lines) {
            match Request::parse(line.trim_end()) {
                Some(request) if self.answer(rank, &request).is_ok() => {}
                _ => break,
            }
        }
        self.state().ranks[rank] = None;
    }

    /// Finds out which rank it is.
    fn greet(&self, stream: TcpStream) -> std::io::Result<(usize, BufReader<TcpStream>)> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(GREETING))?;
        stream.set_write_timeout(Some(self.deadline))?;
        let mut lines = BufReader::new(stream.try_clone()?);
        let line = relay::line(&mut lines)?;
        let words = line.trim_end().split_once(' ').filter(|(secret, _)| *secret == self.secret);
        let rank: Option<usize> = words.and_then(|(_, rank)| rank.parse().ok());
        let stranger = || std::io::Error::other("no rank");
        let rank = rank.filter(|rank| *rank < self.world).ok_or_else(stranger)?;
        let mut state = self.state();
        if state.ranks[rank].is_some() {
            return Err(stranger());
        }
        (&stream).write_all(WELCOME.as_bytes())?;
        // From here on it asks when it likes.
        stream.set_read_timeout(None)?;
        state.ranks[rank] = Some(stream);
        state.came += 1;
        Ok((rank, lines))
    }

    fn answer(&self, rank: usize, request: &Request) -> std::io::Result<()> {
        let mut state = self.state();
        let answer = match request {
            Request::Init { version } if *version == "1" => {
                // 1.1: later ones wait for groups of ranks.
                "response_to_init pmi_version=1 pmi_subversion=1 rc=0".to_string()
            }
            Request::Init { .. } => {
                "response_to_init pmi_version=1 pmi_subversion=1 rc=-1".to_string()
            }
            Request::Limits => format!("maxes {LIMITS}"),
            Request::Program => "appnum appnum=0".to_string(),
            Request::Space => format!("my_kvsname kvsname={}", self.space),
            Request::Universe => format!("universe_size size={}", self.world),
            Request::Put { key, value } => {
                state.values.insert((*key).to_string(), (*value).to_string());
                "put_result rc=0 msg=success".to_string()
            }
            Request::Get { key } => match state.values.get(*key) {
                Some(value) => format!("get_result rc=0 msg=success value={value}"),
                None => "get_result rc=-1 msg=key_not_found value=unknown".to_string(),
            },
            Request::Barrier => return state.barrier(),
            Request::Finalize => "finalize_ack".to_string(),
            Request::Abort => {
                // The rank ends; the group tells the others.
                tracing::debug!(rank, "a rank has asked MPI to end");
                return Ok(());
            }
            Request::Other(command) => {
                tracing::warn!(rank, command, "MPI asks for what is not served");
                format!("{command}_result rc=-1 msg=not_served")
            }
        };
        state.say(rank, &answer)
    }
}

impl State {
    fn say(&self, rank: usize, answer: &str) -> std::io::Result<()> {
        match &self.ranks[rank] {
            Some(stream) => {
                let mut stream: &TcpStream = stream;
                stream.write_all(format!("cmd={answer}\n").as_bytes())
            }
            None => Ok(()),
        }
    }

    /// One more has come to the barrier; the last lets all go on.
    fn barrier(&mut self) -> std::io::Result<()> {
        self.waiting += 1;
        if self.waiting < self.ranks.len() {
            return Ok(());
        }
        self.waiting = 0;
        (0..self.ranks.len()).try_for_each(|rank| self.say(rank, "barrier_out"))
    }
}

/// 32 random bytes in hexadecimal.
fn random() -> std::io::Result<String> {
    let mut bytes = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}
