//! All ranks hold the same experiment, programs and data, before the first step.

use super::Rank;
use crate::command::Failure;
use crate::session::{Session, resolved};
use train::{Peers, Recorded};

/// Settings that each rank may have for itself.
const OWN: [&str; 1] = ["device: "];

impl Rank {
    /// Compares what ranks are about to do.
    ///
    /// # Errors
    /// The first thing in which a rank differs from rank 0, with both.
    pub fn agree(&self, session: &Session, recorded: &Recorded) -> Result<(), Failure> {
        if self.world() == 1 {
            return Ok(());
        }
        let settings = resolved(&session.spec);
        let shared = settings.lines().filter(|line| !OWN.iter().any(|own| line.starts_with(own)));
        let mut facts: Vec<String> = shared.map(str::to_string).collect();
        facts.push(format!("kind of device: {}", session.target.kind()));
        facts.push(format!("images in the data set: {}", session.images()));
        facts.push(format!("programs: {:016x}", recorded.hash()));
        let all = self.group.all_gather("the experiment", facts.join("\n").as_bytes())?;
        let all: Vec<_> = all.iter().map(|facts| String::from_utf8_lossy(facts)).collect();
        for (rank, facts) in all.iter().enumerate().skip(1) {
            let Some([first, other]) = difference(&all[0], facts) else { continue };
            return Err(format!(
                "ranks do not hold the same experiment: rank 0 has `{first}`, and rank {rank} has `{other}`. \
                 Give all of them the same files and words"
            )
            .into());
        }
        Ok(())
    }
}

/// The first line in which two texts differ.
fn difference(one: &str, other: &str) -> Option<[String; 2]> {
    let (mut a, mut b) = (one.lines(), other.lines());
    loop {
        let (x, y) = (a.next(), b.next());
        if x != y {
            let told = |line: Option<&str>| line.unwrap_or("nothing").trim().to_string();
            return Some([told(x), told(y)]);
        }
        x?;
    }
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn the_first_difference_is_found() {
        let found = |one, other| difference(one, other);
        assert_eq!(found("a: 1\nb: 2", "a: 1\nb: 2"), None);
        let differ = |x: &str, y: &str| Some([x.to_string(), y.to_string()]);
        assert_eq!(found("a: 1\n  b: 2\nc: 3", "a: 1\n  b: 4\nc: 5"), differ("b: 2", "b: 4"));
        assert_eq!(found("a: 1", "a: 1\nb: 4"), differ("nothing", "b: 4"));
        assert_eq!(found("a: 1\nb: 4", "a: 1"), differ("b: 4", "nothing"));
    }
}
