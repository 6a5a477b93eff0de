//! A device, a source and an observer for tests of what is around the arithmetic.

use crate::{Checkpoint, Experiment, Observer, Probe, Progress, Recorded, Refusal, Report, Source};
use std::collections::HashMap;
use std::time::Duration;
use tape::{Clock, Device, DeviceError, Dtype, Options, Program, T, Tape};

/// Programs leave marks that depend on everything that they are given, in place of results.
#[derive(Default)]
pub struct FakeDevice {
    memory: HashMap<T, Vec<u8>>,
    saved: Vec<(String, T)>,
    names: Vec<String>,
    /// Nodes of each program.
    nodes: Vec<usize>,
    real: Option<T>,
    fault: Option<T>,
    /// The tick at which a training step is not finite.
    pub fails_at: Option<u64>,
    /// Name and clock of every training step.
    pub steps: Vec<(String, Clock)>,
    /// The first byte of the batch of real samples that was there at each of them.
    pub reals: Vec<u8>,
    /// The same for the step that was repeated to find a fault.
    pub checked: Option<u8>,
}

impl FakeDevice {
    /// The first number of a tensor of state.
    pub fn first(&self, t: T) -> f32 {
        let bytes = &self.memory[&t];
        f32::from_le_bytes(bytes[..4].try_into().unwrap())
    }

    fn set(&mut self, t: T, x: f32) {
        self.memory.get_mut(&t).unwrap()[..4].copy_from_slice(&x.to_le_bytes());
    }
}

impl Device for FakeDevice {
    fn load(&mut self, tape: &Tape, options: &Options) -> Result<(), DeviceError> {
        let compiled = tape.compile(options);
        self.names = compiled.programs.iter().map(|p| p.name.clone()).collect();
        self.nodes = compiled.programs.iter().map(|p| p.nodes.len()).collect();
        self.saved = tape.saved();
        self.fault = Some(tape.fault());
        for node in compiled.programs.iter().flat_map(|p| &p.nodes) {
            for &t in node.ins.iter().chain(&node.outs) {
                let tensor = compiled.tensor(t);
                if tensor.name.as_deref() == Some("real") {
                    self.real = Some(t);
                }
                self.memory.insert(t, vec![0; tensor.shape.len() * tensor.dtype.bytes(4)]);
            }
        }
        for (_, t) in &self.saved {
            self.memory.insert(*t, vec![0; tape.shape(*t).len() * 4]);
        }
        Ok(())
    }

    fn run(&mut self, program: Program, clock: &Clock) -> Result<(), DeviceError> {
        let name = self.names[program.0].clone();
        if !name.ends_with("_step") {
            return Ok(());
        }
        let fault = self.fault.unwrap();
        if self.fails_at == Some(clock.tick) {
            if clock.check {
                self.checked = Some(self.memory[&self.real.unwrap()][0]);
                return Err(DeviceError::NotFinite {
                    program: name,
                    op: "softplus %7".to_string(),
                    tensor: "%8".to_string(),
                    at: "objective.rs:61".to_string(),
                    node: 7,
                });
            }
            self.set(fault, (1 + clock.tick % 4096) as f32);
        }
        if self.first(fault) != 0.0 {
            return Ok(());
        }
        let real: u64 = self.memory[&self.real.unwrap()].iter().map(|&b| u64::from(b)).sum();
        let mark: f64 = clock.scalars.iter().sum::<f64>() + (clock.tick * 31 + real % 997) as f64;
        for (_, t) in self.saved.clone() {
            if t != fault {
                let x = self.first(t);
                self.set(t, (x + mark.sin() as f32) * 0.5);
            }
        }
        self.steps.push((name, clock.clone()));
        self.reals.push(self.memory[&self.real.unwrap()][0]);
        Ok(())
    }

    fn profile(&mut self, program: Program, clock: &Clock) -> Result<Vec<Duration>, DeviceError> {
        self.run(program, clock)?;
        Ok(vec![Duration::ZERO; self.nodes[program.0]])
    }

    fn write(&mut self, t: T, bytes: &[u8]) -> Result<(), DeviceError> {
        let place = self.memory.get_mut(&t).unwrap();
        assert_eq!(place.len(), bytes.len(), "{t:?}");
        place.copy_from_slice(bytes);
        Ok(())
    }

    fn read(&mut self, t: T, into: &mut [u8]) -> Result<(), DeviceError> {
        into.copy_from_slice(&self.memory[&t]);
        Ok(())
    }

    fn describe(&self) -> String {
        "a device of paper".to_string()
    }

    fn real_bytes(&self) -> usize {
        4
    }
}

/// Bytes that count up.
pub struct Counting {
    pub position: u64,
    pub sample: [usize; 3],
}

impl Source for Counting {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Refusal> {
        let size: usize = self.sample.iter().product();
        for sample in into.chunks_exact_mut(size) {
            sample.fill((self.position % 251) as u8);
            self.position += 1;
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn marginals(&mut self) -> Result<Option<Vec<f64>>, Refusal> {
        let size: usize = self.sample.iter().product();
        Ok(Some((0..size).map(|i| (i % 2) as f64 * 0.75).collect()))
    }

    fn examples(&mut self, n: usize) -> Result<Vec<u8>, Refusal> {
        let size: usize = self.sample.iter().product();
        Ok((0..n * size).map(|i| (i / size % 251) as u8).collect())
    }

    fn seek(&mut self, position: u64) -> Result<(), Refusal> {
        self.position = position;
        Ok(())
    }

    fn sample(&self) -> [usize; 3] {
        self.sample
    }

    fn dtype(&self) -> Dtype {
        Dtype::U8
    }
}

/// Keeps what it is told.
#[derive(Default)]
pub struct Diary {
    pub reports: Vec<Report>,
    pub samples: Vec<u64>,
    pub checkpoints: Vec<Checkpoint>,
    /// What was told: a letter for each report, sample and checkpoint.
    pub order: String,
    /// Lines of the log before this process.
    pub lines: u64,
    /// Stop once so many steps were made.
    pub stop_at: Option<u64>,
}

impl Observer for Diary {
    fn report(&mut self, report: &Report) -> Result<(), Refusal> {
        self.order.push('r');
        self.reports.push(report.clone());
        Ok(())
    }

    fn samples(&mut self, at: &Progress, _: &mut Probe<'_>) -> Result<(), Refusal> {
        self.order.push('s');
        self.samples.push(at.images);
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal> {
        self.order.push('c');
        self.checkpoints.push(checkpoint.clone());
        Ok(())
    }

    fn lines(&self) -> u64 {
        self.lines + self.reports.len() as u64
    }

    fn stop(&mut self, at: &Progress) -> bool {
        self.stop_at == Some(at.step)
    }
}

/// Small networks, with these settings on top.
pub fn experiment(settings: serde_json::Value) -> Experiment {
    let mut json = serde_json::json!({
        "model": {"goodfellow": {
            "generator": {"latent": 2, "hidden": [4]},
            "discriminator": {"maxout": [3], "pieces": 2},
        }},
        "data": {"images": {"set": "mnist"}},
        "batch": 4,
        "images": 100,
        "every": {"report": 20, "samples": 50, "checkpoint": 40},
    });
    for (key, value) in settings.as_object().unwrap() {
        json[key] = value.clone();
    }
    serde_json::from_value(json).unwrap()
}

/// The experiment on a tape, for images of 2×2 pixels.
pub fn recorded(spec: &Experiment) -> Recorded {
    spec.check(1).unwrap();
    Recorded::new(spec, [2, 2, 1], Dtype::U8, 1)
}
