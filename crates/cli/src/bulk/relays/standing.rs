//! Relays that stand by while rules run: which ways they carry, and where they are.

use super::direct::direct;
use super::place::{Place, read_hosts};
use super::{executor, only_in};
use crate::context::Context;
use crate::exit::{Exit, Told};
use async_trait::async_trait;
use skyfresh_engine::overlay::{
    Host, OverlayShape, PlanRelays, StandingPlan, StandingRelays, shape, spec,
};
use skyfresh_engine::region_of;
use skyfresh_plan::network::{MachinePrices, Network};
use skyfresh_plan::overlay::{Engine, Goal, Machines, OverlayPlan, Request, Way, choose, plan};
use skyfresh_relay::topology::Security;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Location, Region, Usd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most bytes of a part that they carry: the planner's largest.
const PART_BYTES: u32 = 64 << 20;
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

#[derive(Debug)]
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
    async fn plan(&self, source: &Location, target: &Location) -> Option<StandingPlan> {
        match self.planned(source, target) {
            Ok(Ok((plan, why))) => {
                tracing::info!(%source, %target, why, "large objects go by relays");
                Some(plan)
            }
            Ok(Err(why)) => {
                tracing::info!(%source, %target, why, "everything goes direct");
                None
            }
            Err(error) => {
                tracing::warn!(%source, %target, %error, "relays cannot be planned: everything goes direct");
                None
            }
        }
    }
}

impl Planner {
    /// A way's plan and why it is better; or why none is.
    fn planned(
        &self,
        source: &Location,
        target: &Location,
    ) -> anyhow::Result<Result<(StandingPlan, String), String>> {
        let (from, to) = (region_of(source, None), region_of(target, None));
        for (location, region) in [(source, &from), (target, &to)] {
            if *region == Region::local() {
                let why = format!("the region of {location} is not known: say it with ?region=");
                return Ok(Err(why));
            }
        }
        if from == to {
            return Ok(Err("source and destination are in one region".into()));
        }
        let network = Network::from_catalog(&self.catalog, MachinePrices::OnDemand);
        let goal = match self.args.purpose {
            Purpose::Speed => Goal::Fastest,
            Purpose::Cost => Goal::Cheapest,
        };
        let gb = PLANNED_BYTES as f64 / 1e9;
        let mut asked = Request::new(from.clone(), vec![to.clone()], gb, goal);
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
        let direct = direct(
            &from,
            std::slice::from_ref(&to),
            &[PLANNED_BYTES],
            PART_BYTES.into(),
            &self.catalog,
        );
        let choice = choose(direct, &outcome, goal, Machines::Standing);
        match choice.way {
            Way::Direct => Ok(Err(choice.why)),
            Way::Relays(plan) => Ok(Ok((
                self.carried(&plan, source, (target, &to))?,
                choice.why,
            ))),
        }
    }

    fn carried(
        &self,
        plan: &OverlayPlan,
        source: &Location,
        (target, region): (&Location, &Region),
    ) -> anyhow::Result<StandingPlan> {
        let place = &self.args.place;
        let (executor, connections) = executor(place, self.config.as_deref(), &self.clock)?;
        let topology = shape(&OverlayShape {
            plan,
            hosts: self.hosts.as_deref(),
            source: spec(source),
            targets: vec![(target.to_string(), region.clone(), spec(target))],
            chunk_bytes: PART_BYTES,
            connections,
            security: Security::Sealed,
        })?;
        Ok(StandingPlan {
            topology,
            executor,
            egress_per_gb: Usd::from_usd(plan.egress_usd / plan.volume_gb),
        })
    }
}
