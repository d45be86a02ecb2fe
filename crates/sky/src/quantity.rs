//! Byte counts as people write them.

use crate::Invalid;

const UNITS: [(&str, u64); 11] = [
    ("B", 1),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("K", 1 << 10),
    ("M", 1 << 20),
];

/// Parses `512`, `10KB`, `8MiB`, `1.5GB` into bytes.
///
/// # Errors
/// An unknown unit, or not a finite number ≥ 0.
pub fn parse_bytes(text: &str) -> Result<u64, Invalid> {
    let bad = |why: &str| Invalid::new("size", text, why);
    let trimmed = text.trim();
    let split = trimmed
        .find(|c: char| c.is_ascii_alphabetic())
        .unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(split);
    let scale = match unit {
        "" => 1,
        unit => {
            UNITS
                .iter()
                .find(|(name, _)| *name == unit)
                .ok_or_else(|| bad("unknown unit: use B, KB, MB, GB, TB, KiB, MiB, GiB, TiB"))?
                .1
        }
    };
    let number: f64 = number
        .trim()
        .parse()
        .map_err(|_| bad("needs a number, e.g. 8MiB"))?;
    let bytes = number * scale as f64;
    if !bytes.is_finite() || bytes < 0.0 || bytes >= u64::MAX as f64 {
        return Err(bad("must be zero or more, and fit in 64 bits"));
    }
    Ok(bytes.round() as u64)
}

/// Bytes for people: `999 B`, `9.8 KiB`, `1.0 GiB`.
pub fn format_bytes(bytes: u64) -> String {
    const NAMES: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut name = "";
    for next in NAMES {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        name = next;
    }
    format!("{value:.1} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        assert_eq!(parse_bytes("8MiB"), Ok(8 << 20));
        assert_eq!(parse_bytes("10 KB"), Ok(10_000));
        assert_eq!(parse_bytes("512"), Ok(512));
        assert!(parse_bytes("8 bananas").is_err());
        assert!(parse_bytes("-1B").is_err());
        assert_eq!(format_bytes(999), "999 B");
        assert_eq!(format_bytes(10_000), "9.8 KiB");
        assert_eq!(format_bytes(1 << 30), "1.0 GiB");
    }
}
