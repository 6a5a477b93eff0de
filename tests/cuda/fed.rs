//! Tapes with numbers of the test's choice, on cores in f64 and on a GPU.

use crate::parity::{clock, device, reals};
use cuda::Precision;
use tape::{Compiled, Device, Dtype, Kind, Options, Program, Tape};

/// What both computed of the outputs, in the order in which they were recorded.
pub struct Results {
    /// Name, what is exact, what the GPU found.
    pub outputs: Vec<(String, Vec<f64>, Vec<f64>)>,
    /// What the GPU ran.
    pub compiled: Compiled,
}

/// Records one program and runs it on both, element i of input `name` being `value(name, i)`, which must be
/// exact in the input's type. None where there is no device.
pub fn both(
    precision: Precision,
    record: impl Fn(&Tape),
    value: impl Fn(&str, usize) -> f64,
) -> Option<Results> {
    let mut gpu = device(precision, true)?;
    let mut cores = cpu::device(cpu::pool(1).expect("a thread"), 8);
    let tape = Tape::new(1);
    tape.record("p", record);
    let exact = outputs(&mut *cores, &tape, &Options::default(), &value);
    let found = outputs(&mut gpu, &tape, &precision.options(), &value);
    let outputs = exact.into_iter().zip(found);
    let outputs = outputs.map(|((name, exact), (_, found))| (name, exact, found)).collect();
    Some(Results { outputs, compiled: tape.compile(&precision.options()) })
}

fn outputs(
    device: &mut dyn Device,
    tape: &Tape,
    options: &Options,
    value: &impl Fn(&str, usize) -> f64,
) -> Vec<(String, Vec<f64>)> {
    device.load(tape, options).expect("the tape loads");
    let real = device.real_bytes();
    for t in tape.all() {
        let tensor = tape.tensor(t).clone();
        if tensor.kind != Kind::Input {
            continue;
        }
        let name = tensor.name.expect("inputs have names");
        let values = (0..tensor.shape.len()).map(|i| value(&name, i));
        let bytes: Vec<u8> = match tensor.dtype {
            Dtype::U8 => values.map(|x| x as u8).collect(),
            Dtype::Real if real == 8 => values.flat_map(f64::to_le_bytes).collect(),
            _ => values.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        };
        device.write(t, &bytes).expect("it can be written");
    }
    device.run(Program(0), &clock(tape)).expect("it runs");
    let is_output = |t: &_| tape.tensor(*t).kind == Kind::Output;
    let mut results = Vec::new();
    for t in tape.all().into_iter().filter(is_output) {
        let mut bytes = vec![0; tape.shape(t).len() * real];
        device.read(t, &mut bytes).expect("it can be read");
        let name = tape.tensor(t).name.clone().expect("outputs have names");
        results.push((name, reals(&bytes, real)));
    }
    results
}

impl Results {
    /// Asserts that each element is within `ulps` units in the last place of f32, and that NaN and
    /// infinities are where they belong.
    pub fn close(&self, ulps: f64) {
        for (name, exact, found) in &self.outputs {
            for (i, (&exact, &found)) in exact.iter().zip(found).enumerate() {
                let rounded = exact as f32;
                let unit =
                    f64::from(rounded.abs().max(f32::MIN_POSITIVE)) * f64::from(f32::EPSILON);
                let same = f64::from(rounded) == found || (rounded.is_nan() && found.is_nan());
                let near = (exact - found).abs() <= ulps * unit;
                assert!(same || near, "{name}[{i}]: {found:e} instead of {exact:e}");
            }
        }
    }

    /// How many nodes have this property, of a node and the types of its first result.
    pub fn nodes(&self, is: impl Fn(&tape::Node, Dtype) -> bool) -> usize {
        let nodes = &self.compiled.programs[0].nodes;
        nodes.iter().filter(|n| is(n, self.compiled.tensor(n.outs[0]).dtype)).count()
    }
}

/// Few whole numbers, many of them equal, and a NaN here and there; gradients `dy` that tell places apart.
pub fn ties_and_nan(name: &str, i: usize) -> f64 {
    match (name, (i * i + i / 7) % 5) {
        ("dy", _) => 1.0 + i as f64,
        (_, 4) if i.is_multiple_of(3) => f64::NAN,
        (_, n) => n as f64,
    }
}
