//! What a device reaches at best: the roof over all layers.
//!
//! On cores that is measured below everything else (`cpu::speed`). A GPU is asked through the same trait
//! that runs training: a product of square matrices and a map over long arrays, each so large that
//! starting it does not count and no cache holds it.

use cpu::Speed;
use std::time::Duration;
use tape::{Clock, Compiled, Device, DeviceError, Law, Node, Op, Options, Program, Tape};

/// What takes as long is large enough.
const LONG: Duration = Duration::from_millis(2);

/// Runs of each; the fastest counts, since whatever else the machine does only ever slows one down.
const RUNS: usize = 4;

/// Height of the matrices. A GPU of today needs 2 ms for the last; a slow device stops early.
const HEIGHTS: [usize; 7] = [128, 256, 512, 1024, 2048, 4096, 8192];

/// Elements of each array. Caches hold some ten million bytes.
const LENGTHS: [usize; 6] = [1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24, 1 << 26];

/// Numbers as networks have them.
const LAW: Law = Law::Uniform { low: -1.0, high: 1.0 };

/// Something to be done at a size, and how much of it that is.
struct Probe {
    record: fn(&Tape, usize),
    is_it: fn(&Op) -> bool,
    work: fn(&Compiled, &Node) -> u64,
}

const PRODUCT: Probe = Probe {
    record: |t, n| {
        let [a, b] = [(); 2].map(|()| t.noise(LAW, [n, n]));
        t.output("product", t.matmul(a, b));
    },
    is_it: |op| matches!(op, Op::Matmul { .. }),
    work: |compiled, node| compiled.flops(node),
};

const MAP: Probe = Probe {
    record: |t, n| {
        let [b, c] = [(); 2].map(|()| t.noise(LAW, [n]));
        t.output("sum", t.add(b, t.affine(c, 0.5, 0.0)));
    },
    is_it: |op| matches!(op, Op::Map { .. }),
    work: |compiled, node| compiled.bytes(node, 4),
};

/// Measures a device that compiles tapes by `options`, whose numbers have 4 bytes. What it had loaded
/// is gone.
///
/// # Errors
/// The device's.
pub fn ceiling(device: &mut dyn Device, options: &Options) -> Result<Speed, DeviceError> {
    Ok(Speed {
        gflops: rate(device, options, &PRODUCT, &HEIGHTS)?,
        gigabytes: rate(device, options, &MAP, &LENGTHS)?,
    })
}

/// Billions a second at the largest size that is tried.
fn rate(
    device: &mut dyn Device,
    options: &Options,
    probe: &Probe,
    sizes: &[usize],
) -> Result<f64, DeviceError> {
    let mut rate = 0.0;
    for &size in sizes {
        let tape = Tape::new(1);
        tape.record("probe", |t| (probe.record)(t, size));
        match device.load(&tape, options) {
            Ok(()) => {}
            // A small device: what it has room for is large enough for it.
            Err(DeviceError::Failed(_)) if rate > 0.0 => break,
            Err(error) => return Err(error),
        }
        let compiled = tape.compile(options);
        let nodes = &compiled.program(Program(0)).nodes;
        let at = nodes.iter().position(|node| (probe.is_it)(&node.op)).expect("it was recorded");
        let mut best = Duration::MAX;
        for tick in 0..RUNS as u64 {
            let clock = Clock { seed: 0, tick, rank: 0, scalars: Vec::new(), check: false };
            best = best.min(device.profile(Program(0), &clock)?[at]);
        }
        rate = 1e-9 * (probe.work)(&compiled, &nodes[at]) as f64 / best.as_secs_f64();
        if best >= LONG {
            break;
        }
    }
    Ok(rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cores as a device like any other: below the figure of their innermost loops, but not far.
    #[test]
    fn cores_have_a_ceiling_as_well() {
        let pool = cpu::pool(1).expect("a thread");
        let mut device = cpu::device(pool, 4);
        let speed = ceiling(&mut *device, &Options::default()).expect("cores can do it");
        // Anything that runs this at all does a hundred million operations a second.
        assert!(speed.gflops > 0.1 && speed.gigabytes > 0.1, "{speed:?}");
    }
}
