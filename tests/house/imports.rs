//! `duel data import lsun` and `folder`: what they make of every kind of picture, and what they refuse.

use data::Shards;
use std::fs;
use tests::duel::Place;
use tests::pictures::{lmdb, natural, png, webp};

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");

const LSUN: &str = "data import lsun bedroom_train_lmdb --category bedroom --size 16";

/// Pictures of several shapes, lossy and lossless, as an LMDB has them.
fn values() -> Vec<Vec<u8>> {
    let shapes = [(40, 32), (32, 45), (32, 32), (51, 32), (16, 16)];
    let lossy = shapes.iter().zip([Some(75.0), None, Some(90.0), Some(75.0), None]);
    lossy
        .zip(0..)
        .map(|((&(w, h), quality), seed)| webp(&natural(w, h, seed), w, h, quality))
        .collect()
}

#[track_caller]
fn says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
}

#[test]
fn an_lmdb_becomes_shards_that_train() {
    let place = Place::new(DUEL);
    lmdb(&place.path("bedroom_train_lmdb"), &values());
    let before = place.files("bedroom_train_lmdb");
    let mut splits = Vec::new();
    for threads in [1, 2] {
        let root = format!("datasets{threads}");
        let command = format!("--data {root} --threads {threads} {LSUN}");
        let out = format!("{root}/lsun_bedroom_16/train");
        assert_eq!(place.duel(&command).fine(), format!("{out}\n"));
        splits.push(place.files(&out));
        // Again, it is there already; as something else it is not.
        let said = place.duel(&command);
        says(&said.err, &["there already"]);
        assert_eq!(said.fine(), format!("{out}\n"));
        let other = command.replace("--size 16", "--size 8 --name lsun_bedroom_16");
        says(&place.duel(&other).refused(), &["found 16×16 by `lsun`"]);
    }
    assert!(splits[0] == splits[1], "threads change bytes");
    assert!(place.files("bedroom_train_lmdb") == before, "something was written to the LMDB");
    let shards = Shards::open(&place.path("datasets1/lsun_bedroom_16/train")).expect("shards");
    assert_eq!((shards.len(), shards.shape()), (5, [16, 16, 3]));
    let keys: Vec<&str> = (0..5).map(|i| shards.key(i).expect("a row")).collect();
    assert!(keys.is_sorted() && keys.iter().all(|key| key.len() == 40), "{keys:?}");
    // The one that was 16×16 and lossless is unchanged.
    let small = natural(16, 16, 4);
    assert!((0..5).any(|i| shards.image(i).expect("a row") == small));

    let yaml = "model: {dcgan: {image: 16, channels: 3, latent: 8, width: 4, kernel: 4}}\n\
                data: {images: {set: lsun_bedroom_16}}\nbatch: 4\nimages: 16\n";
    place.write("x.yaml", yaml);
    place.duel("--data datasets1 train x.yaml").fine();
}

#[test]
fn an_lmdb_that_is_none_or_cut_short_or_without_pictures() {
    let place = Place::new(DUEL);
    let refused = |parts: &[&str]| {
        says(&place.duel(LSUN).refused(), parts);
        assert!(place.path("datasets/lsun_bedroom_16/train").symlink_metadata().is_err());
    };
    refused(&["bedroom_train_lmdb", "no such file", "expected the data file of an LMDB"]);
    place.write("bedroom_train_lmdb/data.mdb", "");
    refused(&["data.mdb: LMDB: found ", "whole"]);
    place.write("bedroom_train_lmdb/data.mdb", [7; 20_000]);
    refused(&["data.mdb: LMDB: found ", "expected a readable LMDB"]);

    fs::remove_dir_all(place.path("bedroom_train_lmdb")).expect("a folder");
    lmdb(&place.path("bedroom_train_lmdb"), &[]);
    refused(&["bedroom_train_lmdb: content: found no pictures at all"]);

    fs::remove_dir_all(place.path("bedroom_train_lmdb")).expect("a folder");
    lmdb(&place.path("bedroom_train_lmdb"), &[b"text".to_vec(), b"more text".to_vec()]);
    refused(&["picture ", "found bytes that are no picture known here", "add --on-error skip"]);
    let said = place.duel(&format!("{LSUN} --on-error skip")).refused();
    says(&said, &["found 2 entries, none of them usable"]);

    fs::remove_dir_all(place.path("bedroom_train_lmdb")).expect("a folder");
    lmdb(&place.path("bedroom_train_lmdb"), &values());
    let whole = place.read("bedroom_train_lmdb/data.mdb");
    for keep in [100, 5000, 9000, whole.len() - 4096] {
        place.write("bedroom_train_lmdb/data.mdb", &whole[..keep]);
        refused(&["data.mdb", "found "]);
    }
    refused(&["expected ", &format!("{} bytes", whole.len()), "it was cut short"]);
}

/// A PNG with another chunk before its pixels.
fn with_chunk(png: &[u8], kind: &[u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = (content.len() as u32).to_be_bytes().to_vec();
    chunk.extend(kind);
    chunk.extend(content);
    chunk.extend(crc32fast::hash(&chunk[4..]).to_be_bytes());
    let header = 8 + 25;
    [&png[..header], &chunk, &png[header..]].concat()
}

/// A PNG that says that it is `side` pixels wide and high.
fn claiming(side: u32) -> Vec<u8> {
    let mut bytes = png(&natural(8, 8, 0), 8, 8);
    bytes[16..20].copy_from_slice(&side.to_be_bytes());
    bytes[20..24].copy_from_slice(&side.to_be_bytes());
    let sum = crc32fast::hash(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// A WebP that says that it is animated, or how large it is.
fn extended_webp(flags: u8, side: u32) -> Vec<u8> {
    let mut bytes = b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0".to_vec();
    bytes.extend([flags, 0, 0, 0]);
    bytes.extend(&(side - 1).to_le_bytes()[..3]);
    bytes.extend(&(side - 1).to_le_bytes()[..3]);
    if flags & 2 != 0 {
        bytes.extend(b"ANIM\x06\0\0\0\0\0\0\0\0\0");
    } else {
        bytes.extend(&webp(&natural(8, 8, 0), 8, 8, Some(75.0))[12..]);
    }
    let length = bytes.len() as u32 - 8;
    bytes[4..8].copy_from_slice(&length.to_le_bytes());
    bytes
}

#[test]
fn pictures_that_cannot_be_used_are_named_or_listed() {
    let place = Place::new(DUEL);
    let frames = [0, 0, 0, 1, 0, 0, 0, 0];
    let bad: [(&str, Vec<u8>, &str); 9] = [
        ("animated.gif", b"GIF89a".to_vec(), "found a GIF, expected a PNG, JPEG or WebP"),
        (
            "animated.png",
            with_chunk(&png(&natural(8, 8, 0), 8, 8), b"acTL", &frames),
            "found an animated PNG, expected one picture",
        ),
        ("animated.webp", extended_webp(2, 8), "found an animated WebP, expected one picture"),
        ("bomb.png", claiming(60_000), "found 60000×60000 pixels, expected 1 to 33554432 in all"),
        ("bomb.webp", extended_webp(0, 16_000), "WebP"),
        (
            "cut.webp",
            values()[0][..200].to_vec(),
            "a WebP that cannot be decoded (it was cut short)",
        ),
        ("empty.jpg", Vec::new(), "found nothing: it is empty"),
        ("jpeg.jpg", vec![0xff, 0xd8, 0xff, 0xe0, 0, 4], "a JPEG that cannot be decoded"),
        ("notes.png", b"wrong extension".to_vec(), "bytes that are no picture known here"),
    ];
    place.write("good/good.txt", png(&natural(20, 16, 3), 20, 16));
    for (name, bytes, expected) in &bad {
        place.write(&format!("one/{name}"), bytes);
        let said = place.duel("data import folder one --name x --size 8").refused();
        says(&said, &[&format!("one: picture {name}: "), expected, "--on-error skip"]);
        assert!(!place.path("datasets/x/.unfinished-train").exists());
        fs::remove_dir_all(place.path("one")).expect("a folder");
        place.write(&format!("good/{name}"), bytes);
    }
    let said = place.duel("data import folder good --name x --size 8 --on-error skip");
    says(&said.err, &["datasets/x/train: 1 images", "skipped.txt: 9 pictures were skipped"]);
    said.fine();
    let list = place.text("datasets/x/train/skipped.txt");
    let names: Vec<&str> = list.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(names, bad.each_ref().map(|(name, ..)| *name));
    says(
        &place.duel("data inspect datasets/x/train").fine(),
        &["skipped   9", "resize    centre crop"],
    );
}

#[test]
fn pictures_of_several_sizes_need_one() {
    let place = Place::new(DUEL);
    place.write("from/a.png", png(&natural(8, 8, 0), 8, 8));
    place.write("from/b.png", png(&natural(9, 8, 0), 9, 8));
    for skip in ["", " --on-error skip"] {
        let said = place.duel(&format!("data import folder from --name x{skip}")).refused();
        says(&said, &["picture b.png: found 9×8 pixels, expected 8×8", "with --size N"]);
    }
    place.duel("data import folder from --name x --size 8").fine();
    let said = place.duel("data import folder from --name ../x --size 8").refused();
    says(&said, &["--name: found `../x`, expected letters"]);
    let said = place.duel("data import folder from --name y --size 0").refused();
    says(&said, &["--size: found 0, expected 1 to 4096"]);
}

/// Grey, 16 bits, transparency and CMYK become the RGB that they mean.
#[test]
fn every_kind_of_colour_becomes_rgb() {
    let place = Place::new(DUEL);
    let rows = |name: &str| {
        place.duel(&format!("data import folder {name} --name {name}")).fine();
        let shards = Shards::open(&place.path(&format!("datasets/{name}/train"))).expect("shards");
        (0..shards.len()).map(|i| shards.image(i).expect("a row").to_vec()).collect::<Vec<_>>()
    };
    let save = |name: &str, picture: image::DynamicImage| {
        fs::create_dir_all(place.path(name).parent().expect("a folder")).expect("folders");
        picture.save(place.path(name)).expect("a PNG");
    };
    let grey = image::GrayImage::from_fn(4, 4, |x, y| image::Luma([(x * 60 + y) as u8]));
    save("grey/a.png", grey.clone().into());
    // 257 · v is v in 16 bits; 128 more rounds up, 120 more down.
    let deep = |more: u16| {
        image::ImageBuffer::from_fn(4, 4, |x, y| {
            image::Luma([grey.get_pixel(x, y)[0] as u16 * 257 + more])
        })
    };
    save("grey/b.png", image::DynamicImage::ImageLuma16(deep(0)));
    save("grey/c.png", image::DynamicImage::ImageLuma16(deep(120)));
    save("grey/d.png", image::DynamicImage::ImageLuma16(deep(136)));
    let expected: Vec<u8> = grey.pixels().flat_map(|p| [p[0]; 3]).collect();
    let got = rows("grey");
    assert_eq!(got[..3], [expected.clone(), expected.clone(), expected.clone()]);
    assert_eq!(got[3], expected.iter().map(|v| v + 1).collect::<Vec<_>>());

    // Black of alpha a on white is 255 − a.
    let alpha: Vec<u8> = (0..64).map(|i| if i % 4 == 3 { i as u8 * 4 } else { 0 }).collect();
    place.write("alpha/a.png", png(&alpha, 4, 4));
    place.write("alpha/b.webp", webp(&alpha, 4, 4, None));
    let expected: Vec<u8> = (0..16).flat_map(|i| [255 - (i * 4 + 3) * 4; 3]).collect();
    assert_eq!(rows("alpha"), [expected.clone(), expected]);

    // 16×16 of cyan 200, magenta 40, yellow 10, black 30, by Pillow; it reads back (49, 190, 216).
    place.write("cmyk/a.jpg", include_bytes!("../golden/cmyk.jpg"));
    for (value, expected) in rows("cmyk")[0].iter().zip([49, 190, 216].into_iter().cycle()) {
        assert!(value.abs_diff(expected) <= 2, "{value} is not {expected}"); // JPEG's rounding
    }
}

/// What is said where the data is everybody's own.
#[test]
fn a_recipe_by_hand_says_what_to_do() {
    let place = Place::new(DUEL);
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
    let file = root.join("dcgan_lsun.yaml");
    let said = place.duel(&format!("data prepare {}", file.display())).refused();
    let command = "make experiment EXP=dcgan_lsun LSUN=path/to/bedroom_train_lmdb";
    says(&said, &["cannot be fetched for you", "https://", "43 GB", command]);
    assert!(place.everything().is_empty());
}
