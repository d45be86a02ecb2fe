//! Relays that stand by while rules run: which ways they carry, and where they are.

use super::direct::direct;
use super::place::{Place, read_hosts};
use super::{executor, only_in};
use crate::context::Context;
use crate::exit::{Exit, Told};
use async_trait::async_trait;
use skyfresh_engine::overlay::{
    HopPrices, Host, OverlayShape, PlanRelays, RelayEnds, StandingPlan, StandingRelays, shape, spec,
};
use skyfresh_plan::network::{MachinePrices, Network};
use skyfresh_plan::overlay::{Engine, Goal, Machines, OverlayPlan, Request, Way, choose, plan};
use skyfresh_relay::topology::Security;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Region, Usd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of a part that they carry: the planner's largest.
const PART_BYTES: u32 = 64 << 20;
/// The smallest object that relays make cheaper: it has two parts, and what its requests cost more is little beside its egress.
const LEAST_BYTES: u64 = 8 << 20;
/// The smallest that they make faster: below, a hop more costs about what it gains.
const LEAST_BYTES_FOR_SPEED: u64 = 64 << 20;
/// How much a way is planned for: enough that seconds and dollars differ.
const PLANNED_BYTES: u64 = 10_000_000_000;

/// Relays for rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StandingArgs {
    /// Where they run.
    pub(crate) place: Place,
    /// In what they must be better.
    pub(crate) purpose: Purpose,
}

/// In what relays must be better than going direct.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Purpose {
    /// Dollars.
    Cost,
    /// Time.
    Speed,
}

impl std::str::FromStr for Purpose {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "cost" => Ok(Purpose::Cost),
            "speed" => Ok(Purpose::Speed),
            _ => Err("expected cost or speed"),
        }
    }
}

#[derive(Clone, Debug)]
struct Planner {
    args: StandingArgs,
    hosts: Option<Vec<Host>>,
    config: Option<PathBuf>,
    catalog: Catalog,
    clock: Arc<dyn Clock>,
}

/// Relays as `args` say, none started yet; relays read `config`.
///
/// # Errors
/// Hosts that cannot be read, or machines that would be rented.
pub(crate) fn standing(
    args: &StandingArgs,
    config: Option<&Path>,
    catalog: &Catalog,
    context: &Context,
) -> anyhow::Result<Arc<StandingRelays>> {
    let hosts = match &args.place {
        Place::Here => None,
        Place::Hosts(path) => Some(read_hosts(path)?),
        _ => {
            let told = Told::new(
                Exit::Usage,
                "machines are rented for jobs that end, not for rules",
            );
            return Err(told
                .hint("name hosts that stand: ssh:FILE with a line `REGION HOST` each")
                .into());
        }
    };
    let planner = Planner {
        args: args.clone(),
        hosts,
        config: config.map(Path::to_path_buf),
        catalog: catalog.clone(),
        clock: Arc::clone(&context.clock),
    };
    let (clock, rng) = (Arc::clone(&context.clock), context.rng.fork());
    Ok(Arc::new(StandingRelays::new(Arc::new(planner), clock, rng)))
}

#[async_trait]
impl PlanRelays for Planner {
    async fn plan(&self, ends: &RelayEnds) -> Option<StandingPlan> {
        let source = &ends.source.location;
        let targets = ends.targets.iter().map(|end| end.location.to_string());
        let targets = targets.collect::<Vec<_>>().join(", ");
        // With many destinations it takes a while.
        let (planner, asked) = (self.clone(), ends.clone());
        let planned = tokio::task::spawn_blocking(move || planner.planned(&asked)).await;
        match planned.map_err(anyhow::Error::from).flatten() {
            Ok(Ok((plan, why))) => {
                tracing::info!(%source, targets, why, "large objects go by relays");
                Some(plan)
            }
            Ok(Err(why)) => {
                tracing::info!(%source, targets, why, "no relays");
                None
            }
            Err(error) => {
                tracing::warn!(%source, targets, %error, "relays cannot be planned");
                None
            }
        }
    }
}

/// A plan for some of the targets that were asked for, and what is better about it; or why there is none.
struct Chosen {
    plan: Box<OverlayPlan>,
    carries: Vec<usize>,
    why: String,
}

impl Planner {
    /// A way's plan and why it is better; or why none is.
    fn planned(&self, ends: &RelayEnds) -> anyhow::Result<Result<(StandingPlan, String), String>> {
        let chosen = match self.chosen(ends)? {
            Ok(chosen) => chosen,
            Err(why) => return Ok(Err(why)),
        };
        let otherwise = match (self.args.purpose, ends.targets.len()) {
            // What one destination gets by relays was compared already, and there are no fewer.
            (Purpose::Speed, _) | (_, 1) => None,
            (Purpose::Cost, _) => {
                let each = chosen.carries.iter();
                let each = each.map(|at| self.otherwise(ends, *at));
                Some(each.collect::<anyhow::Result<Vec<Option<Usd>>>>()?)
            }
        };
        if let Some(otherwise) = &otherwise {
            let apart: Option<Usd> = otherwise.iter().copied().sum();
            let together = Usd::from_usd(chosen.plan.egress_usd / chosen.plan.volume_gb);
            if let Some(apart) = apart.filter(|apart| together >= *apart) {
                return Ok(Err(format!(
                    "together a GB costs {together}, apart {apart}"
                )));
            }
        }
        let plan = self.carried(&chosen, ends, otherwise)?;
        Ok(Ok((plan, chosen.why)))
    }

    /// What a GB costs one of the destinations without the others; `None` where that is not known.
    fn otherwise(&self, ends: &RelayEnds, target: usize) -> anyhow::Result<Option<Usd>> {
        let alone = RelayEnds {
            source: ends.source.clone(),
            targets: vec![ends.targets[target].clone()],
        };
        let (from, to) = (&ends.source.region, &ends.targets[target].region);
        Ok(match self.chosen(&alone)? {
            Ok(Chosen { plan, .. }) => Some(Usd::from_usd(plan.egress_usd / plan.volume_gb)),
            Err(_) => self.catalog.egress_usd_per_gb(from, to),
        })
    }

    fn chosen(&self, ends: &RelayEnds) -> anyhow::Result<Result<Chosen, String>> {
        let from = &ends.source.region;
        let is_known = |region: &Region| *region != Region::local();
        // Among several destinations those whose region is not known are left out.
        let needed = match ends.targets.as_slice() {
            [only] => vec![&ends.source, only],
            _ => vec![&ends.source],
        };
        if let Some(end) = needed.iter().find(|end| !is_known(&end.region)) {
            let why = format!(
                "the region of {} is not known: say it with ?region=",
                end.location
            );
            return Ok(Err(why));
        }
        let has_host = |region: &Region| {
            let mut hosts = self.hosts.iter().flatten();
            self.hosts.is_none() || hosts.any(|host| host.region == *region)
        };
        let there = |region: &Region| region != from && is_known(region) && has_host(region);
        let carries = (0..ends.targets.len()).filter(|at| there(&ends.targets[*at].region));
        let carries: Vec<usize> = carries.collect();
        let mut regions: Vec<Region> = carries
            .iter()
            .map(|at| ends.targets[*at].region.clone())
            .collect();
        match ends.targets.as_slice() {
            [only] if only.region == *from => {
                return Ok(Err("source and destination are in one region".into()));
            }
            [only] if carries.is_empty() => {
                return Ok(Err(format!("no host is in {}", only.region)));
            }
            [_] => {}
            _ if carries.len() < 2 => {
                return Ok(Err("no two of the destinations can share relays".into()));
            }
            _ => {}
        }
        let bytes = vec![PLANNED_BYTES; regions.len()];
        let direct = direct(from, &regions, &bytes, PART_BYTES.into(), &self.catalog);
        regions.sort();
        regions.dedup();
        let network = Network::from_catalog(&self.catalog, MachinePrices::OnDemand);
        let goal = match self.args.purpose {
            Purpose::Speed => Goal::Fastest,
            Purpose::Cost => Goal::Cheapest,
        };
        let gb = PLANNED_BYTES as f64 / 1e9;
        let mut asked = Request::new(from.clone(), regions, gb, goal);
        asked.vms_per_region = 1;
        asked.part_bytes = Some(PART_BYTES.into());
        if let Some(hosts) = &self.hosts {
            let has = |region: &Region| hosts.iter().filter(|host| host.region == *region).count();
            let most = network.regions().iter().map(has).max().unwrap_or(0);
            asked.vms_per_region = (most as u32).max(1);
            if let Some(bare) = only_in(&mut asked, &network, |region| has(region) > 0) {
                return Ok(Err(format!("no host is in {bare}")));
            }
        }
        let outcome = plan(&network, &asked, Engine::Best)?;
        let choice = choose(direct, &outcome, goal, Machines::Standing);
        Ok(match choice.way {
            Way::Direct => Err(choice.why),
            Way::Relays(plan) => Ok(Chosen {
                plan,
                carries,
                why: choice.why,
            }),
        })
    }

    fn carried(
        &self,
        chosen: &Chosen,
        ends: &RelayEnds,
        otherwise: Option<Vec<Option<Usd>>>,
    ) -> anyhow::Result<StandingPlan> {
        let place = &self.args.place;
        let (executor, connections) = executor(place, self.config.as_deref(), &self.clock)?;
        let targets = || chosen.carries.iter().map(|at| &ends.targets[*at]);
        let topology = shape(&OverlayShape {
            plan: &chosen.plan,
            hosts: self.hosts.as_deref(),
            source: spec(&ends.source.location),
            targets: targets()
                .map(|end| {
                    let location = &end.location;
                    (location.to_string(), end.region.clone(), spec(location))
                })
                .collect(),
            chunk_bytes: PART_BYTES,
            connections,
            security: Security::Sealed,
        })?;
        let regions = targets().map(|end| end.region.clone()).collect();
        Ok(StandingPlan {
            topology,
            executor,
            carries: chosen.carries.clone(),
            prices: HopPrices::of(&chosen.plan, regions),
            least_bytes: match self.args.purpose {
                Purpose::Cost => LEAST_BYTES,
                Purpose::Speed => LEAST_BYTES_FOR_SPEED,
            },
            otherwise,
        })
    }
}
