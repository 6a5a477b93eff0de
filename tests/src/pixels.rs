//! Data without a file, and an observer who says nothing.

use tape::{Dtype, philox};
use train::{Checkpoint, Observer, Probe, Progress, Refusal, Report, Source};

/// Bytes drawn evenly from 0 to 255; batch i is a function of i.
pub struct Pixels {
    sample: [usize; 3],
    position: u64,
}

impl Pixels {
    /// Samples `[h, w, c]`, from the first on.
    pub fn new(sample: [usize; 3]) -> Self {
        Self { sample, position: 0 }
    }

    /// Fills a batch.
    pub fn fill(&self, into: &mut [u8]) {
        for (block, bytes) in into.chunks_mut(4).enumerate() {
            let words = philox::block(0, 1 << 29, self.position, 0, block as u32);
            for (byte, word) in bytes.iter_mut().zip(words) {
                *byte = (word >> 24) as u8;
            }
        }
    }
}

impl Source for Pixels {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Refusal> {
        self.fill(into);
        self.position += (into.len() / self.sample.iter().product::<usize>()) as u64;
        Ok(())
    }

    fn position(&self) -> u64 {
        self.position
    }

    fn examples(&mut self, n: usize) -> Result<Vec<u8>, Refusal> {
        let mut all = vec![0; n * self.sample.iter().product::<usize>()];
        Self::new(self.sample).fill(&mut all);
        Ok(all)
    }

    fn seek(&mut self, position: u64) -> Result<(), Refusal> {
        self.position = position;
        Ok(())
    }

    fn sample(&self) -> [usize; 3] {
        self.sample
    }

    fn dtype(&self) -> Dtype {
        Dtype::U8
    }
}

/// Keeps the last checkpoint and the last report of a run.
#[derive(Default)]
pub struct Silent {
    /// The state at the end.
    pub checkpoint: Option<Checkpoint>,
    /// Means over the last steps.
    pub report: Option<Report>,
}

impl Observer for Silent {
    fn report(&mut self, report: &Report) -> Result<(), Refusal> {
        self.report = Some(report.clone());
        Ok(())
    }

    fn samples(&mut self, _: &Progress, _: &mut Probe<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), Refusal> {
        self.checkpoint = Some(checkpoint.clone());
        Ok(())
    }
}
