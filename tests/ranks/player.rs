//! One rank, driven by hand: its whole state is at hand after each step.

use crate::games::sample;
use crate::reals::{Pictures, Reals};
use crate::room::{Rank, alone, ranks};
use std::hash::{DefaultHasher, Hash, Hasher};
use tape::{Device, Dtype, Options, Program};
use train::{Checkpoint, Experiment, Progress, Recorded, Saved, Source, Watch, clock};

/// One rank in the middle of a run.
pub struct Player<'a> {
    /// What is played.
    pub spec: &'a Experiment,
    /// Its programs.
    pub recorded: Recorded,
    /// The executor.
    pub device: Box<dyn Device>,
    rank: usize,
    scalars: Vec<String>,
    reals: Reals,
    batch: Vec<u8>,
    progress: Progress,
    /// Of all state after each step of either player.
    hashes: Vec<u64>,
}

impl<'a> Player<'a> {
    /// Rank `rank` of `world`, with its first state.
    pub fn new(
        spec: &'a Experiment,
        [rank, world]: [usize; 2],
        mut device: Box<dyn Device>,
        pictures: &Pictures,
        options: &Options,
    ) -> Self {
        let recorded = Recorded::new(spec, sample(spec), Dtype::U8, world);
        device.load(&recorded.tape, options).expect("the tape loads");
        let scalars = recorded.tape.scalars();
        let reals = pictures.of(spec, [rank, world], 0);
        let batch = vec![0; reals.bytes()];
        let (progress, hashes) = (Progress::default(), Vec::new());
        let mut player =
            Self { spec, recorded, device, rank, scalars, reals, batch, progress, hashes };
        player.run(player.recorded.init);
        player
    }

    /// The rank that `rank` is.
    pub fn of(spec: &'a Experiment, rank: Rank, pictures: &Pictures) -> Self {
        let place = [rank.group.rank(), rank.group.world()];
        Self::new(spec, place, rank.device, pictures, &Options::default())
    }

    /// k steps of D and one of G, in the order of Algorithm 1.
    pub fn iterate(&mut self) {
        for _ in 0..self.spec.k {
            self.step_discriminator();
        }
        if let Some(generator) = self.recorded.steps.generator {
            self.step(generator);
            self.progress.generator += 1;
        }
        self.progress.step += 1;
    }

    /// A step of D, or of both where one program moves both.
    pub fn step_discriminator(&mut self) {
        let steps = self.recorded.steps;
        self.reals.next(&mut self.batch).expect("samples without end");
        self.device.write(self.recorded.real, &self.batch).expect("an input");
        self.step(steps.discriminator);
        self.progress.images += self.spec.batch as u64;
        self.progress.discriminator += 1;
        if steps.generator.is_none() {
            self.progress.generator += 1;
        }
    }

    fn step(&mut self, program: Program) {
        self.progress.tick += 1;
        self.run(program);
        let hash = hash(&self.checkpoint().tensors);
        self.hashes.push(hash);
    }

    fn run(&mut self, program: Program) {
        let clock = clock(self.spec, &self.scalars, self.rank, &self.progress);
        self.device.run(program, &clock).expect("it runs");
    }

    /// All that survives programs.
    pub fn checkpoint(&mut self) -> Checkpoint {
        let Self { spec, recorded, device, progress, .. } = self;
        let outside = [self.reals.position(), 0];
        Checkpoint::save(spec, recorded, &mut **device, *progress, outside, &Watch::default())
            .expect("state can be read")
    }
}

/// A run, its ends and all that lies between.
#[derive(Clone, Debug, PartialEq)]
pub struct Played {
    /// All state before the first step, sorted by name.
    pub first: Vec<Saved>,
    /// All state at the end.
    pub state: Vec<Saved>,
    /// Hashes of all state after each step of either player.
    pub hashes: Vec<u64>,
}

impl Played {
    /// Plays an experiment to its end.
    pub fn of(mut player: Player<'_>) -> Self {
        let first = player.checkpoint().tensors;
        while player.progress.images < player.spec.images.0 {
            player.iterate();
        }
        Self { first, state: player.checkpoint().tensors, hashes: player.hashes }
    }

    /// The same on one rank by itself.
    pub fn alone(spec: &Experiment, real: usize, pictures: &Pictures, options: &Options) -> Self {
        alone(real, |device| Self::of(Player::new(spec, [0, 1], device, pictures, options)))
    }

    /// The same on several ranks, which have the same state after each step.
    pub fn together(spec: &Experiment, real: usize, pictures: &Pictures, world: usize) -> Self {
        Self::agreed(ranks(world, real, |rank| Self::of(Player::of(spec, rank, pictures))))
    }

    /// What all ranks have, once it is known that they have the same.
    pub fn agreed(mut all: Vec<Self>) -> Self {
        for (rank, other) in all.iter().enumerate() {
            let apart = all[0].hashes.iter().zip(&other.hashes).position(|(a, b)| a != b);
            assert_eq!(apart, None, "rank {rank} has another state than rank 0 behind this step");
            assert!(all[0] == *other, "rank {rank} has another state than rank 0");
        }
        all.swap_remove(0)
    }
}

fn hash(state: &[Saved]) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.iter().for_each(|saved| saved.bytes.hash(&mut hasher));
    hasher.finish()
}
