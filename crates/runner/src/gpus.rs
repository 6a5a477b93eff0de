//! Which GPUs are here, and whether they can be used.

use crate::listing::table;
use comfy_table::CellAlignment;
use cuda::{Cuda, CudaError, Found, Precision, Settings};
use indicatif::HumanBytes;
use serde::Serialize;

/// What the driver shows.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Gpus {
    /// The CUDA that the driver supports, if there is a driver that can be used.
    pub cuda: Option<String>,
    /// Version of the driver itself, where the system tells it.
    pub driver: Option<String>,
    /// Version of NCCL, which runs on several GPUs need, if it can be used.
    pub nccl: Option<String>,
    /// One for each device.
    pub devices: Vec<Gpu>,
    /// Why there is none.
    pub problem: Option<String>,
}

/// A device.
#[derive(Debug, Serialize)]
pub(crate) struct Gpu {
    /// Its name in an experiment.
    pub device: String,
    /// The driver's name for it.
    pub name: String,
    /// Compute capability.
    pub capability: String,
    /// Bytes of memory.
    pub memory: usize,
    /// Bytes that are free, where it could be opened.
    pub memory_free: Option<usize>,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Why it cannot be used.
    pub problem: Option<String>,
}

impl Gpus {
    /// Asks the driver. A device is opened for a moment, to ask for its free memory.
    pub fn find() -> Self {
        let cuda = cuda::driver().ok().map(cuda_version);
        let (devices, problem) = match cuda::devices() {
            Ok(found) => (found.into_iter().map(Gpu::of).collect(), None),
            Err(why) => (Vec::new(), Some(why.to_string())),
        };
        let nccl = cuda::nccl_version().ok().map(|v| v.map(|n| n.to_string()).join("."));
        Self { cuda, driver: driver_version(), nccl, devices, problem }
    }

    /// Driver and its CUDA in words, as far as they are known.
    pub fn driver_in_words(&self) -> Option<String> {
        in_words(self.driver.as_deref(), self.cuda.as_deref())
    }

    /// A row for each device, and what is below the table.
    pub fn told(&self) -> String {
        let mut lines = Vec::new();
        if !self.devices.is_empty() {
            let mut table = table();
            table.add_row(["device", "name", "capability", "memory", "free", "SMs", ""]);
            for gpu in &self.devices {
                table.add_row(gpu.row());
            }
            for (i, column) in table.column_iter_mut().enumerate() {
                column.set_padding((0, 2));
                if (2..=5).contains(&i) {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
            lines.extend(table.lines().map(|line| line.trim_end().to_string()));
            lines.push(String::new());
        }
        if let Some(problem) = &self.problem {
            lines.push(format!("no GPU can be used: {problem}"));
        }
        if let Some(driver) = self.driver_in_words() {
            lines.push(format!("driver {driver}"));
        }
        if !self.devices.is_empty() {
            let nccl = self.nccl.as_deref().unwrap_or("absent; one GPU needs none");
            lines.push(format!("NCCL {nccl}"));
        }
        lines.join("\n")
    }
}

impl Gpu {
    fn of(found: Found) -> Self {
        let Found { ordinal, name, capability, memory, multiprocessors, .. } = found.clone();
        let free = found.usable().and_then(|_| free(ordinal));
        let (memory_free, problem) = match free {
            Ok(free) => (Some(free), None),
            Err(why) => (None, Some(why.to_string())),
        };
        let device = format!("cuda:{ordinal}");
        let capability = format!("{}.{}", capability.0, capability.1);
        Self { device, name, capability, memory, memory_free, multiprocessors, problem }
    }

    fn row(&self) -> [String; 7] {
        let bytes = |bytes: usize| HumanBytes(bytes as u64).to_string();
        let free = self.memory_free.map_or("–".to_string(), bytes);
        let usable = self.problem.as_ref().map_or("can be used".to_string(), |why| why.clone());
        let Self { device, name, capability, memory, multiprocessors, .. } = self;
        let [device, name, capability] = [device, name, capability].map(String::clone);
        [device, name, capability, bytes(*memory), free, multiprocessors.to_string(), usable]
    }
}

fn free(ordinal: usize) -> Result<usize, CudaError> {
    let (precision, capture, collective) = (Precision::F32, false, None);
    Cuda::new(Settings { ordinal, precision, capture, collective })?.free()
}

/// What the driver that is here is called: `580.65.06, CUDA 13.0`.
pub(crate) fn driver() -> Option<String> {
    let cuda = cuda::driver().ok().map(cuda_version);
    in_words(driver_version().as_deref(), cuda.as_deref())
}

fn in_words(driver: Option<&str>, cuda: Option<&str>) -> Option<String> {
    let cuda = cuda.map(|version| format!("CUDA {version}"));
    let parts: Vec<&str> = [driver, cuda.as_deref()].into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// 12040 is 12.4.
fn cuda_version(version: i32) -> String {
    format!("{}.{}", version / 1000, version % 1000 / 10)
}

/// The version that the kernel's module tells of itself; CUDA knows that of its interface alone.
fn driver_version() -> Option<String> {
    version_in(&std::fs::read_to_string("/proc/driver/nvidia/version").ok()?)
}

fn version_in(text: &str) -> Option<String> {
    let is_version =
        |word: &&str| word.contains('.') && word.split('.').all(|part| part.parse::<u32>().is_ok());
    text.lines().next()?.split_whitespace().find(is_version).map(str::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_modules_version_is_found() {
        let text = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (root@x)\n\
                    GCC version:  gcc version 12.3.0 (Ubuntu)\n";
        assert_eq!(version_in(text).as_deref(), Some("580.65.06"));
        assert_eq!(version_in("no such line"), None);
        assert_eq!(cuda_version(12_040), "12.4");
        assert_eq!(in_words(None, Some("12.4")).as_deref(), Some("CUDA 12.4"));
    }

    #[test]
    fn a_card_that_is_too_old_has_its_row() {
        let memory = 16 << 30;
        let problem = Some("too old".to_string());
        let gpu = Gpu {
            device: "cuda:1".to_string(),
            name: "Old".to_string(),
            capability: "7.0".to_string(),
            memory,
            memory_free: None,
            multiprocessors: 80,
            problem,
        };
        let gpus = Gpus { devices: vec![gpu], cuda: Some("13.0".into()), ..Gpus::default() };
        let told = gpus.told();
        let row = told.lines().nth(1).expect("a row");
        let cells: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(cells, ["cuda:1", "Old", "7.0", "16.00", "GiB", "–", "80", "too", "old"]);
        assert!(told.ends_with("\n\ndriver CUDA 13.0\nNCCL absent; one GPU needs none"), "{told}");
    }
}
