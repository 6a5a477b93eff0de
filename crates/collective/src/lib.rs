//! Many ranks: who started them, how they meet, sums over all of them, and what happens when one is
//! lost.
//!
//! A [`Group`] is what ranks say to each other in words: who they are, that all of them hold the same
//! experiment, that one has failed. An [`Engine`] adds up numbers that lie in this process's memory;
//! sums on GPUs are NCCL's. Both tell a lost peer by a [`Lost`], and neither waits longer than the
//! group's deadline.

mod engine;
mod group;
mod installed;
mod launch;
mod local;
mod lost;
pub mod mpi;
pub mod pmi;
pub mod tcp;
mod watchdog;

pub use engine::{Engine, Numbers, Place, Ticket};
pub use group::{Group, Member};
pub use installed::installed_mpi;
pub use launch::{Launch, LaunchError, Launcher};
pub use local::ranks as local_ranks;
pub use lost::{Kind, LOST_STATUS, Lost};
pub use watchdog::{Watchdog, Watched};
