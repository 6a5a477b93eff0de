//! Which vector instructions this machine has, and how plain loops are compiled for them.
//!
//! The binary is built for the baseline of its architecture and runs anywhere. A loop wrapped in
//! [`vectorize`] is compiled once per instruction set, and the best one is taken at run time.

use std::sync::OnceLock;

/// An instruction set that tiles and loops are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// The baseline of the architecture.
    Portable,
    /// AVX2 and FMA: 256-bit vectors.
    Avx2,
    /// AVX-512 F, VL, BW and DQ: 512-bit vectors.
    Avx512,
    /// The 128-bit vectors of every 64-bit Arm.
    Neon,
}

impl Isa {
    /// Its name, as people write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "baseline",
            Self::Avx2 => "AVX2",
            Self::Avx512 => "AVX-512",
            Self::Neon => "NEON",
        }
    }
}

/// The best instruction set of this machine, looked up once.
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(detect)
}

/// All that this machine has, the best last.
pub fn available() -> &'static [Isa] {
    match isa() {
        Isa::Portable => &[Isa::Portable],
        Isa::Avx2 => &[Isa::Portable, Isa::Avx2],
        Isa::Avx512 => &[Isa::Portable, Isa::Avx2, Isa::Avx512],
        Isa::Neon => &[Isa::Portable, Isa::Neon],
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Isa {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq");
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    match (avx512, avx2) {
        (true, true) => Isa::Avx512,
        (false, true) => Isa::Avx2,
        _ => Isa::Portable,
    }
}

#[cfg(target_arch = "aarch64")]
fn detect() -> Isa {
    Isa::Neon
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn detect() -> Isa {
    Isa::Portable
}

/// Runs `f` compiled for the best instruction set of this machine.
///
/// It works because `f` is inlined into a function with the features switched on: `f` must be a
/// closure whose callees are `#[inline(always)]`.
#[inline(always)]
pub fn vectorize<T>(f: impl FnOnce() -> T) -> T {
    #[cfg(target_arch = "x86_64")]
    match isa() {
        // SAFETY: `isa` saw the features that this function is compiled for.
        Isa::Avx512 => return unsafe { avx512(f) },
        // SAFETY: as above.
        Isa::Avx2 => return unsafe { avx2(f) },
        _ => {}
    }
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
fn avx512<T>(f: impl FnOnce() -> T) -> T {
    f()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn avx2<T>(f: impl FnOnce() -> T) -> T {
    f()
}
