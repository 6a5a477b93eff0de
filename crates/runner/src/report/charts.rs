//! Curves over images shown, with a read-out that the page's script moves.

use super::figures::{grouped, significant};
use super::metrics::Alarm;
use super::plane::Plane;
use crate::picture::axis::Axis;
use maud::{Markup, html};

/// Points of a line. More are drawn as means of neighbours.
const POINTS: usize = 500;

/// Colours that the page's style knows.
pub(super) const COLOURS: usize = 8;

/// A line of a chart.
pub(super) struct Line {
    pub name: String,
    /// Index of its colour; those beyond the last are dashed.
    pub colour: usize,
    /// (images, figure)
    pub points: Vec<(f64, f64)>,
    /// Lines that belong to it and have no read-out.
    pub shadows: Vec<Vec<(f64, f64)>>,
}

/// A plane with its lines.
#[derive(Default)]
pub(super) struct Chart {
    pub title: String,
    /// What the figures are.
    pub unit: String,
    pub lines: Vec<Line>,
    /// Horizontal rules with their names.
    pub rules: Vec<(f64, String)>,
}

impl Line {
    pub fn new(name: &str, colour: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_string(), colour, points, shadows: Vec::new() }
    }
}

/// The charts that have anything to show, over one axis of images up to `end`.
pub(super) fn charts(all: &[Chart], end: f64, alarms: &[Alarm]) -> Markup {
    let x = Axis::new(0.0, if end > 0.0 { end } else { 1.0 });
    let drawn = |chart: &&Chart| chart.lines.iter().any(|line| !line.points.is_empty());
    html! {
        div.charts data-end=(end) {
            @for chart in all.iter().filter(drawn) { (chart.draw(x, alarms)) }
        }
    }
}

impl Chart {
    fn draw(&self, x: Axis, alarms: &[Alarm]) -> Markup {
        let shown: Vec<Line> = self.lines.iter().map(Line::thinned).collect();
        let of_line = |line: &Line| -> Vec<f64> {
            line.points.iter().chain(line.shadows.iter().flatten()).map(|p| p.1).collect()
        };
        let values = shown.iter().flat_map(of_line);
        let plane =
            Plane { x, y: Axis::around(values.chain(self.rules.iter().map(|r| r.0)), false) };
        let inside = html! {
            @for alarm in alarms { (band(&plane, alarm)) }
            @for (value, _) in &self.rules {
                @if let Some(at) = plane.top(*value) { path.rule d={ "M0 " (format!("{at:.1}")) "H1000" } {} }
            }
            @for (i, line) in shown.iter().enumerate() { (line.draw(i, &plane)) }
        };
        let over = html! {
            @for (value, name) in &self.rules {
                @if let Some(at) = plane.y.place(*value) {
                    span.ruled style={ "bottom:" (format!("{:.2}%", at * 100.0)) } { (name) }
                }
            }
        };
        html! {
            figure.chart {
                figcaption {
                    h3 { (self.title) @if !self.unit.is_empty() { " " small { (self.unit) } } }
                    output.at {}
                    ul.legend {
                        @for (i, line) in shown.iter().enumerate() {
                            li.off[line.points.is_empty()] {
                                (line.named(i, shown.len() > 2))
                                output { (line.points.last().map_or("–".into(), |p| significant(p.1))) }
                            }
                        }
                    }
                }
                (plane.draw(&self.in_words(), &inside, &over))
            }
        }
    }

    /// What a chart shows, for those who do not see it.
    fn in_words(&self) -> String {
        let ends = |line: &Line| {
            let (first, last) = (line.points.first()?, line.points.last()?);
            let [from, to] = [first.1, last.1].map(significant);
            let [begin, end] = [first.0, last.0].map(|images| grouped(images as u64));
            Some(format!("{} from {from} at {begin} images to {to} at {end}", line.name))
        };
        let lines: Vec<String> = self.lines.iter().filter_map(ends).collect();
        format!("{}: {}", self.title, lines.join("; "))
    }
}

impl Line {
    fn thinned(&self) -> Line {
        let shadows = self.shadows.iter().map(|points| thinned(points)).collect();
        Line {
            name: self.name.clone(),
            colour: self.colour,
            points: thinned(&self.points),
            shadows,
        }
    }

    fn class(&self) -> String {
        let dashed = if self.colour >= COLOURS { " dashed" } else { "" };
        format!("c{}{dashed}", self.colour % COLOURS)
    }

    /// Its entry in the legend; among many it can be chosen there.
    fn named(&self, i: usize, many: bool) -> Markup {
        let name = html! { i.key.{ (self.class()) } {} (self.name) };
        html! {
            @if many {
                button.pick type="button" aria-pressed="false" data-line=(i) { (name) }
            } @else { (name) }
            " "
        }
    }

    fn draw(&self, i: usize, plane: &Plane) -> Markup {
        let list = |of: &dyn Fn(&(f64, f64)) -> String| {
            self.points.iter().map(of).collect::<Vec<_>>().join(" ")
        };
        html! {
            @for shadow in &self.shadows {
                path.line.shadow.{ (self.class()) } data-line=(i) d=(plane.path(shadow.iter().copied())) {}
            }
            path.line.{ (self.class()) } data-line=(i) d=(plane.path(self.points.iter().copied()))
                data-x=(list(&|p| format!("{:.0}", p.0))) data-y=(list(&|p| significant(p.1))) {}
        }
    }
}

/// The time in which an alarm rang, from its first report to its last.
fn band(plane: &Plane, alarm: &Alarm) -> Markup {
    let ends = (plane.left(alarm.from as f64), plane.left(alarm.to as f64));
    let (Some(from), Some(to)) = ends else { return html! {} };
    html! {
        rect.alarm x=(format!("{from:.1}")) y="0" width=(format!("{:.1}", (to - from).max(3.0))) height="1000" {
            title { (alarm.name) }
        }
    }
}

/// Means of equal numbers of neighbours, where there are more than [`POINTS`].
fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let each = points.len().div_ceil(POINTS).max(1);
    let mean = |part: &[(f64, f64)]| {
        let sum: f64 = part.iter().map(|p| p.1).sum();
        (part[part.len() - 1].0, sum / part.len() as f64)
    };
    points.chunks(each).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_become_means() {
        let points: Vec<(f64, f64)> = (1..=1001).map(|i| (f64::from(i), f64::from(i))).collect();
        let short = thinned(&points);
        assert_eq!(short.len(), 334);
        assert_eq!((short[0], short[333]), ((3.0, 2.0), (1001.0, 1000.5)));
        assert_eq!(thinned(&points[..400]), points[..400]);
    }

    #[test]
    fn names_are_escaped_and_empty_charts_left_out() {
        let line = Line::new("<b>", 9, vec![(0.0, 1.0), (10.0, 3.0)]);
        let full = Chart { title: "A & B".into(), lines: vec![line], ..Chart::default() };
        let empty = Chart { title: "nothing".into(), ..Chart::default() };
        let page = charts(&[full, empty], 10.0, &[]).into_string();
        assert!(page.contains("A &amp; B") && page.contains("&lt;b&gt;"), "{page}");
        assert!(!page.contains("nothing") && !page.contains("<b>"), "{page}");
        assert!(page.contains("c1 dashed") && page.contains(r#"data-y="1 3""#), "{page}");
        assert!(page.contains("from 1 at 0 images to 3 at 10"), "{page}");
    }
}
