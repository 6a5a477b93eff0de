//! Figure 1 of Goodfellow et al. (2014) as training goes: what a panel shows, kept beside its picture
//! so that the strip of all panels can be drawn after a resume as well.

use crate::command::Failure;
use crate::picture::density::{Fig1, density, density_strip};
use crate::picture::save;
use crate::run_dir::{RunDir, at};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;
use train::Probe;

/// Samples that the density of G is estimated from.
const SAMPLES: usize = 10_000;
/// Points of each curve.
const POINTS: usize = 161;
/// Panels of the strip.
const PANELS: usize = 5;

/// One moment of the game.
#[derive(Serialize, Deserialize)]
struct Panel {
    images: u64,
    /// Mean and standard deviation of G's samples.
    moments: [f64; 2],
    x: Vec<f64>,
    p_data: Vec<f64>,
    p_g: Vec<f64>,
    d: Vec<f64>,
    arrows: Vec<(f64, f64)>,
}

/// Draws the panel of this moment, `samples/<images>.png`.
pub(crate) fn draw(
    run: &RunDir,
    images: u64,
    [mean, std]: [f64; 2],
    probe: &mut Probe<'_>,
) -> Result<(), Failure> {
    let panel = Panel::of(images, mean, std, probe)?;
    let name = format!("samples/{images:012}");
    run.write(&format!("{name}.json"), &serde_json::to_vec(&panel)?)?;
    let caption = panel.caption();
    let path = run.path().join(format!("{name}.png"));
    Ok(density(&path, &panel.figure(&caption))?)
}

/// Draws panels from the first to the last side by side, `figure1.png`.
pub(crate) fn strip(run: &RunDir) -> Result<(), Failure> {
    let folder = run.path().join("samples");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder).map_err(|e| at(&folder, &e))? {
        let path = entry.map_err(|e| at(&folder, &e))?.path();
        if path.extension().is_some_and(|e| e == "json") {
            files.push(path);
        }
    }
    files.sort();
    let shown = files.len().min(PANELS);
    let mut panels = Vec::with_capacity(shown);
    for i in 0..shown {
        panels.push(Panel::read(&files[i * (files.len() - 1) / (shown - 1).max(1)])?);
    }
    let captions: Vec<String> = panels.iter().map(Panel::caption).collect();
    let figures: Vec<Fig1<'_>> =
        panels.iter().zip(&captions).map(|(panel, caption)| panel.figure(caption)).collect();
    let path = run.path().join("figure1.png");
    let picture = density_strip(&figures).map_err(|e| at(&path, &e))?;
    Ok(save(&picture, &path)?)
}

impl Panel {
    fn of(images: u64, mean: f64, std: f64, probe: &mut Probe<'_>) -> Result<Self, Failure> {
        let weights = probe.best();
        let mut samples = Vec::with_capacity(SAMPLES);
        let mut ends = [f64::INFINITY, f64::NEG_INFINITY];
        let mut batch = 0;
        while samples.len() < SAMPLES {
            let z = probe.noise(batch)?;
            ends = z.iter().fold(ends, |[low, high], &z| [low.min(z), high.max(z)]);
            samples.extend(probe.generate(weights, &z)?.into_iter().map(f64::from));
            batch += 1;
        }
        samples.truncate(SAMPLES);
        let x: Vec<f64> = (0..POINTS)
            .map(|i| mean + std * 4.0 * (2.0 * i as f64 / (POINTS - 1) as f64 - 1.0))
            .collect();
        let grid: Vec<f32> = x.iter().map(|&x| x as f32).collect();
        let d = probe.judge(&grid)?.into_iter().map(f64::from).collect();
        // Where G sends equal steps of z. More than one coordinate has no order to be drawn in.
        let arrows = if probe.latent() == 1 {
            let rows = probe.rows();
            let step = (ends[1] - ends[0]) / (rows - 1) as f64;
            let z: Vec<f64> = (0..rows).map(|i| ends[0] + step * i as f64).collect();
            let to = probe.generate(weights, &z)?;
            z.into_iter().zip(to).map(|(z, x)| (z, f64::from(x))).step_by(3).collect()
        } else {
            Vec::new()
        };
        let p_data = x.iter().map(|&x| normal((x - mean) / std) / std).collect();
        let moments = moments(&samples);
        let p_g = smoothed(&samples, moments[1], &x);
        Ok(Self { images, moments, x, p_data, p_g, d, arrows })
    }

    fn read(path: &Path) -> Result<Self, Failure> {
        let bytes = fs::read(path).map_err(|e| at(path, &e))?;
        serde_json::from_slice(&bytes)
            .map_err(|e| format!("{}: {e}; delete it to draw the others", path.display()).into())
    }

    fn caption(&self) -> String {
        match self.images {
            0 => "at the start".to_string(),
            images => format!("after {} samples", tape::amount(images).trim()),
        }
    }

    fn figure<'a>(&'a self, caption: &'a str) -> Fig1<'a> {
        let Self { x, p_data, p_g, d, arrows, .. } = self;
        Fig1 { x, p_data, p_g, d, arrows, caption }
    }
}

fn normal(x: f64) -> f64 {
    (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt()
}

/// Mean and standard deviation.
fn moments(samples: &[f64]) -> [f64; 2] {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let variance = samples.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / n;
    [mean, variance.sqrt()]
}

/// A density from samples: normal kernels of Silverman's width, 1.06 σ n^(−1/5).
fn smoothed(samples: &[f64], std: f64, x: &[f64]) -> Vec<f64> {
    let n = samples.len() as f64;
    let width = (1.06 * std * n.powf(-0.2)).max(1e-3);
    let at = |x: f64| samples.iter().map(|s| normal((x - s) / width)).sum::<f64>() / (n * width);
    x.iter().map(|&x| at(x)).collect()
}
