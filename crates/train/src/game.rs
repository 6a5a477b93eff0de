//! A run in play: its counters, its clock, and what is due.

use crate::alarm::Watch;
use crate::algorithm1::{Job, TrainError};
use crate::checkpoint::Header;
use crate::clock::clock;
use crate::diversity::Diversity;
use crate::faults::{History, LOOK_EVERY};
use crate::recorded::Vote;
use crate::restore::blank;
use crate::{Checkpoint, Observer, Probe, Progress, Report, Source, reals};
use std::time::{Duration, Instant};
use tape::{Clock, Device, DeviceError, Program};

mod alarms;

pub(crate) use alarms::slower;

/// Means of pixels are kept this far from 0 and 1 before their logits are taken, as in the 2014 code
/// (pylearn2). It matters: with half a grey level instead, G ended in one picture after five epochs.
const DARKEST: f64 = 1e-7;

/// What is told of a step whose repetition is fine.
const AT_FAULT: &str = "a loss or gradient was not finite, but is when the step is run again; the device \
                        may be at fault";

pub(crate) struct Game<'a> {
    job: &'a Job<'a>,
    device: &'a mut dyn Device,
    data: &'a mut dyn Source,
    run: &'a mut dyn Observer,
    pub progress: Progress,
    /// One batch of real samples.
    real: Vec<u8>,
    /// How many images the next step adds to those of the run: a batch, if one was drawn for it.
    drawn: u64,
    scalars: Vec<String>,
    history: History,
    /// When the last report was made: images, time, time spent waiting for data.
    since: (u64, Instant, Duration),
    /// Images at the last checkpoint and samples of this process.
    kept: Option<u64>,
    shown: Option<u64>,
    /// Whether the others know that this rank wants to stop.
    wished: bool,
    /// What alarms have seen.
    watch: Watch,
    diversity: Option<Diversity>,
    /// The last tick at which it was measured, and what it was.
    diverse: (Option<u64>, Option<f64>),
}

impl<'a> Game<'a> {
    /// Gives the device its first state, or a checkpoint's.
    pub fn begin(
        job: &'a Job<'a>,
        device: &'a mut dyn Device,
        data: &'a mut dyn Source,
        run: &'a mut dyn Observer,
        resume: Option<&Checkpoint>,
    ) -> Result<Self, TrainError> {
        let tape = &job.recorded.tape;
        let input = tape.tensor(job.recorded.real).clone();
        let found = format!("{:?} of type {:?}", data.sample(), data.dtype());
        let expected = format!("{:?} of type {:?}", job.recorded.gan.sample, input.dtype);
        if found != expected {
            return Err(TrainError::Data { found, expected });
        }
        let since = (0, Instant::now(), data.waited());
        let mut game = Self {
            job,
            device,
            data,
            run,
            progress: Progress::default(),
            real: vec![0; input.shape.len() * input.dtype.bytes(4)],
            drawn: 0,
            scalars: tape.scalars(),
            history: History::default(),
            since,
            kept: None,
            shown: None,
            wished: false,
            watch: Watch::default(),
            diversity: None,
            diverse: (None, None),
        };
        if let Some(together) = &job.recorded.together {
            reals::write(game.device, together.vote.wish, [0.0].into_iter())?;
        }
        game.compare()?;
        match game.header_of_first("where the run begins", resume)? {
            Some(header) => game.resume(&header, resume)?,
            None => game.start()?,
        }
        Ok(game)
    }

    /// The header of the first rank's checkpoint.
    fn header_of_first(
        &mut self,
        what: &str,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<Option<Header>, TrainError> {
        let told = self.job.peers.first(what, || {
            let header = checkpoint.map(|checkpoint| &checkpoint.header);
            Ok::<_, TrainError>(serde_json::to_vec(&header).expect("numbers, texts and maps"))
        })?;
        let damaged = |error: serde_json::Error| TrainError::Peers(error.into());
        serde_json::from_slice(&told).map_err(damaged)
    }

    fn start(&mut self) -> Result<(), TrainError> {
        let clock = self.clock();
        self.device.run(self.job.recorded.init, &clock)?;
        self.start_at_marginals()?;
        self.watch = Watch::new(self.diversity()?);
        tracing::info!(device = self.device.describe(), "training starts");
        self.samples()
    }

    /// Goes on from a checkpoint. The first rank has it, and gives its state to the others.
    fn resume(
        &mut self,
        header: &Header,
        checkpoint: Option<&Checkpoint>,
    ) -> Result<(), TrainError> {
        let Job { spec, recorded, peers, .. } = *self.job;
        match checkpoint {
            Some(checkpoint) => checkpoint.restore(spec, recorded, self.device)?,
            None => blank(recorded, self.device)?,
        }
        self.progress = header.progress;
        if let Some(together) = &recorded.together {
            let clock = self.clock();
            self.device.run(together.spread, &clock)?;
        }
        let position = header.position;
        if !peers.is_first() {
            let sought = self.data.seek(position);
            sought.map_err(|error| TrainError::Source { position, error })?;
        }
        if self.data.position() != position {
            let found = format!("a source at sample {}", self.data.position());
            let expected = format!("one at sample {position}, where the checkpoint stopped");
            return Err(TrainError::Data { found, expected });
        }
        self.watch = header.watch.clone();
        self.diverse = (None, None);
        self.since.0 = self.progress.images;
        self.kept = Some(self.progress.images);
        tracing::info!(
            step = self.progress.step,
            images = self.progress.images,
            "training goes on"
        );
        Ok(())
    }

    /// The 2014 code starts the bias of G's output where a sigmoid gives each pixel's mean.
    fn start_at_marginals(&mut self) -> Result<(), TrainError> {
        let recorded = self.job.recorded;
        let Some(bias) = recorded.gan.marginals() else { return Ok(()) };
        let position = self.data.position();
        let means = self.data.marginals();
        let means = means.map_err(|error| TrainError::Source { position, error })?;
        let pixels = recorded.tape.shape(bias).len();
        let means =
            means.filter(|means| means.len() == pixels).ok_or_else(|| TrainError::Data {
                found: "no means of its pixels".to_string(),
                expected: format!("{pixels} of them, for `marginals: true`"),
            })?;
        let logits = means.iter().map(|p| {
            let p = p.clamp(DARKEST, 1.0 - DARKEST);
            (p / (1.0 - p)).ln()
        });
        reals::write(self.device, bias, logits.clone())?;
        if let Some(ema) = recorded.ema {
            let own = recorded.tape.parameters(recorded.gan.g);
            let at = own.iter().position(|&p| p == bias).expect("the bias is a parameter of G");
            reals::write(self.device, recorded.tape.parameters(ema)[at], logits)?;
        }
        Ok(())
    }

    /// Draws a batch of real samples for the next step.
    pub fn draw(&mut self) -> Result<(), TrainError> {
        let position = self.data.position();
        let drawn = self.data.next(&mut self.real);
        drawn.map_err(|error| TrainError::Source { position, error })?;
        self.device.write(self.job.recorded.real, &self.real)?;
        self.drawn = self.job.spec.batch as u64;
        Ok(())
    }

    /// Runs D's step, or the step of both.
    pub fn step_discriminator(&mut self, program: Program) -> Result<(), TrainError> {
        self.step(program, true)?;
        self.progress.discriminator += 1;
        if self.job.recorded.steps.generator.is_none() {
            self.progress.generator += 1;
        }
        Ok(())
    }

    /// Runs G's step. In a game of pairs it reads the last batch of real samples.
    pub fn step_generator(&mut self, program: Program) -> Result<(), TrainError> {
        self.step(program, self.job.spec.objective.is_of_pairs())?;
        self.progress.generator += 1;
        Ok(())
    }

    fn step(&mut self, program: Program, reads_real: bool) -> Result<(), TrainError> {
        self.progress.tick += 1;
        let clock = self.clock();
        self.device.run(program, &clock)?;
        let real = reads_real.then_some(&self.real[..]);
        self.history.keep(program, clock, real, self.progress);
        self.progress.images += std::mem::take(&mut self.drawn);
        Ok(())
    }

    /// What changes from run to run.
    fn clock(&self) -> Clock {
        let Job { spec, peers, .. } = *self.job;
        clock(spec, &self.scalars, peers.rank(), &self.progress)
    }

    /// Counts the iteration, and looks at the flag now and then.
    pub fn end_iteration(&mut self) -> Result<(), TrainError> {
        self.progress.step += 1;
        self.job.peers.step(self.progress.step);
        if self.progress.step.is_multiple_of(LOOK_EVERY) {
            self.look()?;
        }
        Ok(())
    }

    /// Makes sure that all steps so far were finite.
    fn look(&mut self) -> Result<(), TrainError> {
        let tape = &self.job.recorded.tape;
        let flag = reals::read(tape, self.device, tape.fault())?[0];
        if flag == 0.0 {
            self.history.clear();
            return Ok(());
        }
        let last = self.run.last_checkpoint();
        let Some(entry) = self.history.find(flag) else {
            let what = format!("a step before the last {LOOK_EVERY} was not finite (flag {flag})");
            return Err(TrainError::NotFinite { at: self.progress, what, last });
        };
        // The flag holds back every update, so the state is still that of the step: again, slowly. Only
        // with shared fakes D may have moved before G's half was not finite. That half is repeated as
        // it was; D's half comes first, and is asked about the D that has moved.
        if let Some(real) = &entry.real {
            self.device.write(self.job.recorded.real, real)?;
        }
        let clock = Clock { check: true, ..entry.clock.clone() };
        let again = self.device.run(entry.program, &clock);
        let again = again.and_then(|()| reals::read(tape, self.device, tape.fault()));
        let found = match again {
            Err(DeviceError::NotFinite { node, .. }) => (node, again.unwrap_err().to_string()),
            Err(error) => return Err(error.into()),
            Ok(_) => (usize::MAX, AT_FAULT.to_string()),
        };
        let at = entry.progress;
        let what = self.earliest(found)?;
        Err(TrainError::NotFinite { at, what, last })
    }

    /// Of what ranks have found in one program, that which comes first: only one of them may have the
    /// sample that it began with.
    fn earliest(&self, (node, what): (usize, String)) -> Result<String, TrainError> {
        let peers = self.job.peers;
        let mine = [&(node as u64).to_be_bytes()[..], what.as_bytes()].concat();
        let all = peers.all_gather("what was not finite", &mine).map_err(TrainError::Peers)?;
        let ranked = all.iter().enumerate().min_by_key(|(rank, found)| (&found[..8], *rank));
        let (rank, found) = ranked.expect("one or more ranks");
        let what = String::from_utf8_lossy(&found[8..]);
        Ok(if peers.world() == 1 { what.into_owned() } else { format!("on rank {rank}: {what}") })
    }

    /// Reports, samples and checkpoints: when due. An alarm is shown at once, by a report and samples
    /// of its own.
    pub fn tell(&mut self, before: &Progress) -> Result<(), TrainError> {
        let every = self.job.spec.every;
        let due = |count: crate::Count| self.progress.passed(before, count.0);
        let [report, samples, checkpoint] =
            [every.report, every.samples, every.checkpoint].map(due);
        if report || samples || checkpoint {
            self.look()?;
        }
        let raised = self.watch()?;
        if report || !raised.is_empty() {
            self.report()?;
            self.empty(self.job.recorded.reported)?;
            self.progress.reported = self.progress.step;
        }
        if samples || !raised.is_empty() {
            self.samples()?;
        }
        let sent_back = self.answer(&raised)?;
        if checkpoint && !sent_back {
            self.checkpoint()?;
        }
        Ok(())
    }

    /// Whether the observer wants to stop, or that of any rank; then the checkpoint is written.
    pub fn stopped(&mut self) -> Result<bool, TrainError> {
        let wants = self.run.stop(&self.progress);
        let stops = match &self.job.recorded.together {
            Some(together) => self.voted(&together.vote, wants)?,
            None => wants,
        };
        if !stops {
            return Ok(false);
        }
        self.look()?;
        self.checkpoint()?;
        Ok(true)
    }

    /// Whether a rank wanted to stop when D made its last step. This rank's wish is a part of the next
    /// one, and all ranks read the same sum at the same time.
    fn voted(&mut self, vote: &Vote, wants: bool) -> Result<bool, TrainError> {
        if wants && !self.wished {
            reals::write(self.device, vote.wish, [1.0].into_iter())?;
            self.wished = true;
        }
        if self.device.is_queued() && !self.progress.step.is_multiple_of(LOOK_EVERY) {
            return Ok(false);
        }
        let votes = reals::read(&self.job.recorded.tape, self.device, vote.votes())?;
        Ok(votes[0] > 0.0)
    }

    /// What a longer run would tell later, and the last checkpoint, which must not know that this run
    /// ended here: it is taken first. It is kept last: whoever finds it finds the rest as well.
    pub fn finish(&mut self) -> Result<(), TrainError> {
        self.look()?;
        let last = self.snapshot()?;
        if self.progress.step > self.progress.reported {
            self.report()?;
        }
        self.samples()?;
        self.keep(last)
    }

    /// Means since the last report.
    fn report(&mut self) -> Result<(), TrainError> {
        let Job { spec, recorded, .. } = *self.job;
        let iterations = self.progress.step - self.progress.reported;
        let (d, loss_g) = self.means(recorded.reported, iterations)?;
        let diversity = self.diversity()?;
        let (images, then, waited) = self.since;
        let seconds = then.elapsed().as_secs_f64().max(1e-9);
        let waiting = self.data.waited().saturating_sub(waited).as_secs_f64();
        let report = Report {
            step: self.progress.step,
            images: self.progress.images,
            loss_d: d[0],
            loss_g,
            value: d[3],
            optimum: spec.objective.optimum(),
            d_real: d[1],
            d_fake: d[2],
            logit_fake: d[4],
            diversity,
            alarms: self.watch.alarms(),
            rollbacks: self.progress.rollbacks,
            images_per_second: (self.progress.images - images) as f64 / seconds,
            data_wait: (waiting / seconds).min(1.0),
        };
        self.since = (self.progress.images, Instant::now(), self.data.waited());
        self.run.report(&report).map_err(TrainError::Observer)
    }

    fn samples(&mut self) -> Result<(), TrainError> {
        if self.shown == Some(self.progress.images) {
            return Ok(());
        }
        self.shown = Some(self.progress.images);
        let Job { spec, recorded, peers, .. } = *self.job;
        if !peers.is_first() {
            return Ok(());
        }
        let mut probe = Probe::new(recorded, self.device, spec.seed);
        self.run.samples(&self.progress, &mut probe).map_err(TrainError::Observer)
    }

    fn checkpoint(&mut self) -> Result<(), TrainError> {
        let checkpoint = self.snapshot()?;
        self.keep(checkpoint)
    }

    /// The run as it is now, unless that was kept already. Nothing in it is of one rank, so the first
    /// takes it.
    fn snapshot(&mut self) -> Result<Option<Checkpoint>, TrainError> {
        if self.kept == Some(self.progress.images) || !self.job.peers.is_first() {
            return Ok(None);
        }
        let Job { spec, recorded, .. } = *self.job;
        let outside = [self.data.position(), self.run.lines()];
        Ok(Some(Checkpoint::save(
            spec,
            recorded,
            self.device,
            self.progress,
            outside,
            &self.watch,
        )?))
    }

    fn keep(&mut self, checkpoint: Option<Checkpoint>) -> Result<(), TrainError> {
        if let Some(checkpoint) = checkpoint {
            self.run.checkpoint(&checkpoint).map_err(TrainError::Observer)?;
            self.kept = Some(self.progress.images);
        }
        Ok(())
    }
}
