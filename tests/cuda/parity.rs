//! A tape on a GPU against the same tape on cores in f64.
//!
//! Every input and state tensor is filled with the same numbers, every program is run once, in order, and
//! every output and state tensor is compared: the largest difference over the largest magnitude.

use cuda::{Cuda, Precision, Settings};
use tape::{Clock, Device, Dtype, Kind, Options, Program, T, Tape, philox};

/// The three precisions of a GPU.
pub const ALL: [Precision; 3] = [Precision::F32, Precision::Tf32, Precision::Bf16];

/// Largest difference from the f64 reference, as a share of the tensor's largest magnitude. f32: sums of
/// some thousand products, rounded to 24 bits. tf32 has 11 bits, so 2⁻¹¹ = 4.9e-4 for one operand; bf16 has
/// 8, so 2⁻⁸ = 3.9e-3 for one operand or result, and a tensor passes through a few of these.
pub fn bound(precision: Precision) -> f64 {
    match precision {
        Precision::F32 => 1e-5,
        Precision::Tf32 => 2e-3,
        Precision::Bf16 => 2e-2,
    }
}

/// A device on the stand-in, or on the machine's GPU; none where there is neither.
pub fn device(precision: Precision, capture: bool) -> Option<Cuda> {
    if !tests::stand_in::open() {
        return None;
    }
    let settings = Settings { ordinal: 0, precision, capture, collective: None };
    Some(Cuda::new(settings).expect("there is a device"))
}

/// Compares what `record` records, in each precision, and prints the worst difference of each.
pub fn parity(family: &str, record: impl Fn(&Tape)) {
    for precision in ALL {
        parity_in(family, precision, &record);
    }
}

/// The same in one precision.
pub fn parity_in(family: &str, precision: Precision, record: impl Fn(&Tape)) {
    let Some(worst) = difference(precision, &record) else { return };
    println!("parity {family} {} {worst:.1e}", precision.name());
    assert!(worst <= bound(precision), "{family} in {}: off by {worst:.2e}", precision.name());
}

/// The largest difference, or none where there is no device.
pub fn difference(precision: Precision, record: impl Fn(&Tape)) -> Option<f64> {
    let mut device = device(precision, true)?;
    let tape = Tape::new(1);
    record(&tape);
    let mut cores = cpu::device(cpu::pool(1).expect("a thread"), 8);
    let exact = play(&mut *cores, &tape, &Options::default());
    let found = play(&mut device, &tape, &precision.options());
    let mut worst: f64 = 0.0;
    for ((t, exact), (_, found)) in exact.iter().zip(&found) {
        let scale = exact.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        for (i, (exact, found)) in exact.iter().zip(found).enumerate() {
            let apart = (exact - found).abs() / scale.max(1e-30);
            // A NaN on one side alone is a difference without bound.
            let apart = if exact.is_nan() && found.is_nan() { 0.0 } else { apart };
            if apart.is_nan() || apart > worst {
                worst = if apart.is_nan() { f64::INFINITY } else { apart };
                if worst > bound(precision) {
                    let name = tape.tensor(*t).name.clone();
                    eprintln!("{name:?}[{i}]: {found} instead of {exact}, largest {scale}");
                }
            }
        }
    }
    Some(worst)
}

/// Fills inputs and state, runs all programs, and reads outputs and state.
pub fn play(device: &mut dyn Device, tape: &Tape, options: &Options) -> Vec<(T, Vec<f64>)> {
    device.load(tape, options).expect("the tape loads");
    let real = device.real_bytes();
    let compiled = tape.compile(options);
    let used = |t: &T| compiled.plan.byte_offset(*t, real).is_some();
    let tensors: Vec<T> = tape.all().into_iter().filter(used).collect();
    let is = |t: T, kinds: &[Kind]| kinds.contains(&tape.tensor(t).kind);
    for &t in &tensors {
        let own = tape.tensor(t).home == tape::Home::Own;
        let fault = tape.tensor(t).name.as_deref() == Some("fault");
        if own && !fault && is(t, &[Kind::Input, Kind::State]) {
            let bytes = filling(tape, t, real);
            device.write(t, &bytes).expect("it can be written");
        }
    }
    let clock = clock(tape);
    for program in 0..compiled.programs.len() {
        device.run(Program(program), &clock).expect("the program runs");
    }
    let mut results = Vec::new();
    for &t in &tensors {
        if is(t, &[Kind::Output, Kind::State]) {
            let mut bytes = vec![0; tape.shape(t).len() * real];
            device.read(t, &mut bytes).expect("it can be read");
            results.push((t, reals(&bytes, real)));
        }
    }
    results
}

/// A clock with scalars that differ from each other and are exact in f32.
pub fn clock(tape: &Tape) -> Clock {
    let scalars = (0..tape.scalars().len()).map(|i| 0.125 + 0.0625 * i as f64).collect();
    Clock { seed: 11, tick: 3, rank: 0, scalars, check: false }
}

/// Numbers in (−1, 1) that are exact in f32, a function of the tensor and the place in it; bytes where
/// the tensor holds those. Tensors whose name ends in `running` or `moment2` hold variances: no sign.
fn filling(tape: &Tape, t: T, real: usize) -> Vec<u8> {
    let len = tape.shape(t).len();
    let words = |i: usize| philox::block(5, t.index() as u32, 0, 0, i as u32)[0];
    let name = tape.tensor(t).name.clone().unwrap_or_default();
    let unsigned = ["running", "moment2"].iter().any(|end| name.ends_with(end));
    let number = |i: usize| {
        let number = 2.0 * philox::uniform24(words(i)) - 1.0;
        if unsigned { number.abs() } else { number }
    };
    match tape.tensor(t).dtype {
        Dtype::U8 => (0..len).map(|i| words(i) as u8).collect(),
        Dtype::Real if real == 8 => {
            (0..len).flat_map(|i| f64::from(number(i)).to_le_bytes()).collect()
        }
        _ => (0..len).flat_map(|i| number(i).to_le_bytes()).collect(),
    }
}

/// Real numbers as the host sees them.
pub fn reals(bytes: &[u8], real: usize) -> Vec<f64> {
    match real {
        4 => {
            let each = bytes.chunks_exact(4).map(|b| b.try_into().expect("4 bytes"));
            each.map(|b| f64::from(f32::from_le_bytes(b))).collect()
        }
        _ => {
            let each = bytes.chunks_exact(8).map(|b| b.try_into().expect("8 bytes"));
            each.map(f64::from_le_bytes).collect()
        }
    }
}
