//! One write per second and object name, where the sky is told to keep to it.

use super::Google;
use super::error::{Failure, Result};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

const SECOND_NS: u64 = 1_000_000_000;
/// Names remembered before the old ones are forgotten.
const REMEMBERED: usize = 10_000;

/// When names were last written.
#[derive(Debug, Default)]
pub(crate) struct RecentWrites {
    last_ns: Mutex<HashMap<(String, String), u64>>,
}

impl RecentWrites {
    /// Notes a write, or refuses it: 429.
    pub(crate) fn admit(&self, google: &Google, bucket: &str, key: &str) -> Result<()> {
        if !google.config.one_write_per_second {
            return Ok(());
        }
        let now_ns = google.clock.monotonic_ns();
        let mut last_ns = self.last_ns.lock().unwrap_or_else(PoisonError::into_inner);
        if last_ns.len() >= REMEMBERED {
            last_ns.retain(|_, at| now_ns.saturating_sub(*at) < SECOND_NS);
        }
        let name = (bucket.to_owned(), key.to_owned());
        if last_ns
            .get(&name)
            .is_some_and(|at| now_ns.saturating_sub(*at) < SECOND_NS)
        {
            return Err(Failure::rate_limited(&format!("The object {bucket}/{key}")));
        }
        last_ns.insert(name, now_ns);
        Ok(())
    }
}
