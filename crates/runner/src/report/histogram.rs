//! How D's answers spread: those on real samples and those on fakes, as two histograms in one plane.

use super::figures::significant;
use super::plane::Plane;
use crate::picture::axis::Axis;
use maud::{Markup, html};

/// Bars from one end to the other.
const BARS: usize = 25;

/// D's answers at one moment.
pub(super) struct Answers {
    pub images: u64,
    /// D(x), where there is data to ask about.
    pub real: Option<Vec<f32>>,
    /// D(G(z))
    pub fake: Vec<f32>,
}

/// The ends of a common axis: 0 and 1 for probabilities, else those of the answers.
pub(super) fn ends(all: &[Answers]) -> [f64; 2] {
    let answers = all.iter().flat_map(|a| a.real.iter().flatten().chain(&a.fake));
    let finite = answers.map(|&x| f64::from(x)).filter(|x| x.is_finite());
    let (low, high) = finite.fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
    match (low, high) {
        _ if low >= 0.0 && high <= 1.0 || low > high => [0.0, 1.0],
        _ if low == high => [low - 1.0, high + 1.0],
        _ => [low, high],
    }
}

/// Shares of the answers in each bar.
fn shares(answers: &[f32], [low, high]: [f64; 2]) -> Vec<f64> {
    let mut shares = vec![0.0; BARS];
    for &answer in answers.iter().filter(|a| a.is_finite()) {
        let at = (f64::from(answer) - low) / (high - low) * BARS as f64;
        shares[(at as usize).min(BARS - 1)] += 1.0 / answers.len() as f64;
    }
    shares
}

fn mean(answers: &[f32]) -> f64 {
    answers.iter().map(|&a| f64::from(a)).sum::<f64>() / answers.len() as f64
}

impl Answers {
    /// The two histograms between these ends.
    pub fn draw(&self, ends: [f64; 2]) -> Markup {
        let mut kinds = Vec::new();
        if let Some(real) = &self.real {
            kinds.push(("D(x)", "c0", shares(real, ends), mean(real)));
        }
        kinds.push(("D(G(z))", "c1", shares(&self.fake, ends), mean(&self.fake)));
        let highest = kinds.iter().flat_map(|k| k.2.clone()).fold(0.0, f64::max);
        let top = (highest * 10.0).ceil() / 10.0;
        let plane = Plane { x: Axis::new(ends[0], ends[1]), y: Axis::new(0.0, top.max(0.1)) };
        let width = (ends[1] - ends[0]) / BARS as f64;
        let outline = |shares: &[f64]| {
            let step = |(i, &share): (usize, &f64)| {
                let from = ends[0] + i as f64 * width;
                [(from, share), (from + width, share)]
            };
            let steps = shares.iter().enumerate().flat_map(step);
            plane.path(std::iter::once((ends[0], 0.0)).chain(steps).chain([(ends[1], 0.0)]))
        };
        let inside = html! {
            @for (_, colour, shares, _) in &kinds { path.bars.{ (colour) } d=(outline(shares)) {} }
        };
        let words: Vec<String> =
            kinds.iter().map(|k| format!("{} in the mean {}", k.0, significant(k.3))).collect();
        html! {
            figure.chart.still {
                figcaption {
                    ul.legend {
                        @for (name, colour, _, mean) in &kinds {
                            li { i.key.{ (colour) } {} (name) " " output { "mean " (significant(*mean)) } }
                        }
                    }
                }
                (plane.draw(&format!("Histograms: {}", words.join("; ")), &inside, &html! {}))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_in_a_bar() {
        let shares = shares(&[0.0, 0.039, 0.04, 0.999, 1.0], [0.0, 1.0]);
        assert_eq!((shares[0], shares[1], shares[24]), (0.4, 0.2, 0.4));
        let answers = |fake: &[f32]| [Answers { images: 0, real: None, fake: fake.to_vec() }];
        assert_eq!(ends(&answers(&[0.2, 0.9])), [0.0, 1.0]);
        assert_eq!(ends(&answers(&[-3.0, 0.5, f32::NAN])), [-3.0, 0.5]);
        assert_eq!(ends(&answers(&[7.0])), [6.0, 8.0]);
        assert_eq!(ends(&[]), [0.0, 1.0]);
    }
}
