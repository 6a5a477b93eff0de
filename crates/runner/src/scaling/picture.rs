//! Efficiency over ranks: a panel for each way of growing.

use super::rows::{Grows, Scaling};
use crate::picture::axis::{Axis, Frame};
use crate::picture::canvas::{Anchor, Area, Drawn, FAINT, INK, draw, line, width_of, write};
use crate::picture::curves::PALETTE;
use image::RgbImage;
use plotters::style::RGBColor;
use std::io;

const WIDTH: u32 = 960;
const HEIGHT: u32 = 700;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 930.0;
const SMALL: f64 = 15.0;

impl Scaling {
    /// Lines are predicted, a colour for each link; rings are runs of threads or processes here.
    ///
    /// # Errors
    /// When plotters refuses, which it has no reason to.
    pub fn picture(&self, title: &str) -> io::Result<RgbImage> {
        let predicted = self.predicted();
        let most =
            predicted.iter().map(|row| row.ranks).chain(self.measured.iter().map(|row| row.ranks));
        let last = most.max().unwrap_or(1).max(2) as f64;
        let best = self.measured.iter().map(|row| row.efficiency).fold(1.0, f64::max);
        let axes = [Axis::new(0.0, last.log2()), Axis::new(0.0, 1.06 * best)];
        draw(WIDTH, HEIGHT, |area| {
            write(area, title, (LEFT, 28.0), Anchor::Left, 22.0, INK)?;
            self.draw_legend(area)?;
            for (i, scaling) in Grows::ALL.into_iter().enumerate() {
                let top = 112.0 + 300.0 * i as f64;
                let frame = Frame { left: LEFT, right: RIGHT, top, bottom: top + 236.0 };
                draw_axes(area, &frame, &axes, scaling, i == 1)?;
                let [x, y] = &axes;
                for (at, link) in self.links.iter().enumerate() {
                    let rows =
                        predicted.iter().filter(|p| p.link == link.name && p.scaling == scaling);
                    let points = rows.map(|p| ((p.ranks as f64).log2(), p.efficiency));
                    for part in frame.lines(x, y, points) {
                        line(area, &part, colour(at), 1.0, 2.2)?;
                    }
                }
                let rows = self.measured.iter().filter(|m| m.scaling == scaling || m.ranks == 1);
                let points = rows.map(|m| ((m.ranks as f64).log2(), m.efficiency));
                for point in points.filter_map(|(a, b)| Some((frame.x(x, a)?, frame.y(y, b)?))) {
                    line(area, &[point], INK, 1.0, 5.0)?;
                    line(area, &[point], RGBColor(255, 255, 255), 1.0, 2.6)?;
                }
            }
            Ok(())
        })
    }

    fn draw_legend(&self, area: &Area) -> Drawn {
        let (mut left, mut row) = (LEFT, 58.0);
        for (at, link) in self.links.iter().enumerate() {
            let width = 44.0 + width_of(&link.name, SMALL);
            if left + width > RIGHT {
                (left, row) = (LEFT, row + 20.0);
            }
            line(area, &[(left, row), (left + 18.0, row)], colour(at), 1.0, 2.6)?;
            write(area, &link.name, (left + 26.0, row), Anchor::Left, SMALL, INK)?;
            left += width + 10.0;
        }
        line(area, &[(left + 9.0, row)], INK, 1.0, 5.0)?;
        line(area, &[(left + 9.0, row)], RGBColor(255, 255, 255), 1.0, 2.6)?;
        write(area, "measured here", (left + 26.0, row), Anchor::Left, SMALL, INK)
    }
}

fn colour(link: usize) -> RGBColor {
    let [r, g, b] = PALETTE[link % PALETTE.len()];
    RGBColor(r, g, b)
}

fn draw_axes(area: &Area, frame: &Frame, [x, y]: &[Axis; 2], scaling: Grows, last: bool) -> Drawn {
    let Frame { left, right, top, bottom } = *frame;
    let powers = (0..=x.end().round() as i32).map(f64::from);
    for (power, at) in powers.filter_map(|power| Some((power, frame.x(x, power)?))) {
        line(area, &[(at, top), (at, bottom)], FAINT, 1.0, 1.0)?;
        let ranks = format!("{}", power.exp2());
        write(area, &ranks, (at, bottom + 15.0), Anchor::Middle, SMALL, INK)?;
    }
    for (value, label) in y.ticks(4) {
        let Some(at) = frame.y(y, value) else { continue };
        line(area, &[(left, at), (right, at)], FAINT, 1.0, 1.0)?;
        write(area, &label, (left - 9.0, at), Anchor::Right, SMALL, INK)?;
    }
    line(area, &[(left, top), (left, bottom), (right, bottom)], INK, 1.0, 1.0)?;
    if last {
        write(area, "ranks", (left - 9.0, bottom + 15.0), Anchor::Right, SMALL, INK)?;
    }
    let shared = match scaling {
        Grows::Strong => "strong: one batch for all ranks,  efficiency",
        Grows::Weak => "weak: a batch for each rank,  efficiency",
    };
    write(area, shared, (left, top - 15.0), Anchor::Left, 17.0, INK)
}
