//! When to try a failed key again: for ever, with growing delays.

use skyfresh_sky::{Kind, Mutant, Rng};
use std::time::Duration;

/// The longest wait between two attempts at a failing key.
pub const LONGEST_DELAY: Duration = Duration::from_secs(300);

/// The longest wait where the object only changed underneath: what changes faster than it can be copied must not be left
/// behind for minutes because of it.
const LONGEST_DELAY_AFTER_CHANGE: Duration = Duration::from_secs(2);

/// The delay before attempt number `failures + 1`, for a failure of this kind: exponential with full jitter in the upper
/// half, so that many keys that failed together do not return together. Trouble that a person must mend starts slower.
pub fn retry_delay(kind: Kind, failures: u32, rng: &Rng) -> Duration {
    if Mutant::NoRetry.is_on() {
        return Duration::from_secs(100 * 365 * 86_400);
    }
    let first_ms: u64 = match kind {
        Kind::RetryAfter | Kind::Precondition => 200,
        Kind::Missing | Kind::Corrupt | Kind::Internal => 1_000,
        Kind::Denied | Kind::Invalid | Kind::Unsupported => 5_000,
    };
    let longest = match kind {
        Kind::Precondition => LONGEST_DELAY_AFTER_CHANGE,
        _ => LONGEST_DELAY,
    };
    let ceiling = first_ms
        .saturating_mul(1 << failures.min(16))
        .min(longest.as_millis() as u64);
    Duration::from_millis(ceiling / 2 + rng.below(ceiling / 2 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_the_limit_and_never_ends() {
        let rng = Rng::seeded(1);
        let mut last_ceiling = 0;
        for failures in 0..40 {
            let delay = retry_delay(Kind::RetryAfter, failures, &rng).as_millis() as u64;
            let ceiling = (200u64 << failures.min(16)).min(300_000);
            assert!(
                delay >= ceiling / 2 && delay <= ceiling,
                "failure {failures}: {delay}"
            );
            assert!(ceiling >= last_ceiling);
            last_ceiling = ceiling;
        }
        let changed = retry_delay(Kind::Precondition, 30, &rng);
        assert!(
            (1_000..=2_000).contains(&changed.as_millis()),
            "{changed:?}"
        );
        assert!(retry_delay(Kind::Denied, 0, &rng) >= Duration::from_millis(2_500));
    }
}
