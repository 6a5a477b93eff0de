//! Algorithm 1, objectives, optimisers, EMA, checkpoints.
