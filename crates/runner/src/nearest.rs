//! "Did you mean": the candidate nearest to a mistyped name.

/// The candidate that `word` most probably stands for, if any is near enough.
///
/// Near means few edits for its length (a third of it, swaps count once), or that one of the two
/// names contains the other (`batchsize`, `batch`). Case and the kind of dash do not count.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |s: &str| s.to_lowercase().replace('-', "_");
    let word = plain(word);
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let other = plain(candidate);
            let edits = strsim::damerau_levenshtein(&word, &other);
            let longest = word.chars().count().max(other.chars().count());
            let contains = word.len().min(other.len()) >= 3
                && (word.contains(&other) || other.contains(&word));
            (edits <= longest / 3 || contains).then_some((edits, candidate))
        })
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// What to say about an unknown `word`: `; did you mean `x`?`, or all that would have been allowed.
pub fn advice<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, candidates.iter().copied()) {
        Some(near) => format!("; did you mean `{near}`?"),
        None if candidates.is_empty() => "; nothing is allowed here".to_owned(),
        None => format!("; allowed: {}", list(&candidates)),
    }
}

/// Names in backquotes, separated by commas.
pub fn list<S: AsRef<str>>(names: &[S]) -> String {
    let quoted: Vec<String> = names.iter().map(|n| format!("`{}`", n.as_ref())).collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = ["slope", "batch", "beta1", "beta2", "norm_g"];

    #[test]
    fn finds_slips_and_refuses_strangers() {
        assert_eq!(nearest("slop", KEYS), Some("slope"));
        assert_eq!(nearest("btach", KEYS), Some("batch"));
        assert_eq!(nearest("batchsize", KEYS), Some("batch"));
        assert_eq!(nearest("Norm-G", KEYS), Some("norm_g"));
        assert_eq!(nearest("beta2", KEYS), Some("beta2"));
        assert_eq!(nearest("lr", KEYS), None);
        assert_eq!(nearest("temperature", KEYS), None);
    }

    #[test]
    fn advice_lists_everything_when_nothing_is_near() {
        assert_eq!(advice("slop", KEYS), "; did you mean `slope`?");
        assert_eq!(advice("xyz", ["a", "b"]), "; allowed: `a`, `b`");
        assert_eq!(advice("xyz", []), "; nothing is allowed here");
    }
}
