//! NumPy's `.npy`, version 1.0, written as a stream: samples for tools outside.

use crate::aside::{Aside, at};
use std::io::{self, Write};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// A type of element.
pub trait Element: Copy {
    /// NumPy's name for it, byte order included.
    const DESCR: &'static str;
    /// Appends its bytes in that order.
    fn put(self, bytes: &mut Vec<u8>);
}

impl Element for u8 {
    const DESCR: &'static str = "|u1";

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.push(self);
    }
}

impl Element for f32 {
    const DESCR: &'static str = "<f4";

    fn put(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.to_le_bytes());
    }
}

/// An array on its way to disk, such as uint8 images `[n, h, w, c]` in row-major order.
#[derive(Debug)]
pub struct Npy<E> {
    aside: Aside,
    path: PathBuf,
    /// Elements promised by the shape and not yet written.
    missing: usize,
    element: PhantomData<E>,
}

impl<E: Element> Npy<E> {
    /// Begins an array of `shape` that shall stand at `path`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(path: &Path, shape: &[usize]) -> io::Result<Npy<E>> {
        let mut aside = Aside::create(path)?;
        aside.write_all(&header(E::DESCR, shape)).map_err(|error| at(path, error))?;
        let missing = shape.iter().product();
        Ok(Npy { aside, path: path.to_owned(), missing, element: PhantomData })
    }

    /// Appends elements, any number at a time.
    ///
    /// # Errors
    /// When there are more than the shape holds, or the file cannot be written.
    pub fn append(&mut self, elements: &[E]) -> io::Result<()> {
        self.missing = self.missing.checked_sub(elements.len()).ok_or_else(|| {
            let over = elements.len() - self.missing;
            at(&self.path, io::Error::other(format!("{over} more elements than its shape holds")))
        })?;
        let mut bytes = Vec::with_capacity(1 << 16);
        for chunk in elements.chunks(1 << 14) {
            bytes.clear();
            chunk.iter().for_each(|element| element.put(&mut bytes));
            self.aside.write_all(&bytes).map_err(|error| at(&self.path, error))?;
        }
        Ok(())
    }

    /// Puts the file in place.
    ///
    /// # Errors
    /// When elements are missing (then no file appears), or the file cannot be written.
    pub fn finish(self) -> io::Result<()> {
        if self.missing > 0 {
            let message = format!("{} elements of its shape were never written", self.missing);
            return Err(at(&self.path, io::Error::other(message)));
        }
        self.aside.commit()
    }
}

/// Magic, version, length, and a Python dictionary padded so that the data starts at a multiple of
/// 64 bytes (`numpy.lib.format`).
fn header(descr: &str, shape: &[usize]) -> Vec<u8> {
    const MAGIC: &[u8] = b"\x93NUMPY\x01\x00";
    let mut sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    if shape.len() > 1 {
        sizes.truncate(sizes.len() - 2);
    }
    let mut dictionary = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}), }}",
        sizes.trim_end()
    );
    let unpadded = MAGIC.len() + 2 + dictionary.len() + 1;
    dictionary.push_str(&" ".repeat(unpadded.next_multiple_of(64) - unpadded));
    dictionary.push('\n');
    let length = u16::try_from(dictionary.len()).expect("a shape of a few sizes");
    [MAGIC, &length.to_le_bytes(), dictionary.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dictionary and data.
    fn parse(bytes: &[u8]) -> (String, &[u8]) {
        assert_eq!(&bytes[..8], b"\x93NUMPY\x01\x00");
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        assert_eq!((10 + length) % 64, 0);
        let (head, data) = bytes[10..].split_at(length);
        assert_eq!(head.last(), Some(&b'\n'));
        (String::from_utf8(head.to_vec()).unwrap().trim_end().to_owned(), data)
    }

    #[test]
    fn images_and_floats() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("images.npy");
        let mut npy = Npy::<u8>::create(&path, &[2, 1, 2, 3]).unwrap();
        npy.append(&[0, 1, 2, 3, 4]).unwrap();
        assert!(!path.exists());
        npy.append(&[5, 6, 7, 8, 9, 10, 255]).unwrap();
        npy.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (head, data) = parse(&bytes);
        assert_eq!(head, "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 1, 2, 3), }");
        assert_eq!(data, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]);

        let path = dir.path().join("floats.npy");
        let many: Vec<f32> = (0..40_000).map(|i| i as f32 * 0.1).collect();
        let mut npy = Npy::create(&path, &[many.len()]).unwrap();
        npy.append(&many).unwrap();
        npy.finish().unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (head, data) = parse(&bytes);
        assert_eq!(head, "{'descr': '<f4', 'fortran_order': False, 'shape': (40000,), }");
        let read: Vec<f32> =
            data.chunks(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(read, many);
    }

    #[test]
    fn the_shape_is_a_promise() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("short.npy");
        let mut npy = Npy::<u8>::create(&path, &[4]).unwrap();
        npy.append(&[1, 2, 3]).unwrap();
        let error = npy.append(&[4, 5]).unwrap_err().to_string();
        assert!(error.contains("1 more elements"), "{error}");
        let error = npy.finish().unwrap_err().to_string();
        assert!(error.contains("short.npy: 1 elements"), "{error}");
        assert!(!path.exists());
    }
}
