//! Commands with a time limit. What they start goes away with them.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// A command under way, the lines that it says, and when it must have ended.
pub struct Watched {
    child: Child,
    lines: Receiver<String>,
    until: Instant,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// With this status, or by a signal.
    Badly(Option<i32>),
    /// It was still at work when its time was up.
    Late,
}

/// Starts a command whose errors go to a log. It leads a process group of its own if `leads`; otherwise
/// it is in ours, and ends with us.
pub fn start(
    command: &mut Command,
    log: &Path,
    limit: Duration,
    leads: bool,
) -> Result<Watched, String> {
    let file = File::create(log).map_err(|error| format!("{}: {error}", log.display()))?;
    if leads {
        command.process_group(0);
    }
    let program = command.get_program().display().to_string();
    let spawned = command.stdout(Stdio::piped()).stderr(file).spawn();
    let mut child = spawned.map_err(|error| format!("{program}: {error}"))?;
    let out = child.stdout.take().expect("piped");
    let (send, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(out).split(b'\n') {
            let Ok(line) = line else { break };
            if send.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                break;
            }
        }
    });
    Ok(Watched { child, lines, until: Instant::now() + limit })
}

impl Watched {
    /// The next line; none when it has said its last, or its time is up.
    pub fn line(&mut self) -> Option<String> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).ok()
    }

    /// The other end of its standard input, if that was piped.
    pub fn input(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// Gives it until so long from now.
    pub fn allow(&mut self, limit: Duration) {
        self.until = Instant::now() + limit;
    }

    /// Waits for its end, or puts one to it when its time is up.
    pub fn end(mut self) -> Ended {
        while Instant::now() < self.until {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ended::of(status);
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ended::Late
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // What it started is in its group. Without effect where it leads none: no group has its number.
            let group = format!("-{}", self.child.id());
            let kill =
                Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
            kill.ok();
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

impl Ended {
    fn of(status: ExitStatus) -> Self {
        match status.success() {
            true => Self::Well,
            false => Self::Badly(status.code()),
        }
    }

    /// Why that is no good end, with the last words of a log; nothing if it is.
    pub fn wrong(self, log: &Path) -> Option<String> {
        let how = match self {
            Self::Well => return None,
            Self::Late => "its time was up".to_string(),
            Self::Badly(Some(code)) => format!("it ended with status {code}"),
            Self::Badly(None) => "a signal ended it".to_string(),
        };
        Some(format!("{how}: {}", last_words(log)))
    }
}

/// The line of a log that says most: the last error, or else the last line.
pub fn last_words(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let says = |line: &&str| {
        line.starts_with("error: ") || line.contains("Error:") || line.contains("panicked at")
    };
    let at = lines.iter().rposition(says).or(lines.len().checked_sub(1));
    let Some(at) = at else { return "it said nothing".to_string() };
    // A panic tells its reason in the line after its place.
    let words = match lines[at].contains("panicked at") {
        true => lines[at..lines.len().min(at + 2)].join(" "),
        false => lines[at].to_string(),
    };
    words.chars().take(300).collect()
}

/// Runs a command to its end within our process group: what it said on standard output, and how it ended.
pub fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<(String, Ended), String> {
    let mut watched = start(command.stdin(Stdio::null()), log, limit, false)?;
    let mut said = String::new();
    while let Some(line) = watched.line() {
        said += &line;
        said.push('\n');
    }
    Ok((said, watched.end()))
}
