//! Money, exactly.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::iter::Sum;
use std::ops::{Add, AddAssign};

/// US dollars in integer units of 1e-12 $, so that sums of millions of request prices stay exact. Range ±9.2 million $.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Usd(i64);

const UNITS_PER_USD: f64 = 1e12;
const BYTES_PER_GB: i128 = 1_000_000_000;

impl Usd {
    /// Nothing.
    pub const ZERO: Usd = Usd(0);

    /// From dollars, rounded to 1e-12 $.
    pub fn from_usd(usd: f64) -> Self {
        Usd((usd * UNITS_PER_USD).round() as i64)
    }

    /// As dollars, for printing and ratios.
    pub fn usd(self) -> f64 {
        self.0 as f64 / UNITS_PER_USD
    }

    /// This price per GB (10⁹ bytes, as providers bill) times `bytes`.
    pub fn per_gb(self, bytes: u64) -> Usd {
        Usd((i128::from(self.0) * i128::from(bytes) / BYTES_PER_GB) as i64)
    }

    /// This price times a count.
    pub fn times(self, count: u64) -> Usd {
        Usd(self.0.saturating_mul(count.min(i64::MAX as u64) as i64))
    }

    /// What `count` units cost where this is the price of `units` of them, rounded to 1e-12 $ once: exact for prices per
    /// million or per hour, whose price per unit is no whole number of 1e-12 $.
    pub fn per(self, units: u64, count: u128) -> Usd {
        let count = i128::try_from(count).unwrap_or(i128::MAX);
        let product = i128::from(self.0).saturating_mul(count);
        let units = i128::from(units.max(1));
        let rounded = product.saturating_add(product.signum() * (units / 2)) / units;
        Usd(rounded.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }

    /// The exact integer representation, for storage.
    pub fn units(self) -> i64 {
        self.0
    }

    /// Inverse of [`Usd::units`].
    pub fn from_units(units: i64) -> Self {
        Usd(units)
    }
}

impl Add for Usd {
    type Output = Usd;
    fn add(self, other: Usd) -> Usd {
        Usd(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Usd {
    fn add_assign(&mut self, other: Usd) {
        *self = *self + other;
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(items: I) -> Usd {
        items.fold(Usd::ZERO, Add::add)
    }
}

impl std::fmt::Display for Usd {
    /// `$1.23`, and enough digits that a small sum is not shown as zero.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let usd = self.usd();
        let digits = if usd == 0.0 || usd.abs() >= 1.0 {
            2
        } else {
            ((-usd.abs().log10()).ceil() as usize + 1).clamp(2, 12)
        };
        write!(f, "${usd:.digits$}")
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.usd())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Usd::from_usd(f64::deserialize(deserializer)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_small_prices_add_up_exactly() {
        let put = Usd::from_usd(5e-6);
        assert_eq!((0..1_000_000).map(|_| put).sum::<Usd>(), Usd::from_usd(5.0));
        assert_eq!(put.times(1_000_000), Usd::from_usd(5.0));
        assert_eq!(
            Usd::from_usd(0.09).per_gb(1_000_000_000),
            Usd::from_usd(0.09)
        );
        assert_eq!(
            Usd::from_usd(0.02).per_gb(10_000).to_string(),
            "$0.00000020"
        );
        assert_eq!(Usd::from_usd(1.0).per(3600, 1).units(), 277_777_778);
        assert_eq!(Usd::from_usd(1.0).per(3600, 3600), Usd::from_usd(1.0));
        assert_eq!(Usd::from_usd(-1.0).per(3, 2).units(), -666_666_666_667);
        assert_eq!(Usd::from_usd(1.0).per(1, u128::MAX).units(), i64::MAX);
        assert_eq!(Usd::from_usd(12.345).to_string(), "$12.35");
    }
}
