//! From a scenario, a world: places become sites, pairs of regions ways with the catalogue's figures.

use super::{Place, Scenario};
use crate::observer::Terms;
use crate::world::{
    Blueprint, Dispatcher, EPOCH, Fleet, FunctionSettings, Pipe, Route, ServiceModel, Sim, Site,
    StateStore, Way,
};
use skyfresh_engine::planning::WorkerPlace;
use skyfresh_engine::{Destination, EngineConfig, Rule};
use skyfresh_ledger::MemoryLedger;
use skyfresh_plan::predict::{Host, Site as PlanSite};
use skyfresh_sky::catalog::{Catalog, function_platform, state_service, storage_price, vm};
use skyfresh_sky::{Distribution, Invalid, Location, Region, Rng};
use skyfresh_store::memory::BucketStyle;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// The rule's name.
pub(super) const RULE: &str = "scenario";
/// Connections over which the catalogue's link throughputs were measured (Skyplane, NSDI '23): one carries this part of it.
const MEASURED_CONNECTIONS: f64 = 64.0;
/// What one connection carries within a region, bytes per second: the median of a Lambda reading from S3 in its region, the
/// catalogue's `function_quantiles.csv`.
const LOCAL_CONNECTION_BYTES_PER_S: f64 = 99.8e6;
const BYTES_PER_GBIT: f64 = 1e9 / 8.0;
/// Round trip within a region, ms (between zones; providers state "low single digits").
const LOCAL_RTT_MS: f64 = 1.0;

/// A destination's bucket and name.
pub(super) fn bucket(index: usize) -> String {
    format!("d{}", index + 1)
}

pub(super) fn location(bucket: &str) -> Result<Location, Invalid> {
    format!("mem://{bucket}/").parse()
}

/// What the observer is told.
pub(super) fn terms(scenario: &Scenario) -> Terms {
    let names = (0..scenario.destinations.len()).map(bucket);
    Terms {
        start: EPOCH,
        rule: RULE.to_owned(),
        destinations: names.map(|name| (name.clone(), name)).collect(),
        delete: scenario.delete,
        max_deletes: u64::MAX,
        exact_ledger: scenario.state.service == "embedded",
        slo: scenario.slo.delay,
        capacity: scenario.engine.lane_concurrency as u64 * u64::from(scenario.engine.processes),
        keeps_receipts: scenario.load.keep_receipts,
    }
}

fn way(catalog: &Catalog, from: &Region, to: &Region, seed: u64) -> Result<Way, Invalid> {
    let (rtt_ms, connection_bytes_per_s) = if from == to {
        (LOCAL_RTT_MS, LOCAL_CONNECTION_BYTES_PER_S)
    } else {
        let link = catalog.link(from, to).ok_or_else(|| {
            let why = "the catalogue has no figures of the link between these regions";
            Invalid::new("region", format!("{from} and {to}"), why)
        })?;
        let link_bytes_per_s = link.throughput_gbps * BYTES_PER_GBIT;
        (link.rtt_ms, link_bytes_per_s / MEASURED_CONNECTIONS)
    };
    Ok(Way {
        latency_ms: Distribution::Constant(rtt_ms),
        connection_bytes_per_s,
        pipes: Vec::new(),
        instance: None,
        draws: Rng::named(seed, &format!("way.{from}.{to}")),
    })
}

fn site(place: &Place) -> Arc<Site> {
    let limits = storage_price(place.region.provider);
    Site::new(
        place.region.clone(),
        place.service_ms.clone(),
        limits.and_then(|limits| limits.prefix_writes_per_s),
        limits.and_then(|limits| limits.prefix_reads_per_s),
        limits.and_then(|limits| limits.object_writes_per_s),
    )
}

/// Where the engine's processes run.
pub(super) fn home(scenario: &Scenario) -> Region {
    let source = scenario.source.as_ref().map(|place| place.region.clone());
    let chosen = scenario.engine.region.clone().or(source);
    chosen.unwrap_or_else(Region::local)
}

fn rule(scenario: &Scenario) -> Result<Rule, Invalid> {
    let mut rule = Rule::new(RULE, location("source")?, Vec::new());
    rule.source_region = scenario.source.as_ref().map(|place| place.region.clone());
    for (index, place) in scenario.destinations.iter().enumerate() {
        rule.destinations.push(Destination {
            name: bucket(index),
            location: location(&bucket(index))?,
            region: Some(place.region.clone()),
            storage_class: BTreeMap::new(),
            server_copy: place.server_copy,
        });
    }
    rule.slo = scenario.slo;
    rule.budget = scenario.budget;
    rule.batching = scenario.plan.as_ref().is_some_and(|plan| plan.batching);
    rule.delete = scenario.delete;
    // A load may delete as much as it likes.
    rule.max_deletes = u64::MAX / 2;
    rule.allow_empty_source = true;
    rule.sweep_every = Duration::from_secs(scenario.engine.sweep_every_s);
    Ok(rule)
}

/// Where functions run: as the scenario says, or wherever a plan may want them.
fn functions(scenario: &Scenario, source: &Place) -> Result<Vec<FunctionSettings>, Invalid> {
    let mut regions = Vec::new();
    let sites = scenario.plan.iter().flat_map(|plan| &plan.sites);
    for site in sites {
        match site.parse()? {
            WorkerPlace::Source => regions.push(source.region.clone()),
            WorkerPlace::Destination => regions.extend(
                scenario
                    .destinations
                    .iter()
                    .map(|place| place.region.clone()),
            ),
            WorkerPlace::Region(region) => regions.push(region),
        }
    }
    regions.sort();
    regions.dedup();
    let planned = regions.into_iter().filter_map(|region| {
        let PlanSite { region, host } = PlanSite::functions(region)?;
        match host {
            Host::Functions {
                platform,
                memory_mb,
            } => Some(FunctionSettings {
                platform,
                region,
                memory_mb,
            }),
            Host::Process => None,
        }
    });
    Ok(planned.chain(scenario.functions.clone()).collect())
}

/// Makes the buckets, and what processes are made from.
pub(super) fn blueprint(
    sim: &Arc<Sim>,
    scenario: &Scenario,
    seed: u64,
) -> Result<Blueprint, Invalid> {
    let Some(source) = &scenario.source else {
        let why = "needs a [source]";
        return Err(Invalid::new("scenario", scenario.title.clone(), why));
    };
    let mut sites = BTreeMap::from([("source".to_owned(), site(source))]);
    for (index, place) in scenario.destinations.iter().enumerate() {
        sites.insert(bucket(index), site(place));
    }
    for name in sites.keys() {
        sim.sky.create_bucket(name);
        // Opaque tags, as other clouds give them: nothing of what is simulated depends on MD5, which would take most of the time.
        let style = BucketStyle {
            content_etags: false,
            states_checksums: true,
        };
        sim.sky.set_style(name, style);
    }
    let home = home(scenario);
    let mut near: BTreeSet<Region> = BTreeSet::from([home.clone()]);
    let functions = functions(scenario, source)?;
    near.extend(functions.iter().map(|it| it.region.clone()));
    // Stores that copy by themselves are as far from the source as workers beside it would be.
    let by_store = scenario.destinations.iter().any(|place| place.server_copy);
    near.extend(by_store.then(|| source.region.clone()));
    let mut ways = BTreeMap::new();
    for from in &near {
        for site in sites.values() {
            let way = way(&sim.catalog, from, &site.region, seed)?;
            ways.insert((from.clone(), site.region.clone()), way);
        }
    }
    let engine = &scenario.engine;
    let state = match state_service(&scenario.state.service) {
        Some(service) => {
            let latency_ms = service.latency_ms.clone();
            let latency_ms = latency_ms.unwrap_or(Distribution::Constant(5.0));
            let limit = service.partition_writes_per_s;
            StateStore::Shared(Arc::new(ServiceModel::new(latency_ms, limit)))
        }
        None => StateStore::Embedded {
            ledger: Arc::new(MemoryLedger::new()),
            latency_ms: scenario.state.commit_ms.clone(),
        },
    };
    let machine = engine.machine.as_deref().and_then(vm);
    let card = |_| machine.map(|machine| Pipe::new(machine.egress_gbps * BYTES_PER_GBIT));
    let fleets = functions.into_iter().filter_map(|settings| {
        let platform = function_platform(&settings.platform)?;
        Some(Arc::new(Fleet::new(settings, platform, seed)))
    });
    let mut config = EngineConfig::new("of a process");
    config.lane_concurrency = engine.lane_concurrency;
    // As the product has it: four lanes' worth.
    config.inline_in_flight = 4 * engine.lane_concurrency;
    config.network_bytes_per_s =
        machine.map(|machine| (machine.egress_gbps * BYTES_PER_GBIT) as u64);
    config.parts_in_flight = engine.parts_in_flight;
    config.sizing.part_bytes = engine.part_bytes;
    config.sizing.max_workers = engine.max_workers;
    config.sizing.parts_a_worker = engine.parts_a_worker;
    if !engine.changelog {
        config.changelog.least_bytes = u64::MAX;
        config.changelog.least_parts_bytes = u64::MAX;
    }
    config.retention = Duration::from_secs(engine.retention_s);
    Ok(Blueprint {
        sim: Arc::clone(sim),
        rule: rule(scenario)?,
        config,
        state,
        dispatcher: Arc::new(Dispatcher::new(engine.dispatch)),
        route: Arc::new(Route { sites, ways }),
        region: home,
        cards: (0..engine.processes).map(card).collect(),
        fleets: fleets.collect(),
        plan: scenario.plan.clone(),
        state_service: Some(scenario.state.service.clone()).filter(|name| name != "embedded"),
        max_parts_in_flight: engine.max_parts_in_flight,
        starts_in: Duration::from_secs_f64(machine.map_or(0.0, |machine| machine.provisioning_s)),
    })
}
