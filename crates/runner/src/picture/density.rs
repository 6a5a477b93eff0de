//! Figure 1 of Goodfellow et al. (2014): densities, discriminator, and where G sends its noise.

use super::axis::{Axis, Frame};
use super::canvas::{Anchor, Area, Drawn, INK, dashed, draw, fill, line, write};
use image::RgbImage;
use plotters::style::RGBColor;
use std::io;
use std::path::Path;

/// The paper's colours: D dashed blue, p_data dotted black, p_g solid green.
const BLUE: RGBColor = RGBColor(31, 62, 201);
const BLACK: RGBColor = RGBColor(20, 20, 20);
const GREEN: RGBColor = RGBColor(16, 140, 58);

const WIDTH: u32 = 380;
const HEIGHT: u32 = 330;

/// One panel of the figure.
#[derive(Debug, Clone, Copy)]
pub struct Fig1<'a> {
    /// Where densities and D are given, ascending; the other three are of its length.
    pub x: &'a [f64],
    /// Density of the data.
    pub p_data: &'a [f64],
    /// Density of the generator's samples.
    pub p_g: &'a [f64],
    /// The discriminator's output. What lies outside 0 to 1, as scores may, is drawn at the edge.
    pub d: &'a [f64],
    /// Noise and where the generator sends it, (z, G(z)).
    pub arrows: &'a [(f64, f64)],
    /// What stands under the panel, such as a step.
    pub caption: &'a str,
}

/// Draws one panel with a legend and saves it as PNG.
///
/// # Errors
/// When the file cannot be written.
pub fn density(path: &Path, figure: &Fig1) -> io::Result<()> {
    super::save(&density_strip(&[*figure])?, path)
}

/// Draws panels side by side, left to right as training goes, on common scales.
///
/// # Errors
/// When plotters refuses, which it has no reason to.
///
/// # Panics
/// When a panel's curves differ in length.
pub fn density_strip(figures: &[Fig1]) -> io::Result<RgbImage> {
    let xs =
        || figures.iter().flat_map(|f| f.x.iter().copied().chain(f.arrows.iter().map(|a| a.1)));
    let x = range(xs());
    let z = range(figures.iter().flat_map(|f| f.arrows.iter().map(|a| a.0)));
    // A generator that starts as nearly one point would flatten everything else: what is higher than
    // twice the data's own density leaves the panel.
    let top = |of: &dyn Fn(&Fig1) -> Vec<f64>| {
        figures.iter().flat_map(of).filter(|p| p.is_finite()).fold(0.0, f64::max)
    };
    let data = top(&|f| f.p_data.to_vec());
    let both = top(&|f| f.p_g.to_vec()).max(data);
    let highest = if data > 0.0 { both.min(2.0 * data) } else { both };
    let p = Axis::new(0.0, if highest > 0.0 { highest * 1.08 } else { 1.0 });
    let width = WIDTH * figures.len().max(1) as u32;
    draw(width, HEIGHT + 40, |area| {
        for (i, figure) in figures.iter().enumerate() {
            let left = f64::from(WIDTH * i as u32);
            figure.draw(area, left, &x, &z, &p)?;
        }
        legend(area, f64::from(width) / 2.0)
    })
}

/// The finite values' extent.
fn range(values: impl Iterator<Item = f64>) -> Axis {
    let ends = values.filter(|v| v.is_finite());
    let (lo, hi) = ends.fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
    if lo < hi { Axis::new(lo, hi) } else { Axis::new(0.0, 1.0) }
}

impl Fig1<'_> {
    fn draw(&self, area: &Area, left: f64, x: &Axis, z: &Axis, p: &Axis) -> Drawn {
        let n = self.x.len();
        assert_eq!(
            [self.p_data.len(), self.p_g.len(), self.d.len()],
            [n; 3],
            "one value for each x"
        );
        let above = Frame {
            left: left + 34.0,
            right: left + f64::from(WIDTH) - 34.0,
            top: 44.0,
            bottom: 216.0,
        };
        let curve = |axis: &Axis, values: &[f64]| {
            // Not `min`, which would draw what is no number at the top.
            let within = values.iter().map(|&v| match v {
                v if v > axis.end() => axis.end(),
                v if v < 0.0 => 0.0,
                v => v,
            });
            above.lines(x, axis, self.x.iter().copied().zip(within))
        };
        for part in curve(p, self.p_g) {
            line(area, &part, GREEN, 1.0, 2.0)?;
        }
        for part in curve(p, self.p_data) {
            dashed(area, &part, BLACK, 2.2, 1.2, 4.6)?;
        }
        // D has a scale of its own: 1 is the top of the panel, as tall as the highest density.
        for part in curve(&Axis::new(0.0, 1.08), self.d) {
            dashed(area, &part, BLUE, 1.8, 8.0, 5.0)?;
        }
        self.draw_mapping(area, &Frame { top: 236.0, bottom: 288.0, ..above }, x, z)?;
        write(
            area,
            self.caption,
            ((above.left + above.right) / 2.0, 322.0),
            Anchor::Middle,
            17.0,
            INK,
        )
    }

    /// The two lines below: x above, z below, an arrow from each z to x = G(z).
    fn draw_mapping(&self, area: &Area, frame: &Frame, x: &Axis, z: &Axis) -> Drawn {
        for (row, name) in [(frame.top, "x"), (frame.bottom, "z")] {
            line(area, &[(frame.left, row), (frame.right, row)], BLACK, 1.0, 1.3)?;
            write(area, name, (frame.left - 14.0, row - 1.0), Anchor::Middle, 17.0, INK)?;
        }
        for &(from, to) in self.arrows {
            let (Some(from), Some(to)) = (frame.x(z, from), frame.x(x, to)) else {
                continue;
            };
            arrow(area, (from, frame.bottom), (to, frame.top + 1.0))?;
        }
        Ok(())
    }
}

fn arrow(area: &Area, from: (f64, f64), to: (f64, f64)) -> Drawn {
    let length = (to.0 - from.0).hypot(to.1 - from.1);
    let (dx, dy) = ((to.0 - from.0) / length, (to.1 - from.1) / length);
    let at =
        |along: f64, aside: f64| (to.0 - along * dx - aside * dy, to.1 - along * dy + aside * dx);
    line(area, &[from, at(6.0, 0.0)], BLACK, 1.0, 0.9)?;
    fill(area, &[to, at(8.0, 2.6), at(8.0, -2.6)], BLACK)
}

fn legend(area: &Area, middle: f64) -> Drawn {
    let row = 348.0;
    let sample = |left: f64| [(left, row), (left + 30.0, row)];
    let (d, data, g) = (middle - 132.0, middle - 36.0, middle + 76.0);
    dashed(area, &sample(d), BLUE, 1.8, 8.0, 5.0)?;
    write(area, "D(x)", (d + 37.0, row), Anchor::Left, 15.0, INK)?;
    dashed(area, &sample(data), BLACK, 2.2, 1.2, 4.6)?;
    write(area, "data", (data + 37.0, row), Anchor::Left, 15.0, INK)?;
    line(area, &sample(g), GREEN, 1.0, 2.0)?;
    write(area, "G(z)", (g + 37.0, row), Anchor::Left, 15.0, INK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(x: f64, mean: f64, sigma: f64) -> f64 {
        (-0.5 * ((x - mean) / sigma).powi(2)).exp() / (sigma * std::f64::consts::TAU.sqrt())
    }

    struct Panel {
        x: Vec<f64>,
        p_data: Vec<f64>,
        p_g: Vec<f64>,
        d: Vec<f64>,
        arrows: Vec<(f64, f64)>,
    }

    /// A generator N(mean, sigma) against N(0, 1), with the optimal discriminator.
    fn panel(mean: f64, sigma: f64) -> Panel {
        let x: Vec<f64> = (0..=300).map(|i| f64::from(i) / 50.0 - 3.0).collect();
        let p_data: Vec<f64> = x.iter().map(|&x| normal(x, 0.0, 1.0)).collect();
        let p_g: Vec<f64> = x.iter().map(|&x| normal(x, mean, sigma)).collect();
        let d = p_data.iter().zip(&p_g).map(|(p, q)| p / (p + q)).collect();
        let arrows = (0..=12)
            .map(|i| {
                let z = f64::from(i) / 12.0;
                (z, (mean + sigma * ((z + 0.02) / (1.02 - z)).ln() / 1.7).clamp(-2.9, 2.9))
            })
            .collect();
        Panel { x, p_data, p_g, d, arrows }
    }

    fn figure<'a>(panel: &'a Panel, caption: &'a str) -> Fig1<'a> {
        let Panel { x, p_data, p_g, d, arrows } = panel;
        Fig1 { x, p_data, p_g, d, arrows, caption }
    }

    /// Column and row of all pixels near a colour within a part of the picture.
    fn places(picture: &RgbImage, colour: RGBColor, rows: std::ops::Range<u32>) -> Vec<(u32, u32)> {
        let near = |p: [u8; 3]| {
            p.iter().zip([colour.0, colour.1, colour.2]).all(|(&a, b)| a.abs_diff(b) < 40)
        };
        let all = picture.enumerate_pixels().filter(|(_, y, p)| rows.contains(y) && near(p.0));
        all.map(|(x, y, _)| (x, y)).collect()
    }

    #[test]
    fn the_generator_walks_to_the_data() {
        let panels = [panel(1.6, 0.5), panel(0.9, 0.7), panel(0.4, 0.9), panel(0.0, 1.0)];
        let figures: Vec<Fig1> = panels
            .iter()
            .zip(["step 0", "step 200", "step 1,000", "step 10,000"])
            .map(|(panel, caption)| figure(panel, caption))
            .collect();
        let picture = density_strip(&figures).unwrap();
        if let Ok(keep) = std::env::var("DUEL_KEEP_PICTURES") {
            super::super::save(&picture, &Path::new(&keep).join("strip.png")).unwrap();
            density(&Path::new(&keep).join("density.png"), &figures[1]).unwrap();
        }
        assert_eq!(picture.dimensions(), (4 * 380, 370));
        // The peak of p_g, by panel: (mean + 3) / 6 of a frame of 312 pixels that begins at 34.
        for (i, mean) in [1.6, 0.9, 0.4, 0.0].into_iter().enumerate() {
            let green =
                places(&picture, GREEN, 0..220).into_iter().filter(|p| p.0 / 380 == i as u32);
            let green: Vec<(u32, u32)> = green.collect();
            let top = green.iter().map(|p| p.1).min().unwrap();
            let peak: Vec<f64> =
                green.iter().filter(|p| p.1 == top).map(|p| f64::from(p.0)).collect();
            let found = peak.iter().sum::<f64>() / peak.len() as f64 - 380.0 * i as f64;
            let expected = 34.0 + 312.0 * (mean + 3.0) / 6.0;
            // A peak of curvature p/σ² stays within one pixel's height over some ±8 pixels.
            assert!((found - expected).abs() < 8.0, "panel {i}: {found} for {expected}");
        }
        // In the last panel D is 1/2 everywhere: row 216 − 172 / 2.16.
        let blue = places(&picture, BLUE, 0..220).into_iter().filter(|p| p.0 >= 3 * 380);
        let rows: Vec<u32> = blue.map(|p| p.1).collect();
        assert!(rows.len() > 100 && rows.iter().all(|row| row.abs_diff(136) <= 2), "{rows:?}");
    }

    #[test]
    fn empty_and_undrawable_panels_are_no_trouble() {
        let empty = Fig1 { x: &[], p_data: &[], p_g: &[], d: &[], arrows: &[], caption: "" };
        assert_eq!(density_strip(&[empty]).unwrap().dimensions(), (380, 370));
        assert_eq!(density_strip(&[]).unwrap().dimensions(), (380, 370));
        let nan = [f64::NAN; 2];
        let arrows = [(f64::NAN, 0.0), (0.5, f64::INFINITY)];
        let odd = Fig1 {
            x: &[0.0, 1.0],
            p_data: &nan,
            p_g: &nan,
            d: &nan,
            arrows: &arrows,
            caption: "NaN",
        };
        let picture = density_strip(&[odd]).unwrap();
        assert_eq!(places(&picture, GREEN, 0..220), []);
    }
}
