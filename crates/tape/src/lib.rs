//! Operations as data: both steps of Algorithm 1 are recorded once and then only replayed.
//!
//! A [`Tape`] holds programs, each a flat list of [`Node`]s. A model records its forward pass;
//! [`Tape::grad`] appends gradients to the same list, one rule per operation; passes over the list
//! fuse operations and plan one arena of memory ([`Tape::compile`]); a [`Device`] runs the result.
//! This crate depends on nothing, does no I/O, starts no thread and does not know which devices
//! exist.

mod blocks;
mod compile;
mod conv;
mod device;
mod expr;
mod fuse;
mod fused;
mod grad;
mod narrow;
mod network;
mod op;
pub mod philox;
mod plan;
mod record;
mod shape;
mod show;
mod tape;

pub use blocks::Blocks;
pub use compile::{Compiled, Listing};
pub use conv::Conv;
pub use device::{Clock, Device, DeviceError, Fusion, Options};
pub use expr::{Access, Binary, Expr, Step, Unary};
pub use fused::{Finish, Fused, Operands, Pass, Read};
pub use op::{Act, Law, Node, Op, Over, Owner};
pub use plan::{Place, Plan, Space};
pub use record::{Norm, Statistics, Window};
pub use shape::{Dtype, Shape};
pub use show::amount;
pub use tape::{Home, Init, Kind, Network, Program, Scalar, T, Tape, Tensor};
