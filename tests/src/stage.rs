//! The recorded programs of an experiment on a CPU executor, with every tensor at hand by its name.

use crate::Bench;
use serde_json::{Value, json};
use tape::{Dtype, Options, Program, T, Tape};
use train::{Experiment, Recorded};

/// An experiment from its settings; what is left out has its default.
pub fn experiment(settings: Value) -> Experiment {
    let mut json = json!({ "data": {"images": {"set": "none"}}, "images": 1 });
    for (key, value) in settings.as_object().expect("settings are a map") {
        json[key] = value.clone();
    }
    let spec: Experiment = serde_json::from_value(json).expect("settings have their types");
    spec.check(1).expect("settings can be recorded");
    spec
}

/// The programs of one training step, ready to be run by hand.
pub struct Stage {
    /// The programs.
    pub recorded: Recorded,
    /// The executor.
    pub bench: Bench,
}

impl Stage {
    /// Records an experiment on a tape and loads it, with reals of `real` bytes.
    pub fn new(
        tape: Tape,
        spec: &Experiment,
        sample: [usize; 3],
        dtype: Dtype,
        real: usize,
    ) -> Self {
        let recorded = Recorded::on(tape, spec, sample, dtype);
        let bench = Bench::new(&recorded.tape, real, 2, &Options::default());
        Self { recorded, bench }
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> T {
        let tape = &self.recorded.tape;
        let named = |t: &T| tape.tensor(*t).name.as_deref() == Some(name);
        tape.all().into_iter().find(named).unwrap_or_else(|| panic!("no tensor `{name}`"))
    }

    /// Reads the tensor of this name.
    pub fn read(&mut self, name: &str) -> Vec<f64> {
        let t = self.tensor(name);
        let len = self.recorded.tape.shape(t).len();
        self.bench.read(t, len)
    }

    /// Writes the tensor of this name.
    pub fn write(&mut self, name: &str, values: &[f64]) {
        let t = self.tensor(name);
        self.bench.write(t, values);
    }

    /// Sets the scalar of this name for the runs to come.
    pub fn scalar(&mut self, name: &str, value: f64) {
        let at = self.recorded.tape.scalar(name);
        self.bench.clock.scalars[at.0] = value;
    }

    /// G's step; the step of both where fakes are shared.
    pub fn generator_step(&self) -> Program {
        let steps = self.recorded.steps;
        steps.generator.unwrap_or(steps.discriminator)
    }
}
