//! What runs programs: graphs, clocks, inputs, checks.

use crate::parity::{device, reals};
use cuda::{Cuda, Precision};
use serde_json::json;
use tape::{Clock, Device, DeviceError, Dtype, Init, Program, T, Tape};
use tests::{Pixels, experiment};
use train::{Progress, Recorded};

/// A small DCGAN with Adam and an average.
fn recorded() -> (train::Experiment, Recorded) {
    let model =
        json!({"dcgan": {"image": 16, "channels": 1, "width": 8, "kernel": 4, "latent": 6}});
    let spec = experiment(json!({"model": model, "batch": 4, "ema": 0.9}));
    let recorded = Recorded::new(&spec, [16, 16, 1], Dtype::U8, 1);
    (spec, recorded)
}

/// A run of some steps.
struct Run {
    spec: train::Experiment,
    recorded: Recorded,
    device: Cuda,
    progress: Progress,
    pixels: Pixels,
}

impl Run {
    fn new(precision: Precision, capture: bool) -> Option<Self> {
        let mut device = device(precision, capture)?;
        let (spec, recorded) = recorded();
        device.load(&recorded.tape, &precision.options()).expect("the tape loads");
        let pixels = Pixels::new(recorded.gan.sample);
        let mut run = Self { spec, recorded, device, progress: Progress::default(), pixels };
        let clock = run.clock();
        run.device.run(run.recorded.init, &clock).expect("it starts");
        Some(run)
    }

    fn clock(&self) -> Clock {
        train::clock(&self.spec, &self.recorded.tape.scalars(), 0, &self.progress)
    }

    /// Some iterations, without waiting between them.
    fn steps(&mut self, n: usize) {
        let mut batch = vec![0; self.recorded.tape.shape(self.recorded.real).len()];
        for _ in 0..n {
            self.pixels.fill(&mut batch);
            self.device.write(self.recorded.real, &batch).expect("a batch");
            let steps = self.recorded.steps;
            for program in [Some(steps.discriminator), steps.generator].into_iter().flatten() {
                self.progress.tick += 1;
                let clock = self.clock();
                self.device.run(program, &clock).expect("the step runs");
            }
            self.progress.discriminator += 1;
            self.progress.generator += 1;
        }
    }

    /// Everything that a checkpoint would hold.
    fn state(&mut self) -> Vec<(T, Vec<u8>)> {
        let saved = self.recorded.tape.saved();
        let read = |(_, t)| {
            let mut bytes = vec![0; self.recorded.tape.shape(t).len() * 4];
            self.device.read(t, &mut bytes).expect("state can be read");
            (t, bytes)
        };
        saved.into_iter().map(read).collect()
    }
}

const BOTH: [Precision; 2] = [Precision::F32, Precision::Bf16];

#[test]
fn a_graph_does_what_its_launches_do() {
    for precision in BOTH {
        let Some(mut graphs) = Run::new(precision, true) else { return };
        let mut launches = Run::new(precision, false).expect("as above");
        graphs.steps(3);
        launches.steps(3);
        assert_eq!(graphs.state(), launches.state(), "{precision:?}");
    }
}

#[test]
fn two_runs_give_the_same_bytes() {
    for precision in BOTH {
        let Some(mut first) = Run::new(precision, true) else { return };
        let mut second = Run::new(precision, true).expect("as above");
        let start = first.state();
        first.steps(2);
        second.steps(2);
        assert_ne!(first.state(), start, "steps change something");
        assert_eq!(first.state(), second.state(), "{precision:?}");
    }
}

#[test]
fn a_run_goes_on_from_its_state() {
    for precision in BOTH {
        let Some(mut whole) = Run::new(precision, true) else { return };
        whole.steps(2);
        let state = whole.state();
        whole.steps(2);

        let mut rest = Run::new(precision, true).expect("as above");
        for (t, bytes) in &state {
            rest.device.write(*t, bytes).expect("state can be written");
        }
        rest.progress = Progress { tick: 4, discriminator: 2, generator: 2, ..Progress::default() };
        let mut skipped = vec![0; rest.recorded.tape.shape(rest.recorded.real).len()];
        rest.pixels.fill(&mut skipped);
        rest.pixels.fill(&mut skipped);
        rest.steps(2);
        assert_eq!(whole.state(), rest.state(), "{precision:?}");
    }
}

/// Each batch is read by the program behind it, whatever arrives meanwhile.
#[test]
fn batches_arrive_in_order() {
    let Some(mut device) = device(Precision::F32, true) else { return };
    let tape = Tape::new(1);
    let x = tape.input("x", Dtype::F32, [3]);
    let sum = tape.state("sum", [3], Init::Constant(0.0));
    let program = tape.record("p", |t| {
        // Ten times the sum so far, so that the order shows.
        let batch = t.convert(x, 1.0, 0.0);
        t.accumulate(sum, t.add(t.affine(sum, 9.0, 0.0), batch));
    });
    device.load(&tape, &Precision::F32.options()).expect("it loads");
    let clock = Clock { seed: 0, tick: 0, rank: 0, scalars: vec![], check: false };
    for digit in [1.0_f32, 2.0, 3.0, 4.0, 5.0, 6.0] {
        device.write(x, &[digit; 3].map(f32::to_le_bytes).concat()).expect("a batch");
        device.run(program, &clock).expect("it runs");
    }
    let mut bytes = [0; 12];
    device.read(sum, &mut bytes).expect("it can be read");
    assert_eq!(reals(&bytes, 4), [123_456.0; 3]);
}

#[test]
fn a_checked_run_names_what_is_not_finite() {
    let Some(mut device) = device(Precision::F32, true) else { return };
    let tape = Tape::new(1);
    let x = tape.input("x", Dtype::Real, [2]);
    let mut line = 0;
    let program = tape.record("p", |t| {
        let good = t.square(x);
        line = line!() + 1;
        let bad = t.sum(t.sqrt(t.affine(good, -1.0, 0.0)), tape::Over::All);
        t.output("y", t.affine(bad, 2.0, 0.0));
    });
    device.load(&tape, &Precision::F32.options()).expect("it loads");
    let mut run = |x0: f32, check| {
        device.write(x, &[x0, 0.0].map(f32::to_le_bytes).concat()).expect("a batch");
        device.run(program, &Clock { seed: 0, tick: 0, rank: 0, scalars: vec![], check })
    };
    assert_eq!(run(0.0, true), Ok(()));
    assert_eq!(run(1.0, false), Ok(()), "nobody looked");
    let Err(DeviceError::NotFinite { program, op, at, .. }) = run(1.0, true) else {
        panic!("the square root of −1 is not finite")
    };
    assert_eq!(program, "p");
    assert!(op.contains("sqrt") && at.contains(&format!("replay.rs:{line}")), "{op} {at}");
}

#[test]
fn misuse_is_refused() {
    let Some(mut device) = device(Precision::Bf16, true) else { return };
    let clock = Clock { seed: 0, tick: 0, rank: 0, scalars: vec![], check: false };
    let nothing = DeviceError::Misuse("no tape is loaded".to_string());
    assert_eq!(device.run(Program(0), &clock), Err(nothing));
    let tape = Tape::new(1);
    let x = tape.input("x", Dtype::Real, [2]);
    tape.record("p", |t| {
        t.output("y", t.square(x));
    });
    let other = device.load(&tape, &Precision::F32.options()).expect_err("f32 is another plan");
    assert!(other.to_string().contains("on a device in Bf16"), "{other}");
    device.load(&tape, &Precision::Bf16.options()).expect("it loads");
    let short = device.write(x, &[0; 4]).expect_err("two numbers are eight bytes");
    assert_eq!(short, DeviceError::Misuse("x has 8 bytes, not 4".to_string()));
}

/// What is planned is what the driver gives away, to the byte and a page of its own. In a process of its own,
/// since other tests take memory at the same time.
#[test]
fn memory_is_what_was_planned() {
    const ALONE: &str = "DUEL_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let mut alone = std::process::Command::new(std::env::current_exe().expect("it runs"));
        alone.args(["--exact", "replay::memory_is_what_was_planned"]).env(ALONE, "1");
        let output = alone.output().expect("it starts again");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    for precision in BOTH {
        let Some(mut device) = device(precision, true) else { return };
        let (_, recorded) = recorded();
        let options = precision.options();
        let compiled = recorded.tape.compile(&options);
        let before = device.free().expect("the driver answers");
        let planned = device.needs(&compiled).expect("it can run");
        assert_eq!(planned, cuda::bytes(&compiled, precision, device.card(), false).expect("same"));
        device.load(&recorded.tape, &options).expect("it loads");
        let taken = before - device.free().expect("the driver answers");
        let apart = taken.abs_diff(planned);
        assert!(apart <= planned / 20 || tests::stand_in::is_real(), "{taken} of {planned}");
    }
}

/// Noise, and so a whole run, depends on the clock.
#[test]
fn the_clock_reaches_the_kernels() {
    let Some(mut run) = Run::new(Precision::F32, true) else { return };
    let steps = run.recorded.steps;
    let mut outcome = |tick| {
        let clock = Clock { tick, ..run.clock() };
        let state = run.state();
        run.device.run(steps.discriminator, &clock).expect("it runs");
        let after = run.state();
        for (t, bytes) in &state {
            run.device.write(*t, bytes).expect("state can be written");
        }
        after
    };
    let (first, second, again) = (outcome(1), outcome(2), outcome(1));
    assert_eq!(first, again);
    assert_ne!(first, second);
}
