//! What a run's log says in one number for each figure.

use serde_json::Value;

/// The figures that runs can be compared by: the keys of a line of `metrics.jsonl` that are measured.
pub(crate) const FIGURES: [&str; 9] = [
    "loss_d",
    "loss_g",
    "value",
    "d_real",
    "d_fake",
    "logit_fake",
    "diversity",
    "images_per_second",
    "data_wait",
];

/// A figure of a run: its mean over the last tenth of the lines, at least one; of the speed, which
/// a busy machine pulls down now and then, the median over all. None where no line has it.
pub(crate) fn figure(lines: &[Value], key: &str) -> Option<f64> {
    let of = |lines: &[Value]| -> Vec<f64> {
        lines.iter().filter_map(|line| line.get(key)?.as_f64()).collect()
    };
    if key == "images_per_second" {
        return median(of(lines));
    }
    let last = of(&lines[lines.len() - lines.len().div_ceil(10)..]);
    (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64)
}

/// The middle, or the mean of the two in the middle.
fn median(mut all: Vec<f64>) -> Option<f64> {
    all.sort_by(f64::total_cmp);
    let upper = *all.get(all.len() / 2)?;
    let lower = all[(all.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn log(count: usize) -> Vec<Value> {
        (0..count).map(|i| json!({"value": i, "images_per_second": i * i})).collect()
    }

    #[test]
    fn the_last_tenth_counts() {
        assert_eq!(figure(&log(40), "value"), Some(37.5)); // 36, 37, 38, 39
        assert_eq!(figure(&log(11), "value"), Some(9.5)); // 9, 10: a tenth, rounded up
        assert_eq!(figure(&log(1), "value"), Some(0.0));
        assert_eq!(figure(&log(0), "value"), None);
        assert_eq!(figure(&log(40), "diversity"), None);
        assert_eq!(figure(&[json!({"value": null})], "value"), None);
    }

    #[test]
    fn of_the_speed_the_median() {
        assert_eq!(figure(&log(3), "images_per_second"), Some(1.0));
        assert_eq!(figure(&log(4), "images_per_second"), Some(2.5)); // 0, 1, 4, 9
    }
}
