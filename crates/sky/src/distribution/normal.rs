//! The standard normal distribution, the same on every machine.
//!
//! `libm` instead of the platform's mathematics: a seed must give the same draws everywhere, and the last digit of the
//! platform's `exp` and `ln` is its own affair.

// M. J. Wichura, "Algorithm AS 241: The Percentage Points of the Normal Distribution", Applied Statistics 37 (1988) 477-484,
// PPND16: relative error about 1e-16. Coefficients of the highest power first.
const CENTRE_NUMERATOR: [f64; 8] = [
    2509.0809287301227,
    33430.57558358813,
    67265.7709270087,
    45921.95393154987,
    13731.69376550946,
    1971.5909503065513,
    133.14166789178438,
    3.3871328727963665,
];
const CENTRE_DENOMINATOR: [f64; 8] = [
    5226.495278852854,
    28729.085735721943,
    39307.89580009271,
    21213.794301586597,
    5394.196021424751,
    687.1870074920579,
    42.31333070160091,
    1.0,
];
const NEAR_NUMERATOR: [f64; 8] = [
    0.0007745450142783414,
    0.022723844989269184,
    0.2417807251774506,
    1.2704582524523684,
    3.6478483247632045,
    5.769497221460691,
    4.630337846156546,
    1.4234371107496835,
];
const NEAR_DENOMINATOR: [f64; 8] = [
    1.0507500716444169e-9,
    0.0005475938084995345,
    0.015198666563616457,
    0.14810397642748008,
    0.6897673349851,
    1.6763848301838038,
    2.053191626637759,
    1.0,
];
const FAR_NUMERATOR: [f64; 8] = [
    2.0103343992922881e-7,
    2.7115555687434876e-5,
    0.0012426609473880784,
    0.026532189526576124,
    0.29656057182850487,
    1.7848265399172913,
    5.463784911164114,
    6.657904643501103,
];
const FAR_DENOMINATOR: [f64; 8] = [
    2.0442631033899397e-15,
    1.421511758316446e-7,
    1.8463183175100548e-5,
    0.0007868691311456133,
    0.014875361290850615,
    0.1369298809227358,
    0.599832206555888,
    1.0,
];

/// P(Z ≤ z).
pub(super) fn cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

/// The z with P(Z ≤ z) = `p`; infinite at 0 and 1.
pub(super) fn quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    let from_middle = p - 0.5;
    if from_middle.abs() <= 0.425 {
        let r = 0.180625 - from_middle * from_middle;
        return from_middle * ratio(&CENTRE_NUMERATOR, &CENTRE_DENOMINATOR, r);
    }
    let tail = if from_middle < 0.0 { p } else { 1.0 - p };
    let r = (-libm::log(tail)).sqrt();
    let z = if r <= 5.0 {
        ratio(&NEAR_NUMERATOR, &NEAR_DENOMINATOR, r - 1.6)
    } else {
        ratio(&FAR_NUMERATOR, &FAR_DENOMINATOR, r - 5.0)
    };
    z.copysign(from_middle)
}

fn ratio(numerator: &[f64; 8], denominator: &[f64; 8], x: f64) -> f64 {
    let at = |coefficients: &[f64; 8]| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    at(numerator) / at(denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_published_percentage_points() {
        // Wichura's own check values, then the usual tables.
        for (p, z) in [
            (0.25, -0.674_489_750_196_081_7),
            (0.001, -3.090_232_306_167_813_6),
            (1e-20, -9.262_340_089_798_408),
            (0.99, 2.326_347_874_040_840_8),
            (0.5, 0.0),
        ] {
            assert!((quantile(p) - z).abs() < 1e-14, "{p}: {}", quantile(p));
        }
    }

    #[test]
    fn quantile_and_cdf_undo_each_other() {
        for i in 1..10_000 {
            let p = f64::from(i) / 10_000.0;
            assert!((cdf(quantile(p)) - p).abs() < 1e-14, "{p}");
        }
        for exponent in 5..300 {
            let p = libm::pow(10.0, -f64::from(exponent));
            assert!((cdf(quantile(p)) / p - 1.0).abs() < 1e-11, "{p}");
        }
    }
}
