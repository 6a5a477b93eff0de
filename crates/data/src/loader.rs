//! The endless stream of batches: shuffled, mirrored, padded, and ready before it is asked for.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::order::{Permutation, flipped};
use crate::shards::Shards;

/// Batches that are ready or in the making while the caller works on another.
const RING: usize = 3;

/// Which part of the stream a loader delivers, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The seed of order and augmentation.
    pub seed: u64,
    /// Images of a batch, of all ranks together.
    pub batch: usize,
    /// This rank, from 0.
    pub rank: usize,
    /// Number of ranks; divides `batch`.
    pub world: usize,
    /// Pixels of value 0 around each image, on each side.
    pub pad: usize,
    /// Whether each image is mirrored left to right with probability one half.
    pub flip: bool,
    /// The position to start at: 0, or what [`Loader::position`] said before a stop.
    pub start: u64,
}

impl Options {
    /// One rank, no padding, no mirroring, from the start.
    pub fn new(seed: u64, batch: usize) -> Options {
        Options { seed, batch, rank: 0, world: 1, pad: 0, flip: false, start: 0 }
    }
}

/// An endless stream of batches of a split.
///
/// With n images, sample number s of the stream belongs to epoch s / n and is image
/// [`Permutation`]`(seed, epoch)[s % n]`; whether it is mirrored is a function of (seed, epoch, image). Batch
/// after batch takes the next samples, across the ends of epochs, and rank r of W takes rows r, r + W, … of
/// each batch. So the stream is the same for every number of ranks, and a position is one number.
///
/// One thread fills a ring of batches. Errors and panics in it come out of [`next`](Loader::next).
pub struct Loader {
    batch: u64,
    bytes: usize,
    shape: [usize; 3],
    position: u64,
    waited: Duration,
    full: Option<Receiver<Result<Vec<u8>>>>,
    empty: Option<SyncSender<Vec<u8>>>,
    worker: Option<JoinHandle<()>>,
    /// Why the stream has ended, once it has.
    stopped: Option<String>,
}

impl Loader {
    /// Checks the options and starts filling.
    ///
    /// # Errors
    /// A batch of nothing, a batch that the ranks cannot share equally, a rank outside the world, padding that
    /// makes the batch too large for memory to address, no thread to be had.
    pub fn new(shards: Arc<Shards>, options: Options) -> Result<Loader> {
        let Options { batch, rank, world, pad, start, .. } = options;
        if batch == 0 || world == 0 || !batch.is_multiple_of(world) {
            return Err(Error::Options(format!(
                "found a batch of {batch} for {world} ranks, expected a positive multiple of the number of ranks"
            )));
        }
        if rank >= world {
            return Err(Error::Options(format!(
                "found rank {rank}, expected less than {world}, the number of ranks"
            )));
        }
        if start > u64::MAX / 2 {
            return Err(Error::Options(format!(
                "found start {start}, expected a position that a loader has reported"
            )));
        }
        let [h, w, c] = shards.shape();
        let padded = |side: usize| pad.checked_mul(2).and_then(|p| p.checked_add(side));
        let bytes = padded(h)
            .zip(padded(w))
            .and_then(|(h, w)| h.checked_mul(w)?.checked_mul(c)?.checked_mul(batch / world))
            .filter(|&bytes| bytes <= isize::MAX as usize / (RING + 1))
            .ok_or_else(|| Error::Options(format!("found pad {pad} and batch {batch}, expected less: a batch would not fit into memory")))?;

        let (full_in, full) = sync_channel(RING);
        let (empty, empty_out) = sync_channel(RING);
        let filler = Filler { shards, options: options.clone() };
        let worker = thread::Builder::new()
            .name("loader".into())
            .spawn(move || filler.run(bytes, &empty_out, &full_in))
            .map_err(|e| Error::Stopped(format!("it could not be started: {e}")))?;
        let loader = Loader {
            batch: batch as u64,
            bytes,
            shape: [h + 2 * pad, w + 2 * pad, c],
            position: options.start,
            waited: Duration::ZERO,
            full: Some(full),
            empty: Some(empty),
            worker: Some(worker),
            stopped: None,
        };
        Ok(loader)
    }

    /// Copies this rank's share of the next batch to `into`: uint8, batch / world × height × width ×
    /// channels with padding included. Waits if it is not ready. Allocates nothing.
    ///
    /// # Errors
    /// `into` of another length (nothing is consumed), or what has ended the thread: a record batch whose
    /// checksum is wrong, a panic. The stream stays ended.
    #[allow(
        clippy::should_implement_trait,
        reason = "a batch is lent, not returned, and the stream has no end"
    )]
    pub fn next(&mut self, into: &mut [u8]) -> Result<()> {
        if let Some(reason) = &self.stopped {
            return Err(Error::Stopped(reason.clone()));
        }
        if into.len() != self.bytes {
            return Err(Error::Options(format!(
                "found a buffer of {} bytes, expected {}",
                into.len(),
                self.bytes
            )));
        }
        let asked = Instant::now();
        let received = self.full.as_ref().and_then(|full| full.recv().ok());
        self.waited += asked.elapsed();
        let Some(delivered) = received else {
            return Err(self.stop("it ended without a word".into()));
        };
        let buffer = match delivered {
            Ok(buffer) => buffer,
            Err(error) => {
                self.stop(error.to_string());
                return Err(error);
            }
        };
        into.copy_from_slice(&buffer);
        self.position += self.batch;
        if let Some(empty) = &self.empty {
            // A thread that has ended does not take it back; the batches it made before are still good.
            empty.send(buffer).ok();
        }
        Ok(())
    }

    /// Samples that all ranks together have consumed since the start of the stream.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Height, width and channels of the images delivered, padding included.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Bytes of this rank's share of a batch: what [`next`](Loader::next) fills.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Time that callers of [`next`](Loader::next) have spent waiting, in all.
    pub fn waited(&self) -> Duration {
        self.waited
    }

    fn stop(&mut self, reason: String) -> Error {
        self.stopped = Some(reason.clone());
        Error::Stopped(reason)
    }
}

impl Drop for Loader {
    /// Hangs up, so that the thread finds nobody to work for, and waits for the batch in the making.
    fn drop(&mut self) {
        self.full = None;
        self.empty = None;
        if let Some(worker) = self.worker.take() {
            // Panics are caught in the thread and reported by `next`.
            worker.join().ok();
        }
    }
}

/// The thread's side.
struct Filler {
    shards: Arc<Shards>,
    options: Options,
}

impl Filler {
    fn run(self, bytes: usize, empty: &Receiver<Vec<u8>>, full: &SyncSender<Result<Vec<u8>>>) {
        let mut fresh = RING;
        let mut position = self.options.start;
        loop {
            // The first round allocates the ring; after that buffers come back.
            let buffer = if fresh > 0 {
                fresh -= 1;
                vec![0; bytes]
            } else if let Ok(buffer) = empty.recv() {
                buffer
            } else {
                return;
            };
            let filled = caught(|| self.fill(position, buffer));
            let failed = filled.is_err();
            if full.send(filled).is_err() || failed {
                return;
            }
            position += self.options.batch as u64;
        }
    }

    /// Fills `buffer` with this rank's rows of the batch that starts at sample `position`. Padding was
    /// zero when the buffer was made and is never written.
    fn fill(&self, position: u64, mut buffer: Vec<u8>) -> Result<Vec<u8>> {
        let Options { seed, batch, rank, world, pad, flip, .. } = self.options;
        let n = self.shards.len() as u64;
        let [h, w, c] = self.shards.shape();
        let image_bytes = (h + 2 * pad) * (w + 2 * pad) * c;
        let mut epoch = (position + rank as u64) / n;
        let mut order = Permutation::new(seed, epoch, n);
        for (row, out) in (rank..batch).step_by(world).zip(buffer.chunks_exact_mut(image_bytes)) {
            let sample = position + row as u64;
            if sample / n != epoch {
                epoch = sample / n;
                order = Permutation::new(seed, epoch, n);
            }
            let index = order.at(sample % n);
            let image = self.shards.image(index as usize)?;
            let mirror = flip && flipped(seed, epoch, index);
            place(image, [h, w, c], pad, mirror, out);
        }
        Ok(buffer)
    }
}

/// Copies an image of `shape` into the middle of `out`, which is `pad` wider on each side.
fn place(image: &[u8], [h, w, c]: [usize; 3], pad: usize, mirror: bool, out: &mut [u8]) {
    let line = w * c;
    let stride = (w + 2 * pad) * c;
    for y in 0..h {
        let from = &image[y * line..][..line];
        let to = &mut out[(y + pad) * stride + pad * c..][..line];
        if mirror {
            for (to, from) in to.chunks_exact_mut(c).zip(from.chunks_exact(c).rev()) {
                to.copy_from_slice(from);
            }
        } else {
            to.copy_from_slice(from);
        }
    }
}

/// Turns a panic of `work` into an error with its message.
fn caught<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        Err(Error::Stopped(format!(
            "it panicked: {}",
            text.as_deref().unwrap_or("without a message")
        )))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_with_its_words() {
        let error = caught(|| -> Result<()> { panic!("no {} left", "paper") }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "loader: the background thread has stopped: it panicked: no paper left"
        );
    }
}
