//! The PTX, and the kernels in it, found by name.

use crate::error::{CudaError, Doing, said};
use crate::gpu::Gpu;
use crate::launch::Launch;
use cudarc::driver::{result, sys};
use std::collections::HashMap;
use std::ffi::{CString, c_void};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Every PTX file: `<family>.sm_80.ptx` for all cards, `<family>.sm_90a.ptx` for Hopper alone.
const PTX: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/ptx.rs"));
/// Dynamic shared memory that needs no asking for.
const SHARED: u32 = 48 * 1024;
/// Bytes of what the driver's compiler may say.
const LOG: usize = 8192;

/// An `.entry` of the PTX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name of the PTX file.
    pub module: &'static str,
    /// Bytes of its parameters.
    pub params: usize,
    text: &'static str,
}

/// Every kernel of the PTX by its name.
pub fn entries() -> &'static HashMap<&'static str, Entry> {
    static ENTRIES: OnceLock<HashMap<&'static str, Entry>> = OnceLock::new();
    ENTRIES.get_or_init(|| {
        let of_file = |&(module, text): &(&'static str, &'static str)| {
            let kernels = text.split(".entry ").skip(1);
            kernels.filter_map(move |rest| {
                let (name, rest) = rest.split_once('(')?;
                let (head, _) = rest.split_once(')')?;
                let bytes = head.split_once('[').and_then(|(_, b)| b.split_once(']'));
                let params = bytes.and_then(|(bytes, _)| bytes.parse().ok())?;
                Some((name.trim(), Entry { module, params, text }))
            })
        };
        PTX.iter().flat_map(of_file).collect()
    })
}

/// A PTX file in the hands of a driver.
#[derive(Debug)]
pub struct Module {
    /// Its name.
    pub name: &'static str,
    /// How many kernels it has.
    pub kernels: usize,
    /// How long the driver's compiler took, or why it refused.
    pub compiled: Result<Duration, CudaError>,
}

/// Hands every PTX file to the compiler of a device's driver, and looks every kernel up in what comes back.
///
/// # Errors
/// A device that cannot be opened.
pub fn compile_all(ordinal: usize) -> Result<Vec<Module>, CudaError> {
    let gpu = Gpu::open(ordinal, None)?;
    gpu.bind()?;
    let module = |&(name, _): &(&'static str, &str)| {
        let own: Vec<_> = entries().iter().filter(|(_, entry)| entry.module == name).collect();
        let begun = Instant::now();
        let compiled = own.first().map_or(Ok(Duration::ZERO), |(_, entry)| {
            let module = compile(entry)?;
            let took = begun.elapsed();
            let all = own.iter().try_for_each(|(kernel, _)| function(module, kernel).map(drop));
            // SAFETY: loaded above, and nothing of it was launched.
            let unloaded = unsafe { result::module::unload(module) };
            all.and(unloaded.doing("unloading a module")).map(|()| took)
        });
        Module { name, kernels: own.len(), compiled }
    };
    Ok(PTX.iter().map(module).collect())
}

/// A kernel of a module.
fn function(module: sys::CUmodule, kernel: &str) -> Result<sys::CUfunction, CudaError> {
    let name = CString::new(kernel).expect("names have no zero byte");
    // SAFETY: the module is loaded.
    unsafe { result::module::get_function(module, name) }
        .map_err(|error| CudaError::MissingKernel { kernel: kernel.to_string(), why: said(error) })
}

/// Kernels that were loaded onto a device.
pub(crate) struct Kernels {
    modules: HashMap<&'static str, sys::CUmodule>,
    functions: HashMap<&'static str, sys::CUfunction>,
}

impl Kernels {
    /// Loads what these launches need, each PTX file at most once.
    pub fn load<'a>(launches: impl Iterator<Item = &'a Launch>) -> Result<Self, CudaError> {
        let mut kernels = Self { modules: HashMap::new(), functions: HashMap::new() };
        let mut shared: HashMap<&'static str, u32> = HashMap::new();
        for launch in launches {
            let most = shared.entry(launch.kernel).or_default();
            *most = (*most).max(launch.grid.shared);
            if !kernels.functions.contains_key(launch.kernel) {
                let function = kernels.find(launch)?;
                kernels.functions.insert(launch.kernel, function);
            }
        }
        for (kernel, bytes) in shared.into_iter().filter(|(_, bytes)| *bytes > SHARED) {
            use sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES as MOST;
            let function = kernels.functions[kernel];
            // SAFETY: the function belongs to a module that is loaded.
            unsafe { result::function::set_function_attribute(function, MOST, bytes as i32) }
                .map_err(|error| CudaError::MissingKernel {
                    kernel: kernel.to_string(),
                    why: format!("{bytes} bytes of shared memory: {}", said(error)),
                })?;
        }
        Ok(kernels)
    }

    /// The function of a launch that was seen by [`Kernels::load`].
    pub fn function(&self, kernel: &str) -> sys::CUfunction {
        self.functions[kernel]
    }

    fn find(&mut self, launch: &Launch) -> Result<sys::CUfunction, CudaError> {
        let missing =
            |why: String| CudaError::MissingKernel { kernel: launch.kernel.to_string(), why };
        let entry = entries().get(launch.kernel);
        let entry = entry.ok_or_else(|| missing("no PTX file has it".to_string()))?;
        if entry.params != launch.params_len {
            let (ours, its) = (launch.params_len, entry.params);
            return Err(missing(format!("it takes {its} bytes of parameters, not {ours}")));
        }
        let module = match self.modules.get(entry.module) {
            Some(module) => *module,
            None => {
                let module = compile(entry)?;
                self.modules.insert(entry.module, module);
                module
            }
        };
        function(module, launch.kernel)
    }
}

impl Drop for Kernels {
    fn drop(&mut self) {
        for module in self.modules.values() {
            // SAFETY: loaded by us, unloaded once; whoever drops this waited for all launches. A context
            // that is gone took its modules along, so the answer says nothing.
            let _ = unsafe { result::module::unload(*module) };
        }
    }
}

/// Hands PTX to the driver's compiler.
fn compile(entry: &Entry) -> Result<sys::CUmodule, CudaError> {
    use sys::CUjit_option as Option;
    let text = CString::new(entry.text).expect("PTX is text");
    let mut log = vec![0_u8; LOG];
    let mut options = [Option::CU_JIT_ERROR_LOG_BUFFER, Option::CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES];
    let mut values = [log.as_mut_ptr().cast::<c_void>(), LOG as *mut c_void];
    let mut module = std::ptr::null_mut();
    // SAFETY: text and buffers outlive the call, and there are two options with a value each.
    let answer = unsafe {
        sys::cuModuleLoadDataEx(
            &raw mut module,
            text.as_ptr().cast(),
            options.len() as u32,
            options.as_mut_ptr(),
            values.as_mut_ptr(),
        )
    };
    answer.result().map(|()| module).map_err(|error| {
        let end = log.iter().position(|b| *b == 0).unwrap_or(LOG);
        let text = String::from_utf8_lossy(&log[..end]);
        let why = [&said(error), text.trim()].join(". ");
        CudaError::Module { module: entry.module.to_string(), why }
    })
}
