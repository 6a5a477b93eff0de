//! Numbers of the run's type as bytes.

use tape::{Device, DeviceError, T, Tape};

/// The numbers in `bytes`, each of `real` bytes, little endian.
pub(crate) fn decode(bytes: &[u8], real: usize) -> impl Iterator<Item = f64> + '_ {
    bytes.chunks_exact(real).map(|b| match *b {
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        _ => f64::from_le_bytes(b.try_into().expect("reals have 4 or 8 bytes")),
    })
}

fn encode(values: impl Iterator<Item = f64>, real: usize) -> Vec<u8> {
    match real {
        4 => values.flat_map(|x| (x as f32).to_le_bytes()).collect(),
        _ => values.flat_map(f64::to_le_bytes).collect(),
    }
}

/// The bytes of a tensor of type [`tape::Dtype::Real`].
pub(crate) fn read_bytes(
    tape: &Tape,
    device: &mut dyn Device,
    t: T,
) -> Result<Vec<u8>, DeviceError> {
    let mut bytes = vec![0; tape.shape(t).len() * device.real_bytes()];
    device.read(t, &mut bytes)?;
    Ok(bytes)
}

/// The numbers of a tensor of type [`tape::Dtype::Real`].
pub(crate) fn read(tape: &Tape, device: &mut dyn Device, t: T) -> Result<Vec<f64>, DeviceError> {
    let bytes = read_bytes(tape, device, t)?;
    Ok(decode(&bytes, device.real_bytes()).collect())
}

/// Writes a tensor of type [`tape::Dtype::Real`].
pub(crate) fn write(
    device: &mut dyn Device,
    t: T,
    values: impl Iterator<Item = f64>,
) -> Result<(), DeviceError> {
    let bytes = encode(values, device.real_bytes());
    device.write(t, &bytes)
}
