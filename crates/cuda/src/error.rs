//! What can go wrong between a program and a GPU, each with what to do about it.

use crate::nccl::NcclError;
use cudarc::driver::DriverError;
use tape::DeviceError;

/// Why a GPU cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CudaError {
    /// There is no `libcuda`.
    #[error(
        "no NVIDIA driver: libcuda.so.1 was not found. Install the driver (version {} or newer), or use \
         `device: cpu`",
        crate::probe::OLDEST_DRIVER
    )]
    NoDriver,
    /// The driver is older than the kernels.
    #[error(
        "the NVIDIA driver is too old: it supports CUDA {}.{}, and 12.0 or newer is needed (driver {} or \
         newer). Update it, or use `device: cpu`", found / 1000, found % 1000 / 10,
        crate::probe::OLDEST_DRIVER
    )]
    OldDriver {
        /// As `cuDriverGetVersion` tells it: 1000 · major + 10 · minor.
        found: i32,
    },
    /// The driver sees no device.
    #[error("{}", no_device(.visible.as_deref()))]
    NoDevice {
        /// `CUDA_VISIBLE_DEVICES`, if it is set.
        visible: Option<String>,
    },
    /// The device that was asked for does not exist.
    #[error(
        "there is no device cuda:{ordinal}: found {count}, cuda:0 to cuda:{}. `duel devices` lists them",
        count - 1
    )]
    NoSuchDevice {
        /// Asked for.
        ordinal: usize,
        /// How many there are.
        count: usize,
    },
    /// The device cannot run the kernels.
    #[error(
        "cuda:{ordinal} ({name}) has compute capability {}.{}, and the kernels need 8.0 (Ampere) or newer. \
         Use another device, or `device: cpu`", capability.0, capability.1
    )]
    Unsupported {
        /// Which device.
        ordinal: usize,
        /// Its name.
        name: String,
        /// Its compute capability.
        capability: (i32, i32),
    },
    /// The experiment does not fit into the device's memory.
    #[error(
        "cuda:{ordinal} has too little memory: {} MiB are needed, {} MiB are free{}", needed >> 20,
        free >> 20, fitting(*.batch)
    )]
    Memory {
        /// Which device.
        ordinal: usize,
        /// Bytes that the programs need.
        needed: usize,
        /// Bytes that are free.
        free: usize,
        /// The largest batch that would fit, where the caller knows it.
        batch: Option<usize>,
    },
    /// A kernel is not in the PTX of this build.
    #[error("the kernel `{kernel}` is missing: {why}. This build is broken; build it again")]
    MissingKernel {
        /// Its name.
        kernel: String,
        /// What the driver said.
        why: String,
    },
    /// The driver refused PTX.
    #[error(
        "the driver does not take {module}: {why}. Its version may be too old for these kernels"
    )]
    Module {
        /// Name of the PTX file.
        module: String,
        /// What the driver's compiler said.
        why: String,
    },
    /// NCCL is absent, too old, or refused.
    #[error("NCCL: {0}")]
    Nccl(#[from] NcclError),
    /// Other ranks do not go on, as the caller's own sums have found out.
    #[error("{0}")]
    Lost(String),
    /// Any other answer of the driver.
    #[error("CUDA: {doing}: {why}")]
    Driver {
        /// What was being done.
        doing: String,
        /// What the driver said.
        why: String,
    },
    /// The caller broke the interface.
    #[error("{0}")]
    Misuse(String),
}

fn no_device(visible: Option<&str>) -> String {
    let advice = "`duel devices` lists what there is; `device: cpu` needs none";
    match visible {
        Some("") => format!(
            "the NVIDIA driver shows no device: CUDA_VISIBLE_DEVICES is set and empty. Unset it. {advice}"
        ),
        Some(list) => format!(
            "the NVIDIA driver shows no device: CUDA_VISIBLE_DEVICES is `{list}`, which names none that \
             is here. {advice}"
        ),
        None => format!("there is an NVIDIA driver but no device. {advice}"),
    }
}

fn fitting(batch: Option<usize>) -> String {
    match batch {
        Some(0) => ". No batch would fit; make the networks narrower".to_string(),
        Some(batch) => format!(". A batch of {batch} would fit"),
        None => ". Make the batch smaller".to_string(),
    }
}

impl From<CudaError> for DeviceError {
    fn from(error: CudaError) -> Self {
        match error {
            CudaError::Misuse(what) => Self::Misuse(what),
            CudaError::Lost(what) => Self::Lost(what),
            CudaError::Nccl(
                NcclError::Lost { .. } | NcclError::Late { .. } | NcclError::Left { .. },
            ) => Self::Lost(error.to_string()),
            other => Self::Failed(other.to_string()),
        }
    }
}

/// Says what was being done when the driver refused.
pub(crate) trait Doing<R> {
    /// The result, or an error that names this.
    fn doing(self, what: &str) -> Result<R, CudaError>;
}

impl<R> Doing<R> for Result<R, DriverError> {
    fn doing(self, what: &str) -> Result<R, CudaError> {
        self.map_err(|error| CudaError::Driver { doing: what.to_string(), why: said(error) })
    }
}

/// A driver's error in its own words.
pub(crate) fn said(error: DriverError) -> String {
    let name = error.error_name().map(|name| name.to_string_lossy().into_owned());
    let text = error.error_string().map(|text| text.to_string_lossy().into_owned());
    match (name, text) {
        (Ok(name), Ok(text)) => format!("{text} ({name})"),
        _ => format!("{:?}", error.0),
    }
}
