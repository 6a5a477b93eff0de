//! The binary duel: YAML, command line, run directories, progress, pictures.

mod ablation;
pub mod aside;
mod bar;
mod cli;
mod command;
mod doctor;
mod figure1;
mod follow;
mod gpus;
pub mod journal;
pub mod layers;
mod listing;
mod machine;
pub mod nearest;
pub mod node;
pub mod npy;
mod observe;
pub mod picture;
pub mod profile;
pub mod progress;
mod ranks;
mod report;
pub mod resolve;
mod run_dir;
mod runs;
pub mod scaling;
pub mod schema;
mod session;
mod signals;
mod source;
mod state;
mod target;
mod tensorboard;
pub mod yaml;

pub use cli::duel;
