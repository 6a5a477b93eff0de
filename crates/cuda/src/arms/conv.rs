//! Convolutions: `kernels/conv*.cu`.
#![allow(unused_variables)] // placeholder until the family is written

use crate::builder::Builder;
use crate::error::CudaError;
use tape::{Fused, Node};

pub(super) fn conv(b: &mut Builder<'_>, node: &Node, fused: &Fused) -> Result<(), CudaError> {
    unimplemented!("this family of kernels")
}
