//! Durations as people write them.

use crate::Invalid;
use std::time::Duration;

const UNITS: [(&str, f64); 5] = [
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// Parses `250ms`, `60s`, `1.5m`, `2h`, `7d`.
///
/// # Errors
/// No unit, an unknown unit, or not a finite number ≥ 0.
pub fn parse_delay(text: &str) -> Result<Duration, Invalid> {
    let bad = |why: &str| Invalid::new("duration", text, why);
    let text_end = text.trim();
    let split = text_end
        .find(|c: char| c.is_ascii_alphabetic())
        .ok_or_else(|| bad("needs a unit: 250ms, 60s, 5m, 2h, 7d"))?;
    let (number, unit) = text_end.split_at(split);
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| bad("needs a number before the unit, e.g. 60s"))?;
    let (_, seconds) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(|| bad("unknown unit: use ms, s, m, h or d"))?;
    Duration::try_from_secs_f64(number * seconds)
        .map_err(|_| bad("must be a duration of zero or more that fits"))
}

/// The shortest exact form that [`parse_delay`] reads back, to the millisecond.
pub fn format_delay(delay: Duration) -> String {
    let ms = delay.as_millis();
    for (unit, unit_ms) in [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
    ] {
        if ms >= unit_ms && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for (text, ms) in [
            ("250ms", 250),
            ("60s", 60_000),
            ("1.5m", 90_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("0s", 0),
        ] {
            let delay = parse_delay(text).unwrap();
            assert_eq!(delay.as_millis(), ms);
            assert_eq!(parse_delay(&format_delay(delay)).unwrap(), delay);
        }
        for bad in ["", "60", "s", "-1s", "1 year", "NaNs", "1e400s"] {
            assert!(parse_delay(bad).is_err(), "{bad}");
        }
    }
}
