//! Loops compiled once per instruction set.

/// Defines a function whose body is compiled for each instruction set, and which runs the best one
/// of this machine. Generics stand in brackets: `fn name[R: Real](x: &[R]) -> R { … }`.
///
/// Unlike a closure handed to [`super::isa::vectorize`], which the compiler only inlines while it
/// is small (and otherwise compiles for the baseline), the body always gets the instructions. What
/// it calls must be `#[inline(always)]`.
macro_rules! vectorized {
    ($(#[$meta:meta])* $vis:vis fn $name:ident[$($generics:tt)*]($($arg:ident: $type:ty),* $(,)?)
        $(-> $out:ty)? $body:block) => {
        $(#[$meta])*
        $vis fn $name<$($generics)*>($($arg: $type),*) $(-> $out)? {
            #[inline(always)]
            fn body<$($generics)*>($($arg: $type),*) $(-> $out)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
            fn avx512<$($generics)*>($($arg: $type),*) $(-> $out)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$($generics)*>($($arg: $type),*) $(-> $out)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            match $crate::kernels::isa::isa() {
                // SAFETY: `isa` saw the features that this function is compiled for.
                $crate::kernels::isa::Isa::Avx512 => return unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                $crate::kernels::isa::Isa::Avx2 => return unsafe { avx2($($arg),*) },
                _ => {}
            }
            body($($arg),*)
        }
    };
}

pub(super) use vectorized;
