//! The binary duel: YAML, command line, run directories, progress, pictures.

pub mod aside;
mod bar;
mod cli;
mod command;
mod figure1;
pub mod journal;
pub mod layers;
pub mod nearest;
pub mod node;
pub mod npy;
mod observe;
pub mod picture;
pub mod progress;
pub mod resolve;
mod run_dir;
mod session;
mod signals;
mod source;
pub mod yaml;

pub use cli::duel;
