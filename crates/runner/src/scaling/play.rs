//! Iterations of one rank, each timed as a whole.

use super::kinds::Kinds;
use super::noted::Notes;
use super::overlap::{Overlap, median};
use crate::profile::{noise, refuse_faults};
use std::time::Instant;
use tape::{Device, DeviceError, Options};
use train::{Experiment, Progress, Recorded, clock};

/// Iterations before the first that counts.
const WARM_UP: u64 = 2;

/// What iterations took.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Played {
    /// Median seconds of one.
    pub seconds: f64,
    /// Medians of what sums cost in one.
    pub overlap: Overlap,
}

/// Loads an experiment and runs `iterations` of it on noise, as rank number `rank`; `notes` is the engine of the
/// device, if it has one.
///
/// # Errors
/// Those of the device, and a step that is not finite.
pub(crate) fn play(
    spec: &Experiment,
    recorded: &Recorded,
    device: &mut dyn Device,
    notes: Option<&Notes>,
    [rank, iterations]: [u64; 2],
    mut told: impl FnMut(u64, u64),
) -> Result<Played, DeviceError> {
    let Recorded { tape, steps, .. } = recorded;
    let (options, rank) = (Options::default(), rank as usize);
    device.load(tape, &options)?;
    let kinds = Kinds::of(&tape.compile(&options));
    let (scalars, mut at) = (tape.scalars(), Progress::default());
    device.run(recorded.init, &clock(spec, &scalars, rank, &at))?;
    let real = noise(recorded);
    let (mut seconds, mut overlaps) = (Vec::new(), Vec::new());
    let whole = WARM_UP + iterations;
    for iteration in 0..whole {
        told(iteration, whole);
        if let Some(notes) = notes {
            notes.take();
        }
        let since = Instant::now();
        for (program, calls) in
            [Some((steps.discriminator, spec.k)), steps.generator.map(|g| (g, 1))]
                .into_iter()
                .flatten()
        {
            for _ in 0..calls {
                device.write(recorded.real, &real)?;
                at.tick += 1;
                device.run(program, &clock(spec, &scalars, rank, &at))?;
                let both = steps.generator.is_none();
                at.discriminator += u64::from(program == steps.discriminator);
                at.generator += u64::from(both || program != steps.discriminator);
            }
        }
        let taken = since.elapsed().as_secs_f64();
        at.step += 1;
        at.images += spec.images_per_iteration();
        if iteration >= WARM_UP {
            seconds.push(taken);
            let notes = notes.map(Notes::take).unwrap_or_default();
            overlaps.push(Overlap::of(&notes, &kinds));
        }
    }
    told(whole, whole);
    refuse_faults(recorded, device)?;
    Ok(Played { seconds: median(seconds), overlap: Overlap::median(&overlaps) })
}
