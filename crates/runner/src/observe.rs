//! What a run leaves behind: a log, pictures, checkpoints; and what it tells meanwhile.

use crate::command::Failure;
use crate::command::sample::to_bytes;
use crate::figure1;
use crate::journal::{self, Journal};
use crate::picture::curves::{PALETTE, Panel, Series, curves};
use crate::picture::grid::{grid, scale_for};
use crate::picture::save;
use crate::progress::{Figures, Progress as Bar};
use crate::run_dir::{RunDir, at, checkpoints, last_checkpoint};
use crate::signals::Signals;
use crate::tensorboard::Events;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;
use train::{
    Alarm, Checkpoint, Data, Experiment, Objective, Observer, Outcome, Probe, Progress, Raised,
    Refusal, Report,
};

/// A line of `metrics.jsonl`: means over the steps since the line before.
#[derive(Clone, Serialize, Deserialize)]
struct Line {
    step: u64,
    images: u64,
    loss_d: f64,
    loss_g: f64,
    /// V(D, G).
    value: f64,
    /// V at the equilibrium.
    optimum: Option<f64>,
    d_real: f64,
    d_fake: f64,
    /// Mean of D's raw output on fakes.
    logit_fake: f64,
    /// Of G's samples for fixed noise, as a ratio to the data's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    diversity: Option<f64>,
    /// Those in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    alarms: Vec<Alarm>,
    /// How often an alarm has sent the run back.
    #[serde(default, skip_serializing_if = "is_zero")]
    rollbacks: u64,
    images_per_second: f64,
    data_wait: f64,
}

fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Keeps a run directory.
pub(crate) struct Observed {
    name: String,
    run: RunDir,
    journal: Journal,
    events: Events,
    lines: Vec<Line>,
    bar: Bar,
    signals: Signals,
    /// Mean and standard deviation of one-dimensional data, which are drawn as figure 1.
    gaussian: Option<[f64; 2]>,
    objective: Objective,
}

impl Observed {
    /// Takes up a directory; its log is cut back to what the checkpoint knows of.
    pub fn new(
        spec: &Experiment,
        run: RunDir,
        signals: Signals,
        from: Option<&Checkpoint>,
    ) -> Result<Self, Failure> {
        let path = run.path().join("metrics.jsonl");
        let journal = Journal::open(&path, from.map_or(0, |c| c.header.lines))?;
        let lines: Vec<Line> = journal::read(run.path())?;
        let images = from.map_or(0, |c| c.header.progress.images);
        let gaussian = match spec.data {
            Data::Gaussian { mean, std } => Some([mean, std]),
            Data::Images { .. } => None,
        };
        let bar = Bar::new(spec.images.0, images);
        let name = run.path().display().to_string();
        let events = Events::open(run.path(), images, &lines)?;
        let objective = spec.objective;
        Ok(Self { name, run, journal, events, lines, bar, signals, gaussian, objective })
    }

    /// Ends the bar and says what became of the run.
    pub fn finish(&mut self, outcome: &Result<Outcome, Failure>) -> Result<(), Failure> {
        self.bar.finish();
        match outcome {
            Ok(Outcome::Finished(_)) => {}
            Ok(Outcome::Stopped(at)) => {
                let (images, run) = (at.images, &self.name);
                eprintln!("stopped after {images} images; `duel resume {run}` goes on");
            }
            Err(_) => return Ok(()),
        }
        self.journal.sync()?;
        self.draw_curves()?;
        if self.gaussian.is_some() {
            figure1::strip(&self.run)?;
        }
        Ok(())
    }

    fn draw_curves(&self) -> Result<(), Failure> {
        let path = self.run.path().join("curves.png");
        let series = |name: &str, colour: usize, of: fn(&Line) -> f64| Series {
            name: name.to_string(),
            colour: PALETTE[colour],
            points: self.lines.iter().map(|line| (line.images as f64, of(line))).collect(),
        };
        let panel = |title: &str, y_label: &str, series, rules| Panel {
            title: title.to_string(),
            y_label: y_label.to_string(),
            series,
            rules,
            log: false,
        };
        let game = self.objective;
        let rule = |at: Option<f64>, name: Option<&str>| -> Vec<(f64, String)> {
            at.zip(name).map(|(at, name)| (at, name.to_string())).into_iter().collect()
        };
        let judged = if game.is_logistic() { "probability" } else { "score" };
        let panels = [
            panel(
                "Losses",
                game.unit(),
                vec![series("D", 0, |line| line.loss_d), series("G", 1, |line| line.loss_g)],
                vec![],
            ),
            panel(
                "Value V(D, G)",
                game.unit(),
                vec![series("V", 2, |line| line.value)],
                rule(game.optimum(), game.optimum_in_words()),
            ),
            panel(
                "What D says",
                judged,
                vec![
                    series("D(x)", 0, |line| line.d_real),
                    series("D(G(z))", 1, |line| line.d_fake),
                ],
                rule(game.indifference(), Some("1/2")),
            ),
        ];
        Ok(curves(&path, &self.name, &panels)?)
    }
}

impl Observer for Observed {
    fn report(&mut self, report: &Report) -> Result<(), Refusal> {
        let &Report { step, images, loss_d, loss_g, value, optimum, .. } = report;
        let &Report { d_real, d_fake, logit_fake, diversity, rollbacks, .. } = report;
        let &Report { images_per_second, data_wait, .. } = report;
        let line = Line {
            step,
            images,
            loss_d,
            loss_g,
            value,
            optimum,
            d_real,
            d_fake,
            logit_fake,
            diversity,
            alarms: report.alarms.clone(),
            rollbacks,
            images_per_second,
            data_wait,
        };
        self.journal.append(&line)?;
        self.events.report(&line)?;
        self.lines.push(line);
        let figures =
            Figures { images, images_per_second, data_wait, d_real, d_fake, value, diversity };
        self.bar.update(&figures);
        Ok(())
    }

    fn samples(&mut self, at_step: &Progress, probe: &mut Probe<'_>) -> Result<(), Refusal> {
        let images = at_step.images;
        let path = self.run.path().join(format!("samples/{images:012}.png"));
        if let Some(law) = self.gaussian {
            figure1::draw(&self.run, images, law, probe)?;
        } else {
            let ([h, w, c], rows) = (probe.sample(), probe.rows());
            let z = probe.noise(0)?;
            let weights = probe.best();
            let pixels = to_bytes(&probe.generate(weights, &z)?, probe.range());
            let columns = (rows as f64).sqrt().ceil() as usize;
            let picture = grid(&pixels, rows, h, w, c, columns, scale_for(h, w));
            save(&picture, &path)?;
        }
        self.events.samples(images, &fs::read(&path).map_err(|e| at(&path, &e))?)?;
        self.draw_curves()
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal> {
        // The log is durable before the checkpoint that counts its lines.
        self.journal.sync()?;
        Ok(checkpoint.write(&self.run.checkpoint(checkpoint.header.progress.images))?)
    }

    fn alarm(&mut self, raised: &Raised, answer: &str) {
        self.bar.note(&format!("alarm: {raised}; {answer}"));
    }

    fn checkpoint_before(&mut self, images: u64) -> Result<Option<Checkpoint>, Refusal> {
        let older = checkpoints(self.run.path())?.into_iter().rfind(|(at, _)| *at <= images);
        Ok(older.map(|(_, path)| Checkpoint::read(&path)).transpose()?)
    }

    /// What is cut off lies in `abandoned-N` afterwards. In between, whoever resumes finds either the
    /// newest checkpoint that is left, goes on to the same alarm and comes back here, or the one that
    /// replaces the good one.
    fn roll_back(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal> {
        let to = &checkpoint.header;
        self.journal.sync()?;
        self.run.abandon(to.progress.rollbacks, to.progress.images)?;
        checkpoint.write(&self.run.checkpoint(to.progress.images))?;
        self.lines.truncate(to.lines as usize);
        self.journal = Journal::open(&self.run.path().join("metrics.jsonl"), to.lines)?;
        self.events = Events::open(self.run.path(), to.progress.images, &self.lines)?;
        Ok(())
    }

    fn last_checkpoint(&self) -> Option<PathBuf> {
        last_checkpoint(self.run.path()).ok().flatten()
    }

    fn lines(&self) -> u64 {
        self.journal.lines()
    }

    fn stop(&mut self, _at: &Progress) -> bool {
        self.signals.asked()
    }
}
