//! How a run is going, on stderr: a bar where a person looks on, lines where a file collects them.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// The figures of one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Real images shown since the beginning of the run.
    pub images: u64,
    /// Images per second of late.
    pub images_per_second: f64,
    /// Share of the time spent waiting for data, 0 to 1.
    pub data_wait: f64,
    /// Mean of D(x).
    pub d_real: f64,
    /// Mean of D(G(z)).
    pub d_fake: f64,
    /// The value of the game, E log D(x) + E log(1 − D(G(z))).
    pub value: f64,
    /// Diversity of G's samples as a ratio to the data's.
    pub diversity: Option<f64>,
}

/// A run's progress.
#[derive(Debug)]
pub struct Progress {
    total: u64,
    start: u64,
    began: Instant,
    /// Where a bar is drawn; lines are printed otherwise.
    bar: Option<ProgressBar>,
    pace: Pace,
    last: Option<Figures>,
}

impl Progress {
    /// Progress towards `total_images`, `start_images` of which an earlier part of the run has shown.
    pub fn new(total_images: u64, start_images: u64) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar =
                ProgressBar::with_draw_target(Some(total_images), ProgressDrawTarget::stderr());
            let style =
                ProgressStyle::with_template("{bar:14.cyan/black.bright} {prefix}\n{wide_msg}");
            bar.set_style(style.expect("a valid template").progress_chars("━╸─"));
            bar.set_position(start_images);
            bar
        });
        let pace = Pace::new(total_images, start_images);
        Progress {
            total: total_images,
            start: start_images,
            began: Instant::now(),
            bar,
            pace,
            last: None,
        }
    }

    /// Tells the newest figures; as often as one likes.
    pub fn update(&mut self, figures: &Figures) {
        self.last = Some(*figures);
        let elapsed = self.began.elapsed();
        match &self.bar {
            Some(bar) => {
                bar.set_position(figures.images);
                // Two lines, so that a terminal of 80 columns shows all of it.
                bar.set_prefix(pace(figures, self.total, self.left(figures, elapsed)));
                bar.set_message(game(figures));
            }
            None if self.pace.due(elapsed, figures.images) => {
                eprintln!("{}", self.line(figures, elapsed));
            }
            None => {}
        }
    }

    /// Prints a line of its own, above the bar where there is one.
    pub fn note(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
    }

    /// Ends the bar and leaves the last figures and the time taken on the screen.
    pub fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let elapsed = self.began.elapsed();
        if let Some(figures) = self.last.take() {
            let line = self.line(&figures, elapsed);
            eprintln!("{line}  in {}", span(elapsed));
        }
    }

    fn line(&self, figures: &Figures, elapsed: Duration) -> String {
        let pace = pace(figures, self.total, self.left(figures, elapsed));
        format!("{pace}  {}", game(figures))
    }

    fn left(&self, figures: &Figures, elapsed: Duration) -> Option<Duration> {
        remaining(figures.images, self.start, self.total, elapsed)
    }
}

/// When the next plain line is due.
#[derive(Debug)]
pub(crate) struct Pace {
    total: u64,
    last: Option<Duration>,
    twentieth: u64,
}

impl Pace {
    /// The first line soon, so that one sees it is alive.
    const FIRST: Duration = Duration::from_secs(5);
    /// Then not more often than this, and less often the longer the run: a line for each twentieth
    /// of the time it took so far.
    const LEAST: Duration = Duration::from_secs(10);
    /// Each 5 % as well, but short runs should not flood their log.
    const MARK: Duration = Duration::from_secs(1);

    pub(crate) fn new(total: u64, start: u64) -> Pace {
        let mut pace = Pace { total, last: None, twentieth: 0 };
        pace.twentieth = pace.twentieth_of(start);
        pace
    }

    fn twentieth_of(&self, images: u64) -> u64 {
        (u128::from(images) * 20 / u128::from(self.total.max(1))) as u64
    }

    pub(crate) fn due(&mut self, elapsed: Duration, images: u64) -> bool {
        let twentieth = self.twentieth_of(images);
        let due = match self.last {
            None => elapsed >= Self::FIRST,
            Some(last) => {
                let since = elapsed - last;
                let mark = twentieth > self.twentieth && since >= Self::MARK;
                mark || since >= Self::LEAST.max(elapsed / 20)
            }
        };
        if due {
            self.last = Some(elapsed);
            self.twentieth = twentieth;
        }
        due
    }
}

/// What is left at the average pace of this part of the run; nothing before it has a pace.
pub(crate) fn remaining(
    images: u64,
    start: u64,
    total: u64,
    elapsed: Duration,
) -> Option<Duration> {
    let shown = images.checked_sub(start).filter(|&shown| shown > 0)?;
    let seconds = elapsed.as_secs_f64() * total.saturating_sub(images) as f64 / shown as f64;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Done / total, time left, pace, wait for data.
fn pace(f: &Figures, total: u64, left: Option<Duration>) -> String {
    let percent = (u128::from(f.images) * 100 / u128::from(total.max(1))) as u64;
    format!(
        "{percent:>3} %  {}/{} images  {} left  {} img/s  data wait {:.0} %",
        count(f.images as f64),
        count(total as f64),
        left.map_or("–".to_owned(), span),
        count(f.images_per_second),
        f.data_wait * 100.0,
    )
}

/// D(x), D(G(z)), value, diversity.
fn game(f: &Figures) -> String {
    let diversity = f.diversity.map_or(String::new(), |d| format!("  diversity {d:.2}"));
    format!("D(x) {:.3}  D(G(z)) {:.3}  V {:+.3}{diversity}", f.d_real, f.d_fake, f.value)
}

/// A count with three figures: 950, 12.8k, 15.0M.
pub(crate) fn count(n: f64) -> String {
    for (unit, name) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] {
        if n >= unit {
            let digits = if n >= 99.95 * unit { 0 } else { 1 };
            return format!("{:.*}{name}", digits, n / unit);
        }
    }
    format!("{:.*}", if n < 10.0 && n.fract() != 0.0 { 1 } else { 0 }, n)
}

/// A time in its two largest units: 42s, 3m05s, 7h12m, 2d03h.
pub(crate) fn span(time: Duration) -> String {
    let s = time.as_secs();
    match s {
        0..60 => format!("{s}s"),
        60..3600 => format!("{}m{:02}s", s / 60, s % 60),
        3600..86400 => format!("{}h{:02}m", s / 3600, s / 60 % 60),
        _ => format!("{}d{:02}h", s / 86400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIGURES: Figures = Figures {
        images: 3_200_000,
        images_per_second: 812.4,
        data_wait: 0.021,
        d_real: 0.731,
        d_fake: 0.2684,
        value: -0.8712,
        diversity: Some(0.934),
    };

    #[test]
    fn a_line_says_it_all() {
        let left = remaining(3_200_000, 3_000_000, 15_000_000, Duration::from_secs(250));
        assert_eq!(left, Some(Duration::from_secs(14_750)));
        assert_eq!(
            pace(&FIGURES, 15_000_000, left),
            " 21 %  3.2M/15.0M images  4h05m left  812 img/s  data wait 2 %"
        );
        assert_eq!(game(&FIGURES), "D(x) 0.731  D(G(z)) 0.268  V -0.871  diversity 0.93");
        assert_eq!(remaining(10, 10, 20, Duration::from_secs(1)), None);
        assert!(pace(&FIGURES, 0, None).contains("– left"));
    }

    #[test]
    fn counts_and_times() {
        let counts = [0.0, 3.25, 950.0, 1000.0, 12_840.0, 640_000.0, 1.5e7].map(count);
        assert_eq!(counts, ["0", "3.2", "950", "1.0k", "12.8k", "640k", "15.0M"]);
        let spans = [42, 185, 25_920, 183_600].map(|s| span(Duration::from_secs(s)));
        assert_eq!(spans, ["42s", "3m05s", "7h12m", "2d03h"]);
    }

    /// The seconds at which lines are printed in a run of `seconds`, updated each second.
    fn lines(seconds: u64) -> Vec<u64> {
        let mut pace = Pace::new(seconds, 0);
        (1..=seconds).filter(|&s| pace.due(Duration::from_secs(s), s)).collect()
    }

    #[test]
    fn lines_come_at_a_sensible_pace() {
        assert!(lines(4).is_empty());
        // Each 5 % of 60 s is 3 s.
        assert_eq!(lines(60)[..4], [5, 6, 9, 12]);
        // 5 % of an hour is 3 minutes: ten seconds decide.
        assert_eq!(lines(3600)[..4], [5, 15, 25, 35]);
        // A day: 20 marks, 20 lines of ten seconds, then one per twentieth of the time so far,
        // log(86400/200)/log(20/19) = 118.
        let day = lines(86_400).len();
        assert!((100..=170).contains(&day), "{day}");
    }
}
