//! The guard, optimisers and averages.
