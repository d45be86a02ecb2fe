//! Whole numbers of 256 bits: a quantity of 128 bits times a price of 63 bits, added up without a thought for overflow.

/// An unsigned integer of 256 bits, the least significant limb first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Wide([u64; 4]);

impl Wide {
    /// Nothing.
    pub const ZERO: Wide = Wide([0; 4]);

    /// `quantity` × `price`. A negative price counts as 0: prices are checked where they are read.
    pub fn product(quantity: u128, price: i64) -> Wide {
        let price = u128::from(price.unsigned_abs() * u64::from(price > 0));
        let low = (quantity & u128::from(u64::MAX)) * price;
        let high = (quantity >> 64) * price + (low >> 64);
        Wide([low as u64, high as u64, (high >> 64) as u64, 0])
    }

    /// The sum. Saturates at 2²⁵⁶ − 1, which products of [`Wide::product`] reach only after 2⁶⁵ of them.
    pub fn plus(self, other: Wide) -> Wide {
        let mut sum = [0; 4];
        let mut carry = false;
        for (limb, (&left, &right)) in sum.iter_mut().zip(self.0.iter().zip(&other.0)) {
            let (first, over) = left.overflowing_add(right);
            let (second, again) = first.overflowing_add(u64::from(carry));
            *limb = second;
            carry = over || again;
        }
        if carry {
            Wide([u64::MAX; 4])
        } else {
            Wide(sum)
        }
    }

    /// The difference; 0 where `other` is larger.
    pub fn minus(self, other: Wide) -> Wide {
        if self < other {
            return Wide::ZERO;
        }
        let mut difference = [0; 4];
        let mut borrow = false;
        for (limb, (&left, &right)) in difference.iter_mut().zip(self.0.iter().zip(&other.0)) {
            let (first, under) = left.overflowing_sub(right);
            let (second, again) = first.overflowing_sub(u64::from(borrow));
            *limb = second;
            borrow = under || again;
        }
        Wide(difference)
    }

    /// The whole product, the least significant limb first.
    pub(crate) fn times(self, other: Wide) -> [u64; 8] {
        let mut product = [0u64; 8];
        for (at, left) in self.0.into_iter().enumerate() {
            let mut carry: u128 = 0;
            for (more, right) in other.0.into_iter().enumerate() {
                let place = &mut product[at + more];
                let sum = u128::from(left) * u128::from(right) + u128::from(*place) + carry;
                *place = sum as u64;
                carry = sum >> 64;
            }
            product[at + 4] = carry as u64;
        }
        product
    }

    /// Quotient and remainder of a division by `divisor`, which is not 0.
    pub fn divided_by(self, divisor: u128) -> (Wide, u128) {
        let mut quotient = [0; 4];
        let mut rest: u128 = 0;
        if let Ok(small) = u64::try_from(divisor) {
            for (limb, digit) in quotient.iter_mut().zip(self.0).rev() {
                let value = rest << 64 | u128::from(digit);
                *limb = (value / u128::from(small)) as u64;
                rest = value % u128::from(small);
            }
            return (Wide(quotient), rest);
        }
        // One bit at a time: `carry` is the bit that the remainder, below 2¹²⁸, loses when it is doubled.
        for bit in (0..256).rev() {
            let carry = rest >> 127 == 1;
            rest = rest << 1 | u128::from(self.0[bit / 64] >> (bit % 64) & 1);
            if carry || rest >= divisor {
                rest = rest.wrapping_sub(divisor);
                quotient[bit / 64] |= 1 << (bit % 64);
            }
        }
        (Wide(quotient), rest)
    }

    /// The nearest floating-point number, to within 2⁻⁵¹ relative: for ratios.
    pub fn to_f64(self) -> f64 {
        self.0.iter().rev().fold(0.0, |value, &limb| {
            value * 18_446_744_073_709_551_616.0 + limb as f64
        })
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for Wide {
    /// In decimal.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const CHUNK: u128 = 1_000_000_000_000_000_000;
        let mut chunks = Vec::new();
        let mut left = *self;
        while left != Wide::ZERO {
            let (rest, chunk) = left.divided_by(CHUNK);
            chunks.push(chunk);
            left = rest;
        }
        write!(f, "{}", chunks.pop().unwrap_or(0))?;
        chunks
            .iter()
            .rev()
            .try_for_each(|chunk| write!(f, "{chunk:018}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_sums_and_quotients_go_beyond_128_bits() {
        let big = Wide::product(u128::MAX, i64::MAX);
        assert_eq!(
            big.to_string(),
            "3138550867693340381577612344682894744578579742763394269185"
        );
        assert_eq!(big.divided_by(u128::MAX), (Wide::product(1, i64::MAX), 0));
        let odd = big.plus(Wide::product(5, 1));
        assert_eq!(odd.divided_by(u128::MAX), (Wide::product(1, i64::MAX), 5));
        assert_eq!(odd.divided_by(i64::MAX as u128).1, 5);
        assert!(odd > big && Wide::product(2, 3) == Wide::product(3, 2));
        assert_eq!(
            Wide::product(u128::MAX, 10).to_string(),
            "3402823669209384634633746074317682114550"
        );
        assert_eq!(Wide::ZERO.to_string(), "0");
        assert_eq!(odd.minus(big), Wide::product(5, 1));
        // (2²⁵⁶ − 1)² = 2⁵¹² − 2²⁵⁷ + 1.
        let most = Wide([u64::MAX; 4]);
        let square = [1, 0, 0, 0, u64::MAX - 1, u64::MAX, u64::MAX, u64::MAX];
        assert_eq!(most.times(most), square);
        assert_eq!(odd.plus(odd).minus(odd), odd);
        assert_eq!(big.minus(odd), Wide::ZERO);
        assert_eq!(
            Wide([u64::MAX; 4]).plus(Wide::product(1, 1)),
            Wide([u64::MAX; 4])
        );
    }
}
