//! The runs: what one rank does alone, and what several do together.

use super::{Grows, Measured, Notes, Played, Probed, Stretches, play, predict, probe};
use crate::bar::Bar;
use crate::cli::Globals;
use crate::command::Failure;
use crate::layers::{self, Layered};
use crate::machine;
use crate::profile::measure;
use crate::ranks::Rank;
use crate::session::{Need, Session};
use crate::target::Purpose;
use collective::Engine;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tape::{Device, DeviceError, Options};
use train::{Experiment, Peers, Recorded};

/// An experiment that is about to be run by more and more ranks.
pub(crate) struct Runs<'a> {
    pub globals: &'a Globals,
    pub file: &'a Path,
    pub sets: &'a [String],
    pub steps: u64,
    /// Its batch.
    pub batch: usize,
}

/// What one rank does in a step with so many rows on so many threads.
#[derive(Clone)]
pub(crate) struct Alone {
    pub rows: usize,
    pub threads: usize,
    pub work: Stretches,
}

/// What several ranks have done.
pub(crate) struct Together {
    pub engine: String,
    pub ranks: usize,
    pub probed: Probed,
    pub measured: Vec<Measured>,
}

/// The ranks of one kind of run.
#[derive(Clone, Copy)]
struct Crowd {
    ranks: usize,
    threads: usize,
    cores: usize,
}

impl Runs<'_> {
    /// The experiment with this batch.
    pub fn layered(&self, batch: usize) -> Result<Layered, Failure> {
        let mut sets = self.sets.to_vec();
        sets.push(format!("batch={batch}"));
        Ok(layers::load(self.file, &sets)?)
    }

    fn open(&self, rank: &Arc<Rank>, batch: usize) -> Result<Session, Failure> {
        let layered = self.layered(batch)?;
        Session::open_as(rank, &layered, self.globals, Need::Extents, Purpose::Begin)
    }

    /// Times steps of one rank as a whole.
    pub fn one(&self, threads: usize) -> Result<Measured, Failure> {
        let session = self.open(&Rank::alone(), self.batch)?;
        let recorded = session.record();
        let (spec, which) = (&session.spec, [0, self.steps]);
        let played = inside(threads, session.target.real_bytes(), None, move |device| {
            play(spec, &recorded, device, None, which, telling("1 rank"))
        })?;
        let crowd = Crowd { ranks: 1, threads, cores: threads.min(all_cores()) };
        Ok(crowd.row(&session.spec, Grows::Strong, &played))
    }

    /// Times each operation of one rank's step with so many rows, and what sums it has. No rank is there to add
    /// up with, but the program is that of several.
    pub fn alone(&self, rows: usize, threads: usize) -> Result<Alone, Failure> {
        let session = self.open(&Rank::alone(), 2 * rows)?;
        let recorded = Recorded::new(&session.spec, session.sample, session.dtype(), 2);
        let (_group, engine) = collective::local_ranks(1, Duration::from_secs(60)).swap_remove(0);
        let real = session.target.real_bytes();
        let (spec, steps) = (&session.spec, self.steps);
        let times = inside(threads, real, Some(Notes::new(engine)), move |device| {
            let what = format!("operations, {rows} rows");
            measure(spec, &recorded, device, &Options::default(), steps, telling(&what))
        })?;
        Ok(Alone { rows, threads, work: Stretches::of(&times, real) })
    }

    /// Runs it as one of several ranks, with its own batch and with as many times that; `alone` is what the first
    /// rank knows of single ones.
    pub fn together(&self, rank: &Arc<Rank>, alone: &[Alone]) -> Result<Together, Failure> {
        let engine = rank.engine()?.ok_or("one rank has nobody to add up with")?;
        let notes = Notes::new(engine);
        let (ranks, threads) = (rank.world(), rank.threads(self.globals.threads));
        let crowd = Crowd { ranks, threads, cores: cores_of(rank) };
        let probed = probe(&notes, ranks)?;
        let mut measured = Vec::new();
        for scaling in Grows::ALL {
            let session = self.open(rank, scaling.batch(self.batch, ranks))?;
            let recorded = session.record();
            rank.agree(&session, &recorded)?;
            let what = format!("{ranks} ranks, {}", scaling.name());
            let real = session.target.real_bytes();
            let (spec, notes) = (&session.spec, &notes);
            let (which, first) = ([rank.rank() as u64, self.steps], rank.is_first());
            let played = inside(threads, real, Some(notes.clone()), move |device| {
                let mut told = first.then(|| telling(&what));
                let told = |done, of| told.iter_mut().for_each(|told| told(done, of));
                play(spec, &recorded, device, Some(notes), which, told)
            })?;
            let mut row = crowd.row(&session.spec, scaling, &played);
            let rows = session.spec.batch / ranks;
            if let Some(alone) = alone.iter().find(|a| (a.rows, a.threads) == (rows, threads)) {
                // More threads than cores take turns. Sums of threads are added up by whoever waits for them.
                let work = alone.work.scaled(crowd.turns());
                let said = predict(&work, ranks, &probed.link, rank.is_launched());
                (row.predicted_seconds, row.predicted_hidden) = (said.seconds, said.hidden);
            }
            measured.push(row);
        }
        Ok(Together { engine: notes.describe(), ranks, probed, measured })
    }
}

impl Crowd {
    /// Threads for each core, 1 where there are cores enough.
    fn turns(self) -> f64 {
        ((self.ranks * self.threads) as f64 / self.cores as f64).max(1.0)
    }

    /// A row of a run, without what it is compared with.
    fn row(self, spec: &Experiment, scaling: Grows, played: &Played) -> Measured {
        let Self { ranks, threads, cores } = self;
        Measured {
            scaling,
            ranks,
            threads,
            cores,
            batch: spec.batch,
            seconds: played.seconds,
            images_per_second: spec.images_per_iteration() as f64 / played.seconds,
            efficiency: 1.0,
            overlap: played.overlap,
            predicted_seconds: 0.0,
            predicted_hidden: 0.0,
        }
    }
}

/// Runs `body` on so many cores, with what adds up there.
fn inside<R: Send>(
    threads: usize,
    real: usize,
    engine: Option<Notes>,
    body: impl FnOnce(&mut dyn Device) -> Result<R, DeviceError> + Send,
) -> Result<R, Failure> {
    let pool = cpu::pool(threads)?;
    let within = Arc::clone(&pool);
    let engine = engine.map(|notes| Box::new(notes) as Box<dyn Engine>);
    Ok(pool.install(|| body(&mut *cpu::of_ranks(within, real, engine)))?)
}

/// Says how far some iterations are.
fn telling(what: &str) -> impl FnMut(u64, u64) {
    let (mut bar, what) = (Bar::new("iterations"), what.to_string());
    move |done, of| {
        bar.update(&what, done, of);
        if done == of {
            bar.finish();
        }
    }
}

/// Cores that all ranks have together.
fn cores_of(rank: &Rank) -> usize {
    let hosts: BTreeSet<&str> = rank.group().members().iter().map(|m| m.host.as_str()).collect();
    hosts.len() * all_cores()
}

fn all_cores() -> usize {
    std::thread::available_parallelism().map_or_else(|_| machine::cores(), usize::from)
}
