//! The stream: its order, its share for each rank, its resumption, its end.

use std::fs;
use std::sync::Arc;

use data::{Loader, Options, Permutation, Shards, flipped};

use crate::sets;

const ROWS: usize = 21;

fn shards(home: &tempfile::TempDir) -> Arc<Shards> {
    Arc::new(Shards::open(&sets::split(home.path(), ROWS)).unwrap())
}

/// The next `batches` batches of a loader, each as a list of images.
fn take(loader: &mut Loader, batches: usize) -> Vec<Vec<Vec<u8>>> {
    let image: usize = loader.shape().iter().product();
    let mut buffer = vec![99; loader.bytes()];
    let mut next = || {
        loader.next(&mut buffer).unwrap();
        buffer.chunks_exact(image).map(<[u8]>::to_vec).collect()
    };
    (0..batches).map(|_| next()).collect()
}

#[test]
fn samples_follow_the_permutation_across_epochs() {
    let home = tempfile::tempdir().unwrap();
    let shards = shards(&home);
    let mut loader = Loader::new(shards.clone(), Options::new(7, 8)).unwrap();
    let stream: Vec<Vec<u8>> = take(&mut loader, 11).concat();
    assert_eq!(loader.position(), 88);
    for (s, image) in stream.iter().enumerate() {
        let order = Permutation::new(7, (s / ROWS) as u64, ROWS as u64);
        let index = order.at((s % ROWS) as u64) as usize;
        assert_eq!(image, shards.image(index).unwrap(), "sample {s}");
    }
}

#[test]
fn ranks_deal_out_the_batch_of_one() {
    let home = tempfile::tempdir().unwrap();
    let shards = shards(&home);
    let options = Options { pad: 1, flip: true, ..Options::new(3, 6) };
    let whole = take(&mut Loader::new(shards.clone(), options.clone()).unwrap(), 9);
    for world in [2, 3, 6] {
        for rank in 0..world {
            let part = take(
                &mut Loader::new(shards.clone(), Options { rank, world, ..options.clone() })
                    .unwrap(),
                9,
            );
            for (whole, part) in whole.iter().zip(&part) {
                let dealt: Vec<_> = whole.iter().skip(rank).step_by(world).collect();
                assert_eq!(part.iter().collect::<Vec<_>>(), dealt, "rank {rank} of {world}");
            }
        }
    }
}

#[test]
fn padding_is_zero_and_mirroring_is_by_the_coin() {
    let home = tempfile::tempdir().unwrap();
    let shards = shards(&home);
    let mut loader =
        Loader::new(shards.clone(), Options { pad: 2, flip: true, ..Options::new(5, 7) }).unwrap();
    assert_eq!(loader.shape(), [7, 9, 1]);
    let mut mirrored = 0;
    for (s, out) in take(&mut loader, 9).concat().iter().enumerate() {
        let (epoch, place) = ((s / ROWS) as u64, (s % ROWS) as u64);
        let index = Permutation::new(5, epoch, ROWS as u64).at(place);
        let mirror = flipped(5, epoch, index);
        mirrored += usize::from(mirror);
        let image = shards.image(index as usize).unwrap();
        for (y, x) in (0..7).flat_map(|y| (0..9).map(move |x| (y, x))) {
            let inside = (2..5).contains(&y) && (2..7).contains(&x);
            let expected = match (inside, mirror) {
                (false, _) => 0,
                (true, false) => image[(y - 2) * 5 + x - 2],
                (true, true) => image[(y - 2) * 5 + 6 - x],
            };
            assert_eq!(out[y * 9 + x], expected, "sample {s}, row {y}, column {x}");
        }
    }
    assert!((1..63).contains(&mirrored), "{mirrored} of 63");
}

#[test]
fn a_stream_resumes_at_its_position() {
    let home = tempfile::tempdir().unwrap();
    let shards = shards(&home);
    let options = Options { pad: 1, flip: true, ..Options::new(11, 5) };
    let mut through = Loader::new(shards.clone(), options.clone()).unwrap();
    take(&mut through, 6);
    let rest = take(&mut through, 10);
    let mut first = Loader::new(shards.clone(), options.clone()).unwrap();
    take(&mut first, 6);
    let start = first.position();
    drop(first);
    let mut second = Loader::new(shards, Options { start, ..options }).unwrap();
    assert_eq!(take(&mut second, 10), rest);
    assert_eq!(second.position(), through.position());
}

#[test]
fn seeds_give_different_streams() {
    let home = tempfile::tempdir().unwrap();
    let shards = shards(&home);
    let stream = |seed| take(&mut Loader::new(shards.clone(), Options::new(seed, 21)).unwrap(), 1);
    assert_eq!(stream(1), stream(1));
    assert_ne!(stream(1), stream(2));
}

#[test]
fn damage_surfaces_at_next_and_ends_the_stream() {
    let home = tempfile::tempdir().unwrap();
    let dir = sets::split(home.path(), ROWS);
    let path = dir.join("00000.arrow");
    let mut bytes = fs::read(&path).unwrap();
    let image: Vec<u8> = (0..15).map(|p| sets::pixel(0, p)).collect();
    let at = bytes.windows(15).position(|w| w == image).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let mut loader =
        Loader::new(Arc::new(Shards::open(&dir).unwrap()), Options::new(0, ROWS)).unwrap();
    let mut buffer = vec![0; loader.bytes()];
    let first = loader.next(&mut buffer).unwrap_err().to_string();
    assert!(first.contains("00000.arrow: record batch 0"), "{first}");
    let second = loader.next(&mut buffer).unwrap_err().to_string();
    assert!(second.contains("has stopped") && second.contains("record batch 0"), "{second}");
    assert_eq!(loader.position(), 0);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let shards = shards(&home);
    let base = Options::new(0, 6);
    for (options, part) in [
        (Options { batch: 0, ..base.clone() }, "a batch of 0"),
        (Options { world: 4, ..base.clone() }, "a batch of 6 for 4 ranks"),
        (Options { world: 0, ..base.clone() }, "for 0 ranks"),
        (Options { rank: 2, world: 2, ..base.clone() }, "found rank 2, expected less than 2"),
        (Options { pad: usize::MAX / 2, ..base.clone() }, "would not fit into memory"),
        (Options { start: u64::MAX, ..base.clone() }, "found start 18446744073709551615"),
    ] {
        let message =
            Loader::new(shards.clone(), options).err().expect("it was accepted").to_string();
        assert!(message.contains(part), "`{part}` is missing in: {message}");
    }
    let mut loader = Loader::new(shards, base).unwrap();
    let message = loader.next(&mut [0; 7]).unwrap_err().to_string();
    assert!(message.contains("7 bytes, expected 90"), "{message}");
    loader.next(&mut [0; 90]).unwrap();
}
