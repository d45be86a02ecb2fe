//! Money as an exact fraction of a dollar.

use super::Wide;
use crate::UNITS_PER_USD;

/// Significant digits after which an endless decimal fraction is cut: relative 10⁻²⁹.
const MAX_DIGITS: usize = 30;
/// Decimals of a price unit, 1e-10 $.
const UNIT_DECIMALS: usize = UNITS_PER_USD.ilog10() as usize;

/// A cost: `numerator / denominator` in units of 1e-10 $.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Prices in 1e-10 $ times quantities over `denominator`, added up.
    pub numerator: Wide,
    /// The common denominator of the quantities, never 0.
    pub denominator: u128,
}

impl Cost {
    /// In dollars, to within 1e-15 relative: for ratios and plots.
    pub fn usd(&self) -> f64 {
        self.numerator.to_f64() / self.denominator as f64 / UNITS_PER_USD as f64
    }
}

/// `rest × 10 / denominator` and what is left, where `rest` is below the denominator and their product may pass 128 bits.
fn next_digit(rest: u128, denominator: u128) -> (u8, u128) {
    let (quotient, rest) = Wide::product(rest, 10).divided_by(denominator);
    (quotient.to_f64() as u8, rest)
}

impl std::fmt::Display for Cost {
    /// Dollars in decimal, without trailing zeros: exact where the fraction ends within 30 significant digits, cut after them
    /// otherwise.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (units, mut rest) = self.numerator.divided_by(self.denominator);
        let units = format!("{:0>1$}", units.to_string(), UNIT_DECIMALS + 1);
        let (whole, fraction) = units.split_at(units.len() - UNIT_DECIMALS);
        let mut digits = String::from(fraction);
        let mut significant = units.trim_start_matches('0').len();
        while rest != 0 && significant < MAX_DIGITS {
            let (digit, left) = next_digit(rest, self.denominator);
            digits.push(char::from(b'0' + digit));
            if significant > 0 || digit > 0 {
                significant += 1;
            }
            rest = left;
        }
        let digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            f.write_str(whole)
        } else {
            write!(f, "{whole}.{digits}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(numerator: u128, denominator: u128) -> String {
        Cost {
            numerator: Wide::product(numerator, 1),
            denominator,
        }
        .to_string()
    }

    #[test]
    fn costs_are_shown_to_the_last_digit() {
        assert_eq!(shown(0, 7), "0");
        assert_eq!(shown(11_180_111_000, 1), "1.1180111");
        assert_eq!(shown(30_000_000_000, 1), "3");
        assert_eq!(shown(1, 1), "0.0000000001");
        assert_eq!(shown(1, 8), "0.0000000000125");
        assert_eq!(shown(10_000_000_000, 3), "0.333333333333333333333333333333");
        assert_eq!(
            shown(1, 3 << 120),
            "0.0000000000000000000000000000000000000000000000250772128175421335033330461274"
        );
        assert_eq!(shown(123_456_789_012_345, 1), "12345.6789012345");
    }
}
