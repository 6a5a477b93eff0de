//! The machine that a run is computed on, as its directory keeps it.

use crate::gpus;
use collective::Member;
use cpu::kernels::isa;
use cuda::Found;
use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// What figures of speed depend on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Machine {
    /// Model of the processor.
    pub cpu: String,
    /// Cores that the operating system shows.
    pub cores: usize,
    /// Cores that this process may use: affinity and limits of a container are counted in.
    pub usable_cores: usize,
    /// Bytes of memory, or of the container's share of it.
    pub memory: u64,
    /// Instruction set that the kernels chose.
    pub instructions: String,
    /// The GPU that a run is computed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu: Option<String>,
    /// Its driver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The host of each rank, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranks: Vec<String>,
    /// Operating system and its version.
    pub os: String,
    /// Its kernel.
    pub kernel: String,
    /// Version of Duel.
    pub duel: String,
    /// Commit that it was built from, if the build was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// Cores that the operating system has, whatever this process may use of them.
pub(crate) fn cores() -> usize {
    let system =
        System::new_with_specifics(RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing()));
    system.cpus().len()
}

/// The commit that `make` builds from.
pub(crate) const COMMIT: Option<&str> = option_env!("DUEL_COMMIT");

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let system = System::new_with_specifics(
            RefreshKind::nothing()
                .with_cpu(CpuRefreshKind::nothing())
                .with_memory(MemoryRefreshKind::nothing().with_ram()),
        );
        Self::of(&system)
    }

    /// The same with the GPU that a run is computed on.
    #[must_use]
    pub fn with(self, gpu: Option<&Found>) -> Self {
        let Some(gpu) = gpu else { return self };
        Self { gpu: Some(gpu.name.clone()), driver: gpus::driver(), ..self }
    }

    /// The same with the hosts of the ranks that compute it, where there are several.
    #[must_use]
    pub fn of_ranks(self, members: &[Member]) -> Self {
        if members.len() == 1 {
            return self;
        }
        Self { ranks: members.iter().map(|member| member.host.clone()).collect(), ..self }
    }

    /// The same from what was asked before: processors and memory.
    pub fn of(system: &System) -> Self {
        let unknown = || "unknown".to_string();
        let usable_cores = std::thread::available_parallelism().map_or(1, usize::from);
        let brand = system.cpus().first().map_or("", |cpu| cpu.brand().trim());
        let cpu = match brand {
            "" => std::env::consts::ARCH.to_string(),
            brand => brand.to_string(),
        };
        let share = system.cgroup_limits().map(|limits| limits.total_memory);
        Self {
            cpu,
            cores: system.cpus().len().max(usable_cores),
            usable_cores,
            memory: system.total_memory().min(share.unwrap_or(u64::MAX)),
            instructions: isa::isa().name().to_string(),
            gpu: None,
            driver: None,
            ranks: Vec::new(),
            os: System::long_os_version().unwrap_or_else(unknown),
            kernel: System::kernel_long_version(),
            duel: env!("CARGO_PKG_VERSION").to_string(),
            commit: COMMIT.filter(|commit| !commit.is_empty()).map(str::to_string),
        }
    }
}
