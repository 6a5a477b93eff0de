//! Tensors as kernels see them: the twin of `kernels/tensor.cuh`.

use tape::Dtype;

/// Element type of a [`Tensor`]; the numbers are those of `kernels/tensor.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Type {
    /// 32-bit floating point.
    F32 = 0,
    /// bfloat16.
    Bf16 = 1,
    /// Bytes.
    U8 = 2,
}

impl Type {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
            Self::U8 => 1,
        }
    }

    /// How a tensor of the tape lies in a GPU's memory.
    pub fn of(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Real | Dtype::F32 => Self::F32,
            Dtype::Bf16 => Self::Bf16,
            Dtype::U8 => Self::U8,
        }
    }
}

/// A tensor in device memory, as a parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Tensor {
    /// Address of the first element.
    pub at: u64,
    /// Type of the elements.
    pub dtype: Type,
    /// Number of elements.
    pub len: u32,
}

impl Tensor {
    /// No tensor: for operands that a kernel does not read.
    pub const NONE: Self = Self { at: 0, dtype: Type::F32, len: 0 };

    /// f32 numbers from an address on.
    pub fn f32(at: u64, len: u32) -> Self {
        Self { at, dtype: Type::F32, len }
    }

    /// Bytes that it takes.
    pub fn bytes(&self) -> u64 {
        u64::from(self.len) * self.dtype.bytes()
    }

    /// Whether it begins at a multiple of so many bytes.
    pub fn aligned(&self, bytes: u64) -> bool {
        self.at.is_multiple_of(bytes)
    }

    /// Whether the two share memory.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.at < other.at + other.bytes() && other.at < self.at + self.bytes()
    }

    /// `len` elements from element `offset` on.
    pub fn part(&self, offset: u32, len: u32) -> Self {
        assert!(offset + len <= self.len, "{len} elements at {offset} of {self:?}");
        Self { at: self.at + u64::from(offset) * self.dtype.bytes(), dtype: self.dtype, len }
    }
}
