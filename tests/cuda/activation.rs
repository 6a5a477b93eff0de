//! Elementwise operations and maxout.
