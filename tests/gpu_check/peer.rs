//! PyTorch's side, asked over a pipe.

use crate::arguments::Arguments;
use crate::beside::beside;
use crate::child::{self, Watched, last_words};
use serde_json::Value;
use std::io::Write;
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

/// Until it must have warmed up: compilers try out many kernels.
const WARM_UP: Duration = Duration::from_secs(170);
/// Until it must have answered.
const ANSWER: Duration = Duration::from_secs(60);

/// One process of PyTorch's.
pub struct Peer {
    watched: Watched,
    ask: ChildStdin,
    log: PathBuf,
}

impl Peer {
    /// Starts a script of `peer/` and waits until it is ready.
    pub fn start(
        arguments: &Arguments,
        script: &str,
        words: &[&str],
        name: &str,
    ) -> Result<Self, String> {
        let log = arguments.out.join(format!("{name}.log"));
        let mut command = Command::new(&arguments.python);
        command.arg(beside("peer").join(script)).args(words).stdin(Stdio::piped());
        if std::env::var_os("TORCHINDUCTOR_CACHE_DIR").is_none() {
            let cache = std::path::absolute(arguments.out.join("inductor"));
            command.env("TORCHINDUCTOR_CACHE_DIR", cache.map_err(|error| error.to_string())?);
        }
        if arguments.toy {
            command.args(["--device", "cpu"]);
        }
        let mut watched = child::start(&mut command, &log, WARM_UP, false)?;
        let ask = watched.input().expect("piped");
        let mut peer = Self { watched, ask, log };
        let ready = peer.answer()?;
        match ready["ready"] == true {
            true => Ok(peer),
            false => Err(format!("it is not ready but says {ready}")),
        }
    }

    /// Sends a line, and takes the answer.
    pub fn ask(&mut self, line: &str) -> Result<Value, String> {
        let sent = writeln!(self.ask, "{line}").and_then(|()| self.ask.flush());
        sent.map_err(|_| last_words(&self.log))?;
        self.watched.allow(ANSWER);
        self.answer()
    }

    /// The next line that is an answer: compilers talk between them.
    fn answer(&mut self) -> Result<Value, String> {
        while let Some(line) = self.watched.line() {
            if let Ok(answer @ Value::Object(_)) = serde_json::from_str(&line) {
                return Ok(answer);
            }
        }
        Err(format!("no answer: {}", last_words(&self.log)))
    }
}
