//! What goes first where something is short: what is regretted most for what it takes.
//!
//! In: what waits, be it an object on its way to a destination or a key whose feature is old. Out: its place in the order. Never: a score that
//! has no place in an order.

/// Something that waits, and is regretted while it does.
///
/// Replication orders late changes by it (key × destination, for dollars), feature tables the keys to update (for updates): of two that
/// take the same, that of more regret goes first, and of two of the same regret that which takes less (W. E. Smith 1956, whose rule
/// minimises the weighted sum of waiting times on one machine).
pub trait Regretted {
    /// What its waiting costs, in the same unit for all that are compared.
    fn regret(&self) -> f64;

    /// What ending that takes of what is short, in the same unit for all that are compared. What is free counts as the least number there
    /// is above 0.
    fn takes(&self) -> f64;

    /// Its place in the order: the largest goes first. No number counts as no regret.
    fn score(&self) -> f64 {
        let regret = self.regret();
        if regret.is_nan() || regret == 0.0 {
            return 0.0;
        }
        let takes = self.takes();
        match takes > 0.0 {
            true => regret / takes,
            false => regret / f64::MIN_POSITIVE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Regretted;

    struct Waits(f64, f64);

    impl Regretted for Waits {
        fn regret(&self) -> f64 {
            self.0
        }

        fn takes(&self) -> f64 {
            self.1
        }
    }

    #[test]
    fn more_regret_and_less_to_take_go_first_and_every_score_has_a_place() {
        let all = [
            Waits(f64::NEG_INFINITY, 1.0),
            Waits(-2.0, 1.0),
            Waits(f64::NAN, 1.0),
            Waits(1.0, 4.0),
            Waits(1.0, 2.0),
            Waits(3.0, 2.0),
            Waits(1e-3, 0.0),
            Waits(f64::INFINITY, 9.0),
        ];
        let scores: Vec<f64> = all.iter().map(Regretted::score).collect();
        assert!(scores.is_sorted() && scores.iter().all(|score| !score.is_nan()));
        assert_eq!(Waits(0.0, f64::NAN).score(), 0.0);
        assert!(Waits(1.0, f64::NAN).score() > 1e300, "as if it were free");
    }
}
