//! The geometry of pooling and upsampling, shared by their four operations.

/// Images `[n, h, w, c]` (NHWC) cut into blocks of 2×2 pixels, one to each pixel of `[n, h/2, w/2, c]`.
/// Height and width are even.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Blocks {
    /// Images in the batch.
    pub n: usize,
    /// Height of the images.
    pub h: usize,
    /// Width of the images.
    pub w: usize,
    /// Channels.
    pub c: usize,
}

impl Blocks {
    /// Extents of the images.
    pub fn images(&self) -> [usize; 4] {
        [self.n, self.h, self.w, self.c]
    }

    /// Extents of what has one pixel to a block.
    pub fn pixels(&self) -> [usize; 4] {
        [self.n, self.h / 2, self.w / 2, self.c]
    }
}
