//! Links between ranks, and what a sum over one takes.

use std::str::FromStr;

/// What ranks are connected by: each sends and receives at the same time, all of them at once.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// For people.
    pub name: String,
    /// Seconds that each sum takes before the first byte leaves.
    pub call: f64,
    /// Seconds from one rank to the next, for a message without length.
    pub latency: f64,
    /// Bytes a second that a rank sends.
    pub bandwidth: f64,
    /// How many ranks it can connect.
    pub reach: usize,
}

/// Links of clusters.
///
/// Latencies of GPUs are those by which NCCL chooses its algorithms (its `src/graph/tuning.cc`: protocol LL on a tree,
/// 6.8 µs for each call, then 0.6 µs a hop over NVLink and 5 µs over a network). Bandwidths are line rates, one
/// direction:
///
/// - 1 Gbit/s Ethernet: 1500 bytes of a frame's 1538 carry 1448 of a TCP stream, which leaves 0.118 GB/s; some
///   30 µs from process to process.
/// - 100 Gbit/s Ethernet: 12.5 GB/s.
/// - NVLink 4 through NVSwitch in an H100 host: 900 GB/s are both directions together ("NVIDIA H100 Tensor Core GPU
///   Architecture", 2022), of 8 GPUs.
/// - InfiniBand NDR: 400 Gbit/s, one port for each GPU as in a DGX H100, hence 50 GB/s.
pub fn links() -> Vec<Link> {
    let link = |name: &str, [call, latency]: [f64; 2], gigabytes: f64, reach| Link {
        name: name.to_string(),
        call: 1e-6 * call,
        latency: 1e-6 * latency,
        bandwidth: 1e9 * gigabytes,
        reach,
    };
    vec![
        link("1 Gbit/s Ethernet", [0.0, 30.0], 0.118, usize::MAX),
        link("100 Gbit/s Ethernet", [6.8, 5.0], 12.5, usize::MAX),
        link("InfiniBand NDR, 400 Gbit/s", [6.8, 5.0], 50.0, usize::MAX),
        link("NVLink 4, NVSwitch", [6.8, 0.6], 450.0, 8),
    ]
}

impl Link {
    /// Seconds that a sum of so many bytes over `ranks` takes on an idle link: by a ring, by a tree, or, for what
    /// is short, all of it in each of log₂ n rounds; whichever is fastest.
    pub fn sum(&self, ranks: usize, bytes: f64) -> f64 {
        if ranks < 2 {
            return 0.0;
        }
        let n = ranks as f64;
        let (rounds, whole) = (n.log2().ceil(), bytes / self.bandwidth);
        let ring = 2.0 * (n - 1.0) * self.latency + 2.0 * (n - 1.0) / n * whole;
        let tree = 2.0 * rounds * self.latency + 2.0 * whole;
        let doubling = rounds * (self.latency + whole);
        self.call + ring.min(tree).min(doubling)
    }
}

impl FromStr for Link {
    type Err = String;

    /// `latency_us,gbytes_per_s`
    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite());
        let parts = text.split_once(',').and_then(|(l, b)| Some((number(l)?, number(b)?)));
        match parts {
            Some((latency, gigabytes)) if latency >= 0.0 && gigabytes > 0.0 => Ok(Self {
                name: format!("{latency} µs, {gigabytes} GB/s"),
                call: 0.0,
                latency: 1e-6 * latency,
                bandwidth: 1e9 * gigabytes,
                reach: usize::MAX,
            }),
            _ => Err("expected microseconds and GB/s, such as 5,12.5".to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(latency: f64, bandwidth: f64) -> Link {
        Link { name: String::new(), call: 0.0, latency, bandwidth, reach: usize::MAX }
    }

    #[test]
    fn sums_take_what_is_computed_by_hand() {
        // Long: a ring moves 2 · 3/4 of 1000 bytes at 100 a second, in 6 hops of 0.1 s.
        assert!((link(0.1, 100.0).sum(4, 1000.0) - (0.6 + 15.0)).abs() < 1e-12);
        // Short: two rounds of 1 s, each with the one byte.
        assert!((link(1.0, 100.0).sum(4, 1.0) - 2.0 * 1.01).abs() < 1e-12);
        // Between, and many ranks: a tree, up and down 10 rounds, with all bytes twice.
        assert!((link(1.0, 100.0).sum(1024, 1000.0) - (20.0 + 20.0)).abs() < 1e-12);
        // Two ranks exchange halves both ways: as many bytes as there are.
        assert!((link(0.0, 100.0).sum(2, 1000.0) - 10.0).abs() < 1e-12);
        assert_eq!(link(1.0, 1.0).sum(1, 1e9), 0.0);
        assert!(Link { call: 3.0, ..link(1.0, 100.0) }.sum(2, 0.0) == 4.0);
    }

    #[test]
    fn links_are_read() {
        let own: Link = "5,12.5".parse().expect("a link");
        assert!((own.latency - 5e-6).abs() < 1e-15 && own.bandwidth == 12.5e9, "{own:?}");
        assert_eq!(own.name, "5 µs, 12.5 GB/s");
        for bad in ["", "5", "5,", "5,0", "-1,2", "5,12,1", "x,y", "nan,1", "1,inf"] {
            assert!(bad.parse::<Link>().is_err(), "{bad}");
        }
        assert!(links().iter().all(|link| link.bandwidth >= 0.1e9 && link.latency > 0.0));
    }
}
