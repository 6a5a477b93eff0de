//! The CUDA layer, without a GPU: the unchanged crate `cuda` on a stand-in for the driver that runs the
//! project's own kernels; on a GPU where `DUEL_CUDA=real` says so.

/// Elementwise operations and maxout.
mod activation;
/// A GPU that is not there, too old or too small.
mod bad_input;
/// Batch norm.
mod batch_norm;
/// The binary on a GPU, as people use it.
mod commands;
/// Convolutions.
mod conv;
/// Tapes with numbers of a test's choice.
mod fed;
/// Images and copies in other types.
mod image;
/// Sums of expressions.
mod loss;
/// Products of matrices.
mod matmul;
/// Sums over ranks.
mod nccl;
/// Draws.
mod noise;
/// What compares a GPU with cores.
mod parity;
/// Every kernel under sanitizers, and bugs that are planted to be found.
mod planted;
/// Pooling and upsampling.
mod pool;
/// PTX and the structs of parameters.
mod ptx;
/// Runs of several ranks.
mod ranks;
/// Sums.
mod reduce;
/// Graphs, clocks, inputs, checks: what runs programs.
mod replay;
/// Whole steps of both networks.
mod steps;
/// The guard, optimisers and averages.
mod update;
