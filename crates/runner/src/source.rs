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
    pad: usize,
}

impl Images {
    pub fn new(shards: Arc<Shards>, options: data::Options) -> data::Result<Self> {
        let pad = options.pad;
        Ok(Self { loader: Loader::new(Arc::clone(&shards), options)?, shards, pad })
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
        self.loader.waited()
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
        let wide = self.loader.shape();
        let mut means = vec![0.0; wide.iter().product()];
        for y in 0..h {
            let to = ((y + self.pad) * wide[1] + self.pad) * c;
            for x in 0..w * c {
                means[to + x] = sums[y * w * c + x] as f64 * scale;
            }
        }
        Ok(Some(means))
    }

    fn sample(&self) -> [usize; 3] {
        self.loader.shape()
    }

    fn dtype(&self) -> Dtype {
        Dtype::U8
    }
}
