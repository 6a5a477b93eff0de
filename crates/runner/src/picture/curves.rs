//! Curves over images shown: one panel above the other.

use super::axis::{Axis, Frame};
use super::canvas::{Anchor, Area, Drawn, FAINT, INK, dashed, draw, line, width_of, write};
use image::RgbImage;
use plotters::style::RGBColor;
use std::io;
use std::path::Path;

/// Colours that stay apart in print and for colour-blind eyes (Okabe & Ito 2008).
pub const PALETTE: [[u8; 3]; 6] =
    [[0, 114, 178], [213, 94, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [230, 159, 0]];

/// One line.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Red, green, blue; see [`PALETTE`].
    pub colour: [u8; 3],
    /// Images shown, value. What is not finite is a gap.
    pub points: Vec<(f64, f64)>,
}

/// One coordinate system.
#[derive(Debug, Clone, Default)]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// What the values are.
    pub y_label: String,
    /// The lines in it.
    pub series: Vec<Series>,
    /// Horizontal rules with their labels, such as (−1.386, "−log 4").
    pub rules: Vec<(f64, String)>,
    /// Whether the values are drawn by their logarithm; those that have none are gaps.
    pub log: bool,
}

const WIDTH: u32 = 960;
const PANEL: u32 = 250;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 96.0;

/// Draws the panels and saves them as PNG.
///
/// # Errors
/// When the file cannot be written.
pub fn curves(path: &Path, title: &str, panels: &[Panel]) -> io::Result<()> {
    super::save(&picture(title, panels)?, path)
}

/// Draws the panels, stacked, over one axis of images.
///
/// # Errors
/// When plotters refuses, which it has no reason to.
pub fn picture(title: &str, panels: &[Panel]) -> io::Result<RgbImage> {
    let head = if title.is_empty() { 8 } else { 48 };
    let height = head + PANEL * panels.len().max(1) as u32 + 40;
    let all = panels.iter().flat_map(|panel| &panel.series);
    let last =
        all.flat_map(|s| &s.points).map(|p| p.0).filter(|x| x.is_finite()).fold(0.0, f64::max);
    let axis = Axis::new(0.0, if last > 0.0 { last } else { 1.0 });
    draw(WIDTH, height, |area| {
        write(area, title, (LEFT, 28.0), Anchor::Left, 22.0, INK)?;
        for (i, panel) in panels.iter().enumerate() {
            let top = f64::from(head + PANEL * i as u32);
            let frame = Frame {
                left: LEFT,
                right: f64::from(WIDTH) - RIGHT,
                top: top + 34.0,
                bottom: top + f64::from(PANEL) - 14.0,
            };
            panel.draw(area, &frame, &axis, i + 1 == panels.len())?;
        }
        Ok(())
    })
}

impl Panel {
    fn draw(&self, area: &Area, frame: &Frame, x: &Axis, last: bool) -> Drawn {
        let values = self.series.iter().flat_map(|s| &s.points).map(|p| p.1);
        let y = Axis::around(values.chain(self.rules.iter().map(|rule| rule.0)), self.log);
        self.draw_axes(area, frame, x, &y, last)?;
        for series in &self.series {
            let colour = RGBColor(series.colour[0], series.colour[1], series.colour[2]);
            let smooth = smoothed(&series.points);
            // A line that is not noisy enough to be smoothed is drawn once.
            let bold = if smooth.is_empty() { &series.points } else { &smooth };
            if !smooth.is_empty() {
                for part in frame.lines(x, &y, series.points.iter().copied()) {
                    line(area, &part, colour, 0.28, 1.0)?;
                }
            }
            for part in frame.lines(x, &y, bold.iter().copied()) {
                line(area, &part, colour, 1.0, 2.2)?;
            }
        }
        self.draw_legend(area, frame)
    }

    fn draw_axes(&self, area: &Area, frame: &Frame, x: &Axis, y: &Axis, last: bool) -> Drawn {
        let Frame { left, right, top, bottom } = *frame;
        for (value, label) in x.ticks(6) {
            let Some(at) = frame.x(x, value) else {
                continue;
            };
            line(area, &[(at, top), (at, bottom)], FAINT, 1.0, 1.0)?;
            if last {
                write(area, &label, (at, bottom + 15.0), Anchor::Middle, 15.0, INK)?;
            }
        }
        for (value, label) in y.ticks(4) {
            let Some(at) = frame.y(y, value) else {
                continue;
            };
            line(area, &[(left, at), (right, at)], FAINT, 1.0, 1.0)?;
            write(area, &label, (left - 9.0, at), Anchor::Right, 15.0, INK)?;
        }
        line(area, &[(left, top), (left, bottom), (right, bottom)], INK, 1.0, 1.0)?;
        if last {
            write(area, "images", (right + 12.0, bottom + 15.0), Anchor::Left, 15.0, INK)?;
        }
        for (value, label) in &self.rules {
            let Some(at) = frame.y(y, *value) else {
                continue;
            };
            dashed(area, &[(left, at), (right, at)], INK, 1.2, 6.0, 4.0)?;
            write(area, label, (right + 8.0, at), Anchor::Left, 15.0, INK)?;
        }
        let named = if self.y_label.is_empty() || self.title.is_empty() { "" } else { ",  " };
        let title = format!("{}{named}{}", self.title, self.y_label);
        write(area, &title, (left, top - 15.0), Anchor::Left, 17.0, INK)
    }

    /// Names at the upper right, outside of the lines' way, from the last to the first.
    fn draw_legend(&self, area: &Area, frame: &Frame) -> Drawn {
        let mut right = frame.right;
        for series in self.series.iter().rev().filter(|series| !series.name.is_empty()) {
            let colour = RGBColor(series.colour[0], series.colour[1], series.colour[2]);
            let row = frame.top - 15.0;
            let left = right - width_of(&series.name, 15.0);
            write(area, &series.name, (left, row), Anchor::Left, 15.0, INK)?;
            line(area, &[(left - 26.0, row), (left - 8.0, row)], colour, 1.0, 2.6)?;
            right = left - 44.0;
        }
        Ok(())
    }
}

/// A Gaussian mean over the neighbours, a fortieth of the line to each side; nothing for lines of
/// fewer than 30 points. Gaps stay gaps and lend no weight.
fn smoothed(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() < 30 {
        return Vec::new();
    }
    let sigma = points.len() as f64 / 80.0;
    let reach = (3.0 * sigma).ceil() as usize;
    let mean = |i: usize| {
        let (mut sum, mut weights) = (0.0, 0.0);
        let near = i.saturating_sub(reach)..(i + reach + 1).min(points.len());
        for j in near.filter(|&j| points[j].1.is_finite()) {
            let weight = (-0.5 * (j.abs_diff(i) as f64 / sigma).powi(2)).exp();
            sum += weight * points[j].1;
            weights += weight;
        }
        sum / weights
    };
    let at = |i: usize| {
        if points[i].1.is_finite() { mean(i) } else { f64::NAN }
    };
    (0..points.len()).map(|i| (points[i].0, at(i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(i: u32) -> f64 {
        f64::from(i.wrapping_mul(2_654_435_761).rotate_left(11).wrapping_mul(2_246_822_519) >> 8)
            / f64::from(1 << 24)
            - 0.5
    }

    fn example() -> Vec<Panel> {
        let series = |name: &str, colour, f: &dyn Fn(f64) -> f64, spread: f64, seed: u32| Series {
            name: name.to_owned(),
            colour: PALETTE[colour],
            points: (0..400u32)
                .map(|i| {
                    (f64::from(i) * 750.0, f(f64::from(i) / 400.0) + spread * noise(i * 7 + seed))
                })
                .collect(),
        };
        let mut gappy = series("D(G(z))", 1, &|t| 0.5 - 0.4 * (-6.0 * t).exp(), 0.15, 9);
        gappy.points.drain(150..170);
        gappy.points[150].1 = f64::NAN;
        vec![
            Panel {
                title: "value of the game".into(),
                y_label: "V(D, G)".into(),
                series: vec![series("value", 0, &|t| -1.38 + 1.1 * (-5.0 * t).exp(), 0.3, 1)],
                rules: vec![(-(4f64.ln()), "−log 4".into())],
                log: false,
            },
            Panel {
                title: "discriminator".into(),
                y_label: "mean output".into(),
                series: vec![series("D(x)", 0, &|t| 0.5 + 0.4 * (-6.0 * t).exp(), 0.15, 3), gappy],
                rules: vec![(0.5, "1/2".into())],
                log: false,
            },
            Panel {
                title: "gradient norm".into(),
                y_label: "".into(),
                series: vec![series("G", 2, &|t| 10f64.powf(2.0 - 3.0 * t), 0.01, 4)],
                rules: vec![],
                log: true,
            },
        ]
    }

    /// Pixels near a colour.
    fn count(picture: &RgbImage, colour: [u8; 3]) -> usize {
        let near = |p: &&image::Rgb<u8>| p.0.iter().zip(colour).all(|(&a, b)| a.abs_diff(b) < 12);
        picture.pixels().filter(near).count()
    }

    #[test]
    fn lines_are_drawn_where_the_values_are() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("curves.png");
        curves(&path, "dcgan_fashion, seed 0", &example()).unwrap();
        if let Ok(keep) = std::env::var("DUEL_KEEP_PICTURES") {
            std::fs::copy(&path, Path::new(&keep).join("curves.png")).unwrap();
        }
        let picture = image::open(&path).unwrap().to_rgb8();
        assert_eq!(picture.dimensions(), (960, 48 + 3 * 250 + 40));
        // A bold line of 2.2 pixels across 786 columns.
        for colour in [PALETTE[1], PALETTE[2]] {
            let pixels = count(&picture, colour);
            assert!((700..4000).contains(&pixels), "{pixels}");
        }
        // A constant lies in the middle row of its panel.
        let flat = Series {
            points: vec![(0.0, 2.0), (10.0, 2.0)],
            colour: PALETTE[0],
            ..Series::default()
        };
        let picture =
            super::picture("", &[Panel { series: vec![flat], ..Panel::default() }]).unwrap();
        let middle = (8.0 + 34.0 + 8.0 + 250.0 - 14.0) / 2.0;
        assert_eq!(picture.get_pixel(500, middle as u32).0, PALETTE[0]);
    }

    #[test]
    fn empty_single_and_undrawable_series_are_no_trouble() {
        let with = |points: Vec<(f64, f64)>, log| {
            let series = Series { name: "s".into(), colour: PALETTE[1], points };
            let panel = Panel { series: vec![series], log, ..Panel::default() };
            count(&picture("", &[panel]).unwrap(), PALETTE[1])
        };
        let legend = with(vec![], false);
        assert_eq!(with(vec![(1.0, f64::NAN), (f64::INFINITY, 3.0)], false), legend);
        assert_eq!(with(vec![(1.0, -3.0), (2.0, 0.0)], true), legend);
        // A lone point is a dot of radius 2.2.
        let dot = with(vec![(1.0, 3.0)], false) - legend;
        assert!((6..30).contains(&dot), "{dot}");
        assert_eq!(picture("nothing", &[]).unwrap().height(), 48 + 250 + 40);
    }

    #[test]
    fn smoothing_keeps_lines_and_gaps() {
        let mut points: Vec<(f64, f64)> =
            (0..100).map(|i| (f64::from(i), 3.0 * f64::from(i))).collect();
        points[50].1 = f64::NAN;
        let smooth = smoothed(&points);
        assert!(smooth[50].1.is_nan());
        // Symmetric weights reproduce a straight line away from the ends and the gap.
        assert!((smooth[30].1 - 90.0).abs() < 1e-9);
        assert!(smooth[49].1.is_finite());
        assert!(smoothed(&points[..29]).is_empty());
    }
}
