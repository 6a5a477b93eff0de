//! A run as a process of its own, on a leash.
//!
//! The child stops at a checkpoint when its standard input ends. So it stops when it is let go of,
//! and also when this process is killed and can let go of nothing.

use crate::cli::Globals;
use crate::command::Failure;
use crate::run_dir::at;
use std::env;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{self, Command, ExitStatus, Stdio};

/// A process that goes on with a run.
pub(crate) struct Child(process::Child);

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// All images were shown.
    Finished,
    /// It stopped at a checkpoint.
    Stopped,
    /// It ended with an error, which it has written down in its directory.
    Refused,
    /// It ended otherwise.
    Lost(String),
}

impl Child {
    /// Starts it. What it tells goes to `log`, or where this process tells.
    pub fn start(
        globals: &Globals,
        run: &Path,
        threads: usize,
        log: Option<&Path>,
    ) -> Result<Self, Failure> {
        let mut command = Command::new(binary()?);
        command.arg0("duel").arg("--leash").arg("--data").arg(&globals.data);
        command.arg("--log").arg(&globals.log).arg("--threads").arg(threads.to_string());
        if let Some(device) = globals.device {
            command.arg("--device").arg(device.to_string());
        }
        command.arg("resume").arg(run);
        if let Some(path) = log {
            let file = OpenOptions::new().create(true).append(true).open(path);
            command.stderr(file.map_err(|error| at(path, &error))?);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::null());
        let child = command.spawn();
        Ok(Self(child.map_err(|error| format!("{}: no process: {error}", run.display()))?))
    }

    /// Asks it to stop at the next step, with a checkpoint.
    pub fn let_go(&mut self) {
        self.0.stdin = None;
    }

    /// How it ended, once it has.
    pub fn ended(&mut self) -> io::Result<Option<End>> {
        Ok(self.0.try_wait()?.map(End::of))
    }
}

impl End {
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(0), _) => End::Finished,
            (Some(75), _) => End::Stopped,
            (Some(1), _) => End::Refused,
            (Some(101), _) => End::Lost("a panic, which is our fault; please report it".to_owned()),
            (_, Some(9)) => End::Lost(
                "ended by signal 9; where memory is short, the system does that".to_owned(),
            ),
            _ => End::Lost(format!("ended with {status}")),
        }
    }
}

/// This program, even if another was built in its place meanwhile: all variants run the same.
fn binary() -> Result<PathBuf, Failure> {
    let own = Path::new("/proc/self/exe");
    if own.exists() {
        return Ok(own.to_owned());
    }
    env::current_exe().map_err(|error| format!("the path of duel itself: {error}").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let end = |script: &str| {
            End::of(Command::new("sh").arg("-c").arg(script).status().expect("a shell"))
        };
        assert_eq!(end("exit 0"), End::Finished);
        assert_eq!(end("exit 75"), End::Stopped);
        assert_eq!(end("exit 1"), End::Refused);
        assert!(matches!(end("kill -KILL $$"), End::Lost(why) if why.contains("memory is short")));
        assert!(matches!(end("exit 101"), End::Lost(why) if why.contains("panic")));
        assert!(matches!(end("exit 3"), End::Lost(why) if why == "ended with exit status: 3"));
    }
}
