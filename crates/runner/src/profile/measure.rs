//! Training steps on noise, node by node.

use std::time::Duration;
use tape::{Compiled, Device, DeviceError, Dtype, Options, Program, philox};
use train::{Experiment, Progress, Recorded, clock};

/// Iterations before the first that counts: pages are touched, clocks rise.
const WARM_UP: u64 = 2;

/// The stream of the noise that stands in for data, apart from those of the tape.
const STREAM: u32 = 1 << 29;

/// What one iteration takes.
pub struct Times {
    /// The programs as the device runs them.
    pub compiled: Compiled,
    /// Those of an iteration.
    pub programs: Vec<Timed>,
}

/// One program of an iteration.
pub struct Timed {
    /// Which.
    pub program: Program,
    /// How often an iteration runs it.
    pub calls: u64,
    /// Median time of each of its nodes.
    pub nodes: Vec<Duration>,
}

/// Loads an experiment as `options` compile it and times `iterations` of it; `told` hears how many are done, and of how many.
/// Noise stands in for real samples: no operation is faster or slower for it.
///
/// # Errors
/// Those of the device, and a step that is not finite: it holds its updates back, so its times say
/// nothing of others.
pub fn measure(
    spec: &Experiment,
    recorded: &Recorded,
    device: &mut dyn Device,
    options: &Options,
    iterations: u64,
    mut told: impl FnMut(u64, u64),
) -> Result<Times, DeviceError> {
    let Recorded { tape, steps, .. } = recorded;
    device.load(tape, options)?;
    let (scalars, mut at) = (tape.scalars(), Progress::default());
    device.run(recorded.init, &clock(spec, &scalars, 0, &at))?;
    let of_d = (steps.discriminator, spec.k);
    let programs: Vec<_> =
        [Some(of_d), steps.generator.map(|g| (g, 1))].into_iter().flatten().collect();
    let mut all: Vec<Vec<Vec<Duration>>> = vec![Vec::new(); programs.len()];
    let real = noise(recorded);
    let whole = WARM_UP + iterations;
    for iteration in 0..whole {
        told(iteration, whole);
        for (&(program, calls), all) in programs.iter().zip(&mut all) {
            for _ in 0..calls {
                device.write(recorded.real, &real)?;
                at.tick += 1;
                let times = device.profile(program, &clock(spec, &scalars, 0, &at))?;
                if iteration >= WARM_UP {
                    all.push(times);
                }
                let both = steps.generator.is_none();
                at.discriminator += u64::from(program == steps.discriminator);
                at.generator += u64::from(both || program != steps.discriminator);
            }
        }
        at.step += 1;
        at.images += spec.images_per_iteration();
    }
    told(whole, whole);
    refuse_faults(recorded, device)?;
    let timed = |(&(program, calls), all): (&(Program, u64), &Vec<Vec<Duration>>)| Timed {
        program,
        calls,
        nodes: medians(all),
    };
    let programs = programs.iter().zip(&all).map(timed).collect();
    Ok(Times { compiled: tape.compile(options), programs })
}

/// A batch of the type that the experiment reads.
pub(crate) fn noise(recorded: &Recorded) -> Vec<u8> {
    let tensor = recorded.tape.tensor(recorded.real);
    let words = (0..).flat_map(|block| philox::block(0, STREAM, 0, 0, block));
    let words = words.take(tensor.shape.len());
    match tensor.dtype {
        Dtype::U8 => words.map(|word| (word >> 24) as u8).collect(),
        _ => words.flat_map(|word| (2.0 * philox::uniform24(word) - 1.0).to_le_bytes()).collect(),
    }
}

pub(crate) fn refuse_faults(
    recorded: &Recorded,
    device: &mut dyn Device,
) -> Result<(), DeviceError> {
    let mut flag = vec![0; device.real_bytes()];
    device.read(recorded.tape.fault(), &mut flag)?;
    if flag.iter().any(|&byte| byte != 0) {
        let what = "a step on noise was not finite, and held back its updates: there is nothing to time; \
                    lower the learning rates (`--set optimizer.generator.adam.rate=1e-4`)";
        return Err(DeviceError::Failed(what.to_string()));
    }
    Ok(())
}

/// The median of each node over runs.
fn medians(runs: &[Vec<Duration>]) -> Vec<Duration> {
    let nodes = runs.first().map_or(0, Vec::len);
    let median = |node: usize| {
        let mut times: Vec<Duration> = runs.iter().map(|run| run[node]).collect();
        times.sort_unstable();
        // Of two middle ones the lower: whatever else the machine does only ever slows one down.
        times[(times.len() - 1) / 2]
    };
    (0..nodes).map(median).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_run_does_not_count() {
        let runs = [[1, 9], [50, 7], [2, 8]].map(|run| run.map(Duration::from_millis).to_vec());
        assert_eq!(medians(&runs), [2, 8].map(Duration::from_millis));
        assert!(medians(&[]).is_empty());
    }
}
