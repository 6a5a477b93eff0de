//! The tests of the house: one binary, one module for each thing that is proved.

/// Variants and seeds, in order, interrupted and compared.
mod ablations;
/// Games that fail are noticed, and healthy ones are left alone.
mod alarms;
/// What cannot be trained is refused in one message, and nothing is lost.
mod bad_input;
/// What each command prints and leaves.
mod commands;
/// What people see before and after a run.
mod desk;
/// Fused experiments compute what was recorded.
mod fusion;
/// The one-dimensional demonstration ends where the theory says.
mod gaussian;
/// The check of a machine with a GPU, without one and on the stand-in.
mod gpu_check;
/// Recorded gradients agree with differences, first and second order.
mod gradients;
/// Pictures of one's own: LMDBs and folders of them.
mod imports;
/// Runs that are ended at any moment, and go on.
mod interrupted;
/// What the objectives beside those of 2014 are worth.
mod objectives;
/// Printed programs, as snapshots.
mod printed;
/// Timed steps, and what is told of them.
mod profile;
/// Random programs: the memory plan, and fusion.
mod programs;
/// A step's numbers are PyTorch's.
mod pytorch;
/// Runs of several ranks, as threads.
mod ranks;
/// Python's libraries read what Duel writes, and write what it imports.
mod readers;
/// Pages of runs and ablations.
mod report;
/// A run that stopped and went on is the run that did not stop.
mod resume;
/// More and more ranks, and what is said of them.
mod scaling;
/// When the players move.
mod schedules;
/// Whole steps: slopes of the losses, and what is not computed.
mod steps;
/// Events of a run, read by TensorBoard.
mod tensorboard;
/// What the 2014 paper proves.
mod theory;
/// The same bytes for every number of threads.
mod threads;
/// The doors of the house and the size of its files.
mod tidiness;
