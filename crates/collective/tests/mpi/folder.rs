//! As much of a group as trying MPI out needs: words are files in a folder that all ranks see.

use collective::{Group, Kind, Lost, Member, Place};
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How often a file is looked for.
const LOOK: Duration = Duration::from_millis(5);

/// Ranks that share a folder.
pub struct Folder {
    rank: usize,
    members: Vec<Member>,
    address: IpAddr,
    deadline: Duration,
    folder: PathBuf,
    said: AtomicUsize,
}

impl Folder {
    /// All ranks come together. The folder is there, and was empty before the first came.
    pub fn meet(
        rank: usize,
        world: usize,
        address: IpAddr,
        deadline: Duration,
        folder: PathBuf,
    ) -> Result<Self, Lost> {
        let member = |rank, host: &str| Member {
            rank,
            host: host.trim().to_string(),
            // Only this rank's are known, and the others' are not needed here.
            pid: std::process::id(),
            local_rank: 0,
        };
        let members = (0..world).map(|rank| member(rank, "")).collect();
        let mut met = Self { rank, members, address, deadline, folder, said: AtomicUsize::new(0) };
        let host = fs::read("/proc/sys/kernel/hostname").unwrap_or_default();
        let hosts = met.all_gather("coming together", &host)?;
        let hosts = hosts.iter().map(|host| String::from_utf8_lossy(host));
        met.members = hosts.enumerate().map(|(rank, host)| member(rank, &host)).collect();
        Ok(met)
    }
}

impl Group for Folder {
    fn rank(&self) -> usize {
        self.rank
    }

    fn members(&self) -> &[Member] {
        &self.members
    }

    fn address(&self) -> IpAddr {
        self.address
    }

    fn deadline(&self) -> Duration {
        self.deadline
    }

    fn all_gather(&self, what: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Lost> {
        let lost = |why: String| Lost::new(Kind::Peer, format!("{what}: {why}"));
        let turn = self.said.fetch_add(1, Ordering::Relaxed);
        let file = |rank: usize| self.folder.join(format!("{turn}.{rank}"));
        let new = self.folder.join(format!("{turn}.{}.new", self.rank));
        fs::write(&new, mine)
            .and_then(|()| fs::rename(&new, file(self.rank)))
            .map_err(|why| lost(format!("{}: {why}", new.display())))?;
        let since = Instant::now();
        let from = |rank| loop {
            match fs::read(file(rank)) {
                Ok(words) => return Ok(words),
                Err(_) if since.elapsed() < self.deadline => sleep(LOOK),
                Err(why) => return Err(lost(format!("rank {rank} does not come ({why})"))),
            }
            self.check()?;
        };
        (0..self.world()).map(from).collect()
    }

    fn step(&self, _: u64) {}

    fn enter_place(&self, _: &Arc<Place>) {}

    fn leave_place(&self) {}

    fn check(&self) -> Result<(), Lost> {
        match fs::read_to_string(self.folder.join("failed")) {
            Ok(why) => Err(Lost::new(Kind::Failed, why)),
            Err(_) => Ok(()),
        }
    }

    fn fail(&self, why: &str) {
        let _ = fs::write(self.folder.join("failed"), format!("rank {}: {why}", self.rank));
    }

    fn part(&self) -> Result<(), Lost> {
        self.all_gather("parting", b"").map(drop)
    }
}

/// Rank and number of ranks as the launcher has told them.
pub fn told() -> Option<(usize, usize)> {
    let number = |name| std::env::var(name).ok()?.parse().ok();
    [
        ("RANK", "WORLD_SIZE"),
        ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
        ("PMI_RANK", "PMI_SIZE"),
    ]
    .into_iter()
    .find_map(|(rank, world)| Some((number(rank)?, number(world)?)))
}
