//! What each design would do with an object: its planner is asked, and the best of what the simulator can carry out is taken.

use super::world::Experiment;
use super::{NOTIFICATION, SOURCE, STATE, region};
use anyhow::{Context, Result, bail};
use skyfresh_plan::predict::{Family, Route, Samples, Shape, Site, Warm};
use skyfresh_plan::replicate::{Ask, Candidate, Planner, Settings, Way};
use skyfresh_sky::catalog::{Catalog, notification_path, state_service};
use skyfresh_sky::{Region, Rng, Slo};
use std::time::Duration;

/// Whose planner, and whose way to give out parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Design {
    /// Measured distributions; the fastest within 1% of the cheapest in time; workers pull, and duplicate the slowest parts.
    Skyfresh,
    /// λReplica's, as published: Normal and Gumbel, the cheapest in time, parts of 8 MiB, a counter that hands each out once.
    LambdaReplica,
}

/// The published prototype's parts (`replication-facts.md` of the research notes).
pub(super) const PROTOTYPE_PART_BYTES: u64 = 8 << 20;

impl Design {
    /// A planner of this design that has not learnt anything yet.
    pub(super) fn planner(self) -> Result<Planner> {
        let family = match self {
            Design::Skyfresh => Family::Measured,
            Design::LambdaReplica => Family::NormalGumbel,
        };
        let settings = Settings {
            state: Some(STATE.into()),
            parts_in_flight: self.parts_in_flight(),
            family,
            ..Settings::default()
        };
        Ok(Planner::new(Catalog::embedded(), settings)?)
    }

    /// How parts are given out, as scenarios call it.
    pub(super) fn dispatch(self) -> &'static str {
        match self {
            Design::Skyfresh => "pull-and-duplicate",
            Design::LambdaReplica => "counter",
        }
    }

    /// Parts that one worker copies at once: the prototype's reads one, then writes it.
    pub(super) fn parts_in_flight(self) -> u32 {
        match self {
            Design::Skyfresh => 2,
            Design::LambdaReplica => 1,
        }
    }

    /// Whether it has such shapes.
    fn has(self, shape: Shape) -> bool {
        match (self, shape) {
            (Design::LambdaReplica, Shape::Parts { part_bytes, .. }) => {
                part_bytes == PROTOTYPE_PART_BYTES
            }
            _ => true,
        }
    }
}

/// One object to one destination.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) destination: Region,
    pub(super) size_bytes: u64,
    pub(super) slo: Slo,
}

/// What is carried out.
#[derive(Clone, Debug)]
pub(super) struct Planned {
    pub(super) name: String,
    pub(super) way: Way,
    pub(super) site: Site,
    pub(super) shape: Shape,
    pub(super) predicted_usd: f64,
    /// Whether the planner called it in time.
    pub(super) called_in_time: bool,
}

impl Case {
    /// What the planner is asked; what the notification usually leaves of the SLO at its own p99 is what it may use.
    pub(super) fn ask(&self) -> Result<Ask> {
        let path = notification_path(NOTIFICATION).context("the catalogue has the path")?;
        let mut ask = Ask::new(
            region(SOURCE)?,
            self.destination.clone(),
            self.size_bytes,
            self.slo,
        );
        ask.elapsed = Duration::from_secs_f64(path.delay_ms.quantile(0.99) / 1_000.0);
        // In one piece the process that was told copies by itself.
        let process = Site::process(ask.source.clone());
        ask.sites.push(process);
        Ok(ask)
    }

    /// The best of what the simulator carries out: objects in one piece by the process, parts by functions.
    pub(super) fn plan(&self, design: Design, planner: &mut Planner) -> Result<Planned> {
        self.plan_at(design, planner, |_| true)
    }

    /// The same with workers only where `may` says so.
    pub(super) fn plan_at(
        &self,
        design: Design,
        planner: &mut Planner,
        may: impl Fn(&Site) -> bool,
    ) -> Result<Planned> {
        let ask = self.ask()?;
        let choice = planner.choose(&ask)?;
        let wanted = |way: &Way| match way {
            Way::Workers { site, shape, .. } => {
                shape.is_parts() == site.platform().is_some() && design.has(*shape) && may(site)
            }
            Way::ServerCopy => false,
        };
        let usable = || {
            choice
                .candidates
                .iter()
                .filter(|it| wanted(&it.way) && it.refused.is_none())
        };
        let in_time = || usable().filter(|it| it.in_time >= ask.share());
        let premium = match design {
            Design::Skyfresh => ask.premium,
            Design::LambdaReplica => 0.0,
        };
        let least_usd = in_time().next().map_or(0.0, |it| it.cost.total().usd());
        let affordable = |it: &&Candidate| it.cost.total().usd() <= least_usd * (1.0 + premium);
        let fastest_of = |a: &&Candidate, b: &&Candidate| a.at_slo_s.total_cmp(&b.at_slo_s);
        let best = in_time().filter(affordable).min_by(fastest_of);
        let called_in_time = best.is_some();
        let winner = best
            .or_else(|| usable().min_by(fastest_of))
            .context("no way can be carried out")?;
        let Way::Workers { site, shape, .. } = &winner.way else {
            bail!("{} is not carried out here", winner.way);
        };
        Ok(Planned {
            name: winner.way.to_string(),
            site: site.clone(),
            shape: *shape,
            predicted_usd: winner.cost.total().usd(),
            called_in_time,
            way: winner.way.clone(),
        })
    }

    /// The p99 of notification and transfer together, as the measured distributions predict it.
    pub(super) fn predicted_p99_s(&self, planner: &Planner, planned: &Planned) -> Result<f64> {
        let path = notification_path(NOTIFICATION).context("the catalogue has the path")?;
        let rng = Rng::named(1, "notification");
        let told = (0..10_000).map(|_| path.delay_ms.sample(&rng) / 1_000.0);
        let told = Samples::new(told.collect());
        let route = Route::of(
            planner.catalog(),
            &region(SOURCE)?,
            &self.destination,
            &planned.site,
            state_service(STATE),
            Settings::default().cold,
        )?;
        let predicted = Warm::new(route, 2, 0.99, 1).predict(planned.shape, self.size_bytes);
        let at = |index: u32| predicted.quantile((f64::from(index) + 0.5) / 10_000.0);
        let transfer = Samples::new((0..10_000).map(at).collect());
        Ok(told.plus(&transfer, &rng).quantile(0.99))
    }

    pub(super) fn experiment(&self, planned: &Planned, design: Design, objects: u64) -> Experiment {
        // In one piece there is nothing to give out: it is one experiment for both.
        let design = if planned.shape.is_parts() {
            design
        } else {
            Design::Skyfresh
        };
        Experiment {
            destination: self.destination.clone(),
            size_bytes: self.size_bytes,
            slo: self.slo,
            site: planned.site.clone(),
            shape: planned.shape,
            dispatch: design.dispatch(),
            parts_in_flight: design.parts_in_flight(),
            objects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(design: Design, size_bytes: u64) -> Planned {
        let case = Case {
            destination: region("aws:eu-west-1").unwrap(),
            size_bytes,
            slo: "15s@p99".parse().unwrap(),
        };
        case.plan(design, &mut design.planner().unwrap()).unwrap()
    }

    #[test]
    fn each_design_keeps_to_its_own_shapes() {
        let theirs = planned(Design::LambdaReplica, 1_000_000_000);
        assert!(matches!(
            theirs.shape,
            Shape::Parts {
                part_bytes: PROTOTYPE_PART_BYTES,
                ..
            }
        ));
        assert!(theirs.site.platform().is_some());
        let ours = planned(Design::Skyfresh, 1_000_000_000);
        assert!(ours.called_in_time && ours.shape.is_parts());
        let small = planned(Design::Skyfresh, 1_000_000);
        assert_eq!(small.shape, Shape::Inline);
        assert!(small.site.platform().is_none());
    }
}
