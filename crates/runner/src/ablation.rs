//! Ablations: variants of an experiment, each with several seeds, and the table that compares them.
//!
//! Every run is an ordinary run directory and a process of its own, so nothing that happens to one
//! of them touches another. Nothing but these directories is remembered: what is finished, what goes
//! on and what the table says is read from them.

pub(crate) mod asked;
pub(crate) mod child;
pub(crate) mod cost;
pub(crate) mod figures;
pub(crate) mod line;
pub(crate) mod play;
pub(crate) mod print;
pub(crate) mod run;
pub(crate) mod table;
