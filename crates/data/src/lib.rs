//! Arrow shards: import, map, shuffle, augment, batch.
//!
//! A [`Recipe`] says where a data set comes from. [`fetch()`] brings its files into a cache and checks
//! them, [`import::recipe`] turns them into one folder per split; [`import::lsun`] and [`import::folder`] do the same
//! with what people have themselves. [`Shards`] maps such a folder and
//! [`Loader`] is the endless stream of batches that training consumes. [`inspect()`] and [`verify()`] look
//! at what is on disk.
//!
//! ```text
//! <root>/fashion_mnist/train/manifest.json   what is here: shape, classes, lengths, hashes
//!                           /00000.arrow     8192 images each, in record batches of 256
//!                           /00001.arrow …
//! ```
//!
//! Nothing here knows tapes, training or YAML, and nothing else knows Arrow.

mod aside;
mod digest;
mod error;
mod fetch;
mod gunzip;
pub mod import;
mod inspect;
mod loader;
pub mod manifest;
mod order;
mod recipe;
mod schema;
mod shard;
mod shards;
mod verify;
mod writer;

pub use error::{Error, Result};
pub use fetch::{Fetched, fetch};
pub use inspect::{Summary, inspect};
pub use loader::{Loader, Options};
pub use manifest::Manifest;
pub use order::{Permutation, flipped};
pub use recipe::{Apt, FileEntry, Https, Importer, Members, Npm, Recipe, Source, Split, is_name};
pub use shards::Shards;
pub use verify::{Report, verify};
pub use writer::{Description, Writer};
