//! Quantities as exact fractions, read from decimal text.

use skyfresh_sky::Invalid;

/// Powers of ten beyond this do not fit 128 bits.
const MAX_POWER: i64 = 38;
/// Longer texts are no quantities.
const MAX_TEXT_BYTES: usize = 100;

/// A fraction that is not negative, in lowest terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rational {
    /// Above the line.
    pub numerator: u128,
    /// Below the line, never 0.
    pub denominator: u128,
}

/// The greatest common divisor; of 0 and `n` it is `n`.
pub(crate) fn gcd(mut left: u128, mut right: u128) -> u128 {
    while right != 0 {
        (left, right) = match (u64::try_from(left), u64::try_from(right)) {
            (Ok(small), Ok(smaller)) => (right, u128::from(small % smaller)),
            _ => (right, left % right),
        };
    }
    left
}

impl Rational {
    /// Nothing.
    pub const ZERO: Rational = Rational {
        numerator: 0,
        denominator: 1,
    };

    /// A whole number.
    pub fn whole(number: u128) -> Self {
        Rational {
            numerator: number,
            denominator: 1,
        }
    }

    /// `numerator / denominator` in lowest terms; `None` where the denominator is 0.
    pub fn new(numerator: u128, denominator: u128) -> Option<Self> {
        if denominator == 1 {
            return Some(Self::whole(numerator));
        }
        let common = gcd(numerator, denominator);
        (denominator != 0).then(|| Rational {
            numerator: numerator / common,
            denominator: denominator / common,
        })
    }

    /// The product; `None` where it does not fit 128 bits above and below the line.
    pub fn times(self, other: Rational) -> Option<Self> {
        let left = Rational::new(self.numerator, other.denominator)?;
        let right = Rational::new(other.numerator, self.denominator)?;
        Some(Rational {
            numerator: left.numerator.checked_mul(right.numerator)?,
            denominator: left.denominator.checked_mul(right.denominator)?,
        })
    }

    /// The numerator over `denominator`, a multiple of this fraction's; `None` where it does not fit 128 bits.
    pub fn over(self, denominator: u128) -> Option<u128> {
        self.numerator.checked_mul(denominator / self.denominator)
    }
}

/// The least common multiple; `None` beyond 128 bits.
pub(crate) fn lcm(left: u128, right: u128) -> Option<u128> {
    if right == 1 || left == right {
        return Some(left);
    }
    (left / gcd(left, right)).checked_mul(right)
}

/// Digits with at most one point and an exponent, e.g. `12`, `0.25`, `1.5e-3`.
fn decimal(text: &str) -> Result<Rational, &'static str> {
    const TOO_LARGE: &str =
        "too large, or with too many digits: 128 bits hold it above and below the line";
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent
                .parse::<i64>()
                .map_err(|_| "the exponent is no whole number")?,
        ),
        None => (text, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    if whole.is_empty() && fraction.is_empty() {
        return Err("no digits");
    }
    let mut digits: u128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        if !byte.is_ascii_digit() {
            return Err("not a decimal number, nor a fraction such as 153/1000000");
        }
        digits = digits
            .checked_mul(10)
            .and_then(|digits| digits.checked_add(u128::from(byte - b'0')))
            .ok_or(TOO_LARGE)?;
    }
    let power = exponent.saturating_sub(fraction.len() as i64);
    if digits == 0 {
        return Ok(Rational::ZERO);
    }
    if power.abs() > MAX_POWER {
        return Err(TOO_LARGE);
    }
    let ten = 10u128.pow(power.unsigned_abs() as u32);
    if power < 0 {
        Rational::new(digits, ten).ok_or(TOO_LARGE)
    } else {
        digits
            .checked_mul(ten)
            .map(Rational::whole)
            .ok_or(TOO_LARGE)
    }
}

impl std::str::FromStr for Rational {
    type Err = Invalid;

    /// Reads `12`, `0.25`, `1.5e-3` or `153/1000000` exactly. An error where it is negative, no number, or needs more than 128
    /// bits above or below the line.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let shown: String = text.chars().take(MAX_TEXT_BYTES).collect();
        let invalid = |why: &str| Invalid::new("quantity", shown.clone(), why);
        let trimmed = text.trim();
        if trimmed.len() > MAX_TEXT_BYTES {
            return Err(invalid("longer than 100 characters"));
        }
        if trimmed.starts_with('-') {
            return Err(invalid("negative; quantities are 0 or more"));
        }
        let Some((above, below)) = trimmed.split_once('/') else {
            return decimal(trimmed).map_err(invalid);
        };
        let above = decimal(above.trim()).map_err(invalid)?;
        let below = decimal(below.trim()).map_err(invalid)?;
        Rational::new(below.denominator, below.numerator)
            .filter(|inverse| inverse.denominator != 0)
            .ok_or_else(|| invalid("a division by 0"))?
            .times(above)
            .ok_or_else(|| invalid("too large for 128 bits above and below the line"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (u128, u128) {
        let value: Rational = text.parse().expect(text);
        (value.numerator, value.denominator)
    }

    #[test]
    fn decimals_and_fractions_are_read_exactly() {
        assert_eq!(read("13"), (13, 1));
        assert_eq!(read("0.1"), (1, 10));
        assert_eq!(read("0.000153"), (153, 1_000_000));
        assert_eq!(read("153/1000000"), (153, 1_000_000));
        assert_eq!(read("1.50e2"), (150, 1));
        assert_eq!(read("2.5E-3"), (1, 400));
        assert_eq!(read("0.5/0.25"), (2, 1));
        assert_eq!(read("0"), (0, 1));
        assert_eq!(read("0e-99"), (0, 1));
        for bad in [
            "",
            ".",
            "-1",
            "-0",
            "1/0",
            "1e40",
            "1e-40",
            "nan",
            "inf",
            "1..2",
            "1/2/3",
            "0x10",
            "1_000",
            "é",
            "340282366920938463463374607431768211456",
        ] {
            assert!(bad.parse::<Rational>().is_err(), "{bad}");
        }
    }

    #[test]
    fn products_are_reduced_before_they_overflow() {
        let third = Rational::new(u128::MAX / 3, 7).unwrap();
        let back = third.times(Rational::new(7, u128::MAX / 3).unwrap());
        assert_eq!(back, Some(Rational::whole(1)));
        assert_eq!(Rational::whole(u128::MAX).times(Rational::whole(2)), None);
        assert_eq!(lcm(6, 4), Some(12));
    }
}
