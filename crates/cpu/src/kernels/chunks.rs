//! Buffers cut into chunks that are written in parallel.

use super::parallel::{Shared, parallel};

/// Elements that are worth a task of their own. Smaller problems stay on the calling thread.
pub const TASK: usize = 16 * 1024;

/// Cuts buffers of equal length into chunks of `size` elements (the last may be shorter) and calls
/// `f(start, chunks)` for each, in parallel. `size` must depend on shapes alone.
pub fn chunks<R: Copy + Send, const N: usize>(
    buffers: [&mut [R]; N],
    size: usize,
    f: impl Fn(usize, [&mut [R]; N]) + Sync,
) {
    let len = buffers.first().map_or(0, |b| b.len());
    for buffer in &buffers {
        assert_eq!(buffer.len(), len, "buffers of one call have one length");
    }
    let shared = buffers.map(|b| Shared::new(b));
    parallel(len.div_ceil(size.max(1)), |task| {
        let start = task * size;
        let len = size.min(len - start);
        // SAFETY: tasks take different chunks, and the buffers are borrowed until all are done.
        f(start, shared.each_ref().map(|s| unsafe { s.part(start, len) }));
    });
}

/// Runs `f` in a pool of one thread and in one of two, and checks that the bytes are the same.
#[cfg(test)]
pub(crate) fn in_pools<T: PartialEq + std::fmt::Debug + Send>(f: impl Fn() -> T + Sync) -> T {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(&f)
    };
    let one = run(1);
    assert_eq!(one, run(2));
    one
}

/// Numbers in [−1, 1) for tests, which repeat.
#[cfg(test)]
pub(crate) fn numbers<R: super::math::Math>(len: usize, stream: u32) -> Vec<R> {
    let word = |i: usize| tape::philox::block(7, stream, 0, 0, i as u32)[0];
    let number = |i| R::uniform24(word(i)) + R::uniform24(word(i)) - R::ONE;
    (0..len).map(number).collect()
}
