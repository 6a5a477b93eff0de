//! The programs of one iteration.

use crate::recorded::{Vote, Window};
use crate::{Experiment, Schedule};
use model::Gan;
use tape::Statistics::{Batch, BatchAndUpdate};
use tape::{Network, Program, T, Tape};

/// The programs of one iteration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// D's step, run k times; where the players share fakes, the step of both.
    pub discriminator: Program,
    /// G's step, if it is a program of its own.
    pub generator: Option<Program>,
}

/// What the steps read and write besides the networks.
pub(crate) struct Table<'a> {
    pub spec: &'a Experiment,
    pub gan: &'a Gan,
    /// Samples as they lie in a shard, `[batch of a rank, h, w, c]`.
    pub real: T,
    /// A moving average of G's parameters.
    pub ema: Option<Network>,
    /// What sums the figures of steps.
    pub windows: [Window; 2],
    /// Where there are several ranks.
    pub vote: Option<&'a Vote>,
}

impl Table<'_> {
    /// Records the steps.
    pub fn record(&self, t: &Tape) -> Steps {
        match self.spec.schedule {
            // The same programs in another order, on other batches.
            Schedule::Algorithm1 | Schedule::AlternateBatches => self.algorithm1(t),
            Schedule::SharedFakes => self.shared_fakes(t),
            Schedule::Simultaneous => self.simultaneous(t),
        }
    }

    /// Goodfellow et al. 2014, Algorithm 1: every step draws its own z.
    ///
    /// Batch norms: D(x) and D(G(z)) have statistics of their own. The running ones follow G in G's
    /// step, and D at D(x).
    fn algorithm1(&self, t: &Tape) -> Steps {
        let gan = self.gan;
        let rows = t.shape(self.real).rows();

        let discriminator = t.record("discriminator_step", |t| {
            let x = gan.preprocess(t, self.real);
            let fake = gan.generate(t, gan.noise(t, rows), Batch); // G(z)
            let d_real = gan.discriminate(t, x, BatchAndUpdate); // D(x)
            let d_fake = gan.discriminate(t, fake, Batch); // D(G(z))
            self.move_discriminator(t, [x, fake], [d_real, d_fake]);
        });
        let generator = t.record("generator_step", |t| {
            let fake = gan.generate(t, gan.noise(t, rows), BatchAndUpdate); // G(z)
            let d_fake = gan.discriminate(t, fake, Batch); // D(G(z))
            // D(x) of the batch that D's step has left, or of G's own.
            let d_real = || gan.discriminate(t, gan.preprocess(t, self.real), Batch);
            self.move_generator(t, d_fake, d_real);
        });
        Steps { discriminator, generator: Some(generator) }
    }

    /// The PyTorch example's order: D moves, and G moves against the new D with the same fakes.
    fn shared_fakes(&self, t: &Tape) -> Steps {
        let gan = self.gan;
        let rows = t.shape(self.real).rows();

        let both = t.record("shared_fakes_step", |t| {
            let x = gan.preprocess(t, self.real);
            let fake = gan.generate(t, gan.noise(t, rows), BatchAndUpdate); // G(z)
            let d_real = gan.discriminate(t, x, BatchAndUpdate); // D(x)
            let d_fake = gan.discriminate(t, fake, Batch); // D(G(z))
            self.move_discriminator(t, [x, fake], [d_real, d_fake]);

            let d_fake = gan.discriminate(t, fake, Batch); // the new D(G(z))
            self.move_generator(t, d_fake, || gan.discriminate(t, x, Batch));
        });
        Steps { discriminator: both, generator: None }
    }

    /// The 2014 code: both gradients are taken at the same point, from the same samples and the same
    /// D(G(z)), dropout included; then both players move, or neither.
    fn simultaneous(&self, t: &Tape) -> Steps {
        let gan = self.gan;
        let rows = t.shape(self.real).rows();

        let both = t.record("simultaneous_step", |t| {
            let x = gan.preprocess(t, self.real);
            let fake = gan.generate(t, gan.noise(t, rows), BatchAndUpdate); // G(z)
            let d_real = gan.discriminate(t, x, BatchAndUpdate); // D(x)
            let d_fake = gan.discriminate(t, fake, Batch); // D(G(z))

            let (loss_d, report_d) = self.discriminator_loss(t, [x, fake], [d_real, d_fake]);
            let (loss_g, report_g) = self.generator_loss(t, d_fake, || d_real);
            let slope_of_d = t.flat_gradient(gan.d, loss_d);
            let slope_of_g = t.flat_gradient(gan.g, loss_g);
            t.commit(&[slope_of_d, report_d, slope_of_g, report_g]);

            let optimizer = &self.spec.optimizer;
            optimizer.discriminator.update(t, gan.d, slope_of_d);
            optimizer.generator.update(t, gan.g, slope_of_g);
            self.follow(t);
            self.sum(t, |window| window.d, report_d);
            self.sum(t, |window| window.g, report_g);
        });
        Steps { discriminator: both, generator: None }
    }

    /// D descends its loss.
    fn move_discriminator(&self, t: &Tape, samples: [T; 2], logits: [T; 2]) {
        let (loss, report) = self.discriminator_loss(t, samples, logits);
        self.spec.optimizer.discriminator.descend(t, self.gan.d, loss, report);
        self.sum(t, |window| window.d, report);
    }

    /// G descends its loss, and its average follows.
    fn move_generator(&self, t: &Tape, d_fake: T, d_real: impl FnOnce() -> T) {
        let (loss, report) = self.generator_loss(t, d_fake, d_real);
        self.spec.optimizer.generator.descend(t, self.gan.g, loss, report);
        self.follow(t);
        self.sum(t, |window| window.g, report);
    }

    /// D's loss, and what is reported of its step.
    fn discriminator_loss(&self, t: &Tape, samples: [T; 2], logits: [T; 2]) -> (T, T) {
        let objective = &self.spec.objective;
        let loss = objective.discriminator(t, self.gan, samples, logits);
        let figures = objective.measure(t, loss, logits);
        let Some(vote) = self.vote else { return (loss, t.all_reduce(t.pack(&figures))) };
        // Whether a rank wants to stop travels with the figures.
        let [a, b, c, d, e] = figures;
        let all = t.all_reduce(t.pack(&[a, b, c, d, e, vote.wish]));
        vote.record(t, all, figures.len());
        (loss, t.slice(all, 0, [figures.len()]))
    }

    /// G's loss, and the same over all ranks.
    fn generator_loss(&self, t: &Tape, d_fake: T, d_real: impl FnOnce() -> T) -> (T, T) {
        let loss = self.spec.objective.generator(t, d_fake, d_real);
        (loss, t.all_reduce(loss))
    }

    /// Adds a step's figures to every window.
    fn sum(&self, t: &Tape, of: fn(&Window) -> T, report: T) {
        self.windows.iter().for_each(|window| t.accumulate(of(window), report));
    }

    /// The average of G's parameters follows them.
    fn follow(&self, t: &Tape) {
        if let Some(ema) = self.ema {
            t.ema(t.flat(ema), t.flat(self.gan.g), t.scalar("generator.ema"));
        }
    }
}
