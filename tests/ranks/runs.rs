//! Whole runs of the trainer.

use crate::games::sample;
use crate::room::Rank;
use collective::Group;
use std::sync::Arc;
use tape::{Device, Dtype, Options};
use train::{
    Checkpoint, Data, Experiment, Job, Observer, Outcome, Peers, Probe, Progress, Raised, Recorded,
    Refusal, Report, Saved, Source, TrainError, Watch, train,
};

/// A group as the trainer knows it.
struct Party(Arc<dyn Group>);

impl Peers for Party {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn world(&self) -> usize {
        self.0.world()
    }

    fn step(&self, step: u64) {
        self.0.step(step);
    }

    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Refusal> {
        Ok(self.0.all_gather(what, mine)?)
    }
}

/// Keeps what one rank is told.
#[derive(Debug, Default)]
pub struct Diary {
    /// In which step it wants to stop.
    pub stops_at: Option<u64>,
    /// Reports, without what the clock on the wall says.
    pub reports: Vec<Report>,
    /// Images at which samples were to be drawn.
    pub samples: Vec<u64>,
    /// Checkpoints.
    pub checkpoints: Vec<Checkpoint>,
    /// Alarms, and what the run did.
    pub alarms: Vec<(Raised, String)>,
}

impl Observer for Diary {
    fn report(&mut self, report: &Report) -> Result<(), Refusal> {
        self.reports.push(Report { images_per_second: 0.0, data_wait: 0.0, ..report.clone() });
        Ok(())
    }

    fn samples(&mut self, at: &Progress, probe: &mut Probe<'_>) -> Result<(), Refusal> {
        probe.noise(0)?;
        self.samples.push(at.images);
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal> {
        self.checkpoints.push(checkpoint.clone());
        Ok(())
    }

    fn alarm(&mut self, raised: &Raised, answer: &str) {
        self.alarms.push((raised.clone(), answer.to_string()));
    }

    fn checkpoint_before(&mut self, images: u64) -> Result<Option<Checkpoint>, Refusal> {
        let taken = |checkpoint: &&Checkpoint| checkpoint.header.progress.images <= images;
        Ok(self.checkpoints.iter().filter(taken).max_by_key(|c| c.header.progress.images).cloned())
    }

    fn stop(&mut self, at: &Progress) -> bool {
        self.stops_at.is_some_and(|step| at.step >= step)
    }
}

/// A run as one rank has seen it.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub end: Result<Outcome, TrainError>,
    /// What it was told.
    pub diary: Diary,
    /// All state at its end, unless the device is gone.
    pub state: Option<Vec<Saved>>,
}

impl Run {
    /// One of several ranks. What befalls it alone it tells the others.
    pub fn on(
        spec: &Experiment,
        Rank { group, mut device }: Rank,
        source: &mut dyn Source,
        stops_at: Option<u64>,
        from: Option<&Checkpoint>,
    ) -> Self {
        let party = Party(group);
        let run = Self::of(spec, &party, &mut *device, source, stops_at, from);
        if let Err(error) = &run.end
            && !error.is_of_all_ranks()
        {
            party.0.fail(&error.to_string());
        }
        run
    }

    /// A rank among these.
    pub fn of(
        spec: &Experiment,
        peers: &dyn Peers,
        device: &mut dyn Device,
        source: &mut dyn Source,
        stops_at: Option<u64>,
        from: Option<&Checkpoint>,
    ) -> Self {
        let dtype = match spec.data {
            Data::Images { .. } => Dtype::U8,
            Data::Gaussian { .. } => Dtype::F32,
        };
        let recorded = Recorded::new(spec, sample(spec), dtype, peers.world());
        let job = Job { spec, recorded: &recorded, peers, options: Options::default() };
        let mut diary = Diary { stops_at, ..Diary::default() };
        let end = train(&job, device, source, &mut diary, from);
        let (progress, watch) = (Progress::default(), Watch::default());
        let state = Checkpoint::save(spec, &recorded, device, progress, [0, 0], &watch);
        Self { end, diary, state: state.ok().map(|checkpoint| checkpoint.tensors) }
    }

    /// Where it was asked to stop.
    pub fn stopped(&self) -> Progress {
        match self.end {
            Ok(Outcome::Stopped(progress)) => progress,
            ref end => panic!("expected a stop, found {end:?}"),
        }
    }

    /// Its last checkpoint.
    pub fn last(&self) -> &Checkpoint {
        self.diary.checkpoints.last().expect("a checkpoint was taken")
    }
}
