//! The roofline of a machine (Williams et al. 2009), and what runs below it.

use super::axis::{Axis, Frame};
use super::canvas::{Anchor, Area, Drawn, FAINT, INK, draw, line, width_of, write};
use super::curves::PALETTE;
use image::RgbImage;
use plotters::style::RGBColor;
use std::error::Error;
use std::io;

/// Work at one intensity, done at one rate.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Dot {
    /// What stands beside it.
    pub label: String,
    /// Its place in [`Roofline::series`], which gives its colour.
    pub series: usize,
    /// Whether it is a ring.
    pub hollow: bool,
    /// FLOP for each byte moved.
    pub intensity: f64,
    /// GFLOP/s.
    pub gflops: f64,
    /// Its part of the time, 0 to 1: the area of the dot.
    pub share: f64,
}

/// A machine, and dots below its roof.
#[derive(Debug, Clone, Copy)]
pub struct Roofline<'a> {
    /// What stands above.
    pub title: &'a str,
    /// GFLOP/s.
    pub peak: f64,
    /// GB/s.
    pub bandwidth: f64,
    /// Names of the colours.
    pub series: &'a [&'a str],
    /// What rings are.
    pub hollow: &'a str,
    /// What is drawn. Dots without a logarithm are left out.
    pub dots: &'a [Dot],
}

const WIDTH: u32 = 960;
const HEIGHT: u32 = 680;
const FRAME: Frame = Frame { left: 78.0, right: 930.0, top: 108.0, bottom: 618.0 };
/// Height of labels.
const SMALL: f64 = 14.0;

/// Left, upper, right and lower edge.
type Spot = [f64; 4];

impl Roofline<'_> {
    /// Draws it, both axes by their logarithms.
    ///
    /// # Errors
    /// When plotters refuses, which it has no reason to.
    pub fn picture(&self) -> io::Result<RgbImage> {
        let ridge = self.peak / self.bandwidth;
        let ends = |of: &dyn Fn(&Dot) -> f64, more: [f64; 2]| {
            let values: Vec<f64> = self.dots.iter().map(of).chain(more).collect();
            Axis::around(values.into_iter(), true)
        };
        // The ridge stands inside, and the roof has room for its name.
        let x = ends(&|dot| dot.intensity, [ridge / 4.0, ridge * 4.0]);
        let y = ends(&|dot| dot.gflops, [self.peak / 8.0, self.peak * 1.25]);
        draw(WIDTH, HEIGHT, |area| {
            write(area, self.title, (FRAME.left, 28.0), Anchor::Left, 22.0, INK)?;
            self.draw_legend(area)?;
            draw_axes(area, &x, &y)?;
            let mut taken = self.draw_roof(area, &x, &y)?;
            self.draw_dots(area, &x, &y, &mut taken)
        })
    }

    fn draw_legend(&self, area: &Area) -> Drawn {
        let (mut left, row) = (FRAME.left, 62.0);
        for (i, name) in self.series.iter().enumerate() {
            line(area, &[(left + 6.0, row)], colour(i), 1.0, 6.0)?;
            write(area, name, (left + 20.0, row), Anchor::Left, 15.0, INK)?;
            left += 20.0 + width_of(name, 15.0) + 26.0;
        }
        ring(area, (left + 6.0, row), INK, 6.0)?;
        write(area, self.hollow, (left + 20.0, row), Anchor::Left, 15.0, INK)?;
        write(area, "area: time", (FRAME.right, row), Anchor::Right, 15.0, INK)
    }

    /// The two lines of the roof, with their names, whose places are told.
    fn draw_roof(&self, area: &Area, x: &Axis, y: &Axis) -> Result<Vec<Spot>, Box<dyn Error>> {
        let at = |intensity: f64, gflops: f64| FRAME.x(x, intensity).zip(FRAME.y(y, gflops));
        let Some(ridge) = at(self.peak / self.bandwidth, self.peak) else { return Ok(Vec::new()) };
        // Where the slope leaves the frame, at its left or its lower edge: one decade up is one to the right.
        let [wide, high] =
            [x, y].map(|axis| axis.place(10.0).zip(axis.place(1.0)).map_or(1.0, |(a, b)| a - b));
        let slope = high * (FRAME.bottom - FRAME.top) / (wide * (FRAME.right - FRAME.left));
        let run = (ridge.0 - FRAME.left).min((FRAME.bottom - ridge.1) / slope);
        let foot = (ridge.0 - run, ridge.1 + run * slope);
        line(area, &[foot, ridge, (FRAME.right, ridge.1)], INK, 1.0, 2.2)?;
        let peak = format!("{:.0} GFLOP/s", self.peak);
        let memory = format!("{:.1} GB/s", self.bandwidth);
        let middle = ((foot.0 + ridge.0) / 2.0 - 10.0, (foot.1 + ridge.1) / 2.0);
        // Near the ridge: fast algorithms put dots on the roof, and most of them far to the right.
        let named = (ridge.0 + 4.0, ridge.1 - 13.0);
        write(area, &peak, named, Anchor::Left, 15.0, INK)?;
        write(area, &memory, middle, Anchor::Right, 15.0, INK)?;
        let wide = width_of(&memory, 15.0);
        let mut taken = vec![
            [middle.0 - wide, middle.1 - 9.0, middle.0, middle.1 + 9.0],
            [named.0, ridge.1 - 22.0, named.0 + width_of(&peak, 15.0), ridge.1 - 4.0],
            [ridge.0, ridge.1 - 2.0, FRAME.right, ridge.1 + 2.0],
        ];
        // The slope as a chain of small boxes, so that no label lies across it.
        let steps = (run / 4.0).ceil().max(1.0);
        for i in 0..steps as usize {
            let along = run * i as f64 / steps;
            let (left, top) = (foot.0 + along, foot.1 - along * slope);
            taken.push([left - 1.0, top - 4.0 * slope - 1.0, left + 5.0, top + 1.0]);
        }
        Ok(taken)
    }

    fn draw_dots(&self, area: &Area, x: &Axis, y: &Axis, taken: &mut Vec<Spot>) -> Drawn {
        let placed = |dot: &Dot| FRAME.x(x, dot.intensity).zip(FRAME.y(y, dot.gflops));
        let mut dots: Vec<_> =
            self.dots.iter().filter_map(|dot| Some((dot, placed(dot)?))).collect();
        // Large ones first: none is hidden, and those that matter have their labels nearest.
        dots.sort_by(|a, b| b.0.share.total_cmp(&a.0.share));
        for (dot, at) in &dots {
            let r = radius(dot);
            match dot.hollow {
                true => ring(area, *at, colour(dot.series), r)?,
                false => {
                    line(area, &[*at], RGBColor(255, 255, 255), 1.0, r + 1.0)?;
                    line(area, &[*at], colour(dot.series), 1.0, r)?;
                }
            }
            taken.push([at.0 - r, at.1 - r, at.0 + r, at.1 + r]);
        }
        for (dot, at) in &dots {
            let wide = width_of(&dot.label, SMALL);
            let (place, far) = free_place(*at, radius(dot), wide, taken);
            let middle = ((place[0] + place[2]) / 2.0, (place[1] + place[3]) / 2.0);
            if far {
                let near = (at.0.clamp(place[0], place[2]), at.1.clamp(place[1], place[3]));
                line(area, &[*at, near], colour(dot.series), 0.6, 1.0)?;
            }
            write(area, &dot.label, middle, Anchor::Middle, SMALL, shade(dot.series))?;
            taken.push(place);
        }
        Ok(())
    }
}

/// Where a label of this width fits beside a dot without lying on anything, as near as can be, and
/// whether that is so far that a line must tell what it belongs to.
fn free_place(at: (f64, f64), radius: f64, wide: f64, taken: &[Spot]) -> (Spot, bool) {
    let (half, high) = (wide / 2.0 + 2.0, SMALL / 2.0 + 1.0);
    let near = |gap: f64, turn: usize| {
        // To the right first, then around.
        let angle = [0.0, 1.0, 0.5, 1.5, 0.25, 1.75, 0.75, 1.25][turn] * std::f64::consts::PI;
        let (dx, dy) = (angle.cos(), -angle.sin());
        let middle = (at.0 + dx * (gap + half), at.1 + dy * (gap + high));
        [middle.0 - half, middle.1 - high, middle.0 + half, middle.1 + high]
    };
    let inside = |b: &Spot| {
        b[0] > FRAME.left && b[2] < FRAME.right && b[1] > FRAME.top && b[3] < FRAME.bottom
    };
    let free = |b: &Spot| {
        taken.iter().all(|t| b[2] <= t[0] || t[2] <= b[0] || b[3] <= t[1] || t[3] <= b[1])
    };
    let gaps = (0..40).map(|i| radius + 2.0 + 5.0 * f64::from(i));
    let mut places = gaps.flat_map(|gap| (0..8).map(move |turn| (gap, turn)));
    places
        .find_map(|(gap, turn)| {
            let place = near(gap, turn);
            (inside(&place) && free(&place)).then_some((place, gap > radius + 8.0))
        })
        .unwrap_or((near(radius + 2.0, 0), false))
}

fn draw_axes(area: &Area, x: &Axis, y: &Axis) -> Drawn {
    let Frame { left, right, top, bottom } = FRAME;
    for value in round_values() {
        if let Some(at) = FRAME.x(x, value).filter(|at| (left..=right).contains(at)) {
            line(area, &[(at, top), (at, bottom)], FAINT, 1.0, 1.0)?;
            write(area, &value.to_string(), (at, bottom + 15.0), Anchor::Middle, 15.0, INK)?;
        }
        if let Some(at) = FRAME.y(y, value).filter(|at| (top..=bottom).contains(at)) {
            line(area, &[(left, at), (right, at)], FAINT, 1.0, 1.0)?;
            write(area, &value.to_string(), (left - 9.0, at), Anchor::Right, 15.0, INK)?;
        }
    }
    line(area, &[(left, top), (left, bottom), (right, bottom)], INK, 1.0, 1.0)?;
    write(area, "FLOP / byte", ((left + right) / 2.0, bottom + 42.0), Anchor::Middle, 15.0, INK)?;
    write(area, "GFLOP/s", (left - 60.0, top - 18.0), Anchor::Left, 15.0, INK)
}

/// 1, 2 and 5 of every decade.
fn round_values() -> impl Iterator<Item = f64> {
    let digits = |power: i32| [1.0, 2.0, 5.0].map(|digit| (digit, power));
    (-4..7).flat_map(digits).map(|(digit, power)| match power {
        // So that 0.2 is 0.2.
        ..0 => digit / 10f64.powi(-power),
        _ => digit * 10f64.powi(power),
    })
}

/// The area follows the share, but what takes no time is seen as well.
fn radius(dot: &Dot) -> f64 {
    (2.5 + 18.0 * dot.share.max(0.0).sqrt()).min(12.0)
}

fn ring(area: &Area, at: (f64, f64), colour: RGBColor, radius: f64) -> Drawn {
    line(area, &[at], colour, 1.0, radius)?;
    line(area, &[at], RGBColor(255, 255, 255), 1.0, (radius - 2.0).max(1.0))
}

fn colour(series: usize) -> RGBColor {
    let [r, g, b] = PALETTE[series % PALETTE.len()];
    RGBColor(r, g, b)
}

/// The same, dark enough to be read.
fn shade(series: usize) -> RGBColor {
    let RGBColor(r, g, b) = colour(series);
    let dark = |x: u8| (f64::from(x) * 0.75) as u8;
    RGBColor(dark(r), dark(g), dark(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A few layers as they lie in practice: three passes of a layer share their intensity.
    fn example() -> Vec<Dot> {
        let layers =
            [("G.0", 19.0, 30.0), ("G.1", 205.0, 260.0), ("D.1", 205.0, 250.0), ("D.4", 0.5, 4.0)];
        let dots = layers.iter().flat_map(|&(label, intensity, gflops)| {
            (0..3).map(move |series| Dot {
                label: label.to_string(),
                series,
                hollow: label == "G.0",
                intensity,
                gflops: gflops * (1.0 - 0.02 * series as f64),
                share: 0.08,
            })
        });
        dots.collect()
    }

    fn roofline(dots: &[Dot]) -> RgbImage {
        let series = ["fprop", "dgrad", "wgrad"];
        let (title, hollow) = ("two threads", "product of matrices");
        let roofline =
            Roofline { title, peak: 340.0, bandwidth: 20.0, series: &series, hollow, dots };
        roofline.picture().unwrap()
    }

    fn columns(picture: &RgbImage, is: impl Fn(u32, u32, [u8; 3]) -> bool) -> Vec<u32> {
        let found = picture.enumerate_pixels().filter(|(x, y, p)| is(*x, *y, p.0));
        found.map(|(x, _, _)| x).collect()
    }

    #[test]
    fn dots_and_roof_are_where_their_figures_are() {
        let dots = example();
        let picture = roofline(&dots);
        if let Ok(keep) = std::env::var("DUEL_KEEP_PICTURES") {
            super::super::save(&picture, &Path::new(&keep).join("roofline.png")).unwrap();
        }
        // Both axes end 6 % beyond what they hold: intensities 0.5 to 205, rates 3.84 to 425.
        let across = |intensity: f64| {
            let decades = (205f64 / 0.5).log10();
            FRAME.left
                + (0.06 + (intensity / 0.5).log10() / decades) / 1.12 * (FRAME.right - FRAME.left)
        };
        // Of D.4's three dots nothing lies on the last drawn.
        let near = |a: u8, b: u8| a.abs_diff(b) < 12;
        let wgrad = PALETTE[2];
        let low = columns(&picture, |x, y, p| {
            y > 450 && x > 80 && p.iter().zip(wgrad).all(|(&a, b)| near(a, b))
        });
        let middle = low.iter().map(|&x| f64::from(x)).sum::<f64>() / low.len() as f64;
        assert!(low.len() > 20 && (middle - across(0.5)).abs() < 2.0, "{middle} {}", low.len());
        // The flat roof begins at 340 / 20 = 17 FLOP a byte: the row of its end, followed to the left.
        let ink = |x: u32, y: u32| picture.get_pixel(x, y).0.iter().all(|&v| v < 80);
        let row = (110..400).find(|&y| ink(929, y)).unwrap() + 1;
        let first = (80..929).find(|&x| ink(x, row)).unwrap();
        assert!((f64::from(first) - across(17.0)).abs() < 4.0, "{first} {}", across(17.0));
    }

    #[test]
    fn labels_lie_on_nothing() {
        let mut taken = vec![[400.0, 300.0, 410.0, 310.0]];
        for i in 0..40 {
            let (place, _) = free_place((405.0, 305.0 + f64::from(i % 3)), 5.0, 24.0, &taken);
            let apart = |t: &Spot| {
                place[2] <= t[0] || t[2] <= place[0] || place[3] <= t[1] || t[3] <= place[1]
            };
            assert!(taken.iter().all(apart), "label {i} at {place:?}");
            taken.push(place);
        }
    }

    #[test]
    fn nothing_to_draw_and_nothing_that_can_be_drawn() {
        let bare = roofline(&[]);
        let odd = |intensity, gflops| Dot { intensity, gflops, ..Dot::default() };
        let dots = [odd(0.0, 1.0), odd(10.0, 0.0), odd(f64::NAN, f64::INFINITY)];
        assert_eq!(roofline(&dots).dimensions(), bare.dimensions());
    }
}
