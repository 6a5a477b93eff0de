//! An experiment on a tape: every program that a run needs.

use crate::schedule::Table;
use crate::{Experiment, NormStatistics, SamplingStatistics, Steps};
use model::Gan;
use std::cell::OnceCell;
use tape::{Dtype, Init, Network, Options, Program, Statistics, T, Tape};

/// Rows of the programs that draw and judge samples.
pub const SAMPLES: usize = 64;

/// The programs of an experiment, and the tensors through which the host speaks with them.
pub struct Recorded {
    /// Everything below lies on it.
    pub tape: Tape,
    /// The networks.
    pub gan: Gan,
    /// First values of all state.
    pub init: Program,
    /// One iteration.
    pub steps: Steps,
    /// Real samples as they lie in a shard, `[batch of a rank, h, w, c]`.
    pub real: T,
    /// Drawing and judging samples.
    pub(crate) sampling: Sampling,
    pub(crate) ema: Option<Network>,
    /// Sums since the last report.
    pub(crate) reported: Window,
    /// Sums since the last look for alarms.
    pub(crate) watched: Window,
    /// What only several ranks need.
    pub(crate) together: Option<Together>,
    /// What one rank would record, by its hash.
    hash: u64,
}

/// What only several ranks need.
pub(crate) struct Together {
    /// Adds up all state over ranks, in place: where all but one hold −0, it becomes that one's, bit for
    /// bit.
    pub spread: Program,
    pub vote: Vote,
}

/// Whether to stop before the end, which all ranks must do in the same step.
pub(crate) struct Vote {
    /// 1 where this rank wants to, else 0; `[1]`.
    pub wish: T,
    /// How many wanted to in the last step of D.
    votes: OnceCell<T>,
}

impl Vote {
    fn new(t: &Tape) -> Self {
        Self { wish: t.input("wish", Dtype::Real, [1]), votes: OnceCell::new() }
    }

    /// Of figures that were added up, number `at` is the votes.
    pub fn record(&self, t: &Tape, all: T, at: usize) {
        let votes = t.output("votes", t.slice(all, at, [1]));
        self.votes.set(votes).expect("one program has the step of D");
    }

    /// How many wanted to in the last step of D, `[1]`.
    pub fn votes(&self) -> T {
        *self.votes.get().expect("D's step is recorded")
    }
}

/// What is summed over steps.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    /// `[loss, D(x), D(G(z)), V, logit of G(z)]` of D's steps.
    pub d: T,
    /// Loss of G's steps, `[1]`.
    pub g: T,
}

impl Window {
    fn new(t: &Tape, name: &str) -> Self {
        let sums = |player, n| t.state(&format!("{name}.{player}"), [n], Init::Constant(0.0));
        Self { d: sums("discriminator", 5), g: sums("generator", 1) }
    }
}

/// The programs of a finished network.
pub(crate) struct Sampling {
    /// Draws z.
    pub draw: Program,
    /// `[SAMPLES, latent]`
    pub drawn: T,
    /// z as the host wants it, `[SAMPLES, latent]`.
    pub z: T,
    /// z → samples `[SAMPLES, h, w, c]`, of G's own parameters.
    pub own: (Program, T),
    /// The same of their average.
    pub average: Option<(Program, T)>,
    /// x `[SAMPLES, h, w, c]` in the range of G's output.
    pub x: T,
    /// x → D's judgements `[SAMPLES, 1]`.
    pub judge: (Program, T),
}

impl Recorded {
    /// Records an experiment that was checked, for samples `[h, w, c]` of this type and `world`
    /// ranks.
    pub fn new(spec: &Experiment, sample: [usize; 3], dtype: Dtype, world: usize) -> Self {
        Self::on(Tape::new(world), spec, sample, dtype)
    }

    /// The same on a tape of the caller's, which is empty.
    pub fn on(t: Tape, spec: &Experiment, sample: [usize; 3], dtype: Dtype) -> Self {
        let world = t.world();
        let gan = Gan::new(&t, &spec.model, sample);
        let ema = spec.ema.map(|_| t.twin(gan.g, "ema"));
        let [h, w, c] = sample;
        let real = t.input("real", dtype, [spec.batch / world, h, w, c]);
        let [reported, watched] = ["report", "watch"].map(|name| Window::new(&t, name));

        if spec.norm_statistics == NormStatistics::Rank {
            t.norms_by_rank();
        }
        let vote = (world > 1).then(|| Vote::new(&t));
        let windows = [reported, watched];
        let table = Table { spec, gan: &gan, real, ema, windows, vote: vote.as_ref() };
        let steps = table.record(&t);
        let sampling = Sampling::record(&t, spec, &gan, ema);
        let init = t.record_init();
        let together = vote.map(|vote| Together { spread: t.record("spread", spread), vote });

        // A checkpoint goes on with another number of ranks: the hash is that of one.
        let hash = if world == 1 {
            t.compile(&Options::default()).hash()
        } else {
            Self::new(spec, sample, dtype, 1).hash
        };
        Self { tape: t, gan, init, steps, real, sampling, ema, reported, watched, together, hash }
    }

    /// A number that is equal for equal programs, whatever the number of ranks.
    pub fn hash(&self) -> u64 {
        self.hash
    }
}

impl Sampling {
    fn record(t: &Tape, spec: &Experiment, gan: &Gan, ema: Option<Network>) -> Self {
        let statistics = match spec.sampling_statistics {
            SamplingStatistics::Batch => Statistics::Batch,
            SamplingStatistics::Running => Statistics::Running,
        };
        let [h, w, c] = gan.sample;
        let z = t.input("z", Dtype::Real, [SAMPLES, gan.model.latent()]);
        let x = t.input("x", Dtype::Real, [SAMPLES, h, w, c]);

        // Each program leaves its result in an output. Pictures are the same for any number of ranks.
        let record = |name: &str, output: &str, body: &dyn Fn(&Tape) -> T| {
            let mut result = None;
            let program = t.record(name, |t| result = Some(t.output(output, t.alone(body))));
            (program, result.expect("the body was recorded"))
        };
        let (draw, drawn) = record("draw", "drawn", &|t| gan.noise(t, SAMPLES));
        let generate = |t: &Tape| gan.generate(t, z, statistics);
        let own = record("sample", "samples", &generate);
        let average = ema.map(|ema| {
            record("sample_ema", "samples_ema", &|t| t.instead(gan.g, ema, || generate(t)))
        });
        let judge = record("judge", "judgement", &|t| {
            let logits = gan.discriminate(t, x, Statistics::Running);
            spec.objective.judgement(t, logits)
        });
        Self { draw, drawn, z, own, average, x, judge }
    }
}

fn spread(t: &Tape) {
    for (_, state) in t.saved() {
        t.all_reduce_in_place(state);
    }
}
