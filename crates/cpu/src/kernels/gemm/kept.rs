//! Packed weights that are kept from one use to the next.

use crate::kernels::real::Real;
use crate::pages;

/// Weights as the register tiles read them. They are packed at their first use and stay as they are
/// until whoever changes the weights says so: packing once for each update is enough.
pub struct Kept<R> {
    panels: Vec<R>,
    fresh: bool,
}

impl<R: Real> Kept<R> {
    /// Room for `len` elements.
    pub fn new(len: usize) -> Self {
        Self { panels: pages::zeros(len), fresh: false }
    }

    /// The weights have changed: pack them again before the next use.
    pub fn forget(&mut self) {
        self.fresh = false;
    }

    /// What is kept, packed by `pack` if it is not; without anything to keep it in, packed to `shared`.
    pub(in crate::kernels) fn or_else<'a>(
        kept: Option<&'a mut Self>,
        shared: &'a mut [R],
        pack: impl FnOnce(&mut [R]),
    ) -> &'a [R] {
        match kept {
            Some(Self { panels, fresh: true }) => panels,
            Some(Self { panels, fresh }) => {
                pack(panels);
                *fresh = true;
                panels
            }
            None => {
                pack(shared);
                shared
            }
        }
    }
}
