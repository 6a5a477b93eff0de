//! What the tests of the house share.

mod bench;
pub mod duel;
pub mod gradient;
pub mod pictures;
mod pixels;
mod stage;
pub mod stand_in;

pub use bench::Bench;
pub use pixels::{Pixels, Silent};
pub use stage::{Stage, experiment};
