//! Relays for a bulk job: whether they are worth it, where they run, what they did.

mod direct;
mod place;
mod report;
mod standing;

use super::Request;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::rented;
use anyhow::Context as _;
use direct::direct;
pub(crate) use place::Place;
use place::read_hosts;
use serde::Serialize;
use skyfresh_engine::overlay::{
    Fallen, Host, Overlay, OverlaySeams, OverlayShape, flow_start_s, shape, spec,
};
use skyfresh_engine::region_of;
use skyfresh_plan::network::{MachinePrices, Network};
use skyfresh_plan::overlay::{
    Choice, Engine, Goal, Machines, OverlayPlan, Request as Asked, StartUp, Way, choose, plan,
};
use skyfresh_relay::executor::{Executor, LocalProcess, Ssh};
use skyfresh_relay::job::{Event, JobOptions, JobReport, Listener};
use skyfresh_relay::topology::{Security, Topology};
use skyfresh_relay::{NodeId, Result as RelayResult};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Clock, Location, Region, parse_delay};
pub(crate) use standing::{Purpose, StandingArgs, standing};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Most bytes of a part that relays carry; larger where an object has too many such parts.
pub(crate) const PART_BYTES: u32 = 16 << 20;
const LARGE_PART_BYTES: u32 = 64 << 20;
/// Parallel connections of each hop, on one machine and between hosts.
const CONNECTIONS_HERE: u16 = 4;
const CONNECTIONS: u16 = 32;

/// What is asked of relays.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct RelayArgs {
    /// Let relays carry large objects where the planner finds that cheaper or faster than direct: local (processes of this
    /// machine), ssh:FILE (hosts with skyfresh, a line `REGION HOST` each), rented:FILE (machines of AWS, Google Cloud and Azure,
    /// rented for the job and given back; docs/overlay.md), or aws:FILE, gcp:FILE, azure:FILE (of one of them)
    #[arg(long, value_name = "WHERE")]
    pub(crate) relays: Option<Place>,
    /// With --relays: the cheapest way that ends within this time [default: the cheapest way]
    #[arg(long, value_name = "DELAY", value_parser = parse_delay, group = "goal", requires = "relays")]
    deadline: Option<Duration>,
    /// With --relays: the fastest way for at most this many dollars
    #[arg(long, value_name = "USD", value_parser = crate::commands::plan::parse_usd, group = "goal", requires = "relays")]
    budget: Option<f64>,
    /// With --relays: the fastest way, whatever it costs
    #[arg(long, group = "goal", requires = "relays")]
    fastest: bool,
    /// With --relays local or rented machines: most relays in a region
    #[arg(long, value_name = "N", default_value_t = 1, requires = "relays", value_parser = clap::value_parser!(u32).range(1..=64))]
    relay_count: u32,
}

impl RelayArgs {
    fn goal(&self) -> Goal {
        match (self.deadline, self.budget) {
            (Some(deadline), _) => Goal::Deadline(deadline.as_secs_f64()),
            (_, Some(usd)) => Goal::Budget(usd),
            _ if self.fastest => Goal::Fastest,
            _ => Goal::Cheapest,
        }
    }
}

/// What was decided, and by what.
pub(super) struct Decided {
    pub(super) choice: Choice,
    hosts: Option<Vec<Host>>,
    targets: Vec<Region>,
}

/// What each destination lacks.
pub(super) struct Planned {
    /// Bytes.
    pub(super) bytes: Vec<u64>,
    /// Of these, bytes that relays could carry.
    pub(super) in_parts: Vec<u64>,
}

impl Planned {
    /// Most bytes of a part that relays carry: an object has 10,000 parts at most.
    fn chunk_bytes(&self) -> u32 {
        let bytes = self.in_parts.iter().copied().max().unwrap_or(0);
        match bytes.div_ceil(PART_BYTES.into()) > 10_000 {
            true => LARGE_PART_BYTES,
            false => PART_BYTES,
        }
    }
}

/// Decides for what each destination lacks. Small objects go direct in any case, and are not counted.
///
/// # Errors
/// A side whose region is not known, or hosts that cannot be read.
pub(super) fn decide(
    request: &Request<'_>,
    place: &Place,
    planned: &Planned,
    catalog: &Catalog,
) -> anyhow::Result<Decided> {
    let region = |location| {
        let region = region_of(location, None);
        match region == Region::local() {
            false => Ok(region),
            true => Err(Told::new(
                Exit::Usage,
                format!("the region of {location} is not known, so that relays cannot be planned"),
            )
            .hint("say it: ?region=aws:us-east-1, or leave --relays out")),
        }
    };
    let source = region(&request.source.location)?;
    let targets: Result<Vec<Region>, Told> = request
        .targets
        .iter()
        .map(|target| region(&target.location))
        .collect();
    let targets = targets?;
    let hosts = match place {
        Place::Here | Place::Rented(..) => None,
        Place::Hosts(path) => Some(read_hosts(path)?),
    };
    let renting = match place {
        Place::Rented(path, only) => Some(rented::Renting::read(path, *only)?),
        Place::Here | Place::Hosts(_) => None,
    };
    let relays = &request.args.relays;
    let goal = relays.goal();
    // Both ways move the same parts.
    let usual = u64::from(planned.chunk_bytes());
    let part_bytes = request.options.part_bytes.unwrap_or(usual);
    let direct = direct(&source, &targets, &planned.in_parts, part_bytes, catalog);
    let mut destinations: Vec<Region> = targets.clone();
    destinations.retain(|region| *region != source);
    destinations.sort();
    destinations.dedup();
    let bytes = planned.in_parts.iter().copied().max().unwrap_or(0);
    let decided = |choice| Decided {
        choice,
        hosts: hosts.clone(),
        targets: targets.clone(),
    };
    let stay = |why: &str| {
        decided(Choice {
            way: Way::Direct,
            why: why.to_owned(),
        })
    };
    if destinations.is_empty() {
        return Ok(stay("source and destinations are in one region"));
    }
    if planned.bytes.iter().all(|bytes| *bytes == 0) {
        return Ok(stay("there is nothing to copy"));
    }
    if bytes == 0 {
        return Ok(stay(
            "all objects are small, and relays carry parts of large ones",
        ));
    }
    let addresses = renting.as_ref().map(rented::Renting::addresses);
    let network = Network::from_catalog(catalog, MachinePrices::OnDemand);
    let network = network.reached_by(addresses.unwrap_or_default());
    let mut asked = Asked::new(source.clone(), destinations, bytes as f64 / 1e9, goal);
    asked.vms_per_region = relays.relay_count;
    asked.part_bytes = Some(part_bytes);
    let mut machines = Machines::Standing;
    if let Some(hosts) = &hosts {
        let has = |region: &Region| hosts.iter().filter(|host| host.region == *region).count();
        let most = network.regions().iter().map(has).max().unwrap_or(0);
        asked.vms_per_region = (most as u32).max(1);
        if let Some(bare) = only_in(&mut asked, &network, |region| has(region) > 0) {
            return Ok(stay(&format!("no host is in {bare}")));
        }
    }
    if let Some(renting) = &renting {
        machines = Machines::Rented;
        asked.start_up = StartUp::Counted;
        if let Some(bare) = only_in(&mut asked, &network, |region| renting.is_in(region)) {
            return Ok(stay(&format!("no machine is offered in {bare}")));
        }
        let sides = std::iter::once(&request.source).chain(&request.targets);
        let mut locations = sides.map(|side| &side.location);
        if let Some(own) = locations.find(|location| needs_configuration(location)) {
            let why = format!(
                "{own} names an endpoint or a profile of this machine, which rented ones do not know"
            );
            return Ok(stay(&why));
        }
    }
    let outcome = plan(&network, &asked, Engine::Best)
        .map_err(|error| Told::new(Exit::Usage, error.to_string()))?;
    if let (Some(renting), Some(plan)) = (&renting, outcome.plan())
        && !renting.lives_through(plan.time_s)
    {
        let why = format!(
            "relays would take {:.0} s, and machines end before: raise longest_life",
            plan.time_s
        );
        return Ok(stay(&why));
    }
    Ok(decided(choose(direct, &outcome, goal, machines)))
}

/// Whether a location can be opened only with this machine's configuration or profiles.
fn needs_configuration(location: &Location) -> bool {
    let by_name = location
        .option("endpoint")
        .is_some_and(|endpoint| !endpoint.contains("://"));
    by_name || location.option("profile").is_some()
}

/// Restricts a plan to regions that have machines. A source or destination without one.
fn only_in(asked: &mut Asked, network: &Network, has: impl Fn(&Region) -> bool) -> Option<Region> {
    let without = network.regions().iter().filter(|region| !has(region));
    asked.without_regions = without.cloned().collect();
    let mut ends = std::iter::once(&asked.source).chain(&asked.destinations);
    ends.find(|region| !has(region)).cloned()
}

/// Starts relays where nothing is rented, each with the configuration in `config`; and how many connections a hop has there.
fn executor(
    place: &Place,
    config: Option<&Path>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<(Arc<dyn Executor>, u16)> {
    let mut arguments = vec!["relay".to_owned()];
    if let Some(path) = config {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
        arguments.extend(["--config".to_owned(), path.display().to_string()]);
    }
    let clock = Arc::clone(clock);
    if *place == Place::Here {
        let program = std::env::current_exe().context("cannot find this program")?;
        let local = LocalProcess::new(program, arguments, clock);
        return Ok((Arc::new(local), CONNECTIONS_HERE));
    }
    // Hosts of one's own are told nothing of this machine's files.
    let command = vec!["skyfresh".to_owned(), "relay".to_owned()];
    Ok((Arc::new(Ssh::new(command, clock)), CONNECTIONS))
}

/// Relays at work.
pub(super) struct Running {
    plan: OverlayPlan,
    /// How long relays should take once they have started, in seconds.
    expected_s: f64,
    topology: Topology,
    job: JoinHandle<RelayResult<JobReport>>,
    fallen: Arc<Fallen>,
}

impl Decided {
    /// Starts the relays, where that was decided; the overlay goes to the bulk job.
    pub(super) fn start(
        &self,
        request: &Request<'_>,
        place: &Place,
        planned: &Planned,
        catalog: &Catalog,
        context: &Context,
    ) -> anyhow::Result<Option<(Overlay, Running)>> {
        let Way::Relays(plan) = &self.choice.way else {
            return Ok(None);
        };
        let (executor, connections): (Arc<dyn Executor>, u16) = match place {
            Place::Here | Place::Hosts(_) => {
                executor(place, request.args.config.as_deref(), &context.clock)?
            }
            // This host's file is not on a machine that is new.
            Place::Rented(path, only) => {
                let executor = rented::Renting::read(path, *only)?.executor(context)?;
                (Arc::new(executor), CONNECTIONS)
            }
        };
        let targets = request.targets.iter().zip(&self.targets);
        let topology = shape(&OverlayShape {
            plan,
            hosts: self.hosts.as_deref(),
            source: spec(&request.source.location),
            targets: targets
                .map(|(target, region)| {
                    let location = &target.location;
                    (location.to_string(), region.clone(), spec(location))
                })
                .collect(),
            chunk_bytes: planned.chunk_bytes(),
            connections,
            security: Security::Sealed,
        })
        .context("the plan cannot be carried out")?;
        let seams = OverlaySeams {
            executor,
            clock: Arc::clone(&context.clock),
            rng: context.rng.fork(),
            listener: Some(listener()),
            stop: context.stop.clone(),
        };
        let (overlay, job) = Overlay::start(topology.clone(), JobOptions::default(), seams);
        let round_trip_s = |from: &NodeId, to: &NodeId| round_trip_s(catalog, &topology, from, to);
        let flow_start_s = flow_start_s(&topology, plan, round_trip_s);
        let running = Running {
            plan: (**plan).clone(),
            // The machines' own start is told apart.
            expected_s: plan.time_s - plan.start_s + flow_start_s,
            topology,
            fallen: overlay.fallen(),
            job: tokio::spawn(job),
        };
        Ok(Some((overlay, running)))
    }

    /// Whether relays carry it.
    pub(super) fn by_relays(&self) -> bool {
        matches!(self.choice.way, Way::Relays(_))
    }

    /// Says which way, and why.
    pub(super) fn tell(&self, context: &Context) -> anyhow::Result<()> {
        let by_relays = self.by_relays();
        if context.output.json {
            #[derive(Serialize)]
            struct Line<'a> {
                way: &'static str,
                why: &'a str,
                #[serde(skip_serializing_if = "Option::is_none")]
                plan: Option<&'a OverlayPlan>,
            }
            let plan = match &self.choice.way {
                Way::Relays(plan) => Some(&**plan),
                Way::Direct => None,
            };
            return context.output.json_line(&Line {
                way: if by_relays { "relays" } else { "direct" },
                why: &self.choice.why,
                plan,
            });
        }
        let way = if by_relays { "by relays" } else { "direct" };
        context
            .output
            .note(format_args!("way: {way}, because {}", self.choice.why));
        Ok(())
    }
}

/// Between two relays, in seconds, where the catalogue knows it.
fn round_trip_s(catalog: &Catalog, topology: &Topology, from: &NodeId, to: &NodeId) -> f64 {
    let region = |id| topology.node(id)?.region.parse::<Region>().ok();
    let ends = region(from).zip(region(to));
    let link = ends.and_then(|(from, to)| catalog.link(&from, &to));
    link.map_or(0.0, |link| link.rtt_ms / 1e3)
}

/// Losses are worth a line in the log, whatever its level.
fn listener() -> Listener {
    Arc::new(|event| match event {
        Event::NodeLost { node, why } => tracing::warn!(%node, why, "a relay is lost"),
        Event::LinkLost { from, to, why } => tracing::warn!(%from, %to, why, "a link is cut"),
        Event::NodeReplaced { dead, by } => tracing::warn!(%dead, %by, "a relay was replaced"),
        Event::DestinationFailed { failed, .. } => {
            tracing::warn!(why = failed.why, "relays do not reach a destination");
        }
        Event::Written { .. } | Event::Progress(_) => {}
    })
}
