//! Two states, and how far they are apart.

use train::Saved;

/// Tensors whose largest magnitude is below this are measured by it: where gradients cancel, such as those
/// behind the bias of a logit in a game of pairs, nothing is left but rounding.
const SMALL: f64 = 1e-3;

/// A difference, and the tensor that has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Apart {
    /// As a share of the tensor's largest magnitude.
    pub by: f64,
    /// Name.
    pub tensor: String,
}

/// The largest difference between tensors of two states.
pub fn apart(one: &[Saved], other: &[Saved]) -> Apart {
    let names = |state: &[Saved]| state.iter().map(|saved| saved.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(one), names(other));
    let each = one.iter().zip(other).map(|(one, other)| {
        let (one_values, values) = (values(one), values(other));
        Apart {
            by: difference(&one_values, &values) / largest(&values).max(SMALL),
            tensor: one.name.clone(),
        }
    });
    each.max_by(|a, b| a.by.total_cmp(&b.by)).expect("a run has state")
}

/// The largest difference; infinite where there is none since a number is none.
pub fn difference(one: &[f64], other: &[f64]) -> f64 {
    let apart = one.iter().zip(other).map(|(a, b)| (a - b).abs());
    apart.fold(0.0, |most, x| if x.is_nan() { f64::INFINITY } else { x.max(most) })
}

/// The largest magnitude.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| x.abs().max(most))
}

/// The numbers of a tensor.
pub fn values(saved: &Saved) -> Vec<f64> {
    let each = saved.bytes.len() / saved.shape.iter().product::<usize>();
    let number = |bytes: &[u8]| match *bytes {
        [a, b, c, d] => f64::from(f32::from_le_bytes([a, b, c, d])),
        _ => f64::from_le_bytes(bytes.try_into().expect("4 or 8 bytes")),
    };
    saved.bytes.chunks_exact(each).map(number).collect()
}
