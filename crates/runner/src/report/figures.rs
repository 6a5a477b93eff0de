//! Numbers as a page writes them.

/// Four significant digits: `0.4619`, `522.5`, `12346`, `1.5e-7`.
pub fn significant(value: f64) -> String {
    if !value.is_finite() {
        return "–".to_string();
    }
    let rounded: f64 = format!("{value:.3e}").parse().expect("a number, just written");
    let text = match rounded.abs() {
        size if size != 0.0 && !(1e-4..1e7).contains(&size) => format!("{rounded:e}"),
        size if size >= 1e4 => format!("{value:.0}"),
        _ => rounded.to_string(),
    };
    text.replace('-', "−")
}

/// A count in groups of three digits: `360,000`.
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let numbers = [0.461_94, 522.507, 12_345.6, -1.386_294, 0.0, 2.0, 1.5e-7, f64::NAN];
        let written = ["0.4619", "522.5", "12346", "−1.386", "0", "2", "1.5e−7", "–"];
        assert_eq!(numbers.map(significant), written);
        let counts = [0, 999, 1000, 360_000, 15_000_000].map(grouped);
        assert_eq!(counts, ["0", "999", "1,000", "360,000", "15,000,000"]);
    }
}
