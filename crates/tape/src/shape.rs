//! Shapes and element types.

use std::fmt;

/// Up to four extents, outermost first: `[n, h, w, c]`, `[rows, columns]`, `[c]`, or `[1]` for a scalar.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    dims: [usize; 4],
    rank: u8,
}

impl Shape {
    /// The shape with these extents.
    #[track_caller]
    pub fn new(dims: &[usize]) -> Self {
        assert!((1..=4).contains(&dims.len()), "a shape has 1 to 4 extents, not {dims:?}");
        let mut all = [1; 4];
        all[..dims.len()].copy_from_slice(dims);
        Self { dims: all, rank: dims.len() as u8 }
    }

    /// The extents.
    pub fn dims(&self) -> &[usize] {
        &self.dims[..self.rank as usize]
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.dims().iter().product()
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first extent: samples of a batch.
    pub fn rows(&self) -> usize {
        self.dims[0]
    }

    /// The last extent: channels of an image, columns of a matrix.
    pub fn channels(&self) -> usize {
        self.dims[self.rank as usize - 1]
    }

    /// The same but for the last extent.
    #[must_use]
    pub fn with_channels(mut self, channels: usize) -> Self {
        self.dims[self.rank as usize - 1] = channels;
        self
    }

    /// The extents of an image batch `[n, h, w, c]`.
    #[track_caller]
    pub fn nhwc(&self) -> [usize; 4] {
        assert!(self.rank == 4, "expected [n, h, w, c], found {self:?}");
        self.dims
    }

    /// The extents of a matrix `[rows, columns]`.
    #[track_caller]
    pub fn matrix(&self) -> [usize; 2] {
        assert!(self.rank == 2, "expected [rows, columns], found {self:?}");
        [self.dims[0], self.dims[1]]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    #[track_caller]
    fn from(dims: [usize; N]) -> Self {
        Self::new(&dims)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.dims())
    }
}

/// Element type of a tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dtype {
    /// The floating point type of the run: f32, or f64 where the run says so.
    Real,
    /// Bytes, for pixels as they lie in a shard.
    U8,
    /// f32 whatever the run's precision, for inputs that the host makes.
    F32,
    /// The upper half of an f32: activations of a run in bf16, and their gradients. Only compilation
    /// makes these, see [`crate::Options::narrow`].
    Bf16,
}

impl Dtype {
    /// Bytes of one element when the run's type has `real` bytes.
    pub fn bytes(self, real: usize) -> usize {
        match self {
            Self::Real => real,
            Self::U8 => 1,
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }
}
