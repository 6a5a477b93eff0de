//! Division by a number that is known at the launch: the twin of `kernels/division.cuh`.

/// A divisor, as kernels divide by it: ⌊n / by⌋ = (⌊n · magic / 2³²⌋ + n) / 2^shift, exact for every n below
/// 2³² (Granlund & Montgomery 1994, figure 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Division {
    by: u32,
    magic: u32,
    shift: u32,
    unused: u32,
}

impl Division {
    /// Division by a number from 1 on.
    pub fn by(by: u32) -> Self {
        assert!(by > 0, "no division by 0");
        let shift = u32::BITS - (by - 1).leading_zeros();
        let rest = (1_u64 << shift) - u64::from(by);
        let magic = (rest << 32) / u64::from(by) + 1;
        Self { by, magic: magic as u32, shift, unused: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divides_like_the_processor() {
        let ends = |x: u32| [x.wrapping_sub(1), x, x.wrapping_add(1)];
        let numbers = || (0..32).flat_map(|bit| ends(1 << bit)).chain([7, 3 * 65_537, 999_999_937]);
        for by in numbers().filter(|by| *by > 0) {
            let d = Division::by(by);
            for n in numbers().chain(ends(by.wrapping_mul(12_345))).chain(ends(u32::MAX)) {
                let high = (u64::from(n) * u64::from(d.magic)) >> 32;
                let found = (high + u64::from(n)) >> d.shift;
                assert_eq!(found, u64::from(n / by), "{n} / {by}");
            }
        }
    }
}
