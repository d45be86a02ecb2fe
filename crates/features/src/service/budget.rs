//! How much work a view may do: a rate of updates, of cores, or of dollars.
//!
//! **In:** time that passes, and what updates took. **Out:** how many updates may be made now. **Never:** more saved up than a second's
//! worth, or one update's where that is more; a rate exceeded in the long run: what a batch took beyond its share is owed.

use super::config::ViewSpec;

/// The least that one update can take, core-seconds: keeps the first guess finite.
const LEAST_COST: f64 = 1e-6;
/// How much the newest batch counts in what an update takes.
const NEWEST: f64 = 0.2;

/// What may be done now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Budget {
    /// Updates, or core-seconds, a second.
    rate: f64,
    counts_cores: bool,
    credit: f64,
    /// What an update takes, in the same unit.
    each: f64,
    /// Whether that is known, or a guess: the first batch is one update.
    known: bool,
    counted_ns: u64,
}

impl Budget {
    /// A share of a view's budget; full at first.
    pub(super) fn of(spec: &ViewSpec, share: f64, now_ns: u64) -> Self {
        let cores = spec.cores();
        let rate = share * cores.unwrap_or(spec.updates_per_s);
        Budget {
            rate,
            counts_cores: cores.is_some(),
            credit: if cores.is_some() { rate } else { rate.max(1.0) },
            each: if cores.is_some() { rate } else { 1.0 },
            known: cores.is_none(),
            counted_ns: now_ns,
        }
    }

    /// Updates that may be made now.
    pub(super) fn updates(&mut self, now_ns: u64) -> usize {
        let passed_s = now_ns.saturating_sub(self.counted_ns) as f64 / 1e9;
        self.counted_ns = now_ns;
        let most = self.rate.max(self.each);
        self.credit = (self.credit + self.rate * passed_s).min(most);
        // A hair of rounding must not keep the last update waiting.
        ((self.credit / self.each) * (1.0 + 1e-9)) as usize
    }

    /// So many updates were made, and took this long; what failed took time as well.
    pub(super) fn made(&mut self, updates: usize, took_s: f64) {
        let count = updates as f64;
        self.credit -= match self.counts_cores {
            true => took_s,
            false => count,
        };
        if self.counts_cores && updates > 0 {
            let each = (took_s / count).max(LEAST_COST);
            let share = if self.known { NEWEST } else { 1.0 };
            self.each += share * (each - self.each);
            self.known = true;
        }
    }

    /// Seconds until one more may be made.
    pub(super) fn wait_s(&self) -> f64 {
        ((self.each - self.credit) / self.rate).clamp(0.001, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::super::config::FeaturesConfig;
    use super::*;

    fn spec(budget: &str) -> ViewSpec {
        let text = format!("[[view]]\nname = \"v\"\nkey = \"k\"\nfeatures = [\"x\"]\n{budget}\n");
        FeaturesConfig::parse(&text).unwrap().views.remove(0)
    }

    /// Updates in ten seconds, each of which takes so long.
    fn in_ten_seconds(budget: &str, share: f64, each_s: f64) -> usize {
        let (mut now_s, mut made) = (0.0f64, 0);
        let ns = |now_s: f64| (now_s * 1e9) as u64;
        let mut allowed = Budget::of(&spec(budget), share, 0);
        while now_s < 10.0 {
            let updates = allowed.updates(ns(now_s)).min(256);
            now_s += updates as f64 * each_s;
            allowed.made(updates, updates as f64 * each_s);
            made += updates;
            if updates == 0 {
                now_s += allowed.wait_s();
            }
        }
        made
    }

    #[test]
    fn a_rate_is_kept_in_updates_cores_or_dollars() {
        let near = |told: usize, expected: f64, what: &str| {
            let off = (told as f64 / expected - 1.0).abs();
            assert!(off < 0.15, "{what}: {told}, not {expected}");
        };
        near(
            in_ten_seconds("updates_per_s = 100.0", 1.0, 1e-4),
            1_100.0,
            "updates, a second's worth saved up",
        );
        // A quarter of a core at 1 ms each: 250 a second.
        near(in_ten_seconds("cores = 0.25", 1.0, 1e-3), 2_750.0, "cores");
        // 1 cent an hour where a core costs 4: the same.
        let dollars = "usd_per_hour = 0.01\nusd_per_core_hour = 0.04";
        near(in_ten_seconds(dollars, 1.0, 1e-3), 2_750.0, "dollars");
        // One shard of four has a quarter of it.
        let share = in_ten_seconds("updates_per_s = 100.0", 0.25, 1e-4);
        near(share, 275.0, "a quarter of the updates");
        let share = in_ten_seconds("cores = 1.0", 0.25, 1e-3);
        near(share, 2_750.0, "a quarter of a core");
        // Half a second each at a tenth of a core: one every five seconds.
        let long = in_ten_seconds("cores = 0.1", 1.0, 0.5);
        assert!((1..=3).contains(&long), "{long}");
    }

    #[test]
    fn a_budget_is_one_of_three() {
        let parse = |budget: &str| {
            let text =
                format!("[[view]]\nname = \"v\"\nkey = \"k\"\nfeatures = [\"x\"]\n{budget}\n");
            FeaturesConfig::parse(&text).unwrap_err().to_string()
        };
        assert!(parse("cores = 0.0").contains("cores"));
        assert!(parse("usd_per_hour = 1.0").contains("usd_per_core_hour"));
        assert!(
            parse("cores = 1.0\nusd_per_hour = 1.0\nusd_per_core_hour = 1.0")
                .contains("one budget")
        );
    }
}
