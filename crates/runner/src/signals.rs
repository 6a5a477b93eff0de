//! SIGINT, SIGTERM and SIGUSR1: stop at the next step, with a checkpoint. A second SIGINT or SIGTERM ends the
//! process, but for one that a launcher has started: launchers may send a signal more than once.

use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Whether the process was asked to stop.
#[derive(Clone)]
pub(crate) struct Signals {
    asked: Arc<AtomicBool>,
    /// Apart from `asked`, which a second signal must find as the first has left it.
    let_go: Arc<AtomicBool>,
}

impl Signals {
    /// Listens from now on; `launched` tells whether a launcher watches over this process.
    pub fn listen(launched: bool) -> io::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            if !launched {
                // The order matters: the first signal finds the flag down and raises it.
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
            }
            flag::register(signal, Arc::clone(&asked))?;
        }
        // Slurm sends it some time before a job's end.
        flag::register(SIGUSR1, Arc::clone(&asked))?;
        Ok(Self { asked, let_go: Arc::default() })
    }

    /// Is also asked to stop when standard input ends: whoever started this process holds the other
    /// end, and it ends with them, however they do.
    pub fn on_leash(&self) {
        let let_go = Arc::clone(&self.let_go);
        // Nobody waits for this thread: it may sit in its read until the process ends.
        thread::spawn(move || {
            io::copy(&mut io::stdin().lock(), &mut io::sink()).ok();
            let_go.store(true, Ordering::Relaxed);
        });
    }

    /// A limit on the size of files (`ulimit -f`) becomes an error of the write that meets it,
    /// instead of the end of the process.
    pub fn spare_long_files() -> io::Result<()> {
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
    }

    pub fn asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed) || self.let_go.load(Ordering::Relaxed)
    }
}
