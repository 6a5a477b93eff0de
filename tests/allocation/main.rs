//! Nothing is allocated while programs run, and what is allocated before is what was planned. The one
//! test of a process of its own, since its counters see all threads.

mod counted;

use serde_json::{Value, json};
use std::sync::Arc;
use tape::{Clock, Device, Dtype, Options, Tape};
use tests::{Pixels, experiment};
use train::{Recorded, Source};

#[global_allocator]
static ALLOCATOR: counted::Counted = counted::Counted;

/// An experiment on a device.
struct Play {
    recorded: Recorded,
    device: Box<dyn Device>,
    pixels: Pixels,
    real: Vec<u8>,
    clock: Clock,
}

impl Play {
    fn new(device: Box<dyn Device>, settings: Value, sample: [usize; 3]) -> Self {
        let spec = experiment(settings);
        let recorded = Recorded::on(Tape::new(1), &spec, sample, Dtype::U8);
        let real = vec![0; spec.batch * sample.iter().product::<usize>()];
        // Rates of 1e-4 and corrections of 1: nothing here depends on how well it trains.
        let scalars = recorded.tape.scalars();
        let scalars = scalars.iter().map(|s| if s.ends_with("rate") { 1e-4 } else { 1.0 });
        let clock = Clock { seed: 0, tick: 0, rank: 0, scalars: scalars.collect(), check: false };
        Self { recorded, device, pixels: Pixels::new(sample), real, clock }
    }

    fn load(&mut self) {
        self.device.load(&self.recorded.tape, &Options::default()).expect("the tape loads");
        self.device.run(self.recorded.init, &self.clock).expect("it starts");
    }

    fn step(&mut self) {
        let steps = self.recorded.steps;
        self.pixels.next(&mut self.real).expect("pixels without end");
        self.device.write(self.recorded.real, &self.real).expect("an input");
        for program in [Some(steps.discriminator), steps.generator].into_iter().flatten() {
            self.clock.tick += 1;
            self.device.run(program, &self.clock).expect("it runs");
        }
    }
}

/// Allocations during 200 steps, after 10 in which threads set up what is theirs.
fn allocations(mut play: Play) -> usize {
    play.load();
    (0..10).for_each(|_| play.step());
    let before = counted::calls();
    (0..200).for_each(|_| play.step());
    counted::calls() - before
}

/// The most bytes that a device holds from before it is loaded to the end of 20 steps.
fn most(play: &mut Play) -> usize {
    let before = counted::forget_peak();
    play.load();
    (0..20).for_each(|_| play.step());
    counted::peak() - before
}

#[test]
fn memory_is_what_was_planned() {
    let threads = cpu::pool(2).expect("threads");
    // From inside of the pool, as a run does it: entering it allocates.
    threads.install(|| {
        let small = json!({"dcgan": {"image": 16, "channels": 3, "width": 8, "kernel": 4}});
        let sgd = json!({"sgd": {"rate": 0.01}});
        let device = || cpu::device(Arc::clone(&threads), 4);
        let cases = [
            (json!({"model": small, "batch": 8}), [16, 16, 3]),
            (json!({"model": small, "batch": 8, "schedule": "shared_fakes"}), [16, 16, 3]),
            (
                json!({
                    "model": {"goodfellow": {
                        "generator": {"hidden": [64, 64]}, "discriminator": {"maxout": [24, 24]},
                    }},
                    "batch": 100,
                    "ema": 0.99,
                    "optimizer": {"generator": sgd, "discriminator": sgd},
                }),
                [28, 28, 1],
            ),
        ];
        for (settings, sample) in cases {
            let play = Play::new(device(), settings.clone(), sample);
            assert_eq!(allocations(play), 0, "allocations in 200 steps of {settings}");
        }

        let model = json!({"dcgan": {"image": 32, "channels": 1, "width": 64, "kernel": 4}});
        let mut play = Play::new(device(), json!({"model": model, "batch": 64}), [32, 32, 1]);
        let compiled = play.recorded.tape.compile(&Options::default());
        // What `duel show` prints as peak memory.
        let planned = compiled.plan.total_bytes(4) + cpu::working_bytes(&compiled, 2, 4);
        let peak = most(&mut play);
        println!("peak {peak} bytes of {planned}, {} by plan", compiled.plan.total_bytes(4));
        let off = peak as f64 / planned as f64 - 1.0;
        assert!(off.abs() < 0.02, "{peak} bytes at the peak, {planned} were planned");
    });
}
