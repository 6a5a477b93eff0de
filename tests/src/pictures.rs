//! Encoded pictures and LMDBs of them, as people bring them.

use heed::types::Bytes;
use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions};
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::path::Path;
use tape::philox;

/// RGB that looks a little like a photograph: slow light, a little noise, an edge.
pub fn natural(width: usize, height: usize, seed: u64) -> Vec<u8> {
    let mut pixels = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        for x in 0..width {
            let noise = philox::block(seed, 0, x as u64, y as u32, 0);
            let edge = if 3 * x + y * 2 > width + height { 60.0 } else { 0.0 };
            for (c, noise) in noise.into_iter().take(3).enumerate() {
                let wave = ((x * (c + 1) + y * 2 + seed as usize * 9) as f64 / 23.0).sin();
                pixels.push((90.0 + 50.0 * wave + edge + f64::from(noise >> 28)) as u8);
            }
        }
    }
    pixels
}

/// Encodes RGB or RGBA, as the length says, as a PNG.
pub fn png(pixels: &[u8], width: usize, height: usize) -> Vec<u8> {
    let color = match pixels.len() / (width * height) {
        4 => image::ExtendedColorType::Rgba8,
        _ => image::ExtendedColorType::Rgb8,
    };
    let mut into = Cursor::new(Vec::new());
    let (width, height) = (width as u32, height as u32);
    image::write_buffer_with_format(
        &mut into,
        pixels,
        width,
        height,
        color,
        image::ImageFormat::Png,
    )
    .expect("memory");
    into.into_inner()
}

/// Encodes RGB or RGBA as a WebP: of a quality, or without loss.
pub fn webp(pixels: &[u8], width: usize, height: usize, quality: Option<f32>) -> Vec<u8> {
    let channels = pixels.len() / (width * height);
    let (w, h, stride) = (width as i32, height as i32, (width * channels) as i32);
    let (from, mut into) = (pixels.as_ptr(), std::ptr::null_mut());
    // SAFETY: the pixels are `stride × height` bytes; what libwebp allocated is copied, then freed by it.
    unsafe {
        let size = match (channels, quality) {
            (3, Some(q)) => libwebp_sys::WebPEncodeRGB(from, w, h, stride, q, &mut into),
            (3, None) => libwebp_sys::WebPEncodeLosslessRGB(from, w, h, stride, &mut into),
            (_, Some(q)) => libwebp_sys::WebPEncodeRGBA(from, w, h, stride, q, &mut into),
            (_, None) => libwebp_sys::WebPEncodeLosslessRGBA(from, w, h, stride, &mut into),
        };
        assert!(size > 0, "libwebp encodes");
        let bytes = std::slice::from_raw_parts(into, size).to_vec();
        libwebp_sys::WebPFree(into.cast());
        bytes
    }
}

/// Writes an LMDB as LSUN has them, without its lock file: keys of 40 hexadecimal digits.
pub fn lmdb(folder: &Path, values: &[Vec<u8>]) {
    std::fs::create_dir_all(folder).expect("folders can be made");
    let mut options = EnvOpenOptions::new();
    options.map_size(1 << 30);
    // SAFETY: nobody else has this folder.
    let env = unsafe { options.flags(EnvFlags::NO_LOCK).open(folder) }.expect("an LMDB");
    let transaction = env.write_txn().expect("a transaction");
    let made = env.create_databases_and_commit(transaction, |opener, transaction| {
        let database = opener.create_database::<Bytes, Bytes>(transaction, None)?;
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(database))
    });
    let database = made.expect("a database").unwrap_commit();
    let mut transaction = env.write_txn().expect("a transaction");
    for value in values {
        let key: String = Sha256::digest(value).iter().map(|b| format!("{b:02x}")).collect();
        database.put(&mut transaction, &key.as_bytes()[..40], value).expect("room");
    }
    transaction.commit().expect("room");
    env.prepare_for_closing().wait();
}
