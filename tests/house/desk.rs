//! What people see before and after a run: the listing, the machine, the schema.

mod doctor;
mod runs;
mod schema;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");
