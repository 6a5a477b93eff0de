//! What the trained networks say when they are asked: a walk through the latent space, and D's
//! answers on real and generated samples.

use super::evenly;
use super::histogram::Answers;
use crate::cli::Globals;
use crate::command::Failure;
use crate::command::sample::to_bytes;
use crate::run_dir::checkpoints;
use crate::session::{Need, Session};
use crate::target::{Purpose, Target};
use std::path::Path;
use tape::{Device, Dtype};
use train::{Checkpoint, Experiment, Probe, Recorded, Weights};

/// Points of the walk (Radford et al. 2015, figure 4),
const POINTS: usize = 9;
/// and pictures from one to the next, both ends among them.
pub(super) const STEPS: usize = 10;
/// Rows of the walk.
pub(super) const LEGS: usize = POINTS - 1;

/// Samples of each kind that D is asked about.
pub(super) const ASKED: usize = 256;

/// Checkpoints that are asked.
const CHECKPOINTS: usize = 12;

/// What was said.
pub(super) struct Said {
    /// Pictures of the walk, [LEGS · STEPS, h, w, c]; none where samples are no images.
    pub walk: Option<Walk>,
    /// D's answers, of each checkpoint that was asked.
    pub answers: Vec<Answers>,
    /// Why nothing is known of real samples.
    pub without_data: Option<String>,
    /// Checkpoints that there are.
    pub checkpoints: usize,
}

/// Pictures as bytes.
pub(super) struct Walk {
    pub pixels: Vec<u8>,
    pub sample: [usize; 3],
}

/// Asks the networks of a run, or says why they cannot be asked.
pub(super) fn ask(globals: &Globals, spec: &Experiment, run: &Path) -> Result<Said, Failure> {
    let all = checkpoints(run)?;
    if all.is_empty() {
        return Err("there is no checkpoint yet".into());
    }
    let open = |need| {
        let target = Target::of(spec, Purpose::Look, globals)?;
        Session::of(spec.clone(), target, run, globals, need)
    };
    let (session, without_data) = match open(Need::Samples) {
        Ok(session) => (session, None),
        Err(error) => (open(Need::Extents)?, Some(error.to_string())),
    };
    let recorded = session.record();
    let real = match without_data {
        None => Some(real(&session, &recorded)?),
        Some(_) => None,
    };
    let images = session.dtype() == Dtype::U8;
    let options = session.target.options();
    session.on_device(move |device| {
        device.load(&recorded.tape, &options)?;
        let mut answers = Vec::new();
        for i in evenly(all.len(), CHECKPOINTS) {
            let (images, path) = &all[i];
            Checkpoint::read(path)?.restore(spec, &recorded, device)?;
            let mut probe = Probe::new(&recorded, device, spec.seed);
            answers.push(judged(&mut probe, *images, real.as_deref())?);
        }
        // The last one asked is the newest, and still on the device.
        let walk = if images { Some(walk(&recorded, device, spec.seed)?) } else { None };
        let checkpoints = all.len();
        Ok(Said { walk, answers, without_data, checkpoints })
    })
}

/// Real samples in the range of G's output.
fn real(session: &Session, recorded: &Recorded) -> Result<Vec<f32>, Failure> {
    let size: usize = session.sample.iter().product();
    let bytes = if session.dtype() == Dtype::U8 { 1 } else { 4 };
    let mut source = session.source(0)?;
    let mut samples = Vec::new();
    while samples.len() < ASKED * size {
        let mut batch = vec![0; session.spec.batch * size * bytes];
        source.next(&mut batch)?;
        let [black, white] = recorded.gan.model.range();
        match session.dtype() {
            Dtype::U8 => {
                let scale = (white - black) / 255.0;
                samples.extend(batch.iter().map(|&b| (f64::from(b) * scale + black) as f32));
            }
            _ => {
                let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("four bytes"));
                samples.extend(batch.chunks_exact(4).map(number));
            }
        }
    }
    samples.truncate(ASKED * size);
    Ok(samples)
}

/// D's answers on these real samples, and on as many fakes of the weights that it plays against.
fn judged(probe: &mut Probe<'_>, images: u64, real: Option<&[f32]>) -> Result<Answers, Failure> {
    let mut fakes = Vec::new();
    for batch in 0..ASKED.div_ceil(probe.rows()) {
        let z = probe.noise(batch as u64)?;
        fakes.extend(probe.generate(Weights::Own, &z)?);
    }
    fakes.truncate(ASKED * probe.sample().iter().product::<usize>());
    let real = real.map(|real| probe.judge(real)).transpose()?;
    Ok(Answers { images, real, fake: probe.judge(&fakes)? })
}

/// Straight lines between nine points of noise, one leg a row. Each row is drawn among the noise of
/// the sample grids, so that batch norm sees the spread of z that it was trained with.
fn walk(recorded: &Recorded, device: &mut dyn Device, seed: u64) -> Result<Walk, Failure> {
    let mut probe = Probe::new(recorded, device, seed);
    let latent = probe.latent();
    let (weights, range, sample) = (probe.best(), probe.range(), probe.sample());
    let points = probe.noise(1)?;
    let mut z = probe.noise(0)?;
    let size: usize = sample.iter().product();
    let mut pixels = Vec::new();
    for leg in 0..LEGS {
        let [from, to] = [leg, leg + 1].map(|p| &points[p * latent..(p + 1) * latent]);
        for step in 0..STEPS {
            let part = step as f64 / (STEPS - 1) as f64;
            for i in 0..latent {
                z[step * latent + i] = from[i] + part * (to[i] - from[i]);
            }
        }
        let samples = probe.generate(weights, &z)?;
        pixels.extend(to_bytes(&samples[..STEPS * size], range));
    }
    Ok(Walk { pixels, sample })
}
