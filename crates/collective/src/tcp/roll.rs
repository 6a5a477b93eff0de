//! Who the ranks are.

use crate::Member;

/// What a rank says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Introduction {
    pub rank: usize,
    pub world: usize,
    pub host: String,
    pub pid: u32,
    pub card: Vec<(String, String)>,
}

impl Introduction {
    /// Of this process.
    pub fn of_this(rank: usize, world: usize, card: Vec<(String, String)>) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { rank, world, host, pid: std::process::id(), card }
    }

    /// In words.
    pub fn name(&self) -> String {
        self.as_member(0).to_string()
    }

    /// The process, where the rank is known.
    pub fn process(&self) -> String {
        format!("process {} on host {}", self.pid, self.host)
    }

    /// The first fact that is not the same, in words.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let of = |card: &[(String, String)], name: &str| {
            card.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
        };
        let names = self.card.iter().chain(&other.card).map(|(name, _)| name);
        for name in names {
            let [one, two] = [self, other].map(|who| of(&who.card, name));
            if one != two {
                let [one, two] = [one, two].map(|value| match value {
                    Some(value) => format!("`{value}`"),
                    None => "missing".to_string(),
                });
                let [me, them] = [self.name(), other.name()];
                return Some(format!("`{name}` is {one} on {me}, and {two} on {them}"));
            }
        }
        None
    }

    fn as_member(&self, local_rank: usize) -> Member {
        Member { rank: self.rank, host: self.host.clone(), pid: self.pid, local_rank }
    }
}

/// All ranks, in order, counted on each host.
pub(super) fn members(all: &[&Introduction]) -> Vec<Member> {
    let local = |at: usize| all[..at].iter().filter(|who| who.host == all[at].host).count();
    all.iter().enumerate().map(|(at, who)| who.as_member(local(at))).collect()
}

/// Ranks in words, such as `ranks 1, 3-5`.
pub(super) fn ranks(ranks: &[usize]) -> String {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    for &rank in ranks {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == rank => *last = rank,
            _ => runs.push((rank, rank)),
        }
    }
    let runs: Vec<_> = runs
        .iter()
        .map(|(first, last)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        })
        .collect();
    format!("rank{} {}", if ranks.len() == 1 { "" } else { "s" }, runs.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_told_by_runs() {
        assert_eq!(ranks(&[4]), "rank 4");
        assert_eq!(ranks(&[1, 3, 4, 5, 7, 8]), "ranks 1, 3-5, 7-8");
    }

    fn rank(rank: usize, host: &str, card: &[(&str, &str)]) -> Introduction {
        let card = card.iter().map(|(name, value)| (name.to_string(), value.to_string()));
        Introduction { rank, world: 3, host: host.to_string(), pid: 10, card: card.collect() }
    }

    #[test]
    fn ranks_are_counted_on_each_host() {
        let all = [rank(0, "a", &[]), rank(1, "b", &[]), rank(2, "a", &[])];
        let members = members(&all.iter().collect::<Vec<_>>());
        assert_eq!(members.iter().map(|m| m.local_rank).collect::<Vec<_>>(), [0, 0, 1]);
        assert_eq!(members[2].to_string(), "rank 2 (host a, process 10)");
    }

    #[test]
    fn the_first_difference_is_named() {
        let one = rank(0, "a", &[("version", "1"), ("build", "x"), ("job", "j")]);
        assert_eq!(one.difference(&one), None);
        let two = rank(1, "b", &[("version", "1"), ("build", "y"), ("job", "k")]);
        assert_eq!(
            one.difference(&two).unwrap(),
            "`build` is `x` on rank 0 (host a, process 10), and `y` on rank 1 (host b, process 10)"
        );
        let short = rank(1, "b", &[("version", "1"), ("build", "x")]);
        assert!(one.difference(&short).unwrap().starts_with("`job` is `j` on rank 0"));
        assert!(short.difference(&one).unwrap().starts_with("`job` is missing on rank 1"));
    }
}
