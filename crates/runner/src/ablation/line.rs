//! What is told while an ablation runs: a line for each run, with the time that is left.

use super::run::Run;
use crate::progress::{count, span};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::{Duration, Instant};

/// The course of an ablation. Work is counted in FLOPs, since variants differ in what an image costs.
pub(crate) struct Course {
    /// FLOPs of each run.
    work: Vec<f64>,
    /// The part of it that is still to do.
    left: Vec<f64>,
    /// What was left when this process began.
    at_first: f64,
    began: Instant,
    ended: usize,
    /// Where several runs go on at once in front of a person.
    bar: Option<ProgressBar>,
}

impl Course {
    /// Runs of so many FLOPs each. `several`: whether they run beside each other, so that none of
    /// them can draw a bar of its own.
    pub fn new(work: Vec<f64>, several: bool) -> Self {
        let bar = several.then(|| {
            // Hidden by itself where stderr is no terminal.
            let bar = ProgressBar::new(1000);
            let style = ProgressStyle::with_template("{bar:14.cyan/black.bright} {wide_msg}");
            bar.set_style(style.expect("a valid template").progress_chars("━╸─"));
            bar
        });
        let left = work.clone();
        Self { at_first: left.iter().sum(), work, left, began: Instant::now(), ended: 0, bar }
    }

    /// Counts what a run has shown before this process touches it.
    pub fn found(&mut self, i: usize, run: &Run, images: u64) {
        self.left[i] = self.rest(i, run, images);
        self.at_first = self.left.iter().sum();
    }

    fn rest(&self, i: usize, run: &Run, images: u64) -> f64 {
        self.work[i] * (1.0 - images as f64 / run.spec.images.0 as f64).max(0.0)
    }

    /// A run begins or goes on.
    pub fn begins(&self, i: usize, run: &Run, images: u64) {
        let length = count(run.spec.images.0 as f64);
        let what = match images {
            0 => format!("{length} images"),
            shown => format!("goes on at {} of {length} images", count(shown as f64)),
        };
        self.tell(i, run, &what);
    }

    /// A run is over, after so many images: `what` became of it.
    pub fn ends(&mut self, i: usize, run: &Run, images: u64, what: &str) {
        self.left[i] = 0.0;
        // What a run that failed has left is not done either.
        self.at_first -= self.rest(i, run, images);
        self.ended += 1;
        let runs = self.work.len() - self.ended;
        let left = match self.remaining() {
            _ if runs == 0 => String::new(),
            Some(time) => format!("; {runs} to go, {} left", span(time)),
            None => format!("; {runs} to go"),
        };
        self.tell(i, run, &format!("{what}{left}"));
    }

    /// Draws how far the runs at work have come.
    pub fn draw<'r>(&mut self, at_work: impl Iterator<Item = (usize, &'r Run<'r>)>) {
        let Some(bar) = self.bar.clone() else { return };
        if bar.is_hidden() {
            return;
        }
        let mut told = Vec::new();
        for (i, run) in at_work {
            let shown = run.shown();
            self.left[i] = self.rest(i, run, shown);
            let percent = 100 * shown / run.spec.images.0;
            told.push(format!("{} {percent} %", run.name()));
        }
        let all: f64 = self.work.iter().sum();
        let left: f64 = self.left.iter().sum();
        bar.set_position((1000.0 * (1.0 - left / all.max(1.0))) as u64);
        let time = self.remaining().map_or("–".to_owned(), span);
        bar.set_message(format!("{time} left  {}", told.join("  ")));
    }

    /// Nothing more is drawn.
    pub fn close(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    /// At the pace of this process, in FLOPs.
    fn remaining(&self) -> Option<Duration> {
        let left: f64 = self.left.iter().sum();
        let done = self.at_first - left;
        let seconds = self.began.elapsed().as_secs_f64() * left / done;
        Duration::try_from_secs_f64(seconds).ok().filter(|_| done > 0.0)
    }

    fn tell(&self, i: usize, run: &Run, what: &str) {
        let all = self.work.len();
        let width = all.to_string().len();
        let line = format!("[{:>width$}/{all}] {}: {what}", i + 1, run.name());
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }
}
