//! Ablations: the table of their runs.

pub(crate) mod figures;
pub(crate) mod table;
