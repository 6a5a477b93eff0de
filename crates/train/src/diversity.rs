//! How diverse G's samples are, beside as many of the data.

use crate::{Probe, SAMPLES, Weights};
use tape::{DeviceError, Dtype};

/// The same noise through G, again and again.
///
/// The measure is the mean distance from a sample to its nearest neighbour among the other 63, as a
/// ratio to that of 64 samples of the data. It is 1 where G is as diverse as the data, and 0 where it
/// knows one picture or a handful of them: then every sample has a twin. The mean over all pairs would
/// not see that, since a few pictures that differ are far apart from each other.
pub(crate) struct Diversity {
    z: Vec<f64>,
    /// Mean distance of the data's samples to their nearest neighbours; above 0.
    data: f64,
}

impl Diversity {
    /// From [`SAMPLES`] samples of the data as a source gives them. There is none where every one of
    /// them has a twin.
    pub fn new(
        probe: &mut Probe<'_>,
        examples: &[u8],
        dtype: Dtype,
    ) -> Result<Option<Self>, DeviceError> {
        let data = nearest(&numbers(examples, dtype, probe.range()), SAMPLES);
        if data == 0.0 {
            return Ok(None);
        }
        Ok(Some(Self { z: probe.noise(0)?, data }))
    }

    /// Of G as it is, with its own parameters.
    pub fn of(&self, probe: &mut Probe<'_>) -> Result<f64, DeviceError> {
        let samples = probe.generate(Weights::Own, &self.z)?;
        Ok(nearest(&samples, SAMPLES) / self.data)
    }
}

/// Samples of a source in the range of G's output.
fn numbers(bytes: &[u8], dtype: Dtype, [black, white]: [f64; 2]) -> Vec<f32> {
    match dtype {
        Dtype::U8 => {
            let scaled = |&b: &u8| (black + f64::from(b) * (white - black) / 255.0) as f32;
            bytes.iter().map(scaled).collect()
        }
        _ => {
            let number = |b: &[u8]| f32::from_le_bytes(b.try_into().expect("four bytes"));
            bytes.chunks_exact(4).map(number).collect()
        }
    }
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

/// Mean distance of each of `rows` samples to the nearest other one.
fn nearest(samples: &[f32], rows: usize) -> f64 {
    let size = samples.len() / rows;
    let mut least = vec![f64::INFINITY; rows];
    for (i, one) in samples.chunks_exact(size).enumerate() {
        for (j, other) in samples.chunks_exact(size).take(i).enumerate() {
            let apart = distance(one, other);
            least[i] = least[i].min(apart);
            least[j] = least[j].min(apart);
        }
    }
    least.iter().sum::<f64>() / rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0, 1 and 3 on a line: the distances are 1, 1 and 2.
    #[test]
    fn the_nearest_neighbour_counts() {
        assert_eq!(nearest(&[0.0, 3.0, 1.0], 3), 4.0 / 3.0);
        let two_dimensions = [0.0, 0.0, 3.0, 4.0, 0.0, 12.0];
        // 5, 5 and √(3² + 8²).
        assert!((nearest(&two_dimensions, 3) - (10.0 + 73f64.sqrt()) / 3.0).abs() < 1e-12);
    }

    /// Any mean over pairs would call this diverse: 32 pictures, two of each.
    #[test]
    fn twins_are_not_diverse() {
        let twins: Vec<f32> = (0..64).map(|i| (i / 2) as f32).collect();
        assert_eq!(nearest(&twins, 64), 0.0);
    }

    #[test]
    fn bytes_are_brought_to_the_range_of_g() {
        assert_eq!(numbers(&[0, 255, 51], Dtype::U8, [-1.0, 1.0]), [-1.0, 1.0, -0.6]);
        let bytes: Vec<u8> = [2.5f32, -7.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        assert_eq!(numbers(&bytes, Dtype::F32, [-1.0, 1.0]), [2.5, -7.0]);
    }
}
