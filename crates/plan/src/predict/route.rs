//! What is known of one way from a source to a destination: the catalogue's figures, as distributions.

use serde::{Deserialize, Serialize};
use skyfresh_sky::catalog::{Catalog, FunctionPlatform, Link, StateService, function_platform};
use skyfresh_sky::{Distribution, Invalid, Provider, Region};

/// Where the workers of a plan run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Site {
    /// In which region.
    pub region: Region,
    /// On what.
    pub host: Host,
}

/// What runs workers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Host {
    /// The process that decides: there already, and paid for whether it works or not.
    Process,
    /// Cloud functions, as the catalogue names their platform.
    Functions {
        /// E.g. `aws-lambda`.
        platform: String,
        /// Memory of each, in MB.
        memory_mb: u64,
    },
}

impl Site {
    /// The deciding process, in this region.
    pub fn process(region: Region) -> Self {
        Site {
            region,
            host: Host::Process,
        }
    }

    /// The functions that the region's provider has, with the memory that the catalogue's rates were measured at; `None`
    /// where the catalogue knows none.
    pub fn functions(region: Region) -> Option<Self> {
        let name = match region.provider {
            Provider::Aws => "aws-lambda",
            Provider::Azure => "azure-functions",
            Provider::Gcp => "gcp-functions",
            _ => return None,
        };
        let platform = function_platform(name)?;
        Some(Site {
            region,
            host: Host::Functions {
                platform: name.to_owned(),
                memory_mb: platform.memory_mb,
            },
        })
    }

    /// What bills for workers here, and the memory of each in MB; `None` where nothing does.
    pub fn billed(&self) -> Option<(&'static FunctionPlatform, u64)> {
        match &self.host {
            Host::Functions { memory_mb, .. } => self.platform().map(|it| (it, *memory_mb)),
            Host::Process => None,
        }
    }

    /// The platform, where it is one of functions that the catalogue lists.
    pub fn platform(&self) -> Option<&'static FunctionPlatform> {
        match &self.host {
            Host::Functions { platform, .. } => function_platform(platform),
            Host::Process => None,
        }
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            Host::Process => write!(f, "{}", self.region),
            Host::Functions { platform, .. } => write!(f, "{platform} in {}", self.region),
        }
    }
}

/// How delays are modelled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// The catalogue's measured distributions as they are; parts are pulled.
    #[default]
    Measured,
    /// λReplica's (slides, "The Brain"): a worker's time is Normal, that of the last of n equal workers Gumbel.
    NormalGumbel,
}

/// Connections over which the catalogue's link throughputs were measured (Skyplane, NSDI '23, section 4): one carries
/// this part of it.
const MEASURED_CONNECTIONS: f64 = 64.0;
/// 10⁶ bytes a second in a Gbit/s.
const MB_PER_S_IN_GBPS: f64 = 125.0;
/// What a process moves at most, in 10⁶ bytes a second: a network card of 10 Gbit/s, which machines of four cores and more
/// have in every cloud. An assumption: what it is in fact is learnt from receipts.
const PROCESS_MB_PER_S: f64 = 1_250.0;
/// One connection within a region, in 10⁶ bytes a second: the median of a Lambda reading from S3 (`function_quantiles.csv`).
const LOCAL_CONNECTION_MB_PER_S: f64 = 99.8;
/// Round trip within a region, ms (between zones; providers state "low single digits").
const LOCAL_ROUND_TRIP_MS: f64 = 1.0;
/// What an object store takes to answer, beside the way there: p50 and p99 in ms. Assumed: providers document 100 to 200 ms
/// to the first byte of a small object as usual (S3's performance guidelines), measured by others as tens of ms.
const STORE_ANSWER_MS: (f64, f64) = (25.0, 120.0);
/// The same of a state service that the catalogue has no latency of, in ms.
const STATE_ANSWER_MS: (f64, f64) = (5.0, 20.0);

/// One end of a route, as workers see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Leg {
    /// One connection, in 10⁶ bytes a second.
    pub connection_mb_per_s: f64,
    /// There and back, in ms.
    pub round_trip_ms: f64,
    /// At least one of the figures was not measured but estimated, or is a guess.
    pub estimated: bool,
}

impl Leg {
    /// The throughput that the catalogue must list of a link, in Gbit/s, for one connection over it to be as fast as this.
    pub fn link_gbps(connection_mb_per_s: f64) -> f64 {
        connection_mb_per_s * MEASURED_CONNECTIONS / MB_PER_S_IN_GBPS
    }

    fn between(worker: &Region, store: &Region, link: Option<Link>) -> Self {
        if worker == store
            || worker.provider == Provider::Local
            || store.provider == Provider::Local
        {
            return Leg {
                connection_mb_per_s: LOCAL_CONNECTION_MB_PER_S,
                round_trip_ms: LOCAL_ROUND_TRIP_MS,
                estimated: false,
            };
        }
        match link {
            Some(link) => Leg {
                connection_mb_per_s: link.throughput_gbps * MB_PER_S_IN_GBPS / MEASURED_CONNECTIONS,
                round_trip_ms: link.rtt_ms,
                estimated: link.estimated.throughput || link.estimated.rtt,
            },
            // The catalogue's slowest tenth, so that nothing is promised of it.
            None => Leg {
                connection_mb_per_s: 2.0,
                round_trip_ms: 250.0,
                estimated: true,
            },
        }
    }
}

/// The way from a source to a destination by workers at one site.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Where objects come from.
    pub source: Region,
    /// Where they go.
    pub destination: Region,
    /// Where workers run.
    pub site: Site,
    /// From the source's store to a worker.
    pub read: Leg,
    /// From a worker to the destination's store.
    pub write: Leg,
    /// From asking for a worker until it runs, in seconds.
    pub start_s: Distribution,
    /// What one stream of an instance reads at most, in 10⁶ bytes a second.
    pub read_mb_per_s: Distribution,
    /// What one stream of an instance writes at most, in 10⁶ bytes a second.
    pub write_mb_per_s: Distribution,
    /// What all streams of the process share (its network card), in 10⁶ bytes a second; each function has an instance of its
    /// own, and no such limit.
    pub host_mb_per_s: f64,
    /// What a store takes to answer a request, beside the round trip, in ms.
    pub store_answer_ms: Distribution,
    /// One operation on the ledger, in ms.
    pub ledger_ms: Distribution,
    /// Which model of it predicts.
    pub family: Family,
}

impl Route {
    /// The route as the catalogue has it, before anything was learnt. `cold` is the share of starts that find no idle
    /// instance, 0 to 1.
    ///
    /// # Errors
    /// A platform that the catalogue does not list.
    pub fn of(
        catalog: &Catalog,
        source: &Region,
        destination: &Region,
        site: &Site,
        state: Option<&StateService>,
        cold: f64,
    ) -> Result<Self, Invalid> {
        let leg = |store: &Region, link| Leg::between(&site.region, store, link);
        let (start_s, read_mb_per_s, write_mb_per_s) = match &site.host {
            Host::Process => {
                let unlimited = Distribution::Constant(f64::MAX / 1e12);
                (Distribution::Constant(0.0), unlimited.clone(), unlimited)
            }
            Host::Functions { platform, .. } => {
                let listed = function_platform(platform).ok_or_else(|| {
                    let why = "the catalogue lists aws-lambda, azure-functions and gcp-functions";
                    Invalid::new("function platform", platform.clone(), why)
                })?;
                (
                    starts(listed, cold),
                    listed.read_mb_per_s.clone(),
                    listed.write_mb_per_s.clone(),
                )
            }
        };
        let (p50, p99) = STATE_ANSWER_MS;
        let ledger_ms = match state {
            // The embedded ledger: a commit to a local disk.
            None => Distribution::Constant(1.0),
            Some(state) => state
                .latency_ms
                .clone()
                .unwrap_or_else(|| Distribution::from_p50_p99(p50, p99)),
        };
        Ok(Route {
            read: leg(source, catalog.link(source, &site.region)),
            write: leg(destination, catalog.link(&site.region, destination)),
            source: source.clone(),
            destination: destination.clone(),
            site: site.clone(),
            start_s,
            read_mb_per_s,
            write_mb_per_s,
            host_mb_per_s: match site.host {
                Host::Process => PROCESS_MB_PER_S,
                Host::Functions { .. } => f64::INFINITY,
            },
            store_answer_ms: Distribution::from_p50_p99(STORE_ANSWER_MS.0, STORE_ANSWER_MS.1),
            ledger_ms,
            family: Family::default(),
        })
    }
}

fn starts(platform: &FunctionPlatform, cold: f64) -> Distribution {
    let part = |weight: f64, of: &Distribution| skyfresh_sky::Weighted {
        weight,
        of: of.clone(),
    };
    let cold = cold.clamp(0.0, 1.0);
    if cold == 0.0 {
        return platform.start_warm_s.clone();
    }
    Distribution::Mixture(vec![
        part(1.0 - cold, &platform.start_warm_s),
        part(cold, &platform.start_cold_s),
    ])
}
