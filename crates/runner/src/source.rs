//! Prepared data sets as the trainer's source of real samples.

use data::{Loader, Shards};
use std::sync::Arc;
use std::time::Duration;
use tape::Dtype;
use train::{Refusal, Source};

/// Images of a split, shuffled, padded and mirrored.
pub(crate) struct Images {
    shards: Arc<Shards>,
    loader: Loader,
    /// What the loader was made with, but for where it starts.
    options: data::Options,
    /// Time that earlier loaders have waited.
    waited: Duration,
}

impl Images {
    pub fn new(shards: Arc<Shards>, options: data::Options) -> data::Result<Self> {
        let loader = Loader::new(Arc::clone(&shards), options.clone())?;
        Ok(Self { shards, loader, options, waited: Duration::ZERO })
    }

    /// Writes the lines of a picture `[h, w · c]` where padding leaves them room.
    fn place<T: Copy>(&self, lines: &[T], into: &mut [T]) {
        let ([_, w, c], wide, pad) = (self.shards.shape(), self.loader.shape(), self.options.pad);
        for (y, line) in lines.chunks_exact(w * c).enumerate() {
            into[((y + pad) * wide[1] + pad) * c..][..w * c].copy_from_slice(line);
        }
    }
}

impl Source for Images {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Refusal> {
        Ok(self.loader.next(into)?)
    }

    fn position(&self) -> u64 {
        self.loader.position()
    }

    fn waited(&self) -> Duration {
        self.waited + self.loader.waited()
    }

    fn marginals(&mut self) -> Result<Option<Vec<f64>>, Refusal> {
        let [h, w, c] = self.shards.shape();
        let mut sums = vec![0u64; h * w * c];
        for i in 0..self.shards.len() {
            for (sum, &pixel) in sums.iter_mut().zip(self.shards.image(i)?) {
                *sum += u64::from(pixel);
            }
        }
        let scale = 1.0 / (255.0 * self.shards.len() as f64);
        let means: Vec<f64> = sums.into_iter().map(|sum| sum as f64 * scale).collect();
        let mut padded = vec![0.0; self.loader.shape().iter().product()];
        self.place(&means, &mut padded);
        Ok(Some(padded))
    }

    fn examples(&mut self, n: usize) -> Result<Vec<u8>, Refusal> {
        let size = self.loader.shape().iter().product();
        let mut all = vec![0; n * size];
        for (i, padded) in all.chunks_exact_mut(size).enumerate() {
            self.place(self.shards.image(i * self.shards.len() / n)?, padded);
        }
        Ok(all)
    }

    fn seek(&mut self, position: u64) -> Result<(), Refusal> {
        self.waited += self.loader.waited();
        let options = data::Options { start: position, ..self.options.clone() };
        self.loader = Loader::new(Arc::clone(&self.shards), options)?;
        Ok(())
    }

    fn sample(&self) -> [usize; 3] {
        self.loader.shape()
    }

    fn dtype(&self) -> Dtype {
        Dtype::U8
    }
}
