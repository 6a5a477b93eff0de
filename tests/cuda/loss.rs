//! Sums of expressions.
