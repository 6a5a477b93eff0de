//! Our own step.

use super::Config;
use super::rounds::Engine;
use serde_json::json;
use std::time::Instant;
use tape::{Clock, Device, Dtype, Options};
use train::{Count, Experiment, Progress, Recorded, clock};

pub(super) struct Duel {
    pub spec: Experiment,
    pub recorded: Recorded,
    pub device: Box<dyn Device>,
    clock: Clock,
    real: Vec<u8>,
}

impl Duel {
    pub fn new(config: &Config, threads: usize) -> Self {
        let Config { side, channels, width, batch, .. } = *config;
        let spec: Experiment = serde_json::from_value(json!({
            "model": { "dcgan": {
                "image": side, "channels": channels, "width": width, "kernel": 4, "noise": "normal",
            } },
            "data": { "images": { "set": "noise" } },
            "schedule": "shared_fakes",
            "batch": batch,
            "images": Count(1 << 20),
        }))
        .expect("the experiment is good");
        let recorded = Recorded::new(&spec, [side, side, channels], Dtype::U8, 1);
        let pool = cpu::pool(threads).expect("threads");
        let mut device = cpu::device(pool, 4);
        device.load(&recorded.tape, &Options::default()).expect("the tape loads");
        // Beyond Adam's first steps, so that its corrections are 1.
        let late = Progress { discriminator: 10_000, generator: 10_000, ..Progress::default() };
        let clock = clock(&spec, &recorded.tape.scalars(), 0, &late);
        device.run(recorded.init, &clock).expect("it starts");
        let pixels = batch * side * side * channels;
        let real = (0..pixels).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]);
        Self { spec, recorded, clock, real: real.collect(), device }
    }

    /// Everything that a checkpoint would hold.
    pub fn state(&mut self) -> Vec<Vec<u8>> {
        let saved = self.recorded.tape.saved();
        let read = |(_, t)| {
            let mut bytes = vec![0; self.recorded.tape.shape(t).len() * 4];
            self.device.read(t, &mut bytes).expect("state can be read");
            bytes
        };
        saved.into_iter().map(read).collect()
    }
}

impl Engine for Duel {
    fn title(&self) -> [String; 2] {
        ["Duel".to_string(), format!("shared_fakes, {}", self.device.describe())]
    }

    fn steps(&mut self, n: usize) -> f64 {
        let begun = Instant::now();
        let steps = self.recorded.steps;
        for _ in 0..n {
            self.clock.tick += 1;
            self.device.write(self.recorded.real, &self.real).expect("the batch fits");
            self.device.run(steps.discriminator, &self.clock).expect("the step runs");
        }
        let seconds = begun.elapsed().as_secs_f64();
        let fault = self.recorded.tape.fault();
        let mut flag = [0; 4];
        self.device.read(fault, &mut flag).expect("the flag is there");
        assert_eq!(flag, [0; 4], "a step was not finite: nothing was updated since");
        seconds
    }
}
