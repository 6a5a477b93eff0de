//! A tape on a device, ready to be run by hand.

use tape::{Clock, Device, DeviceError, Options, Program, T, Tape};

/// A CPU executor with a loaded tape.
pub struct Bench {
    device: Box<dyn Device>,
    real: usize,
    /// What each run is given.
    pub clock: Clock,
}

impl Bench {
    /// Loads a tape in f64 on one thread.
    pub fn f64(tape: &Tape) -> Self {
        Self::new(tape, 8, 1, &Options::default())
    }

    /// Loads a tape with reals of `real` bytes.
    pub fn new(tape: &Tape, real: usize, threads: usize, options: &Options) -> Self {
        let mut device = cpu::device(cpu::pool(threads).expect("threads"), real);
        device.load(tape, options).expect("the tape loads");
        let scalars = vec![0.0; tape.scalars().len()];
        let clock = Clock { seed: 1, tick: 1, rank: 0, scalars, check: false };
        Self { device, real, clock }
    }

    /// The executor itself.
    pub fn device(&mut self) -> &mut dyn Device {
        &mut *self.device
    }

    /// Runs a program.
    pub fn run(&mut self, program: Program) {
        self.device.run(program, &self.clock).expect("the program runs");
    }

    /// Runs a program that may fail.
    pub fn try_run(&mut self, program: Program) -> Result<(), DeviceError> {
        self.device.run(program, &self.clock)
    }

    /// Reads a tensor of reals with `len` elements.
    pub fn read(&mut self, t: T, len: usize) -> Vec<f64> {
        let bytes = self.bytes(t, len);
        let each = bytes.chunks_exact(self.real);
        match self.real {
            4 => each.map(|b| f32::from_le_bytes(b.try_into().expect("4 bytes")).into()).collect(),
            _ => each.map(|b| f64::from_le_bytes(b.try_into().expect("8 bytes"))).collect(),
        }
    }

    /// Reads a tensor of reals as it lies in memory.
    pub fn bytes(&mut self, t: T, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len * self.real];
        self.device.read(t, &mut bytes).expect("the tensor is there");
        bytes
    }

    /// Writes a tensor of reals.
    pub fn write(&mut self, t: T, values: &[f64]) {
        let bytes: Vec<u8> = match self.real {
            4 => values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect(),
            _ => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
        };
        self.write_bytes(t, &bytes);
    }

    /// Writes a tensor as it lies in memory.
    pub fn write_bytes(&mut self, t: T, bytes: &[u8]) {
        self.device.write(t, bytes).expect("the tensor is there");
    }
}
