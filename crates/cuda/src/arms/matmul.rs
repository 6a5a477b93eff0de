//! Products of matrices: `kernels/matmul.cu`.
#![allow(unused_variables)] // placeholder until the family is written

use crate::builder::Builder;
use tape::Node;

pub(super) fn matmul(b: &mut Builder<'_>, node: &Node, transposed: [bool; 2], accumulate: bool) {
    unimplemented!("this family of kernels")
}
