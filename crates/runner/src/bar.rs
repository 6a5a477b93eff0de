//! How fetching and importing are going, on stderr: a bar on a terminal, lines elsewhere.

use crate::progress::{Pace, count, remaining, span};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// How often a bar is told something.
const PULSE: Duration = Duration::from_millis(50);

/// Counts what is done of one thing after another.
pub(crate) struct Bar {
    bar: Option<ProgressBar>,
    unit: &'static str,
    what: String,
    start: u64,
    began: Instant,
    told: Option<Instant>,
    pace: Pace,
}

impl Bar {
    pub fn new(unit: &'static str) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let template = match unit {
                "bytes" => "{msg:24!} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}",
                _ => "{msg:24!} {wide_bar} {human_pos}/{human_len} {per_sec} ETA {eta}",
            };
            let style = ProgressStyle::with_template(template).expect("the template is ours");
            ProgressBar::no_length().with_style(style)
        });
        let pace = Pace::new(0, 0);
        Self { bar, unit, what: String::new(), start: 0, began: Instant::now(), told: None, pace }
    }

    /// Tells how much of `what` is done, of a total that is 0 where nobody knows it; as often as one likes.
    pub fn update(&mut self, what: &str, done: u64, total: u64) {
        let now = Instant::now();
        if self.what != what {
            what.clone_into(&mut self.what);
            (self.start, self.began, self.told) = (done, now, None);
            self.pace = Pace::new(total, done);
            if let Some(bar) = &self.bar {
                // What was done before has taken no time.
                bar.set_message(what.to_owned());
                bar.set_position(done);
                bar.reset_eta();
            }
        }
        let recent = self.told.is_some_and(|told| now - told < PULSE);
        if recent && done != total {
            return;
        }
        self.told = Some(now);
        match &self.bar {
            Some(bar) => {
                if total > 0 {
                    bar.set_length(total);
                }
                bar.set_position(done);
            }
            None if total > 0 && self.pace.due(now - self.began, done) => {
                eprintln!("{}", self.line(done, total, now - self.began));
            }
            None => {}
        }
    }

    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    fn line(&self, done: u64, total: u64, elapsed: Duration) -> String {
        let left = remaining(done, self.start, total, elapsed).map_or("–".to_owned(), span);
        let pace = (done - self.start) as f64 / elapsed.as_secs_f64().max(1e-9);
        let (what, unit, percent) = (&self.what, self.unit, done * 100 / total);
        let (done, total, pace) = (count(done as f64), count(total as f64), count(pace));
        format!("{what}: {percent:>3} %  {done}/{total} {unit}  {left} left  {pace} {unit}/s")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_counts_what_this_part_has_done() {
        let mut bar = Bar::new("images");
        bar.update("train", 1_000_000, 3_000_000);
        let line = bar.line(1_500_000, 3_000_000, Duration::from_secs(500));
        assert_eq!(line, "train:  50 %  1.5M/3.0M images  25m00s left  1.0k images/s");
    }
}
