//! Vectors as values, for loops that keep so many of them in registers that the compiler must be told.

use super::real::Real;

/// A vector of R. Its functions mean something only inside of a function that is compiled for the
/// vector's instruction set: see [`lanes`].
pub trait Lanes<R>: Copy {
    /// Elements.
    const COUNT: usize;
    /// Reads [`Self::COUNT`] elements.
    ///
    /// # Safety
    /// They must be readable, and the machine must have the instruction set.
    unsafe fn load(from: *const R) -> Self;
    /// Writes [`Self::COUNT`] elements.
    ///
    /// # Safety
    /// They must be writable, and the machine must have the instruction set.
    unsafe fn store(self, to: *mut R);
    /// The same element everywhere.
    ///
    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn splat(x: R) -> Self;
    /// Sum.
    ///
    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn add(self, other: Self) -> Self;
    /// Difference.
    ///
    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn sub(self, other: Self) -> Self;
    /// Product.
    ///
    /// # Safety
    /// The machine must have the instruction set.
    unsafe fn mul(self, other: Self) -> Self;
}

/// The vectors of an element type.
pub trait Vectors: Real {
    /// 512 bits.
    type Wide: Lanes<Self>;
    /// 256 bits.
    type Middle: Lanes<Self>;
    /// What the architecture's baseline has.
    type Narrow: Lanes<Self>;
}

impl Vectors for f32 {
    #[cfg(target_arch = "x86_64")]
    type Wide = std::arch::x86_64::__m512;
    #[cfg(target_arch = "x86_64")]
    type Middle = std::arch::x86_64::__m256;
    #[cfg(not(target_arch = "x86_64"))]
    type Wide = [f32; 4];
    #[cfg(not(target_arch = "x86_64"))]
    type Middle = [f32; 4];
    type Narrow = [f32; 4];
}

impl Vectors for f64 {
    #[cfg(target_arch = "x86_64")]
    type Wide = std::arch::x86_64::__m512d;
    #[cfg(target_arch = "x86_64")]
    type Middle = std::arch::x86_64::__m256d;
    #[cfg(not(target_arch = "x86_64"))]
    type Wide = [f64; 2];
    #[cfg(not(target_arch = "x86_64"))]
    type Middle = [f64; 2];
    type Narrow = [f64; 2];
}

/// Sixteen bytes as an array: the compiler finds the baseline's registers, NEON's among them.
macro_rules! array {
    ($t:ty, $count:literal) => {
        impl Lanes<$t> for [$t; $count] {
            const COUNT: usize = $count;
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                // SAFETY: the caller's promise.
                unsafe { from.cast::<Self>().read() }
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                // SAFETY: the caller's promise.
                unsafe { to.cast::<Self>().write(self) }
            }
            #[inline(always)]
            unsafe fn splat(x: $t) -> Self {
                [x; $count]
            }
            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                std::array::from_fn(|i| self[i] + other[i])
            }
            #[inline(always)]
            unsafe fn sub(self, other: Self) -> Self {
                std::array::from_fn(|i| self[i] - other[i])
            }
            #[inline(always)]
            unsafe fn mul(self, other: Self) -> Self {
                std::array::from_fn(|i| self[i] * other[i])
            }
        }
    };
}

array!(f32, 4);
array!(f64, 2);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Lanes;
    use std::arch::x86_64::*;

    macro_rules! register {
        (
            $t:ty, $vector:ty, $count:literal,
            $load:ident, $store:ident, $splat:ident, $add:ident, $sub:ident, $mul:ident
        ) => {
            impl Lanes<$t> for $vector {
                const COUNT: usize = $count;
                #[inline(always)]
                unsafe fn load(from: *const $t) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $t) {
                    // SAFETY: the caller's promise.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn splat(x: $t) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn add(self, other: Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $add(self, other) }
                }
                #[inline(always)]
                unsafe fn sub(self, other: Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $sub(self, other) }
                }
                #[inline(always)]
                unsafe fn mul(self, other: Self) -> Self {
                    // SAFETY: the caller's promise.
                    unsafe { $mul(self, other) }
                }
            }
        };
    }

    register!(
        f32,
        __m512,
        16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_set1_ps,
        _mm512_add_ps,
        _mm512_sub_ps,
        _mm512_mul_ps
    );
    register!(
        f64,
        __m512d,
        8,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_set1_pd,
        _mm512_add_pd,
        _mm512_sub_pd,
        _mm512_mul_pd
    );
    register!(
        f32,
        __m256,
        8,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_set1_ps,
        _mm256_add_ps,
        _mm256_sub_ps,
        _mm256_mul_ps
    );
    register!(
        f64,
        __m256d,
        4,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_set1_pd,
        _mm256_add_pd,
        _mm256_sub_pd,
        _mm256_mul_pd
    );
}

/// Defines a function whose body, generic over a vector `V`, is compiled for each instruction set, and
/// which runs the best one of this machine.
macro_rules! lanes {
    ($(#[$meta:meta])* $vis:vis unsafe fn $name:ident[$R:ident, $V:ident; $($generics:tt)*]
        ($($arg:ident: $type:ty),* $(,)?) $body:block) => {
        $(#[$meta])*
        $vis unsafe fn $name<$R: $crate::kernels::lanes::Vectors, $($generics)*>($($arg: $type),*) {
            #[inline(always)]
            unsafe fn body<
                $R: $crate::kernels::lanes::Vectors,
                $V: $crate::kernels::lanes::Lanes<$R>,
                $($generics)*
            >(_: std::marker::PhantomData<$V>, $($arg: $type),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            unsafe fn avx512<$R: $crate::kernels::lanes::Vectors, $($generics)*>($($arg: $type),*) {
                // SAFETY: the caller's promise.
                unsafe { body(std::marker::PhantomData::<$R::Wide>, $($arg),*) }
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            unsafe fn avx2<$R: $crate::kernels::lanes::Vectors, $($generics)*>($($arg: $type),*) {
                // SAFETY: the caller's promise.
                unsafe { body(std::marker::PhantomData::<$R::Middle>, $($arg),*) }
            }

            // SAFETY: the caller's promise, and `isa` saw the features that the function needs.
            unsafe {
                #[cfg(target_arch = "x86_64")]
                match $crate::kernels::isa::isa() {
                    $crate::kernels::isa::Isa::Avx512 => return avx512($($arg),*),
                    $crate::kernels::isa::Isa::Avx2 => return avx2($($arg),*),
                    _ => {}
                }
                body(std::marker::PhantomData::<$R::Narrow>, $($arg),*)
            }
        }
    };
}

pub(super) use lanes;
