//! Elementary functions, our own, so that a loop over them becomes vector instructions and the same
//! input gives the same bytes on every instruction set.
//!
//! They are free of branches (both sides are computed and one is selected) and of fused
//! multiply-adds (fusing would make a result depend on the machine). The polynomials are minimax
//! fits, found by the Remez exchange in 60 digits over the interval named beside each, and then
//! rounded. The tests hold the errors of the finished functions.

use super::lanes::Vectors;
use super::real::Real;

/// The elementary functions of a [`Real`].
///
/// Largest errors in f32, in units in the last place: exp and ln 1.0, tanh 2.5, sigmoid 2.1,
/// softplus 1.8, sin_2pi and cos_2pi 1.6; in f64 all are below 5e-16 of the value. Infinities give
/// the limits, NaN gives NaN, and subnormal results are rounded like others.
pub trait Math: Real + Vectors {
    /// eˣ.
    fn exp(self) -> Self;
    /// Natural logarithm; −∞ at 0 and NaN below.
    fn ln(self) -> Self;
    /// Hyperbolic tangent.
    fn tanh(self) -> Self;
    /// 1 / (1 + e⁻ˣ), without cancellation on either side.
    fn sigmoid(self) -> Self;
    /// ln(1 + eˣ), without overflow.
    fn softplus(self) -> Self;
    /// Sine of `self` turns, for arguments in [0, 1).
    fn sin_2pi(self) -> Self;
    /// Cosine of `self` turns, for arguments in [0, 1).
    fn cos_2pi(self) -> Self;
    /// A multiple of 2⁻²⁴ in [0, 1) from a random word, the same in both types.
    fn uniform24(word: u32) -> Self;
}

/// Everything about a type that its functions need.
trait Table: Real {
    /// The signed integer of this width.
    type Int;
    /// Bits of the mantissa.
    const MANTISSA: u32;
    /// Of the exponent.
    const BIAS: Self::Int;
    /// 1.5 · 2^mantissa: adding it rounds to an integer, found in the low bits.
    const ROUND: Self;
    /// Arguments below give 0, and above give ∞.
    const EXP: [Self; 2];
    /// Arguments below have eˣ − 1 = −1.
    const EXPM1: Self;
    /// ln 2 in two parts; the first times any exponent is exact.
    const LN2: [Self; 2];
    /// 2π in two parts.
    const TURN: [Self; 2];
    /// (eʳ − 1 − r) / r² on |r| ≤ ½ ln 2.
    const EXP_TAIL: &'static [Self];
    /// (2 artanh s − 2s) / s³ in s², on s ≤ ⅓.
    const ARTANH_TAIL: &'static [Self];
    /// (sin 2πr − 2πr) / r³ in r², on |r| ≤ ⅛.
    const SIN_TAIL: &'static [Self];
    /// (cos 2πr − 1) / r² in r², on |r| ≤ ⅛.
    const COS_TAIL: &'static [Self];
}

impl Table for f32 {
    type Int = i32;
    const MANTISSA: u32 = 23;
    const BIAS: i32 = 127;
    const ROUND: f32 = 12_582_912.0;
    const EXP: [f32; 2] = [-104.0, 89.0];
    const EXPM1: f32 = -20.0;
    const LN2: [f32; 2] = [0.693_359_4, -0.000_212_194_44];
    const TURN: [f32; 2] = [std::f32::consts::TAU, -1.748_455_5e-7];
    const EXP_TAIL: &'static [f32] =
        &[0.5, 0.166_665_43, 0.041_666_28, 0.008_366_584, 0.001_394_645_9];
    const ARTANH_TAIL: &'static [f32] =
        &[0.666_666_75, 0.399_991_24, 0.286_108_2, 0.214_878_4, 0.240_913_21];
    const SIN_TAIL: &'static [f32] = &[-41.341_7, 81.605_22, -76.699_265, 41.515_6];
    const COS_TAIL: &'static [f32] = &[-19.739_208, 64.939_33, -85.444_39, 59.266_365];
}

impl Table for f64 {
    type Int = i64;
    const MANTISSA: u32 = 52;
    const BIAS: i64 = 1023;
    const ROUND: f64 = 6_755_399_441_055_744.0;
    const EXP: [f64; 2] = [-746.0, 710.0];
    const EXPM1: f64 = -40.0;
    const LN2: [f64; 2] = [0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10];
    const TURN: [f64; 2] = [std::f64::consts::TAU, -2.449_293_598_294_706_4e-16];
    const EXP_TAIL: &'static [f64] = &[
        0.5,
        0.16666666666666677,
        0.0416666666666667,
        0.008333333333321617,
        0.0013888888888866694,
        0.00019841269886157698,
        2.4801587360795128e-05,
        2.7557244182703013e-06,
        2.755724258742789e-07,
        2.5109044640537406e-08,
        2.0924488510003118e-09,
    ];
    const ARTANH_TAIL: &'static [f64] = &[
        0.6666666666666666,
        0.4000000000000008,
        0.2857142857140538,
        0.22222222225225696,
        0.18181817968979197,
        0.1538462461690582,
        0.133330731683576,
        0.11769609802397867,
        0.1046411065174204,
        0.10045220722436007,
        0.059617888881648456,
        0.158149524098447,
    ];
    const SIN_TAIL: &'static [f64] = &[
        -41.34170224039976,
        81.605249276075,
        -76.70585975302474,
        42.058693933639894,
        -15.094640824582228,
        3.8198071087686043,
        -0.7119741843046486,
    ];
    const COS_TAIL: &'static [f64] = &[
        -19.739208802178716,
        64.9393940226683,
        -85.45681720669361,
        60.24464137183292,
        -26.426256774450668,
        7.903535332040097,
        -1.7143213814043352,
        0.2795389985821483,
    ];
}

/// `c[0] + c[1]·x + c[2]·x² + …`
#[inline(always)]
fn polynomial<R: Real>(c: &'static [R], x: R) -> R {
    let mut sum = c[c.len() - 1];
    for i in (0..c.len() - 1).rev() {
        sum = sum * x + c[i];
    }
    sum
}

macro_rules! math {
    ($t:ident, $signed:ident, $unsigned:ident) => {
        const _: () = {
            type Signed = <$t as Table>::Int;

            /// 2ⁿ for exponents of normal numbers; anything at all for others.
            #[inline(always)]
            fn power_of_two(n: Signed) -> $t {
                $t::from_bits((n.wrapping_add($t::BIAS) << $t::MANTISSA) as $unsigned)
            }

            /// `x` rounded to an integer, in both forms.
            #[inline(always)]
            fn round(x: $t) -> ($t, Signed) {
                let shifted = x + $t::ROUND;
                let n = (shifted.to_bits() as $signed).wrapping_sub($t::ROUND.to_bits() as $signed);
                (shifted - $t::ROUND, n)
            }

            /// n and p with eˣ = 2ⁿ · (1 + p) and |p| < 0.42.
            #[inline(always)]
            fn exp_parts(x: $t) -> (Signed, $t) {
                let (k, n) = round(x * std::$t::consts::LOG2_E);
                let r = (x - k * $t::LN2[0]) - k * $t::LN2[1];
                (n, r + r * r * polynomial($t::EXP_TAIL, r))
            }

            /// ln(1 + f) for f from √½ − 1 to 1, plus `more`, a small number.
            /// With s = f / (2 + f) it is 2 artanh s, written so that f itself is not rounded.
            #[inline(always)]
            fn ln_1p(f: $t, more: $t) -> $t {
                let s = f / (2.0 + f);
                let z = s * s;
                f - (s * (f - z * polynomial($t::ARTANH_TAIL, z)) - more)
            }

            /// Sine and cosine of r turns, where t = n/4 + r with |r| ≤ ⅛, and n.
            #[inline(always)]
            fn sin_cos(t: $t) -> ($t, $t, Signed) {
                let (k, n) = round(4.0 * t);
                let r = t - 0.25 * k;
                let z = r * r;
                let sin = r * $t::TURN[0] + r * ($t::TURN[1] + z * polynomial($t::SIN_TAIL, z));
                (sin, 1.0 + z * polynomial($t::COS_TAIL, z), n)
            }

            impl Math for $t {
                #[inline(always)]
                fn exp(self) -> Self {
                    let [least, most] = $t::EXP;
                    let x = if self < least { least } else { self };
                    let x = if x > most { most } else { x };
                    let (n, p) = exp_parts(x);
                    // In two factors, since 2ⁿ alone may be too large or subnormal.
                    let half = n >> 1;
                    (1.0 + p) * power_of_two(half) * power_of_two(n - half)
                }

                #[inline(always)]
                fn ln(self) -> Self {
                    let subnormal = self < $t::MIN_POSITIVE;
                    let raise = $t::MANTISSA as $signed + 1;
                    let x = if subnormal { self * power_of_two(raise) } else { self };
                    let origin = std::$t::consts::FRAC_1_SQRT_2.to_bits();
                    let n = (x.to_bits().wrapping_sub(origin) as $signed) >> $t::MANTISSA;
                    let m =
                        $t::from_bits(x.to_bits().wrapping_sub((n << $t::MANTISSA) as $unsigned));
                    let k = (n - if subnormal { raise } else { 0 }) as $t;
                    let y = k * $t::LN2[0] + ln_1p(m - 1.0, k * $t::LN2[1]);
                    let y = if self < $t::INFINITY { y } else { self };
                    let y = if self < 0.0 { $t::NAN } else { y };
                    if self == 0.0 { -$t::INFINITY } else { y }
                }

                #[inline(always)]
                fn tanh(self) -> Self {
                    // −E / (2 + E) with E = exp(−2|x|) − 1, which does not cancel.
                    let y = -2.0 * self.abs();
                    let (n, p) = exp_parts(if y < $t::EXPM1 { $t::EXPM1 } else { y });
                    let scale = power_of_two(n);
                    let e = scale * p + (scale - 1.0);
                    (-e / (2.0 + e)).copysign(self)
                }

                #[inline(always)]
                fn sigmoid(self) -> Self {
                    let e = Math::exp(-self.abs());
                    (if self < 0.0 { e } else { 1.0 }) / (1.0 + e)
                }

                #[inline(always)]
                fn softplus(self) -> Self {
                    let positive = if self > 0.0 { self } else { 0.0 };
                    positive + ln_1p(Math::exp(-self.abs()), 0.0)
                }

                #[inline(always)]
                fn sin_2pi(self) -> Self {
                    let (sin, cos, n) = sin_cos(self);
                    let y = if n & 1 == 0 { sin } else { cos };
                    if n & 2 == 0 { y } else { -y }
                }

                #[inline(always)]
                fn cos_2pi(self) -> Self {
                    let (sin, cos, n) = sin_cos(self);
                    let y = if n & 1 == 0 { cos } else { sin };
                    if (n + 1) & 2 == 0 { y } else { -y }
                }

                #[inline(always)]
                fn uniform24(word: u32) -> Self {
                    $t::from(tape::philox::uniform24(word))
                }
            }
        };
    };
}

math!(f32, i32, u32);
math!(f64, i64, u64);

#[cfg(test)]
mod tests {
    use super::*;

    /// Distance in units in the last place of the expected value, subnormals included.
    fn ulps(found: f32, expected: f64) -> f64 {
        let near = (expected as f32).abs();
        if expected.is_nan() || near.is_infinite() || found.is_nan() {
            let same = found.to_bits() == (expected as f32).to_bits();
            return if same || (found.is_nan() && expected.is_nan()) { 0.0 } else { f64::INFINITY };
        }
        let unit = f64::from(f32::from_bits(near.to_bits() + 1)) - f64::from(near);
        (f64::from(found) - expected).abs() / unit
    }

    /// The largest error over every `step`-th f32 of both signs between two magnitudes.
    fn sweep(from: f32, to: f32, step: usize, f: fn(f32) -> f32, exact: fn(f64) -> f64) -> f64 {
        let mut worst: f64 = 0.0;
        for bits in (from.to_bits()..=to.to_bits()).step_by(step) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)] {
                worst = worst.max(ulps(f(x), exact(f64::from(x))));
            }
        }
        worst
    }

    #[test]
    fn single_exp_and_ln() {
        let worst = sweep(1e-9, 120.0, 211, Math::exp, f64::exp);
        assert!(worst <= 1.0, "exp {worst}");
        let worst = sweep(0.0, f32::MAX, 1_009, Math::ln, f64::ln);
        assert!(worst <= 1.0, "ln {worst}");
        let worst = sweep(0.5, 2.0, 11, Math::ln, f64::ln);
        assert!(worst <= 1.0, "ln near 1 {worst}");
    }

    #[test]
    fn single_sigmoids() {
        let worst = sweep(0.0, 120.0, 1_009, Math::tanh, f64::tanh);
        assert!(worst <= 2.5, "tanh {worst}");
        let worst = sweep(0.0, 120.0, 1_009, Math::sigmoid, |x| 1.0 / (1.0 + f64::exp(-x)));
        assert!(worst <= 2.1, "sigmoid {worst}");
        let exact = |x: f64| x.max(0.0) + f64::ln_1p(f64::exp(-x.abs()));
        let worst = sweep(0.0, 120.0, 1_009, Math::softplus, exact);
        assert!(worst <= 1.9, "softplus {worst}");
    }

    /// Sine (cosine, with `ahead` 1), exact to rounding of f64: the argument is reduced before it is
    /// multiplied by 2π.
    fn exact(t: f64, ahead: i64) -> f64 {
        let quarter = (4.0 * t).round();
        let r = (t - 0.25 * quarter) * std::f64::consts::TAU;
        match (quarter as i64 + ahead) & 3 {
            0 => r.sin(),
            1 => r.cos(),
            2 => -r.sin(),
            _ => -r.cos(),
        }
    }

    /// All of the uniforms that noise is made of, at every 7th.
    #[test]
    fn single_circle() {
        let (mut sin, mut cos): (f64, f64) = (0.0, 0.0);
        for word in (0..1_u32 << 24).step_by(7) {
            let t = <f32 as Math>::uniform24(word << 8);
            sin = sin.max(ulps(t.sin_2pi(), exact(f64::from(t), 0)));
            cos = cos.max(ulps(t.cos_2pi(), exact(f64::from(t), 1)));
        }
        assert!(sin <= 1.6 && cos <= 1.6, "{sin} {cos}");
    }

    #[test]
    fn special_values() {
        fn check<R: Math>(infinity: R, nan: R) {
            assert_eq!(infinity.exp(), infinity);
            assert_eq!((-infinity).exp(), R::ZERO);
            assert_eq!(R::ZERO.exp(), R::ONE);
            assert_eq!(infinity.ln(), infinity);
            assert_eq!(R::ZERO.ln(), -infinity);
            assert_eq!((-R::ZERO).ln(), -infinity);
            assert_eq!(R::ONE.ln(), R::ZERO);
            assert_eq!((infinity.tanh(), (-infinity).tanh()), (R::ONE, -R::ONE));
            assert_eq!((infinity.sigmoid(), (-infinity).sigmoid()), (R::ONE, R::ZERO));
            assert_eq!((infinity.softplus(), (-infinity).softplus()), (infinity, R::ZERO));
            for bad in [
                nan.exp(),
                nan.ln(),
                nan.tanh(),
                nan.sigmoid(),
                nan.softplus(),
                (-R::ONE).ln(),
                (-infinity).ln(),
            ] {
                assert!(bad != bad, "{bad}");
            }
            for (quarter, sin, cos) in
                [(0.0, 0.0, 1.0), (0.25, 1.0, 0.0), (0.5, 0.0, -1.0), (0.75, -1.0, 0.0)]
            {
                let t = R::from_f64(quarter);
                assert_eq!((t.sin_2pi().to_f64(), t.cos_2pi().to_f64()), (sin, cos));
            }
            assert!(Math::tanh(-R::ZERO).to_f64().is_sign_negative());
        }
        check(f32::INFINITY, f32::NAN);
        check(f64::INFINITY, f64::NAN);
        assert_eq!(Math::exp(-103.0_f32), f32::from_bits(1));
        assert_eq!(Math::exp(-104.0_f32), 0.0);
        assert!(Math::exp(88.722_8_f32).is_finite() && Math::exp(88.723_f32).is_infinite());
    }

    /// Against the platform's functions, which are within one unit (2.2e-16) themselves.
    #[test]
    fn double() {
        fn worst(from: f64, to: f64, f: fn(f64) -> f64, exact: fn(f64) -> f64) -> f64 {
            let mut worst: f64 = 0.0;
            for i in 0..=1_000_000 {
                let x = from + (to - from) * f64::from(i) / 1_000_000.0;
                worst = worst.max(((f(x) - exact(x)) / exact(x).abs().max(1e-300)).abs());
            }
            worst
        }
        let softplus = |x: f64| x.max(0.0) + f64::ln_1p(f64::exp(-x.abs()));
        let sigmoid = |x: f64| 1.0 / (1.0 + f64::exp(-x));
        type Function = fn(f64) -> f64;
        let cases: [(f64, f64, Function, Function); 12] = [
            (-700.0, 709.0, Math::exp, f64::exp),
            (-1.0, 1.0, Math::exp, f64::exp),
            (1e-300, 1e300, Math::ln, f64::ln),
            (0.4, 2.5, Math::ln, f64::ln),
            (-25.0, 25.0, Math::tanh, f64::tanh),
            (-1e-3, 1e-3, Math::tanh, f64::tanh),
            (-1.0, 1.0, Math::tanh, f64::tanh),
            (-40.0, 40.0, Math::sigmoid, sigmoid),
            (-700.0, 40.0, Math::softplus, softplus),
            (-2.0, 2.0, Math::softplus, softplus),
            (0.0, 0.999_999, Math::sin_2pi, |t| exact(t, 0)),
            (0.0, 0.999_999, Math::cos_2pi, |t| exact(t, 1)),
        ];
        for (i, (from, to, f, exact)) in cases.into_iter().enumerate() {
            let worst = worst(from, to, f, exact);
            assert!(worst < 1e-15, "case {i}: {worst:e}");
        }
        assert_eq!(Math::exp(-745.0_f64), 5e-324);
        assert_eq!(Math::ln(5e-324_f64), f64::ln(5e-324));
    }
}
