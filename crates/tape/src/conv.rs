//! The geometry of a convolution, shared by its three operations.

/// Geometry of one convolution, seen from `fprop`: images `[n, h, w, c]` (NHWC) and weights
/// `[k, r, s, c]` (KRSC) give `[n, p, q, k]`:
///
/// `y[n,p,q,k] = Σ_{r,s,c} x[n, p·stride + r − pad, q·stride + s − pad, c] · w[k,r,s,c]`,
/// with zeros outside the image.
///
/// `dgrad` (a transposed convolution) and `wgrad` are its two adjoints and use the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// Images in the batch.
    pub n: usize,
    /// Height on the image side.
    pub h: usize,
    /// Width on the image side.
    pub w: usize,
    /// Channels on the image side.
    pub c: usize,
    /// Height on the feature side.
    pub p: usize,
    /// Width on the feature side.
    pub q: usize,
    /// Channels on the feature side.
    pub k: usize,
    /// Height of the kernel.
    pub r: usize,
    /// Width of the kernel.
    pub s: usize,
    /// Step between neighbouring features, in pixels of the image side.
    pub stride: usize,
    /// Zeros before the first row and column of the image side; what follows the last is implied.
    pub pad: usize,
}

impl Conv {
    /// Multiply-adds of each of the three operations, taps that fall on padding included.
    pub fn macs(&self) -> u64 {
        (self.n * self.p * self.q) as u64 * (self.k * self.r * self.s * self.c) as u64
    }
}
