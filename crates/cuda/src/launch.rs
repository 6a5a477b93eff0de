//! Launches as data: which kernel, on which grid, with which parameters.

/// A struct of parameters that a kernel takes by value.
///
/// # Safety
/// The type is `#[repr(C)]`, has the fields of the kernel's struct in their order, and no byte of
/// padding: padding is written out as fields.
pub unsafe trait Params: Copy + 'static {}

/// How many blocks of how many threads, with how much dynamic shared memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// Blocks in x, y and z; y and z at most 65,535.
    pub blocks: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Bytes of dynamic shared memory of a block.
    pub shared: u32,
}

impl Grid {
    /// Blocks in a row, without dynamic shared memory.
    pub fn line(blocks: u32, threads: u32) -> Self {
        Self { blocks: [blocks, 1, 1], threads, shared: 0 }
    }
}

/// One launch of a kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// Name of the kernel, an `.entry` of some PTX file.
    pub kernel: &'static str,
    /// Its grid.
    pub grid: Grid,
    /// Bytes of its struct of parameters, in words so that they are aligned for it.
    params: Box<[u64]>,
    /// How many of these bytes there are.
    pub params_len: usize,
}

impl Launch {
    /// A launch with these parameters.
    pub fn new<P: Params>(kernel: &'static str, grid: Grid, params: &P) -> Self {
        const { assert!(align_of::<P>() <= align_of::<u64>(), "parameters are kept in u64s") };
        let params_len = size_of::<P>();
        let mut words = vec![0_u64; params_len.div_ceil(8)].into_boxed_slice();
        // SAFETY: `Params` promises that all bytes are initialised; `words` is long enough, and the two
        // are different allocations.
        unsafe {
            std::ptr::copy_nonoverlapping(
                std::ptr::from_ref(params).cast::<u8>(),
                words.as_mut_ptr().cast::<u8>(),
                params_len,
            );
        }
        Self { kernel, grid, params: words, params_len }
    }

    /// Where the parameters lie, for the driver, which copies them.
    pub(crate) fn params(&self) -> *const u64 {
        self.params.as_ptr()
    }
}
