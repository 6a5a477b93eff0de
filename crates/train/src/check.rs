//! What an experiment may say: everything that can be refused before data or a device is touched.

use crate::{Data, DeviceName, Experiment, Precision, SamplingStatistics, Schedule};
use model::{Model, Problem};

/// More than this is a slip of the pen.
const MOST: u64 = 1 << 24;

/// Threads that share one machine's memory.
const MOST_RANKS: usize = 1024;

impl Experiment {
    /// Refuses what cannot be trained by `world` ranks. Samples have their say in
    /// [`Experiment::check_samples`].
    ///
    /// # Errors
    /// The first setting that cannot be, with its dotted key.
    pub fn check(&self, world: usize) -> Result<(), Problem> {
        self.check_data()?;
        let own = self.model.sample().unwrap_or([1, 1, 1]);
        self.model.check(own).map_err(|p| p.under("model"))?;
        if let Data::Gaussian { .. } = self.data {
            self.check_samples([1, 1, 1])?;
        }
        self.check_game()?;
        self.check_lengths(world)?;
        let Self { optimizer, .. } = self;
        for (key, player) in [
            ("optimizer.generator", &optimizer.generator),
            ("optimizer.discriminator", &optimizer.discriminator),
        ] {
            player.check().map_err(|p| p.under(key))?;
        }
        self.check_sampling()?;
        self.precision.check_on(self.device)
    }

    /// Refuses networks that do not fit samples `[h, w, c]`.
    ///
    /// # Errors
    /// The setting of the model that does not fit, with its dotted key.
    pub fn check_samples(&self, sample: [usize; 3]) -> Result<(), Problem> {
        self.model.check(sample).map_err(|p| p.under("model"))
    }

    fn check_data(&self) -> Result<(), Problem> {
        match &self.data {
            Data::Gaussian { mean, std } => {
                let key = "data.gaussian.mean";
                Problem::unless(mean.is_finite(), key, mean, "a number", "change it")?;
                let fine = std.is_finite() && *std > 0.0;
                let key = "data.gaussian.std";
                Problem::unless(fine, key, std, "a number above 0", "change it")?;
                let marginals =
                    matches!(&self.model, Model::Goodfellow(m) if m.generator.marginals);
                Problem::unless(
                    !marginals,
                    "model.goodfellow.generator.marginals",
                    "true",
                    "false, since the data has no pixels",
                    "set `marginals: false`",
                )
            }
            Data::Images { set, pad, .. } => {
                let fix = "data sets are the recipes in experiments/datasets";
                let fine = !set.is_empty();
                Problem::unless(fine, "data.images.set", "nothing", "a data set's name", fix)?;
                let fine = *pad <= 1024;
                Problem::unless(fine, "data.images.pad", pad, "0 to 1024", "change it")
            }
        }
    }

    fn check_game(&self) -> Result<(), Problem> {
        self.objective.check()?;
        let k = self.k;
        let fix = "`k: 1` alternates the two";
        Problem::unless((1..=1000).contains(&k), "k", k, "1 to 1000 steps of D", fix)?;
        let shared = match self.schedule {
            Schedule::Algorithm1 | Schedule::AlternateBatches => None,
            Schedule::SharedFakes => Some("shared_fakes"),
            Schedule::Simultaneous => Some("simultaneous"),
        };
        let name = shared.unwrap_or_default();
        Problem::unless(
            k == 1 || shared.is_none(),
            "k",
            k,
            format!("1, since with `schedule: {name}` one batch of fakes serves one step of each"),
            "set `k: 1` or `schedule: algorithm1`",
        )?;
        let (key, penalty) = self.objective.penalty().unwrap_or_default();
        Problem::unless(
            !(penalty > 0.0 && self.model.has_norm_d()),
            "model.dcgan.norm_d",
            "batch",
            "none, since a gradient penalty asks for the slope of D at each sample by itself, and batch norm \
             mixes samples",
            format!("set `norm_d: none` or `{key}: 0`"),
        )
    }

    fn check_lengths(&self, world: usize) -> Result<(), Problem> {
        let batch = self.batch;
        let expected = format!("1 to {MOST}");
        let fine = (1..=MOST).contains(&(batch as u64));
        Problem::unless(fine, "batch", batch, expected, "change it")?;
        let fine = (1..=MOST_RANKS).contains(&self.ranks);
        let fix = "1 trains without others";
        Problem::unless(fine, "ranks", self.ranks, format!("1 to {MOST_RANKS}"), fix)?;
        Problem::unless(
            batch.is_multiple_of(world),
            "batch",
            batch,
            format!("a multiple of {world}, the number of ranks"),
            format!("use {} or {}", (batch / world).max(1) * world, (batch / world + 1) * world),
        )?;
        Problem::unless(
            batch > 1 || !self.model.has_norm_of_units(),
            "batch",
            batch,
            "2 or more, since batch norm behind a fully connected layer (`model.dcgan.hidden_fc`) has one \
             number per sample, and one number has no variance",
            "use a larger batch, or set `hidden_fc: 0`",
        )?;
        let images = self.images;
        let fix = "it is the length of the run in real images shown";
        Problem::unless(images.0 > 0, "images", images, "1 or more", fix)?;
        let every = self.every;
        for (key, count) in [
            ("every.report", every.report),
            ("every.samples", every.samples),
            ("every.checkpoint", every.checkpoint),
        ] {
            let fix = format!("use `{images}`, the length of the run, for once at its end");
            Problem::unless(count.0 > 0, key, count, "1 image or more", fix)?;
        }
        Ok(())
    }

    fn check_sampling(&self) -> Result<(), Problem> {
        let Some(decay) = self.ema else { return Ok(()) };
        let fine = decay > 0.0 && decay < 1.0;
        let fix = "0.999 averages over about a thousand updates; leave it out for no average";
        Problem::unless(fine, "ema", decay, "above 0, below 1", fix)?;
        Problem::unless(
            self.sampling_statistics == SamplingStatistics::Batch,
            "sampling_statistics",
            "running",
            "batch, since the running statistics belong to G's own parameters and not to their average (`ema`)",
            "set `sampling_statistics: batch` or leave `ema` out",
        )
    }
}

impl Precision {
    /// Refuses a device that cannot compute so.
    ///
    /// # Errors
    /// What is on GPUs only, asked of cores, and the other way round.
    pub fn check_on(self, device: DeviceName) -> Result<(), Problem> {
        let (fine, expected, fix) = match device {
            DeviceName::Auto => return Ok(()),
            DeviceName::Cpu => (
                !matches!(self, Self::Tf32 | Self::Bf16),
                "f32 or f64, since it is computed on cores",
                "set `precision: f32`, or `device: cuda` where there is a GPU",
            ),
            DeviceName::Cuda(_) => (
                self != Self::F64,
                "f32, tf32 or bf16, since it is computed on a GPU",
                "set `precision: f32`, or `device: cpu`",
            ),
        };
        Problem::unless(fine, "precision", self.name(), expected, fix)
    }
}
