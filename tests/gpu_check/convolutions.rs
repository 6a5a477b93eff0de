//! Each convolution of a step against cuDNN's best for the same shape and type.

use crate::arguments::Arguments;
use crate::engine::{Engine, alone};
use crate::experiments::{EXAMPLE, Network, PAPER, TOY};
use crate::gaps::REPEATS;
use crate::peer::Peer;
use crate::row::Row;
use crate::stages::Failed;
use cuda::Precision;
use serde_json::{Value, json};
use tape::{Conv, Fused, Pass};

const STAGE: &str = "convolutions";
/// Of cuDNN's speed, for layers between features.
const MUST: f64 = 0.7;
/// Layers with fewer channels than this on a side are next to an image.
const INNER: usize = 8;
/// Side of the product that tells the card's peak.
const PEAK: usize = 8192;

pub fn stage(arguments: &Arguments) -> Result<(), Failed> {
    let mut peer = Peer::start(arguments, "gpu_products.py", &[], "peer-products");
    if let Err(why) = &peer {
        Row::skipped(STAGE, "cuDNN", why).say();
    }
    let side = if arguments.toy { 64 } else { PEAK };
    let mut peak = None;
    if let Ok(peer) = &mut peer {
        let asked = json!({"product": side}).to_string();
        match peer.ask(&asked).and_then(|told| seconds(&told)) {
            Ok(seconds) => {
                let rate = 2.0 * (side as f64).powi(3) / seconds;
                peak = Some(rate);
                let figure = format!("{:.0} TFLOP/s", 1e-12 * rate);
                let data = json!({"flops": rate, "seconds": seconds});
                Row::pass(STAGE, format!("{side}³ bf16 product, PyTorch"))
                    .figure(figure)
                    .data(data)
                    .say();
            }
            Err(why) => Row::fail(STAGE, "peak", why).say(),
        }
    }
    let all = match arguments.toy {
        true => vec![(TOY, Precision::Bf16)],
        false => {
            vec![(EXAMPLE, Precision::Bf16), (PAPER, Precision::Bf16), (EXAMPLE, Precision::Tf32)]
        }
    };
    for (network, precision) in all.into_iter().filter(|(network, _)| arguments.wants(network)) {
        for timed in ours(arguments, &network, precision)? {
            let theirs = peer.as_mut().ok().map(|peer| {
                let asked = timed.asked(precision).to_string();
                peer.ask(&asked).and_then(|told| seconds(&told))
            });
            timed.row(precision, theirs, peak, arguments.toy).say();
        }
    }
    Ok(())
}

fn seconds(told: &Value) -> Result<f64, String> {
    told["seconds"].as_f64().ok_or(format!("no seconds in {told}"))
}

/// A convolution with the time that it takes alone.
struct Timed {
    pass: Pass,
    conv: Conv,
    /// Mean over the nodes of this shape.
    seconds: f64,
    nodes: usize,
}

/// The shapes and passes of a step, in the order in which they first come.
fn ours(
    arguments: &Arguments,
    network: &Network,
    precision: Precision,
) -> Result<Vec<Timed>, Failed> {
    let mut engine = Engine::new(network, alone(precision))?;
    engine.steps(2)?;
    let program = engine.recorded.steps.discriminator;
    let repeats = if arguments.toy { 2 } else { REPEATS };
    let times = engine.device.time_nodes(program, &engine.clock, repeats)?;
    let compiled = engine.recorded.tape.compile(&precision.options());
    let mut all: Vec<Timed> = Vec::new();
    for (node, time) in compiled.program(program).nodes.iter().zip(times) {
        let Some(Fused { pass, conv, .. }) = Fused::of(&node.op) else { continue };
        let seconds = time.as_secs_f64();
        match all.iter_mut().find(|timed| timed.pass == pass && timed.conv == conv) {
            Some(timed) => {
                timed.seconds += (seconds - timed.seconds) / (timed.nodes + 1) as f64;
                timed.nodes += 1;
            }
            None => all.push(Timed { pass, conv, seconds, nodes: 1 }),
        }
    }
    Ok(all)
}

impl Timed {
    /// The question to PyTorch.
    fn asked(&self, precision: Precision) -> Value {
        let Conv { n, h, w, c, k, r, stride, pad, .. } = self.conv;
        json!({
            "convolution": {
                "n": n, "h": h, "w": w, "c": c, "k": k, "r": r, "stride": stride, "pad": pad,
                "pass": self.pass.name(),
            },
            "precision": precision.name(),
        })
    }

    fn row(
        &self,
        precision: Precision,
        theirs: Option<Result<f64, String>>,
        peak: Option<f64>,
        toy: bool,
    ) -> Row {
        let Conv { h, w, c, p, q, k, r, .. } = self.conv;
        let pass = self.pass.name();
        let check = format!("{} {pass} {h}×{w}×{c} {r}×{r} {p}×{q}×{k}", precision.name());
        let rate = 2.0 * self.conv.macs() as f64 / self.seconds;
        let mut figure = format!("{:.1} µs, {:.0} TFLOP/s", 1e6 * self.seconds, 1e-12 * rate);
        if let Some(peak) = peak.filter(|_| precision == Precision::Bf16) {
            figure += &format!(", {:.0} % of peak", 100.0 * rate / peak);
        }
        let mut data = json!({
            "asked": self.asked(precision), "seconds": self.seconds, "nodes": self.nodes, "flops": rate,
        });
        let mut reason = None;
        match theirs {
            Some(Ok(theirs)) => {
                let ratio = theirs / self.seconds;
                figure += &format!("; cuDNN {:.1} µs, {ratio:.2} ×", 1e6 * theirs);
                data["cudnn_seconds"] = json!(theirs);
                let inner = c >= INNER && k >= INNER;
                let missed = inner && !toy && ratio < MUST;
                reason = missed.then(|| format!("must be {MUST}"));
            }
            Some(Err(why)) => figure += &format!("; cuDNN: {why}"),
            None => {}
        }
        Row::unless(STAGE, check, reason).figure(figure).data(data)
    }
}
