//! How often keys change, as far as this process was told: for those that change often, in bounded memory.
//!
//! In: events. Out: changes a second of a key. Never: counts the same change twice; a key that changed only once, of which
//! nothing is known.

use skyfresh_sky::{ObjectKey, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keys remembered at most; those unchanged for longest go first.
const MOST_KEYS: usize = 50_000;
/// A key that did not change for so many of its usual gaps is not hot any more.
const FORGOTTEN_AFTER_GAPS: f64 = 10.0;
/// The share of the newest gap in the mean: the last ten or so count.
const NEWEST: f64 = 0.2;

#[derive(Clone, Copy, Debug)]
struct Changes {
    last: Timestamp,
    /// Mean time between two of them, in seconds; `None` before the second.
    gap_s: Option<f64>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<ObjectKey, Changes>>);

impl Rates {
    fn keys(&self) -> MutexGuard<'_, HashMap<ObjectKey, Changes>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A key changed at this time. Told twice, or late, it counts once.
    pub(crate) fn changed(&self, key: &ObjectKey, at: Timestamp) {
        let mut keys = self.keys();
        if let Some(changes) = keys.get_mut(key) {
            if at > changes.last {
                let gap_s = at.since(changes.last).as_secs_f64();
                let mean_s = changes.gap_s.unwrap_or(gap_s);
                changes.gap_s = Some(mean_s + NEWEST * (gap_s - mean_s));
                changes.last = at;
            }
            return;
        }
        if keys.len() >= MOST_KEYS {
            forget_half(&mut keys);
        }
        keys.insert(
            key.clone(),
            Changes {
                last: at,
                gap_s: None,
            },
        );
    }

    /// Changes a second; `None` where the key is not known to change again and again.
    pub(crate) fn per_s(&self, key: &ObjectKey, now: Timestamp) -> Option<f64> {
        let changes = self.keys().get(key).copied()?;
        let gap_s = changes.gap_s?;
        let silent_s = now.since(changes.last).as_secs_f64();
        (silent_s <= gap_s * FORGOTTEN_AFTER_GAPS).then(|| 1.0 / gap_s.max(silent_s).max(1e-3))
    }
}

/// Half at once, so that it is not done for every new key.
fn forget_half(keys: &mut HashMap<ObjectKey, Changes>) {
    let mut times: Vec<Timestamp> = keys.values().map(|changes| changes.last).collect();
    let middle = times.len() / 2;
    let (_, median, _) = times.select_nth_unstable(middle);
    let median = *median;
    keys.retain(|_, changes| changes.last > median);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(s: f64) -> Timestamp {
        Timestamp::from_unix_ms(1_000_000).after(Duration::from_secs_f64(s))
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(name).unwrap()
    }

    #[test]
    fn what_changes_again_and_again_has_a_rate() {
        let rates = Rates::default();
        let hot = key("hot");
        assert_eq!(rates.per_s(&hot, at(0.0)), None);
        rates.changed(&hot, at(0.0));
        assert_eq!(rates.per_s(&hot, at(0.0)), None, "once says nothing");
        for n in 1..=20 {
            rates.changed(&hot, at(f64::from(n) * 5.0));
            // Told again, and an older one told late.
            rates.changed(&hot, at(f64::from(n) * 5.0));
            rates.changed(&hot, at(f64::from(n) * 5.0 - 3.0));
        }
        let per_s = rates.per_s(&hot, at(101.0)).unwrap();
        assert!((per_s - 0.2).abs() < 1e-9, "{per_s}");
        let slower = rates.per_s(&hot, at(110.0)).unwrap();
        assert!((slower - 0.1).abs() < 1e-9, "silent for ten seconds");
        assert_eq!(rates.per_s(&hot, at(200.0)), None, "over");
    }

    #[test]
    fn memory_is_bounded_and_the_newest_stay() {
        let rates = Rates::default();
        for n in 0..(MOST_KEYS as u32 * 2) {
            rates.changed(&key(&format!("k{n}")), at(f64::from(n)));
        }
        assert!(rates.keys().len() <= MOST_KEYS);
        let newest = key(&format!("k{}", MOST_KEYS * 2 - 1));
        assert!(rates.keys().contains_key(&newest));
    }
}
