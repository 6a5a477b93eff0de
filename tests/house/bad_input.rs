//! Bad input: one message that names place, found, expected and fix; nothing lost, nothing begun.

/// Ablations that ask for what is not there.
mod ablations;
/// Data sets that are missing, damaged, or cannot be had.
mod data;
/// Run directories and checkpoints that cannot be gone on with, and disks that are full.
mod runs;
/// Experiments that contradict themselves.
mod settings;

const DUEL: &str = env!("CARGO_BIN_EXE_duel-under-test");
