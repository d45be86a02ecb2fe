//! Points in time.

use crate::Invalid;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Milliseconds since the Unix epoch, UTC. The resolution of everything Skyfresh promises.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch: before everything.
    pub const ZERO: Timestamp = Timestamp(0);
    /// After everything.
    pub const MAX: Timestamp = Timestamp(u64::MAX);

    /// From milliseconds since the Unix epoch.
    pub const fn from_unix_ms(ms: u64) -> Self {
        Timestamp(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn unix_ms(self) -> u64 {
        self.0
    }

    /// `self - earlier`, or zero where `earlier` is later (clocks of two machines may disagree).
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// `self + delay`, saturating.
    pub fn after(self, delay: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_add(delay.as_millis().min(u128::from(u64::MAX)) as u64),
        )
    }

    /// `self - delay`, saturating at the epoch.
    pub fn before(self, delay: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_sub(delay.as_millis().min(u128::from(u64::MAX)) as u64),
        )
    }

    /// Parses RFC 3339 (`2026-11-21T10:00:00Z`, any offset, fractions).
    ///
    /// # Errors
    /// The text is not such a time, or lies before 1970.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| {
            Invalid::new("time", text, "expected RFC 3339, e.g. 2026-11-21T10:00:00Z")
        })?;
        u64::try_from(instant.as_millisecond())
            .map(Timestamp)
            .map_err(|_| Invalid::new("time", text, "times before 1970 are not supported"))
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 in UTC with milliseconds.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match i64::try_from(self.0)
            .ok()
            .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        {
            Some(instant) => write!(f, "{instant:.3}"),
            None => f.write_str("never"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_parses_the_same_instant() {
        let time = Timestamp::from_unix_ms(1_700_000_000_123);
        assert_eq!(time.to_string(), "2023-11-14T22:13:20.123Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        assert!(Timestamp::parse("yesterday").is_err());
    }
}
