//! What the tests of the house share.

mod bench;
pub mod gradient;

pub use bench::Bench;
