//! What was measured and predicted, as rows.

use super::link::Link;
use super::model::{Outcome, predict};
use super::overlap::Overlap;
use super::probe::Probed;
use super::stretches::Stretches;
use serde::Serialize;
use serde_json::{Value, json};

/// The most ranks that are predicted.
const MOST: usize = 1024;

/// What grows with the number of ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grows {
    /// Nothing: all ranks share one batch.
    Strong,
    /// The batch: each rank has as much as one had.
    Weak,
}

impl Grows {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Strong, Self::Weak];

    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Weak => "weak",
        }
    }

    /// Samples of a step, where one rank has `batch`.
    pub fn batch(self, batch: usize, ranks: usize) -> usize {
        match self {
            Self::Strong => batch,
            Self::Weak => batch * ranks,
        }
    }
}

/// Steps that were run.
#[derive(Clone, Debug, Serialize)]
pub struct Measured {
    /// What grew.
    pub scaling: Grows,
    /// How many ranks.
    pub ranks: usize,
    /// Threads of each.
    pub threads: usize,
    /// Cores that there were for all of them together.
    pub cores: usize,
    /// Samples of a step, of all ranks.
    pub batch: usize,
    /// Median seconds of an iteration.
    pub seconds: f64,
    /// Real images of an iteration a second.
    pub images_per_second: f64,
    /// The same for each core at work, over that of one rank.
    pub efficiency: f64,
    /// What sums cost.
    #[serde(flatten)]
    pub overlap: Overlap,
    /// Seconds that the model says.
    pub predicted_seconds: f64,
    /// How much of the gradients it says is hidden, 0 to 1.
    pub predicted_hidden: f64,
}

impl Measured {
    /// Whether ranks had to take turns on cores.
    pub fn is_crowded(&self) -> bool {
        self.ranks * self.threads > self.cores
    }

    /// Cores at work.
    pub fn busy(&self) -> f64 {
        self.cores.min(self.ranks * self.threads) as f64
    }

    /// What is left of the prediction, as a part of what was measured.
    pub fn error(&self) -> f64 {
        self.predicted_seconds / self.seconds - 1.0
    }
}

/// Steps that were not run.
#[derive(Clone, Debug, Serialize)]
pub struct Predicted {
    /// What connects the ranks.
    pub link: String,
    /// What grows.
    pub scaling: Grows,
    /// How many ranks.
    pub ranks: usize,
    /// Samples of a step, of all ranks.
    pub batch: usize,
    /// The step.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Images a second.
    pub images_per_second: f64,
    /// The same for each rank, over that of one.
    pub efficiency: f64,
}

/// All there is to tell.
pub struct Scaling {
    /// Samples of one rank's step, and real images of its iteration.
    pub batch: [usize; 2],
    /// What was run; the first row is one rank.
    pub measured: Vec<Measured>,
    /// The engines that added up, with the number of ranks.
    pub engines: Vec<(String, usize, Probed)>,
    /// What one rank computes in a step of the whole batch, and in one of about half of it, with that many rows.
    pub work: [(usize, Stretches); 2],
    /// Seconds of one rank's step that are assumed where ranks are other machines.
    pub step: Option<f64>,
    /// Links that are asked about.
    pub links: Vec<Link>,
}

impl Scaling {
    /// What a step of so many rows computes on one of the ranks that are predicted.
    fn stretches(&self, rows: usize) -> Option<Stretches> {
        let [(large, whole), (small, half)] = &self.work;
        let factor = self.step.map_or(1.0, |step| step / whole.work());
        let at_rows = match rows == *large {
            true => whole.clone(),
            false => whole.between(*large, half, *small, rows as f64)?,
        };
        Some(at_rows.scaled(factor))
    }

    /// For each link, and each power of two of ranks that it connects and that share the batch.
    pub fn predicted(&self) -> Vec<Predicted> {
        let [batch, images] = self.batch;
        let mut all = Vec::new();
        for link in &self.links {
            for scaling in Grows::ALL {
                let mut alone = None;
                let powers = (0..).map(|power| 1 << power);
                for ranks in powers.take_while(|ranks| *ranks <= MOST.min(link.reach)) {
                    let whole = scaling.batch(batch, ranks);
                    let fits = whole.is_multiple_of(ranks);
                    let Some(work) = self.stretches(whole / ranks).filter(|_| fits) else { break };
                    let outcome = predict(&work, ranks, link, true);
                    let images_per_second = (images * whole / batch) as f64 / outcome.seconds;
                    let each = images_per_second / ranks as f64;
                    let efficiency = each / *alone.get_or_insert(each);
                    let link = link.name.clone();
                    let batch = whole;
                    all.push(Predicted {
                        link,
                        scaling,
                        ranks,
                        batch,
                        outcome,
                        images_per_second,
                        efficiency,
                    });
                }
            }
        }
        all
    }

    /// Everything as rows with a `kind`: `engine`, `measured`, `predicted`.
    pub fn rows(&self) -> Vec<Value> {
        let mut rows = Vec::new();
        for (engine, ranks, probed) in &self.engines {
            rows.push(
                json!({"kind": "engine", "engine": engine, "ranks": ranks, "probed": probed}),
            );
        }
        let mut add = |kind: &str, mut row: Value| {
            row["kind"] = json!(kind);
            rows.push(row);
        };
        for row in &self.measured {
            let mut value = serde_json::to_value(row).expect("rows are JSON");
            value["hidden"] = json!(row.overlap.hidden());
            value["error"] = json!(row.error());
            add("measured", value);
        }
        for row in self.predicted() {
            add("predicted", serde_json::to_value(row).expect("rows are JSON"));
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::super::Kind;
    use super::super::stretches::{Part, Sum};
    use super::*;

    /// 8 rows take 8 s, 4 take 5 s: 2 s and 0.75 s a row. 1 MB is added up at the end.
    fn scaling(step: Option<f64>, link: Link) -> Scaling {
        let work = |seconds| Stretches {
            parts: vec![Part::Work(seconds), Part::Begin(0), Part::Await(0)],
            sums: vec![Sum { kind: Kind::Gradient, bytes: 1_000_000 }],
        };
        Scaling {
            batch: [8, 8],
            measured: Vec::new(),
            engines: Vec::new(),
            work: [(8, work(8.0)), (4, work(5.0))],
            step,
            links: vec![link],
        }
    }

    #[test]
    fn ranks_that_share_a_batch_and_ranks_that_do_not() {
        let name = "x".to_string();
        let link = Link { name, call: 0.0, latency: 0.0, bandwidth: 1e6, reach: 64 };
        let of = |all: &[Predicted], scaling| -> Vec<(usize, f64)> {
            let rows = all.iter().filter(|row| row.scaling == scaling);
            rows.map(|row| (row.ranks, row.outcome.seconds)).collect()
        };
        let all = scaling(None, link.clone()).predicted();
        // 8, 4, 2 and 1 rows; 0, 1, 1.5 and 1.75 s for the sum. More ranks than rows there are not.
        assert_eq!(of(&all, Grows::Strong), [(1, 8.0), (2, 6.0), (4, 5.0), (8, 4.5)]);
        let weak = of(&all, Grows::Weak);
        assert_eq!(weak[..3], [(1, 8.0), (2, 9.0), (4, 9.5)]);
        assert_eq!(weak.last().map(|row| row.0), Some(64));
        let four = all.iter().find(|row| row.ranks == 4).expect("a row");
        assert_eq!((four.images_per_second, four.efficiency), (8.0 / 5.0, 8.0 / 5.0 / 4.0));
        // A machine whose step takes 0.8 s: a tenth of the work, and the same sums.
        let all = scaling(Some(0.8), link).predicted();
        let [one, two] = [of(&all, Grows::Strong)[0].1, of(&all, Grows::Strong)[1].1];
        assert!((one - 0.8).abs() < 1e-12 && (two - 1.5).abs() < 1e-12, "{one} {two}");
    }
}
