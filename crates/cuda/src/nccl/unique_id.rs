//! What ranks find each other by.

use super::error::NcclError;
use super::library::{Library, RawId};
use crate::error::CudaError;
use std::fmt;
use std::str::FromStr;

/// Made by one rank and brought to the others by the caller; good for one communicator. It holds an address
/// of the rank that made it, which has to live until all have come.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UniqueId(RawId);

impl UniqueId {
    /// Bytes of an id.
    pub const BYTES: usize = 128;

    /// An id that no other communicator has.
    ///
    /// # Errors
    /// No NCCL, an old one, or a machine without a network that NCCL likes.
    pub fn new() -> Result<Self, CudaError> {
        let library = Library::get()?;
        let mut id = RawId([0; Self::BYTES]);
        // SAFETY: the call writes the 128 bytes of an id.
        let told = unsafe { (library.get_unique_id)(&raw mut id) };
        library.answer(told, "making an id")?;
        Ok(Self(id))
    }

    /// An id that came as bytes.
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(RawId(bytes))
    }

    /// The id as bytes.
    pub fn bytes(&self) -> [u8; Self::BYTES] {
        self.0.0
    }

    pub(super) fn raw(self) -> RawId {
        self.0
    }
}

/// 256 hexadecimal digits.
impl fmt::Display for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for UniqueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UniqueId(")?;
        self.0.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str("…)")
    }
}

impl FromStr for UniqueId {
    type Err = CudaError;

    fn from_str(text: &str) -> Result<Self, CudaError> {
        let not_an_id = || NcclError::NotAnId { given: text.chars().take(40).collect() };
        let digits: Option<Vec<u8>> =
            text.chars().map(|c| c.to_digit(16).map(|d| d as u8)).collect();
        let digits = digits.filter(|d| d.len() == 2 * Self::BYTES).ok_or_else(not_an_id)?;
        let mut bytes = [0; Self::BYTES];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = 16 * pair[0] + pair[1];
        }
        Ok(Self::from_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_being_written_down() {
        let bytes: [u8; UniqueId::BYTES] = std::array::from_fn(|i| (7 * i) as u8);
        let id = UniqueId::from_bytes(bytes);
        let text = id.to_string();
        assert_eq!(&text[..8], "00070e15");
        assert_eq!(text.parse::<UniqueId>().expect("an id").bytes(), bytes);
        for wrong in
            ["", "00", &text[1..], &format!("{}g", &text[1..]), &format!("é{}", &text[2..])]
        {
            let error = wrong.parse::<UniqueId>().expect_err("not an id").to_string();
            assert!(error.contains("256 hexadecimal digits"), "{error}");
        }
    }
}
