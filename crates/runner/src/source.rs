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

#[cfg(test)]
mod tests {
    use super::*;
    use data::{Description, Writer};

    /// Ten images of 1×2 pixels, all of one grey, padded to 3×4 and mirrored.
    fn images(folder: &std::path::Path) -> Images {
        let about = Description::new("greys", "train", "test", [1, 2, 1]);
        let mut writer = Writer::create(folder, about).unwrap();
        for i in 0..10u8 {
            writer.push(&[i, 100 + i], 0, &i.to_string()).unwrap();
        }
        writer.finish(Vec::new()).unwrap();
        let shards = Arc::new(Shards::open(folder).unwrap());
        let batch = data::Options::new(1, 3);
        Images::new(shards, data::Options { pad: 1, flip: true, ..batch }).unwrap()
    }

    #[test]
    fn examples_lie_evenly_and_are_not_mirrored() {
        let folder = tempfile::tempdir().unwrap();
        let mut images = images(&folder.path().join("train"));
        let of = |i: u8| [0, 0, 0, 0, 0, i, 100 + i, 0, 0, 0, 0, 0];
        let expected = [of(0), of(2), of(5), of(7)].concat();
        assert_eq!(images.examples(4).unwrap(), expected);
        images.next(&mut [0; 36]).unwrap();
        assert_eq!(images.examples(4).unwrap(), expected);
        assert_eq!(images.examples(20).unwrap()[12..24], of(0), "more than there are");
    }

    #[test]
    fn a_source_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut images = images(&folder.path().join("train"));
        let mut batches = [[0; 36]; 4];
        for batch in &mut batches {
            images.next(batch).unwrap();
        }
        images.seek(6).unwrap();
        assert_eq!(images.position(), 6);
        let mut again = [0; 36];
        images.next(&mut again).unwrap();
        assert_eq!(again, batches[2]);
    }
}
