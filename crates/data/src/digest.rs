//! SHA-256 as lower-case hexadecimal digits, of bytes in memory and of streams as they pass.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).as_slice())
}

/// A reader that digests and counts what passes through it.
pub(crate) struct Digesting<R> {
    inner: R,
    state: Sha256,
    /// Bytes that have passed.
    pub(crate) bytes: u64,
}

impl<R: Read> Digesting<R> {
    pub(crate) fn new(inner: R) -> Self {
        Digesting { inner, state: Sha256::new(), bytes: 0 }
    }

    /// SHA-256 of all that has passed.
    pub(crate) fn finish(self) -> String {
        hex(self.state.finalize().as_slice())
    }
}

impl<R: Read> Read for Digesting<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.state.update(&buf[..n]);
        self.bytes += n as u64;
        Ok(n)
    }
}

/// Bytes as lower-case hexadecimal digits.
pub(crate) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
