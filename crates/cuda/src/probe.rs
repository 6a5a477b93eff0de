//! What there is: driver, devices, and whether they can run the kernels.

use crate::error::{CudaError, Doing};
use cudarc::driver::{result, sys};

/// The oldest driver whose compiler takes the kernels' PTX (ISA 7.8, CUDA 12).
pub(crate) const OLDEST_DRIVER: &str = "525";
/// The same as `cuDriverGetVersion` tells it.
const OLDEST_CUDA: i32 = 12_000;
/// Compute capability of the PTX.
const OLDEST_CARD: (i32, i32) = (8, 0);

/// A device as `duel devices` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Number n of `cuda:n`.
    pub ordinal: usize,
    /// The driver's name for it.
    pub name: String,
    /// Compute capability, major and minor.
    pub capability: (i32, i32),
    /// Bytes of memory.
    pub memory: usize,
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Sixteen bytes that no two devices share.
    pub uuid: [u8; 16],
}

/// The driver's version of CUDA, 1000 · major + 10 · minor, or why there is none that can be used.
///
/// # Errors
/// No driver, a driver that is too old, or one that does not start.
pub fn driver() -> Result<i32, CudaError> {
    // SAFETY: opens a library and closes it again; nothing of ours is handed over.
    if !unsafe { sys::is_culib_present() } {
        return Err(CudaError::NoDriver);
    }
    let mut version = 0;
    // SAFETY: the call writes one integer, and may come before cuInit.
    let told = unsafe { sys::cuDriverGetVersion(&raw mut version) };
    told.result().doing("asking the driver for its version")?;
    if version < OLDEST_CUDA {
        return Err(CudaError::OldDriver { found: version });
    }
    match result::init() {
        Ok(()) => Ok(version),
        Err(error) if error.0 == sys::CUresult::CUDA_ERROR_NO_DEVICE => Err(no_device()),
        Err(error) => Err(error).doing("starting the driver"),
    }
}

/// Every device that the driver shows, usable or not.
///
/// # Errors
/// What [`driver`] reports, and a driver without a device.
pub fn devices() -> Result<Vec<Found>, CudaError> {
    driver()?;
    let count = result::device::get_count().doing("counting devices")?;
    if count == 0 {
        return Err(no_device());
    }
    (0..count as usize).map(found).collect()
}

/// One device, if it can run the kernels.
///
/// # Errors
/// What [`devices`] reports, a number that no device has, a card that is too old.
pub fn device(ordinal: usize) -> Result<Found, CudaError> {
    let all = devices()?;
    let count = all.len();
    let no_such = CudaError::NoSuchDevice { ordinal, count };
    all.into_iter().nth(ordinal).ok_or(no_such)?.usable()
}

impl Found {
    /// The device, if it can run the kernels.
    ///
    /// # Errors
    /// A card that is too old.
    pub fn usable(self) -> Result<Self, CudaError> {
        if self.capability >= OLDEST_CARD {
            return Ok(self);
        }
        let Self { ordinal, name, capability, .. } = self;
        Err(CudaError::Unsupported { ordinal, name, capability })
    }
}

fn no_device() -> CudaError {
    CudaError::NoDevice { visible: std::env::var("CUDA_VISIBLE_DEVICES").ok() }
}

fn found(ordinal: usize) -> Result<Found, CudaError> {
    use sys::CUdevice_attribute as Attribute;
    let what = format!("looking at cuda:{ordinal}");
    let device = result::device::get(ordinal as i32).doing(&what)?;
    // SAFETY: the driver gave this device.
    let attribute = |which| unsafe { result::device::get_attribute(device, which) }.doing(&what);
    Ok(Found {
        ordinal,
        name: result::device::get_name(device).doing(&what)?,
        capability: (
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?,
            attribute(Attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?,
        ),
        // SAFETY: as above.
        memory: unsafe { result::device::total_mem(device) }.doing(&what)?,
        multiprocessors: attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)? as u32,
        uuid: result::device::get_uuid(device).doing(&what)?.bytes.map(|b| b as u8),
    })
}
