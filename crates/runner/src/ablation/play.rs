//! Runs an ablation: several runs at once or one, each a process, until all are over.

use super::child::{Child, End};
use super::line::Course;
use super::run::Run;
use super::table;
use crate::aside;
use crate::cli::Globals;
use crate::command::{Failure, train};
use crate::progress::span;
use crate::run_dir::RunDir;
use crate::session::{Need, Session};
use crate::signals::Signals;
use crate::state::State;
use crate::target::{Purpose, Target};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often children are asked whether they have ended.
const LOOK: Duration = Duration::from_millis(20);
/// How often the bar is drawn.
const DRAW: Duration = Duration::from_secs(1);

/// How an ablation ended.
pub(crate) enum Outcome {
    /// Every run is over. Those that failed, and why.
    Over(Vec<String>),
    /// It was asked to stop.
    Stopped,
}

/// An ablation at work.
pub(crate) struct Play<'a> {
    globals: &'a Globals,
    folder: &'a Path,
    runs: &'a [Run<'a>],
    jobs: usize,
    course: Course,
    signals: Signals,
    at_work: Vec<Worker>,
    failures: Vec<String>,
    stopping: bool,
}

/// A child and its run.
struct Worker {
    run: usize,
    child: Child,
    began: Instant,
}

impl<'a> Play<'a> {
    /// `work`: FLOPs of each run.
    pub fn new(
        globals: &'a Globals,
        folder: &'a Path,
        runs: &'a [Run<'a>],
        work: Vec<f64>,
        jobs: usize,
    ) -> Result<Self, Failure> {
        let course = Course::new(work, jobs > 1);
        let signals = Signals::listen(false)?;
        let (at_work, failures, stopping) = (Vec::new(), Vec::new(), false);
        Ok(Self { globals, folder, runs, jobs, course, signals, at_work, failures, stopping })
    }

    /// Runs what is not finished. The table is written whenever a run is over.
    pub fn play(mut self) -> Result<Outcome, Failure> {
        let mut queue = self.queue()?;
        let mut drawn = Instant::now();
        loop {
            if self.signals.asked() && !self.stopping {
                self.stopping = true;
                self.at_work.iter_mut().for_each(|worker| worker.child.let_go());
            }
            while !self.stopping && self.at_work.len() < self.jobs {
                let Some(i) = queue.pop_front() else { break };
                self.start(i)?;
            }
            if self.at_work.is_empty() && (queue.is_empty() || self.stopping) {
                break;
            }
            sleep(LOOK);
            self.look()?;
            if drawn.elapsed() >= DRAW {
                drawn = Instant::now();
                let at_work =
                    self.at_work.iter().map(|worker| (worker.run, &self.runs[worker.run]));
                self.course.draw(at_work);
            }
        }
        self.course.close();
        self.write_table()?;
        Ok(if self.stopping { Outcome::Stopped } else { Outcome::Over(self.failures) })
    }

    /// Runs that are not finished.
    fn queue(&mut self) -> Result<VecDeque<usize>, Failure> {
        for (i, run) in self.runs.iter().enumerate() {
            self.course.found(i, run, run.kept());
        }
        let mut queue = VecDeque::new();
        for (i, run) in self.runs.iter().enumerate() {
            match run.state()? {
                State::Finished => self.course.ends(i, run, run.kept(), "finished already"),
                _ => queue.push_back(i),
            }
        }
        Ok(queue)
    }

    /// Starts a run, or counts it as failed.
    fn start(&mut self, i: usize) -> Result<(), Failure> {
        let run = &self.runs[i];
        if !self.wait_for_others(run)? {
            return Ok(());
        }
        let kept = run.kept();
        match self.child(run) {
            Ok(child) => {
                self.course.begins(i, run, kept);
                self.at_work.push(Worker { run: i, child, began: Instant::now() });
                Ok(())
            }
            Err(error) => self.failed(i, &error.to_string()),
        }
    }

    /// A process that was let go of may still be writing its checkpoint. Whether the run is free.
    fn wait_for_others(&self, run: &Run) -> Result<bool, Failure> {
        let mut told = false;
        while run.state()? == State::Running {
            if self.signals.asked() {
                return Ok(false);
            }
            if !told {
                eprintln!("{}: waiting for another process that trains here", run.path.display());
                told = true;
            }
            sleep(LOOK);
        }
        Ok(true)
    }

    fn child(&self, run: &Run) -> Result<Child, Failure> {
        if run.state()? == State::Fresh {
            run.clear_stillborn()?;
            let beside = run.variant.layered.file().parent().unwrap_or(Path::new("."));
            let target = Target::of(&run.spec, Purpose::Begin, self.globals)?;
            let session =
                Session::of(run.spec.clone(), target, beside, self.globals, Need::Samples)?;
            let compiled = session.compile(&session.record());
            train::begin(self.globals, &session, &compiled, &run.path)?;
        }
        RunDir::open(&run.path)?.forget_failure()?;
        let threads = (self.globals.cores() / self.jobs).max(1);
        Child::start(self.globals, &run.path, threads, self.log(run).as_deref())
    }

    /// Where a run tells, if several run at once: one after the other can all use the terminal.
    fn log(&self, run: &Run) -> Option<PathBuf> {
        (self.jobs > 1).then(|| run.path.with_extension("log"))
    }

    /// Takes leave of those that have ended.
    fn look(&mut self) -> Result<(), Failure> {
        let mut at = 0;
        while at < self.at_work.len() {
            match self.at_work[at].child.ended()? {
                None => at += 1,
                Some(end) => {
                    let worker = self.at_work.remove(at);
                    self.ended(&worker, end)?;
                }
            }
        }
        Ok(())
    }

    fn ended(&mut self, worker: &Worker, end: End) -> Result<(), Failure> {
        let run = &self.runs[worker.run];
        let state = run.state()?;
        match (end, state) {
            (End::Finished, _) => {
                let what = format!("finished in {}", span(worker.began.elapsed()));
                self.course.ends(worker.run, run, run.spec.images.0, &what);
                self.write_table()
            }
            (End::Stopped, _) if self.stopping => Ok(()),
            (End::Stopped, _) => {
                self.failed(worker.run, "it was stopped; the same command goes on with it")
            }
            (End::Refused, State::Failed { reason }) => self.failed(worker.run, &reason),
            (End::Refused, _) => {
                self.failed(worker.run, "it refused to go on, with a message of its own")
            }
            // A second Ctrl-C reaches the children as well.
            (End::Lost(_), _) if self.stopping => Ok(()),
            (End::Lost(why), _) => self.failed(worker.run, &why),
        }
    }

    fn failed(&mut self, i: usize, reason: &str) -> Result<(), Failure> {
        let run = &self.runs[i];
        let first = reason.lines().next().unwrap_or_default();
        self.course.ends(i, run, run.shown(), &format!("FAILED: {first}"));
        let log = self.log(run).filter(|log| log.exists());
        let log = log.map_or(String::new(), |log| format!(" (log: {})", log.display()));
        self.failures.push(format!("{}: {reason}{log}", run.name()));
        self.write_table()
    }

    fn write_table(&self) -> Result<(), Failure> {
        let text = table::read(self.folder)?.markdown();
        Ok(aside::write(&self.folder.join("table.md"), text.as_bytes())?)
    }
}
