//! The pen: one method per operation, with its shape rule.

mod blocks;
mod linear;
mod maxout;
mod norm;
mod pointwise;
mod random;
mod step;

pub use linear::Window;
pub use norm::{Norm, Statistics};
