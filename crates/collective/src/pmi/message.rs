//! Lines of PMI-1: `cmd=put kvsname=a key=b value=c`.

/// Longest names of key spaces, keys and values, without the zero byte.
pub(super) const LIMITS: &str = "kvsname_max=256 keylen_max=64 vallen_max=1024";
/// Longest line that is read: a few times the longest that is right.
pub(super) const LINE: u64 = 4096;

/// What a rank asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Request<'a> {
    /// The protocol's version, of which it knows this.
    Init { version: &'a str },
    /// How long names may be.
    Limits,
    /// Its number among the programs that were started together.
    Program,
    /// The name of its key space.
    Space,
    /// How many ranks there can be.
    Universe,
    /// Keeps a value.
    Put { key: &'a str, value: &'a str },
    /// Wants a value.
    Get { key: &'a str },
    /// Waits until all have come here.
    Barrier,
    /// Needs nothing any more.
    Finalize,
    /// Wants all to end.
    Abort,
    /// Something else, with its name.
    Other(&'a str),
}

impl<'a> Request<'a> {
    /// Of a line without its end; none if it is no PMI.
    pub fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split(' ').filter(|word| !word.is_empty());
        let (first, command) = words.next()?.split_once('=')?;
        let field = |name: &str| {
            let pairs = line.split(' ').filter_map(|word| word.split_once('='));
            pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        Some(match (first, command) {
            ("cmd", "init") => Self::Init { version: field("pmi_version")? },
            ("cmd", "get_maxes") => Self::Limits,
            ("cmd", "get_appnum") => Self::Program,
            ("cmd", "get_my_kvsname") => Self::Space,
            ("cmd", "get_universe_size") => Self::Universe,
            ("cmd", "put") => Self::Put { key: field("key")?, value: field("value")? },
            ("cmd", "get") => Self::Get { key: field("key")? },
            ("cmd", "barrier_in") => Self::Barrier,
            ("cmd", "finalize") => Self::Finalize,
            ("cmd", "abort") => Self::Abort,
            ("cmd" | "mcmd", other) => Self::Other(other),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_requests() {
        let cases = [
            ("cmd=init pmi_version=1 pmi_subversion=1", Request::Init { version: "1" }),
            ("cmd=get_maxes", Request::Limits),
            ("cmd=put kvsname=k key=a-1 value=0A=b ", Request::Put { key: "a-1", value: "0A=b" }),
            (
                "cmd=get kvsname=k key=PMI_process_mapping",
                Request::Get { key: "PMI_process_mapping" },
            ),
            ("cmd=barrier_in", Request::Barrier),
            ("cmd=abort exitcode=1", Request::Abort),
            ("mcmd=spawn", Request::Other("spawn")),
        ];
        for (line, request) in cases {
            assert_eq!(Request::parse(line), Some(request), "{line}");
        }
        for line in ["", "GET / HTTP/1.1", "cmd=put kvsname=k key=a", "cmd=init", "put"] {
            assert_eq!(Request::parse(line), None, "{line}");
        }
    }
}
