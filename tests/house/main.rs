//! The tests of the house: one binary, one module for each thing that is proved.

/// Recorded gradients agree with differences, first and second order.
mod gradients;
/// Random programs: the memory plan, and fusion.
mod programs;
/// The doors of the house and the size of its files.
mod tidiness;
