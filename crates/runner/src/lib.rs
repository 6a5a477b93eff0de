//! The binary duel: YAML, command line, run directories, progress, pictures.

pub mod aside;
pub mod journal;
pub mod layers;
pub mod nearest;
pub mod node;
pub mod npy;
pub mod picture;
pub mod progress;
pub mod resolve;
pub mod yaml;
