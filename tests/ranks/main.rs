//! Any number of ranks computes what one rank computes. Ranks are threads of this process: sums under
//! an MPI and a launcher have tests of their own.

/// Two states, and how far they are apart.
mod apart;
/// Engines that do something else than adding up, or watch it.
mod engines;
/// What goes wrong on one rank is told on all of them.
mod faults;
/// Experiments that are small enough for eight ranks on two cores.
mod games;
/// Batch norms whose statistics are not those of the world.
mod norms;
/// Sums are begun while gradients are computed, and finished before somebody reads them.
mod overlap;
/// One rank, driven by hand.
mod player;
/// Real samples from shards.
mod reals;
/// Ranks as threads.
mod room;
/// Single precision: differences are rounding.
mod rounding;
/// Whole runs of the trainer.
mod runs;
/// Double precision: there are no differences.
mod same;
/// Pictures of a state do not depend on who draws them.
mod sampling;
/// Whole runs: reports, alarms, stops, and going on with another number of ranks.
mod trained;
