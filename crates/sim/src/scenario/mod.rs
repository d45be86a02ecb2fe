//! Scenarios: a system, a load and what goes wrong, as a file that people read.
//!
//! **In:** TOML text. **Out:** a [`Scenario`], checked: everything it names exists in the catalogue. **Never:** fills a gap with a
//! figure that it does not name: what is left out has the default that its documentation states.

mod build;
mod edits;
mod pattern;
mod report;
mod run;

pub use edits::EditSettings;
pub use report::{Dollars, Report};
pub use run::{Load, Trouble, run};

use crate::fault::Step;
use crate::trace::Synthetic;
use crate::world::{Dispatch, FunctionSettings};
use serde::{Deserialize, Serialize};
use skyfresh_engine::planning::WorkerPlace;
use skyfresh_plan::predict::Family;
use skyfresh_plan::replicate::Budget;
use skyfresh_sky::catalog::{
    function_platform, notification_path, state_service, storage_price, vm,
};
use skyfresh_sky::{Distribution, Invalid, Region, Slo};

/// See the module. Either `storm`, or a source, destinations and a load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in a line.
    pub title: String,
    /// The seed where the caller names none.
    #[serde(default = "one")]
    pub seed: u64,
    /// Schedules of faults are generated from seeds, and the guarantees are watched; nothing else is said then.
    #[serde(default)]
    pub storm: bool,
    /// How fresh destinations shall be.
    #[serde(default)]
    pub slo: Slo,
    /// Where users write.
    #[serde(default)]
    pub source: Option<Place>,
    /// Where it must also be.
    #[serde(default, rename = "destination")]
    pub destinations: Vec<Place>,
    /// Whether deletes travel.
    #[serde(default)]
    pub delete: bool,
    /// How the engine runs.
    #[serde(default)]
    pub engine: EngineSettings,
    /// Where its ledger is.
    #[serde(default)]
    pub state: StateSettings,
    /// How changes are told.
    #[serde(default)]
    pub notifications: NotificationSettings,
    /// Functions that copy large objects; without them workers run in the engine's processes.
    #[serde(default)]
    pub functions: Option<FunctionSettings>,
    /// The engine plans by itself, instead of by `engine.part_bytes`, `engine.max_workers` and `[functions]`.
    #[serde(default)]
    pub plan: Option<PlanSettings>,
    /// Most dollars of the rule.
    #[serde(default)]
    pub budget: Option<Budget>,
    /// What users do.
    #[serde(default)]
    pub load: LoadSettings,
    /// What goes wrong, and when.
    #[serde(default, rename = "fault")]
    pub faults: Vec<Step>,
}

/// A bucket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Its region.
    pub region: Region,
    /// What its store takes to answer, in ms, without the way there. Default: p50 25, p99 120 (an assumption: providers state
    /// no figures; measured ones of small objects within a region lie around it).
    #[serde(default = "default_service_ms")]
    pub service_ms: Distribution,
    /// Of a destination: whether its store takes objects from the source's store by itself, where the engine finds that right.
    #[serde(default)]
    pub server_copy: bool,
}

fn default_service_ms() -> Distribution {
    Distribution::from_p50_p99(25.0, 120.0)
}

fn one() -> u64 {
    1
}

/// How the engine runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineSettings {
    /// Processes; more than one only on a shared ledger.
    pub processes: u8,
    /// Where they run; the source's region where it is left out.
    pub region: Option<Region>,
    /// The machine each runs on, as the catalogue calls it: its network card bounds what a process moves, and it is billed by the
    /// second. Without one neither is counted.
    pub machine: Option<String>,
    /// Claims worked on at once on the way to one destination.
    pub lane_concurrency: usize,
    /// Bytes of a part, and the largest object sent in one request.
    pub part_bytes: u64,
    /// Most workers on one object.
    pub max_workers: u32,
    /// Parts that an object has at least for each of its workers.
    pub parts_a_worker: u32,
    /// Parts that one worker copies at once.
    pub parts_in_flight: usize,
    /// How parts are given to workers: `pull-and-duplicate`, as the engine does, or `pull`, `equal` or `counter`, to compare with.
    pub dispatch: Dispatch,
    /// Parts in flight in one process.
    pub max_parts_in_flight: usize,
    /// How often listings are compared, in seconds.
    pub sweep_every_s: u64,
    /// How long receipts are kept, in seconds.
    pub retention_s: u64,
    /// Whether it is looked for what the destination has already.
    pub changelog: bool,
}

impl Default for EngineSettings {
    /// The engine's own defaults.
    fn default() -> Self {
        EngineSettings {
            processes: 1,
            region: None,
            machine: None,
            lane_concurrency: 64,
            part_bytes: 16 << 20,
            max_workers: 4,
            parts_a_worker: 4,
            parts_in_flight: 2,
            dispatch: Dispatch::default(),
            max_parts_in_flight: 64,
            sweep_every_s: 900,
            retention_s: 7 * 86_400,
            changelog: true,
        }
    }
}

/// How the engine plans.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PlanSettings {
    /// Where functions may run: `source`, `destination`, or a region.
    pub sites: Vec<String>,
    /// Most workers on one object in the engine's process.
    pub process_workers: u32,
    /// Whether changes of hot keys wait for each other.
    pub batching: bool,
    /// How delays are modelled.
    pub family: Family,
}

impl Default for PlanSettings {
    /// As the product does: in its process alone.
    fn default() -> Self {
        PlanSettings {
            sites: Vec::new(),
            process_workers: 16,
            batching: true,
            family: Family::default(),
        }
    }
}

/// Where the ledger is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StateSettings {
    /// `embedded`, or a service as the catalogue calls it, used as DynamoDB is: documents with conditional writes.
    pub service: String,
    /// What a commit of the embedded ledger takes, in ms.
    pub commit_ms: Distribution,
}

impl Default for StateSettings {
    /// Embedded; a group commit takes about a disk's flush.
    fn default() -> Self {
        StateSettings {
            service: "embedded".into(),
            commit_ms: Distribution::Constant(2.0),
        }
    }
}

/// How changes are told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotificationSettings {
    /// The way, as the catalogue calls it.
    pub path: String,
    /// Share that is lost.
    pub lost: f64,
    /// Share that comes twice.
    pub repeated: f64,
    /// Share that comes late, and how late, in seconds.
    pub late: f64,
    /// How late, in seconds.
    pub late_s: Distribution,
}

impl Default for NotificationSettings {
    /// S3 to SQS as the catalogue has it; nothing lost, repeated or late.
    fn default() -> Self {
        NotificationSettings {
            path: "sqs".into(),
            lost: 0.0,
            repeated: 0.0,
            late: 0.0,
            late_s: Distribution::Uniform {
                low: 10.0,
                high: 60.0,
            },
        }
    }
}

/// What users do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LoadSettings {
    /// `synthetic:ibm`, or none: the caller names a file then.
    pub trace: Option<String>,
    /// The parameters of a synthetic trace.
    pub synthetic: Synthetic,
    /// Objects made from others, after the trace.
    pub edits: Option<EditSettings>,
    /// How long to wait for the last changes, in seconds.
    pub drain_s: u64,
    /// Whether the report has the times of every receipt: for loads of thousands of changes, not of millions.
    pub keep_receipts: bool,
}

impl Default for LoadSettings {
    fn default() -> Self {
        LoadSettings {
            trace: None,
            synthetic: Synthetic::default(),
            edits: None,
            drain_s: 3_600,
            keep_receipts: false,
        }
    }
}

impl Scenario {
    /// Reads a scenario.
    ///
    /// # Errors
    /// It is no TOML, says something unknown, or something that cannot be.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let bad = |error: toml::de::Error| {
            let why = error.to_string();
            Invalid::new("scenario", first_words(text), why)
        };
        let scenario: Scenario = toml::from_str(text).map_err(bad)?;
        scenario.check()?;
        Ok(scenario)
    }

    fn check(&self) -> Result<(), Invalid> {
        let bad = |what: &'static str, value: String, why: &str| Invalid::new(what, value, why);
        let title = || self.title.clone();
        if self.storm {
            let alone = self.source.is_none() && self.destinations.is_empty();
            return match alone && self.faults.is_empty() {
                true => Ok(()),
                false => Err(bad(
                    "scenario",
                    title(),
                    "a storm has its own source, destinations and faults: leave them out",
                )),
            };
        }
        let Some(source) = &self.source else {
            return Err(bad("scenario", title(), "needs a [source] with a region"));
        };
        if self.destinations.is_empty() || self.destinations.len() > 8 {
            let why = "needs 1 to 8 [[destination]] with a region each";
            return Err(bad("scenario", title(), why));
        }
        let engine = &self.engine;
        if engine.processes == 0 || (engine.processes > 1 && self.state.service == "embedded") {
            return Err(bad(
                "engine.processes",
                engine.processes.to_string(),
                "at least one, and more than one only with a [state] service that they share",
            ));
        }
        if engine.lane_concurrency == 0
            || engine.max_parts_in_flight == 0
            || engine.part_bytes == 0
            || engine.parts_in_flight == 0
        {
            return Err(bad("engine", title(), "its numbers must be above zero"));
        }
        if let Some(machine) = &engine.machine
            && vm(machine).is_none()
        {
            let known: Vec<_> = skyfresh_sky::catalog::vms()
                .iter()
                .map(|vm| vm.instance.as_str())
                .collect();
            let why = format!("not in the catalogue, which has {}", known.join(", "));
            return Err(bad("engine.machine", machine.clone(), &why));
        }
        if self.state.service != "embedded" {
            let service = state_service(&self.state.service);
            if service.is_none_or(|service| service.latency_ms.is_none()) {
                let why = "must be embedded, or a service of which the catalogue knows the latency: dynamodb, cosmos";
                return Err(bad("state.service", self.state.service.clone(), why));
            }
        }
        if notification_path(&self.notifications.path).is_none() {
            let known: Vec<_> = skyfresh_sky::catalog::notification_paths()
                .iter()
                .map(|path| path.path.as_str())
                .collect();
            let why = format!("not in the catalogue, which has {}", known.join(", "));
            return Err(bad(
                "notifications.path",
                self.notifications.path.clone(),
                &why,
            ));
        }
        for (name, share) in [
            ("notifications.lost", self.notifications.lost),
            ("notifications.repeated", self.notifications.repeated),
            ("notifications.late", self.notifications.late),
        ] {
            if !(0.0..=1.0).contains(&share) {
                return Err(bad(name, share.to_string(), "a share is between 0 and 1"));
            }
        }
        if let Some(functions) = &self.functions
            && function_platform(&functions.platform).is_none()
        {
            let why = "not in the catalogue: aws-lambda, azure-functions or gcp-functions";
            return Err(bad("functions.platform", functions.platform.clone(), why));
        }
        if let Some(plan) = &self.plan {
            if self.functions.is_some() {
                let why = "[functions] and [plan] exclude each other: a plan says itself where workers run";
                return Err(bad("plan", title(), why));
            }
            for site in &plan.sites {
                site.parse::<WorkerPlace>()?;
            }
        }
        for place in self.destinations.iter().chain([source]) {
            if storage_price(place.region.provider).is_none() {
                let why = "the catalogue has no object store there";
                return Err(bad("region", place.region.to_string(), why));
            }
        }
        self.load.synthetic.check()
    }
}

/// Enough of a text to recognise it.
fn first_words(text: &str) -> String {
    text.lines()
        .find(|line| !line.trim().is_empty() && !line.starts_with('#'))
        .unwrap_or_default()
        .chars()
        .take(60)
        .collect()
}

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod tests;
