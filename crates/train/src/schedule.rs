//! The programs of one iteration.

use crate::recorded::Window;
use crate::{Experiment, Schedule};
use model::Gan;
use tape::Statistics::{Batch, BatchAndUpdate};
use tape::{Network, Program, T, Tape};

/// The programs of one iteration, in the order in which they run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// D's step, run k times; where fakes are shared, the step of both.
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
}

impl Table<'_> {
    /// Records the steps.
    pub fn record(&self, t: &Tape) -> Steps {
        match self.spec.schedule {
            Schedule::Algorithm1 => self.algorithm1(t),
            Schedule::SharedFakes => self.shared_fakes(t),
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
            self.move_generator(t, d_fake);
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
            self.move_generator(t, d_fake);
        });
        Steps { discriminator: both, generator: None }
    }

    /// D descends its loss.
    fn move_discriminator(&self, t: &Tape, samples: [T; 2], logits: [T; 2]) {
        let objective = &self.spec.objective;
        let loss = objective.discriminator(t, self.gan, samples, logits);
        let report = objective.measure(t, loss, logits);
        let optimizer = &self.spec.optimizer.discriminator;
        optimizer.descend(t, self.gan.d, loss, report);
        self.windows.iter().for_each(|window| t.accumulate(window.d, report));
    }

    /// G descends its loss, and its average follows.
    fn move_generator(&self, t: &Tape, d_fake: T) {
        let loss = self.spec.objective.generator(t, d_fake);
        let report = t.all_reduce(loss);
        let optimizer = &self.spec.optimizer.generator;
        optimizer.descend(t, self.gan.g, loss, report);
        if let Some(ema) = self.ema {
            t.ema(t.flat(ema), t.flat(self.gan.g), t.scalar("generator.ema"));
        }
        self.windows.iter().for_each(|window| t.accumulate(window.g, report));
    }
}
