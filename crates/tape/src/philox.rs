//! Counter-based random numbers: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as
//! easy as 1, 2, 3").
//!
//! A number is a function of *where* it is used, so there is no generator state to save, and every
//! device, replay and number of ranks sees the same numbers.

/// The bijection itself: ten rounds over `counter` under `key`.
#[inline(always)]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    // Written out, because a loop in here would keep the loops of callers from being vectorised.
    let c = round(counter, key, 0);
    let c = round(c, key, 1);
    let c = round(c, key, 2);
    let c = round(c, key, 3);
    let c = round(c, key, 4);
    let c = round(c, key, 5);
    let c = round(c, key, 6);
    let c = round(c, key, 7);
    let c = round(c, key, 8);
    round(c, key, 9)
}

/// Round `i`, whose key is `key` raised `i` times by the golden ratio and by √3 − 1.
#[inline(always)]
fn round([c0, c1, c2, c3]: [u32; 4], [k0, k1]: [u32; 2], i: u32) -> [u32; 4] {
    let k0 = k0.wrapping_add(0x9E37_79B9_u32.wrapping_mul(i));
    let k1 = k1.wrapping_add(0xBB67_AE85_u32.wrapping_mul(i));
    let a = u64::from(c0) * 0xD251_1F53;
    let b = u64::from(c2) * 0xCD9E_8D57;
    let (a1, b1) = ((a >> 32) as u32, (b >> 32) as u32);
    [b1 ^ c1 ^ k0, b as u32, a1 ^ c3 ^ k1, a as u32]
}

/// The four words of elements `4·block .. 4·block + 4` of one sample.
///
/// | word of the key | word of the counter |
/// |---|---|
/// | 0: low half of `seed` | 0: `block`, index of the element in its sample divided by 4 |
/// | 1: high half of `seed` | 1: `sample`, index in the global batch |
/// | | 2: low half of `tick` |
/// | | 3: `stream` xor (high half of `tick`, rotated left by 16) |
///
/// `stream` separates the places of a program that draw numbers. Streams below 2¹⁶ never meet
/// before tick 2⁴⁸.
#[inline(always)]
pub fn block(seed: u64, stream: u32, tick: u64, sample: u32, block: u32) -> [u32; 4] {
    let high = ((tick >> 32) as u32).rotate_left(16);
    philox4x32_10([block, sample, tick as u32, stream ^ high], [seed as u32, (seed >> 32) as u32])
}

/// A word as a multiple of 2⁻²⁴ in [0, 1): exact in f32, hence the same number on every device.
#[inline(always)]
pub fn uniform24(word: u32) -> f32 {
    // Through i32, for which every instruction set has a vector conversion.
    (word >> 8) as i32 as f32 * (1.0 / 16_777_216.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers of Random123 1.14, file `tests/kat_vectors`.
    #[test]
    fn known_answers() {
        let cases = [
            ([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]),
            ([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]),
            (
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0],
                [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
            ),
        ];
        for (counter, key, answer) in cases {
            assert_eq!(philox4x32_10(counter, key), answer);
        }
    }

    /// The same vectors through the layout, so that a changed layout is noticed.
    #[test]
    fn layout() {
        let stream = 0x0370_7344 ^ 0xbeef_dead;
        let drawn =
            block(0x299f_31d0_a409_3822, stream, 0xdead_beef_1319_8a2e, 0x85a3_08d3, 0x243f_6a88);
        assert_eq!(drawn, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn uniforms_stay_below_one() {
        assert_eq!(uniform24(0xff), 0.0);
        assert_eq!(uniform24(0x100), 1.0 / 16_777_216.0);
        assert_eq!(uniform24(u32::MAX), 1.0 - 1.0 / 16_777_216.0);
    }
}
