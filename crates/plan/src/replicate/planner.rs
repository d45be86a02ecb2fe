//! Predicts, prices and compares.

use super::candidates::ways;
use super::cost::POOL_UNITS_A_PART;
use super::{Ask, Candidate, Choice, Hold, Verdict, Way, hold, price};
use crate::predict::{Family, Predicted, Residuals, Rounds, Route, Shape, Site, Warm};
use skyfresh_sky::catalog::{Catalog, StateService, state_service};
use skyfresh_sky::{Invalid, Region};
use std::collections::HashMap;

/// What a planner assumes of how it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The service of a shared ledger, as the catalogue names it; `None` is the embedded one.
    pub state: Option<String>,
    /// Parts that one worker copies at once.
    pub parts_in_flight: u32,
    /// Share of starts that find no idle function, 0 to 1.
    pub cold: f64,
    /// How delays are modelled.
    pub family: Family,
    /// Draws of each transfer; `None` is as many as the SLO's percentile needs.
    pub draws: Option<usize>,
    /// Decides every draw.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            state: None,
            parts_in_flight: 2,
            cold: 0.05,
            family: Family::default(),
            draws: None,
            seed: 1,
        }
    }
}

/// Where a prediction belongs: read where, written where, by workers where.
type RouteKey = (Region, Region, Site);

/// What receipts of one lane have taught: of objects in one piece, of those in parts, and of those that a store copied.
#[derive(Clone, Debug, Default)]
pub(super) struct Taught {
    pub(super) inline: Residuals,
    pub(super) parts: Residuals,
    /// Copies that stores made by themselves: predicted like one stream, but not by the same machines.
    pub(super) copies: Residuals,
}

/// Plans. Keeps what it has drawn and learnt; the same asks in the same order with the same receipts between them give
/// the same answers.
#[derive(Debug)]
pub struct Planner {
    catalog: Catalog,
    state: Option<&'static StateService>,
    settings: Settings,
    warm: HashMap<(RouteKey, u64), Warm>,
    pub(super) taught: HashMap<RouteKey, Taught>,
}

impl Planner {
    /// A planner that has not learnt anything yet.
    ///
    /// # Errors
    /// A state service that the catalogue does not list, or a share of cold starts outside of 0 to 1.
    pub fn new(catalog: Catalog, settings: Settings) -> Result<Self, Invalid> {
        if !(0.0..=1.0).contains(&settings.cold) {
            let why = "must be between 0 and 1";
            return Err(Invalid::new(
                "share of cold starts",
                settings.cold.to_string(),
                why,
            ));
        }
        let state = match &settings.state {
            None => None,
            Some(name) => Some(state_service(name).ok_or_else(|| {
                let why = "the catalogue does not list it; see `skyfresh catalog`";
                Invalid::new("state service", name.clone(), why)
            })?),
        };
        Ok(Planner {
            catalog,
            state,
            settings,
            warm: HashMap::new(),
            taught: HashMap::new(),
        })
    }

    /// The catalogue it plans with.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Chooses.
    ///
    /// # Errors
    /// A site on a platform that the catalogue does not list.
    pub fn choose(&mut self, ask: &Ask) -> Result<Choice, Invalid> {
        let mut candidates = Vec::new();
        // Ways of one route come together: what is known of it is looked up once for all of them.
        let ways = ways(ask);
        let mut rest = ways.as_slice();
        while let Some(first) = rest.first() {
            let (route, _) = route_of(ask, first);
            let same = |way: &&Way| is_of(ask, way, &route);
            let (of_route, others) = rest.split_at(rest.iter().take_while(same).count().max(1));
            self.candidates(ask, &route, of_route, &mut candidates)?;
            rest = others;
        }
        // Unpriced links last: what is not known is not cheap. Then by price, by delay, and by name, so that ties are decided.
        let key = |candidate: &Candidate| (candidate.cost.unpriced, candidate.cost.total());
        candidates.sort_by(|a, b| {
            key(a)
                .cmp(&key(b))
                .then(a.at_slo_s.total_cmp(&b.at_slo_s))
                .then_with(|| a.way.cmp(&b.way))
        });
        Ok(pick(ask, candidates))
    }

    /// Predicts and prices ways of one route.
    fn candidates(
        &mut self,
        ask: &Ask,
        route: &RouteKey,
        ways: &[Way],
        candidates: &mut Vec<Candidate>,
    ) -> Result<(), Invalid> {
        let (catalog, state) = (self.catalog.clone(), self.state);
        let unknown = Taught::default();
        self.warm(route, ask.share())?;
        let taught = self.taught.get(route).unwrap_or(&unknown);
        let key = (route.clone(), ask.share().to_bits());
        let Some(warm) = self.warm.get_mut(&key) else {
            return Err(Invalid::new("route", format!("{route:?}"), "was just made"));
        };
        let legs = (warm.route().read.estimated, warm.route().write.estimated);
        for way in ways {
            let shape = shape_of(way);
            let predicted = warm.predict(shape, ask.moved_bytes(way));
            let learned = taught.of(way);
            // What takes longer than predicted is billed for longer.
            let busy_s = predicted.busy_s() * learned.location();
            let expected = Expected::of(ask, &predicted, learned);
            // Of one round: it alone must not write more than a partition of the ledger takes.
            let round_s = predicted.learned_quantile(learned, 0.5);
            let p50_s = match expected.rounds.any() {
                true => expected.quantile(0.5),
                false => round_s,
            };
            candidates.push(Candidate {
                p50_s,
                at_slo_s: expected.quantile(ask.share()),
                rounds: expected.rounds.mean(),
                error: predicted.error(),
                estimated: legs.0 || legs.1,
                in_time: expected.cdf(ask.left_s()),
                refused: refusal(state, ask, way, round_s),
                cost: price(&catalog, state, ask, way, busy_s),
                way: way.clone(),
            });
        }
        Ok(())
    }

    /// Makes sure that a route's predictions are at hand: as many draws as the percentile needs, so tables of their own for each.
    fn warm(&mut self, route: &RouteKey, share: f64) -> Result<&mut Warm, Invalid> {
        let key = (route.clone(), share.to_bits());
        if !self.warm.contains_key(&key) {
            let (source, destination, site) = route;
            let (state, cold) = (self.state, self.settings.cold);
            let mut of = Route::of(&self.catalog, source, destination, site, state, cold)?;
            of.family = self.settings.family;
            let mut warm = Warm::new(of, self.settings.parts_in_flight, share, self.settings.seed);
            if let Some(draws) = self.settings.draws {
                warm = warm.with_draws(draws);
            }
            self.warm.insert(key.clone(), warm);
        }
        match self.warm.get_mut(&key) {
            Some(warm) => Ok(warm),
            None => Err(Invalid::new("route", format!("{route:?}"), "was just made")),
        }
    }

    fn predict(
        &mut self,
        route: &RouteKey,
        share: f64,
        shape: Shape,
        size_bytes: u64,
    ) -> Result<Predicted, Invalid> {
        Ok(self.warm(route, share)?.predict(shape, size_bytes))
    }

    /// How long the change may wait for the next one of its key, if it then goes this way. `changes_per_s` is how often the
    /// key changes.
    ///
    /// # Errors
    /// As [`Planner::choose`].
    pub fn hold(
        &mut self,
        ask: &Ask,
        candidate: &Candidate,
        changes_per_s: f64,
    ) -> Result<Hold, Invalid> {
        let (route, shape) = route_of(ask, &candidate.way);
        let predicted =
            self.predict(&route, ask.share(), shape, ask.moved_bytes(&candidate.way))?;
        let unknown = Residuals::default();
        let learned = self
            .taught
            .get(&route)
            .map_or(&unknown, |taught| taught.of(&candidate.way));
        let price = candidate.cost.total();
        let expected = Expected::of(ask, &predicted, learned);
        Ok(hold(
            |p| expected.quantile(p),
            ask.left_s(),
            ask.share(),
            changes_per_s,
            price,
        ))
    }

    /// Learns from a receipt: a transfer of this way took so many seconds from its decision until it was readable.
    ///
    /// # Errors
    /// A site on a platform that the catalogue does not list.
    pub fn learn(&mut self, ask: &Ask, way: &Way, took_s: f64) -> Result<(), Invalid> {
        let (route, shape) = route_of(ask, way);
        let predicted = self.predict(&route, ask.share(), shape, ask.moved_bytes(way))?;
        let median_s = predicted.median_s();
        let taught = self.taught.entry(route).or_default();
        taught.of_mut(way).observe(took_s, median_s);
        Ok(())
    }
}

/// What is expected of a way: what was predicted, what receipts have taught, and rounds that are lost.
struct Expected<'a> {
    predicted: &'a Predicted,
    learned: &'a Residuals,
    rounds: Rounds,
}

impl<'a> Expected<'a> {
    fn of(ask: &Ask, predicted: &'a Predicted, learned: &'a Residuals) -> Self {
        // What takes longer than predicted is exposed for longer.
        let longer = learned.location();
        let exposed_s = predicted.exposed_s().map(|s| s * longer);
        let given_up_s = predicted.given_up_s() * longer;
        Expected {
            predicted,
            learned,
            rounds: Rounds::of(ask.changes_per_s, exposed_s, given_up_s),
        }
    }

    fn quantile(&self, p: f64) -> f64 {
        let once = |p| self.predicted.learned_quantile(self.learned, p);
        let in_time = |s| self.predicted.learned_cdf(self.learned, s);
        self.rounds.quantile(p, once, in_time)
    }

    fn cdf(&self, delay_s: f64) -> f64 {
        let once = |s| self.predicted.learned_cdf(self.learned, s);
        self.rounds.cdf(delay_s, once)
    }
}

/// What quotas say. Functions at a site run in one account: its concurrency is shared by everything in flight.
fn refusal(state: Option<&StateService>, ask: &Ask, way: &Way, p50_s: f64) -> Option<String> {
    let Way::Workers { site, shape, .. } = way else {
        return None;
    };
    if let Some(platform) = site.platform() {
        let under_way = ask.in_flight.get(site).copied().unwrap_or(0);
        let wanted = u64::from(shape.workers());
        if under_way.saturating_add(wanted) > platform.max_concurrency {
            return Some(format!(
                "{wanted} functions beside {under_way} under way exceed the {} that {} runs at once",
                platform.max_concurrency, platform.platform
            ));
        }
    }
    // Every part is claimed and finished in one partition of the ledger.
    let limit_per_s = state.and_then(|state| state.partition_writes_per_s)?;
    let parts = shape.parts(ask.moved_bytes(way)) as f64;
    let writes_per_s = POOL_UNITS_A_PART * parts / p50_s.max(1e-3);
    (shape.is_parts() && writes_per_s > limit_per_s).then(|| {
        format!("{writes_per_s:.0} writes a second exceed the {limit_per_s:.0} of one partition of the ledger")
    })
}

/// What is predicted for a way. A server-side copy is taken as one stream between the two stores: providers publish no rates
/// of their own copies.
fn route_of(ask: &Ask, way: &Way) -> (RouteKey, Shape) {
    let (from, site) = match way {
        Way::ServerCopy => (None, Site::process(ask.destination.clone())),
        Way::Workers { site, via, .. } => (via.clone(), site.clone()),
    };
    let from = from.unwrap_or_else(|| ask.source.clone());
    ((from, ask.destination.clone(), site), shape_of(way))
}

/// Whether a way is of this route.
fn is_of(ask: &Ask, way: &Way, route: &RouteKey) -> bool {
    match way {
        Way::ServerCopy => route_of(ask, way).0 == *route,
        Way::Workers { site, via, .. } => {
            *site == route.2 && *via.as_ref().unwrap_or(&ask.source) == route.0
        }
    }
}

fn shape_of(way: &Way) -> Shape {
    match way {
        Way::ServerCopy => Shape::Inline,
        Way::Workers { shape, .. } => *shape,
    }
}

impl Taught {
    fn of(&self, way: &Way) -> &Residuals {
        match way {
            Way::ServerCopy => &self.copies,
            Way::Workers { shape, .. } if shape.is_parts() => &self.parts,
            Way::Workers { .. } => &self.inline,
        }
    }

    fn of_mut(&mut self, way: &Way) -> &mut Residuals {
        match way {
            Way::ServerCopy => &mut self.copies,
            Way::Workers { shape, .. } if shape.is_parts() => &mut self.parts,
            Way::Workers { .. } => &mut self.inline,
        }
    }
}

/// From so many expected rounds on a choice says that some are lost.
const LOST_ROUNDS_TOLD: f64 = 1.05;

/// Picks from candidates in ascending order of price.
fn pick(ask: &Ask, candidates: Vec<Candidate>) -> Choice {
    let allowed = || {
        candidates
            .iter()
            .enumerate()
            .filter(|(_, c)| c.refused.is_none())
    };
    let in_time = || allowed().filter(|(_, c)| c.in_time >= ask.share());
    let cheapest = in_time().next();
    let affordable = |candidate: &Candidate, least: &Candidate| {
        let most = least.cost.total().usd() * (1.0 + ask.premium.max(0.0));
        candidate.cost.total().usd() <= most && candidate.cost.unpriced == least.cost.unpriced
    };
    // A store's own copy before all others: it takes nothing of what others wait for. Of equally fast ones the first, which is
    // the cheapest.
    let fastest = cheapest.and_then(|(_, least)| {
        in_time()
            .filter(|(_, candidate)| affordable(candidate, least))
            .min_by(|(_, a), (_, b)| {
                let by_workers = |candidate: &Candidate| candidate.way != Way::ServerCopy;
                by_workers(a)
                    .cmp(&by_workers(b))
                    .then(a.at_slo_s.total_cmp(&b.at_slo_s))
            })
    });
    let likeliest = || {
        allowed().max_by(|(_, a), (_, b)| {
            // Where none is ever in time, the fastest; of equals the first, which is the cheapest.
            a.in_time
                .total_cmp(&b.in_time)
                .then(b.at_slo_s.total_cmp(&a.at_slo_s))
                .then(b.cost.total().cmp(&a.cost.total()))
        })
    };
    let slo = ask.slo;
    let (chosen, verdict) = match fastest {
        _ if ask.cheapest => (allowed().next(), Verdict::Cheapest),
        Some(found) => (Some(found), Verdict::InTime),
        None => (likeliest(), Verdict::Late),
    };
    let Some((index, winner)) = chosen else {
        let why = match candidates.first() {
            None => "the object fits no way within the destination's limits".to_owned(),
            Some(first) => first.refused.clone().unwrap_or_default(),
        };
        return Choice {
            candidates,
            chosen: None,
            verdict: Verdict::Nothing,
            why,
        };
    };
    let why = match verdict {
        Verdict::InTime => {
            let late = candidates[..index]
                .iter()
                .filter(|c| c.refused.is_none() && c.in_time < ask.share());
            let late = match late.count() {
                0 => String::new(),
                count => format!("; {count} cheaper would be late too often"),
            };
            match cheapest {
                Some((least, _)) if least == index && winner.cost.unpriced => {
                    format!("in time for {slo}; nothing with a known price is{late}")
                }
                Some((least, _)) if least == index => {
                    format!("the cheapest that is in time for {slo}{late}")
                }
                _ if winner.way == Way::ServerCopy => {
                    let percent = ask.premium * 100.0;
                    format!(
                        "no bytes pass through workers, in time for {slo} and within {percent}% of the cheapest that is{late}"
                    )
                }
                _ => {
                    let percent = ask.premium * 100.0;
                    format!(
                        "the fastest within {percent}% of the cheapest that is in time for {slo}{late}"
                    )
                }
            }
        }
        Verdict::Late => format!(
            "none is in time for {slo}: this is the likeliest, in {:.1}% of cases",
            winner.in_time * 100.0
        ),
        _ => format!(
            "the budget is spent: the cheapest, in time in {:.1}% of cases",
            winner.in_time * 100.0
        ),
    };
    let why = match winner.rounds >= LOST_ROUNDS_TOLD {
        true => format!(
            "{why}; it changes while it is copied, {:.1} rounds are expected",
            winner.rounds
        ),
        false => why,
    };
    Choice {
        chosen: Some(index),
        verdict,
        why,
        candidates,
    }
}
