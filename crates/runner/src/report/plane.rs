//! A plane with two axes. What is drawn stretches with the page; what is written does not.

use crate::picture::axis::Axis;
use maud::{Markup, html};
use std::fmt::Write;

/// Units of the drawing in each direction; the page stretches them.
const SIZE: f64 = 1000.0;

/// Two axes.
pub(super) struct Plane {
    pub x: Axis,
    pub y: Axis,
}

impl Plane {
    /// Where a value lies, in units from the left.
    pub fn left(&self, x: f64) -> Option<f64> {
        self.x.place(x).map(|at| at * SIZE)
    }

    /// Where a value lies, in units from the top.
    pub fn top(&self, y: f64) -> Option<f64> {
        self.y.place(y).map(|at| (1.0 - at) * SIZE)
    }

    /// A line through points as an SVG path, cut where a point cannot be drawn.
    pub fn path(&self, points: impl Iterator<Item = (f64, f64)>) -> String {
        let mut path = String::new();
        let mut joined = false;
        for (x, y) in points {
            let (Some(x), Some(y)) = (self.left(x), self.top(y)) else {
                joined = false;
                continue;
            };
            let step = if joined { 'L' } else { 'M' };
            write!(path, "{step}{x:.1} {y:.1}").expect("strings take everything");
            joined = true;
        }
        // A lone point shows as a dot once its line has an end.
        if !path.is_empty() && !path.contains('L') {
            path.push_str("h.1");
        }
        path
    }

    /// The axes around what is drawn inside. `over` lies above the drawing, `label` tells in words
    /// what there is to see.
    pub fn draw(&self, label: &str, inside: &Markup, over: &Markup) -> Markup {
        let (x, y) = (self.x.ticks(5), self.y.ticks(6));
        let percent = |at: f64| format!("{:.2}%", at * 100.0);
        html! {
            div.plane {
                div.ys aria-hidden="true" {
                    @for (value, text) in &y {
                        @if let Some(at) = self.y.place(*value) {
                            span style={ "bottom:" (percent(at)) } { (text) }
                        }
                    }
                }
                div.area tabindex="0" role="img" aria-label=(label) {
                    svg viewBox={ "0 0 " (SIZE) " " (SIZE) } preserveAspectRatio="none" aria-hidden="true" {
                        @for (value, _) in &y {
                            @if let Some(at) = self.top(*value) {
                                path.rung d={ "M0 " (format!("{at:.1}")) "H" (SIZE) } {}
                            }
                        }
                        (inside)
                    }
                    (over)
                    div.cursor hidden {}
                }
                div.xs aria-hidden="true" {
                    @for (value, text) in &x {
                        @if let Some(at) = self.x.place(*value) {
                            span style={ "left:" (percent(at)) } { (text) }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_break_at_gaps() {
        let plane = Plane { x: Axis::new(0.0, 10.0), y: Axis::new(0.0, 1.0) };
        let points = [(0.0, 0.0), (5.0, 1.0), (6.0, f64::NAN), (10.0, 0.5), (10.0, 0.25)];
        assert_eq!(
            plane.path(points.into_iter()),
            "M0.0 1000.0L500.0 0.0M1000.0 500.0L1000.0 750.0"
        );
        assert_eq!(plane.path([(5.0, 0.5)].into_iter()), "M500.0 500.0h.1");
        assert_eq!(plane.path(std::iter::empty()), "");
    }
}
