//! Large pages. Tensors are long and are read a few lines here, a few lines there: with pages of 4 KiB
//! the table that says where memory is is read as often as memory.

/// Zeros that lie in large pages where the system has them, to be asked for before they are touched.
pub(crate) fn zeros<E: Copy + Default>(len: usize) -> Vec<E> {
    let elements = vec![E::default(); len];
    #[cfg(target_os = "linux")]
    advise(elements.as_ptr().cast_mut().cast(), size_of_val(&elements[..]));
    elements
}

#[cfg(target_os = "linux")]
fn advise(start: *mut std::ffi::c_void, bytes: usize) {
    use rustix::mm::{Advice, madvise};
    /// The size of a large page; smaller ones hold what is left at both ends.
    const LARGE: usize = 2 << 20;
    let skipped = start.align_offset(LARGE);
    let whole = bytes.saturating_sub(skipped) / LARGE * LARGE;
    if whole > 0 {
        // SAFETY: the range lies within an allocation that the caller holds; the advice changes no
        // byte of it. It is only advice: where it is not taken, nothing is lost but time.
        let _ = unsafe { madvise(start.wrapping_byte_add(skipped), whole, Advice::LinuxHugepage) };
    }
}
