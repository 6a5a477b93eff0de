//! Which ranks share a machine, in PMI's words.

use crate::Member;

/// The value of `PMI_process_mapping`: blocks of (first machine, number of machines, ranks on each), in the
/// order of ranks.
pub(super) fn mapping(members: &[Member]) -> String {
    let mut machines: Vec<&str> = Vec::new();
    let mut blocks: Vec<(usize, usize)> = Vec::new();
    for Member { host, .. } in members {
        let machine = machines.iter().position(|known| known == host).unwrap_or_else(|| {
            machines.push(host);
            machines.len() - 1
        });
        match blocks.last_mut() {
            Some((last, ranks)) if *last == machine => *ranks += 1,
            _ => blocks.push((machine, 1)),
        }
    }
    let blocks: Vec<_> =
        blocks.iter().map(|(machine, ranks)| format!(",({machine},1,{ranks})")).collect();
    format!("(vector{})", blocks.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_of_a_machine_are_one_block() {
        let on = |hosts: &[&str]| {
            let member = |(rank, host): (usize, &&str)| Member {
                rank,
                host: (*host).to_string(),
                pid: 1,
                local_rank: 0,
            };
            mapping(&hosts.iter().enumerate().map(member).collect::<Vec<_>>())
        };
        assert_eq!(on(&["a", "a", "a"]), "(vector,(0,1,3))");
        assert_eq!(on(&["a", "a", "b", "b"]), "(vector,(0,1,2),(1,1,2))");
        assert_eq!(on(&["b", "a", "b"]), "(vector,(0,1,1),(1,1,1),(0,1,1))");
    }
}
