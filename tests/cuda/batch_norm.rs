//! Batch norm.
