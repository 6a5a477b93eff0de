//! What goes wrong on one rank is told on all of them, and nobody waits for the one that it has befallen.

use crate::games::numbers;
use crate::room::ranks;
use crate::runs::Run;
use serde_json::json;
use std::time::Duration;
use tape::{DeviceError, Dtype};
use train::{Gaussian, Refusal, Source, TrainError};

/// What becomes of a source at some sample.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It gives a number that is none.
    Infinite,
    /// It gives nothing any more.
    Gone,
}

/// A source that has a fault from the batch at `at` on, if it has one.
struct Faulty {
    inner: Gaussian,
    fault: Option<Fault>,
    at: u64,
}

impl Source for Faulty {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Refusal> {
        let fault = self.fault.filter(|_| self.inner.position() >= self.at);
        self.inner.next(into)?;
        match fault {
            None => {}
            Some(Fault::Infinite) => into[..4].copy_from_slice(&f32::INFINITY.to_le_bytes()),
            Some(Fault::Gone) => return Err("the disk is gone".into()),
        }
        Ok(())
    }

    fn position(&self) -> u64 {
        self.inner.position()
    }

    fn waited(&self) -> Duration {
        self.inner.waited()
    }

    fn examples(&mut self, n: usize) -> Result<Vec<u8>, Refusal> {
        self.inner.examples(n)
    }

    fn seek(&mut self, position: u64) -> Result<(), Refusal> {
        self.inner.seek(position)
    }

    fn sample(&self) -> [usize; 3] {
        self.inner.sample()
    }

    fn dtype(&self) -> Dtype {
        self.inner.dtype()
    }
}

/// Iterations before the fault.
const BEFORE: u64 = 37;

/// A run on `world` ranks whose sources have a fault on some.
fn run(world: usize, fault: Fault, on: &[usize]) -> Vec<Run> {
    let spec = numbers(&json!({}));
    ranks(world, 8, |rank| {
        let number = rank.group.rank();
        let inner = Gaussian::new(4.0, 1.0, spec.seed, [number, world], 0);
        let fault = on.contains(&number).then_some(fault);
        let mut source = Faulty { inner, fault, at: BEFORE * spec.batch as u64 };
        Run::on(&spec, rank, &mut source, None, None)
    })
}

#[test]
fn a_step_that_is_not_finite_is_named_by_the_rank_that_it_began_on() {
    for (world, on, named) in [(2, vec![1], 1), (4, vec![2], 2), (4, vec![3, 1], 1)] {
        let runs = run(world, Fault::Infinite, &on);
        let messages: Vec<String> = runs
            .iter()
            .map(|run| match &run.end {
                Err(error @ TrainError::NotFinite { .. }) => error.to_string(),
                other => panic!("{other:?}"),
            })
            .collect();
        println!("{}", messages[0]);
        assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
        let begins = format!(
            "step {} ({} images): on rank {named}: program `discriminator_step`: `",
            BEFORE + 1,
            BEFORE * 16
        );
        assert!(messages[0].starts_with(&begins), "{}", messages[0]);
        assert!(runs.iter().all(|run| run.state.is_some() && run.state == runs[0].state));
    }
}

#[test]
fn a_rank_without_samples_ends_all() {
    for (world, on) in [(2, 0), (4, 2)] {
        let runs = run(world, Fault::Gone, &[on]);
        for (rank, run) in runs.iter().enumerate() {
            let own = format!("no samples after {}: the disk is gone", BEFORE * 16);
            match &run.end {
                Err(error @ TrainError::Source { .. }) if rank == on => {
                    assert_eq!(error.to_string(), own);
                }
                Err(TrainError::Device(DeviceError::Lost(message))) if rank != on => {
                    assert_eq!(*message, format!("rank {on} of {world}: {own}"));
                }
                other => panic!("rank {rank}: {other:?}"),
            }
        }
    }
}
