//! Times of nodes, summed by operation and by layer.

use super::measure::Times;
use super::product::{product, weight};
use cpu::Speed;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tape::{Op, Pass, T};

/// Where the time of one iteration goes.
pub struct Profile {
    /// What the threads reach at best.
    pub ceiling: Speed,
    /// Everything.
    pub total: Work,
    /// Programs of the iteration, with how often each is run.
    pub programs: Vec<(String, u64)>,
    /// By kind of operation, the longest first.
    pub operations: Vec<Operation>,
    /// Convolutions and products by weight and pass, in the order of the networks.
    pub layers: Vec<Layer>,
    /// What families of operations take together, the longest first.
    pub families: Vec<(&'static str, Work)>,
}

/// What some nodes do in one iteration.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Work {
    /// How many nodes are run.
    pub runs: u64,
    /// Medians of their times.
    pub seconds: f64,
    /// Additions and multiplications.
    pub flop: u64,
    /// Bytes read and written, each operand of a node once.
    pub bytes: u64,
}

/// All nodes of one kind.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Operation {
    /// As `duel show` prints it.
    pub operation: &'static str,
    /// What they do.
    #[serde(flatten)]
    pub work: Work,
}

/// All products of one weight that go the same way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Name of the weight.
    pub weight: String,
    /// Which way; a transposed convolution goes forward by `Dgrad`.
    #[serde(serialize_with = "name")]
    pub pass: Pass,
    /// Whether it is a convolution.
    pub is_convolution: bool,
    /// Terms of each sum, K.
    pub depth: u64,
    /// What they do: 2 FLOP for each multiply-add of the definition, however it is computed.
    #[serde(flatten)]
    pub work: Work,
}

impl Work {
    fn add(&mut self, other: Self) {
        self.runs += other.runs;
        self.seconds += other.seconds;
        self.flop += other.flop;
        self.bytes += other.bytes;
    }

    /// Billions of operations a second.
    pub fn gflops(&self) -> f64 {
        rate(self.flop, self.seconds)
    }

    /// Gigabytes a second.
    pub fn gigabytes(&self) -> f64 {
        rate(self.bytes, self.seconds)
    }

    /// Operations for each byte.
    pub fn intensity(&self) -> f64 {
        self.flop as f64 / self.bytes.max(1) as f64
    }

    fn json(&self, of: &Profile) -> Value {
        json!({
            "share": of.share(self),
            "gflops": self.gflops(),
            "gigabytes": self.gigabytes(),
        })
    }
}

fn name<S: Serializer>(pass: &Pass, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(pass.name())
}

fn rate(amount: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { 1e-9 * amount as f64 / seconds } else { 0.0 }
}

impl Profile {
    /// Sums what was measured; `real` are the bytes of a number.
    pub fn new(times: &Times, ceiling: Speed, real: usize) -> Self {
        let compiled = &times.compiled;
        let mut total = Work::default();
        let mut operations = BTreeMap::<&str, Work>::new();
        let mut families = BTreeMap::<&str, Work>::new();
        let mut layers = BTreeMap::<(T, usize, u64), Layer>::new();
        for timed in &times.programs {
            let nodes = &compiled.program(timed.program).nodes;
            for (node, time) in
                nodes.iter().zip(&timed.nodes).filter(|(node, _)| !node.op.is_view())
            {
                let work = Work {
                    runs: timed.calls,
                    seconds: time.as_secs_f64() * timed.calls as f64,
                    flop: compiled.flops(node) * timed.calls,
                    bytes: compiled.bytes(node, real) * timed.calls,
                };
                total.add(work);
                operations.entry(node.op.name()).or_default().add(work);
                let product = product(compiled, node);
                let family = if product.is_some() { PRODUCTS } else { family(&node.op) };
                families.entry(family).or_default().add(work);
                if let Some(product) = product {
                    let weight = weight(compiled, nodes, &product).unwrap_or(node.outs[0]);
                    let layer = layers
                        .entry((weight, product.pass as usize, product.depth))
                        .or_insert_with(|| Layer {
                            weight: compiled.label(weight),
                            pass: product.pass,
                            is_convolution: product.is_convolution,
                            depth: product.depth,
                            work: Work::default(),
                        });
                    layer.work.add(Work { flop: product.flop * timed.calls, ..work });
                }
            }
        }
        let longest = |a: &Work, b: &Work| b.seconds.total_cmp(&a.seconds);
        let mut families: Vec<_> = families.into_iter().collect();
        families.sort_by(|a, b| longest(&a.1, &b.1));
        let mut operations: Vec<_> =
            operations.into_iter().map(|(operation, work)| Operation { operation, work }).collect();
        operations.sort_by(|a, b| longest(&a.work, &b.work));
        let name = |program| compiled.program(program).name.clone();
        Self {
            ceiling,
            total,
            programs: times.programs.iter().map(|p| (name(p.program), p.calls)).collect(),
            operations,
            layers: layers.into_values().collect(),
            families,
        }
    }

    /// The part of the iteration's time that some work takes.
    pub fn share(&self, work: &Work) -> f64 {
        if self.total.seconds > 0.0 { work.seconds / self.total.seconds } else { 0.0 }
    }

    /// The rate that the machine allows a layer, min(peak, intensity × bandwidth), in GFLOP/s.
    pub fn roofline(&self, layer: &Layer) -> f64 {
        self.ceiling.roof(layer.work.intensity())
    }

    /// The part of it that the layer reaches.
    pub fn reached(&self, layer: &Layer) -> f64 {
        layer.work.gflops() / self.roofline(layer)
    }

    /// All convolutions that sum over `depth` terms or more.
    pub fn convolutions(&self, depth: u64) -> Work {
        let mut sum = Work::default();
        let deep = self.layers.iter().filter(|l| l.is_convolution && l.depth >= depth);
        deep.for_each(|layer| sum.add(layer.work));
        sum
    }

    /// Everything as rows with a `kind`: `ceiling`, `operation`, `layer`, `total`.
    pub fn rows(&self) -> Vec<Value> {
        let Self { ceiling, total, .. } = self;
        let mut rows = vec![
            json!({"kind": "ceiling", "gflops": ceiling.gflops, "gigabytes": ceiling.gigabytes}),
        ];
        for operation in &self.operations {
            rows.push(row("operation", operation, operation.work.json(self)));
        }
        for layer in &self.layers {
            let more = json!({
                "intensity": layer.work.intensity(),
                "roofline": self.roofline(layer),
                "share_of_roofline": self.reached(layer),
            });
            rows.push(joined(row("layer", layer, layer.work.json(self)), more));
        }
        rows.push(row("total", total, total.json(self)));
        rows
    }
}

const PRODUCTS: &str = "convolutions and products";

/// What kinds of work that are no products belong to.
fn family(op: &Op) -> &'static str {
    match op {
        Op::Moments
        | Op::Statistics { .. }
        | Op::StoredStatistics { .. }
        | Op::Normalize(_)
        | Op::NormalizeSums(_)
        | Op::NormalizeGrad { .. }
        | Op::Running { .. } => "batch norm",
        Op::Guard | Op::AllReduce { .. } | Op::Sgd { .. } | Op::Adam { .. } | Op::Ema { .. } => {
            "updates"
        }
        Op::Noise { .. } | Op::Dropout { .. } => "draws",
        _ => "activations, losses, sums",
    }
}

fn row(kind: &str, of: &impl Serialize, more: Value) -> Value {
    let own = serde_json::to_value(of).expect("rows are JSON");
    joined(joined(json!({ "kind": kind }), own), more)
}

/// One object with the fields of both.
fn joined(mut object: Value, more: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut object, more) {
        fields.extend(more);
    }
    object
}
