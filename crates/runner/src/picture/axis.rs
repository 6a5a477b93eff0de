//! Axes and the rectangle they span.

/// A range of values, drawn linearly or by its logarithm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Axis {
    lo: f64,
    hi: f64,
    log: bool,
}

impl Axis {
    /// From `lo` to `hi`, exactly.
    pub fn new(lo: f64, hi: f64) -> Axis {
        Axis { lo, hi, log: false }
    }

    /// Around all `values` that can be drawn, with a little air; around nothing, 0 to 1.
    pub fn around(values: impl Iterator<Item = f64>, log: bool) -> Axis {
        let drawable = values.filter(|v| v.is_finite() && (!log || *v > 0.0));
        let place = |v: f64| if log { v.log10() } else { v };
        let (lo, hi) =
            drawable.map(place).fold((f64::MAX, f64::MIN), |(lo, hi), v| (lo.min(v), hi.max(v)));
        if lo > hi {
            return Axis { lo: 0.0, hi: 1.0, log };
        }
        // A constant gets a range of its own size, so that its figure can be read.
        let air = if hi - lo > 1e-9 * hi.abs().max(lo.abs()) {
            0.06 * (hi - lo)
        } else {
            0.5 * lo.abs().max(1e-3)
        };
        Axis { lo: lo - air, hi: hi + air, log }
    }

    /// The high end of a linear axis.
    pub fn end(&self) -> f64 {
        self.hi
    }

    /// Where a value lies, 0 at the low end and 1 at the high; none where it cannot be drawn.
    pub fn place(&self, value: f64) -> Option<f64> {
        let value = if self.log { value.log10() } else { value };
        value.is_finite().then(|| (value - self.lo) / (self.hi - self.lo))
    }

    /// Round values inside, about `count` of them, with what to write at them.
    pub fn ticks(&self, count: usize) -> Vec<(f64, String)> {
        let raw = (self.hi - self.lo) / count.max(1) as f64;
        let power = 10f64.powf(raw.log10().floor());
        let mut step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * power)
            .into_iter()
            .find(|s| *s >= raw * 0.999)
            .unwrap_or(raw);
        if self.log {
            step = step.round().max(1.0);
        }
        let first = (self.lo / step - 1e-9).ceil() as i64;
        let last = (self.hi / step + 1e-9).floor() as i64;
        let digits = (-(step * 1.001).log10().floor()).max(0.0) as usize;
        (first..=last)
            .map(|i| {
                let at = i as f64 * step;
                match self.log {
                    true => (10f64.powf(at), power_of_ten(at)),
                    false => (at, number(at, digits)),
                }
            })
            .collect()
    }
}

/// `100k`, `1.5M`, `0.25`, `−3`.
fn number(value: f64, digits: usize) -> String {
    let size = value.abs();
    let (unit, name) = match size {
        s if s >= 1e9 => (1e9, "G"),
        s if s >= 1e6 => (1e6, "M"),
        s if s >= 1e4 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let text = if unit > 1.0 {
        let text = format!("{:.2}", size / unit);
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        format!("{size:.digits$}")
    };
    let sign = if value < 0.0 { "−" } else { "" };
    format!("{sign}{text}{name}")
}

fn power_of_ten(power: f64) -> String {
    match power {
        p if (-3.0..=3.0).contains(&p) => number(10f64.powf(p), (-p).max(0.0) as usize),
        p => format!("1e{}", number(p, 0)),
    }
}

/// A rectangle on the picture, in final pixels.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    /// Left edge.
    pub left: f64,
    /// Right edge.
    pub right: f64,
    /// Upper edge.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
}

impl Frame {
    /// The column of a value.
    pub fn x(&self, axis: &Axis, value: f64) -> Option<f64> {
        axis.place(value).map(|at| self.left + at * (self.right - self.left))
    }

    /// The row of a value.
    pub fn y(&self, axis: &Axis, value: f64) -> Option<f64> {
        axis.place(value).map(|at| self.bottom - at * (self.bottom - self.top))
    }

    /// A line of points as pixels, cut where a point cannot be drawn.
    pub fn lines(
        &self,
        x: &Axis,
        y: &Axis,
        points: impl Iterator<Item = (f64, f64)>,
    ) -> Vec<Vec<(f64, f64)>> {
        let mut lines = vec![Vec::new()];
        for (px, py) in points {
            match (self.x(x, px), self.y(y, py)) {
                (Some(px), Some(py)) => lines.last_mut().expect("never empty").push((px, py)),
                _ => lines.push(Vec::new()),
            }
        }
        lines.retain(|line| !line.is_empty());
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis, count: usize) -> Vec<String> {
        axis.ticks(count).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(
            labels(Axis::new(0.0, 3e5), 6),
            ["0", "50k", "100k", "150k", "200k", "250k", "300k"]
        );
        assert_eq!(labels(Axis::new(0.0, 1.5e7), 3), ["0", "5M", "10M", "15M"]);
        assert_eq!(labels(Axis::new(-1.5, -0.7), 4), ["−1.4", "−1.2", "−1.0", "−0.8"]);
        assert_eq!(labels(Axis::new(0.0, 1.0), 4), ["0.0", "0.5", "1.0"]);
        assert_eq!(labels(Axis::around([0.02, 30.0].into_iter(), true), 4), ["0.1", "1", "10"]);
    }

    #[test]
    fn ranges_hold_what_can_be_drawn() {
        let axis = Axis::around([f64::NAN, 1.0, 3.0, f64::INFINITY].into_iter(), false);
        assert_eq!((axis.place(1.0), axis.place(f64::NAN)), (Some(0.12 / 2.24), None));
        let axis = Axis::around([2.0, 2.0].into_iter(), false);
        assert_eq!(axis.place(2.0), Some(0.5));
        let axis = Axis::around([-1.0, 10.0, 0.0, 1000.0].into_iter(), true);
        assert!((axis.place(100.0).unwrap() - 0.5).abs() < 1e-12);
        assert_eq!((axis.place(0.0), axis.place(-1.0)), (None, None));
        assert_eq!(labels(Axis::around(std::iter::empty(), false), 2), ["0.0", "0.5", "1.0"]);
    }

    #[test]
    fn lines_break_at_gaps() {
        let frame = Frame { left: 10.0, right: 20.0, top: 0.0, bottom: 100.0 };
        let axis = Axis::new(0.0, 1.0);
        let points = [(0.0, 0.0), (0.5, 1.0), (0.6, f64::NAN), (1.0, 0.5)];
        let lines = frame.lines(&axis, &axis, points.into_iter());
        assert_eq!(lines, [vec![(10.0, 100.0), (15.0, 0.0)], vec![(20.0, 50.0)]]);
    }
}
