//! How speed grows with the number of ranks: measured here, and predicted for other links.
//!
//! Real steps are run by real ranks, with an engine between that notes when each sum is begun, asked for and
//! given back. Beside that stands a model: the time of each operation as one rank measures it, and sums that
//! take what a latency and a bandwidth say. It is held against every run that is made, and then asked about
//! links and numbers of ranks that are not here.

mod kinds;
mod link;
mod model;
mod noted;
mod overlap;
mod picture;
mod play;
mod print;
mod probe;
mod rows;
mod run;
mod stretches;

pub use kinds::Kind;
pub use link::{Link, links};
pub use model::{Outcome, predict};
pub use overlap::{Overlap, Waited};
pub use probe::Probed;
pub use rows::{Grows, Measured, Predicted, Scaling};
pub use stretches::{Part, Stretches, Sum};

pub(crate) use noted::Notes;
pub(crate) use play::{Played, play};
pub(crate) use probe::probe;
pub(crate) use run::{Alone, Runs, Together};
