//! Real samples from shards.

use data::{Description, Loader, Shards, Writer};
use std::sync::Arc;
use tape::{Dtype, philox};
use tempfile::TempDir;
use train::{Data, Experiment, Refusal, Source};

/// Extents of a picture.
pub const PICTURE: [usize; 3] = [12, 12, 3];

/// How many there are: batches of any even number straddle the ends of epochs.
const PICTURES: u32 = 41;

/// A data set on disk.
pub struct Pictures {
    shards: Arc<Shards>,
    _folder: TempDir,
}

impl Pictures {
    /// Pixels drawn evenly from 0 to 255.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let split = folder.path().join("train");
        let about = Description::new("noise", "train", "test", PICTURE);
        let mut writer = Writer::create(&split, about).expect("a new split");
        for i in 0..PICTURES {
            let pixel = |at| (philox::block(0, 1 << 29, 0, i, at)[0] >> 24) as u8;
            let pixels: Vec<u8> =
                (0..PICTURE.iter().product::<usize>() as u32).map(pixel).collect();
            writer.push(&pixels, 0, &i.to_string()).expect("it has the extents");
        }
        writer.finish(Vec::new()).expect("it is written");
        let shards = Arc::new(Shards::open(&split).expect("it is there"));
        Self { shards, _folder: folder }
    }

    /// One rank's samples, from `start` on.
    pub fn of(&self, spec: &Experiment, [rank, world]: [usize; 2], start: u64) -> Reals {
        let Data::Images { pad, flip, .. } = spec.data else {
            panic!("pictures of {:?}", spec.data)
        };
        let batch = data::Options::new(spec.seed, spec.batch);
        Reals::new(&self.shards, data::Options { rank, world, pad, flip, start, ..batch })
    }
}

/// One rank's part of the stream.
pub struct Reals {
    shards: Arc<Shards>,
    options: data::Options,
    loader: Loader,
}

impl Reals {
    fn new(shards: &Arc<Shards>, options: data::Options) -> Self {
        let loader = Loader::new(Arc::clone(shards), options.clone()).expect("a loader");
        Self { shards: Arc::clone(shards), options, loader }
    }

    /// Bytes of a batch of this rank.
    pub fn bytes(&self) -> usize {
        self.loader.bytes()
    }
}

impl Source for Reals {
    fn next(&mut self, into: &mut [u8]) -> Result<(), Refusal> {
        Ok(self.loader.next(into)?)
    }

    fn position(&self) -> u64 {
        self.loader.position()
    }

    /// The first rank compares G with them, and tells the others.
    fn examples(&mut self, n: usize) -> Result<Vec<u8>, Refusal> {
        assert_eq!(self.options.rank, 0, "another rank than the first compares");
        let evenly = data::Options { batch: n, world: 1, flip: false, start: 0, ..self.options };
        let mut all = Self::new(&self.shards, evenly);
        let mut bytes = vec![0; all.bytes()];
        all.next(&mut bytes)?;
        Ok(bytes)
    }

    fn seek(&mut self, position: u64) -> Result<(), Refusal> {
        *self = Self::new(&self.shards, data::Options { start: position, ..self.options });
        Ok(())
    }

    fn sample(&self) -> [usize; 3] {
        self.loader.shape()
    }

    fn dtype(&self) -> Dtype {
        Dtype::U8
    }
}
