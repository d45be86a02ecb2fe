//! `[engine]`: how the work runs, and how it is planned.

use super::diagnose::ConfigError;
use super::model::{Resolver, Text};
use crate::bulk::relays::{Purpose, StandingArgs};
use serde::Deserialize;
use skyfresh_engine::Bandwidth;
use skyfresh_engine::planning::Planning;
use skyfresh_plan::replicate::{Planner, Settings};
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::{Invalid, Region, parse_bytes, parse_delay};
use std::time::Duration;
use toml::Spanned;

/// `[engine]`: how the work runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct EngineSection {
    /// Keys worked on at once for each destination of a rule.
    pub(crate) lane_concurrency: usize,
    /// Whether the planner chooses how objects travel; otherwise `part_size` and `workers` do.
    pub(crate) planned: bool,
    /// Where this process runs, for predictions and prices; `local` where nobody says.
    pub(crate) region: Region,
    /// Preferred bytes in a part, and the largest object sent in one request, where nothing is planned.
    pub(crate) part_size_bytes: u64,
    /// Most workers on one object.
    pub(crate) workers: u32,
    /// Parts in flight in one worker.
    pub(crate) parts_in_flight: usize,
    /// Parts in flight in the whole process: bounds memory.
    pub(crate) max_parts_in_flight: usize,
    /// What this machine's network carries; `None` where nobody says.
    pub(crate) network: Option<Bandwidth>,
    /// For how long a key is claimed unless renewed.
    pub(crate) lease: Duration,
    /// How often orphaned uploads are looked for.
    pub(crate) janitor_period: Duration,
    /// How long receipts and tombstones are kept.
    pub(crate) retention: Duration,
    /// A change that a sweep finds counts as lost only when it is older.
    pub(crate) notification_grace: Duration,
    /// Relays that may carry large objects.
    pub(crate) relays: Option<StandingArgs>,
}

/// Workers of two parts each on one object: more streams than this are rarely faster from one machine, and several objects share
/// it.
const MOST_WORKERS: u32 = 16;

impl Default for EngineSection {
    fn default() -> Self {
        let engine = skyfresh_engine::EngineConfig::new("");
        EngineSection {
            lane_concurrency: engine.lane_concurrency,
            planned: true,
            region: Region::local(),
            part_size_bytes: engine.sizing.part_bytes,
            workers: MOST_WORKERS,
            parts_in_flight: engine.parts_in_flight,
            max_parts_in_flight: 64,
            network: None,
            lease: engine.lease,
            janitor_period: engine.janitor_period,
            retention: engine.retention,
            notification_grace: engine.notification_grace,
            relays: None,
        }
    }
}

impl EngineSection {
    /// How it plans, with this catalogue and the ledger's service; `None` where it does not.
    ///
    /// # Errors
    /// The catalogue does not list the service.
    pub(crate) fn planning(
        &self,
        catalog: &Catalog,
        state: Option<&str>,
    ) -> Result<Option<Planning>, Invalid> {
        if !self.planned {
            return Ok(None);
        }
        let settings = Settings {
            state: state.map(str::to_owned),
            parts_in_flight: u32::try_from(self.parts_in_flight).unwrap_or(u32::MAX),
            ..Settings::default()
        };
        // Every worker takes its parts in flight out of what the process has.
        let fit = self.max_parts_in_flight / self.parts_in_flight.max(1);
        Ok(Some(Planning {
            planner: Planner::new(catalog.clone(), settings)?,
            home: self.region.clone(),
            process_workers: self.workers.min(u32::try_from(fit).unwrap_or(u32::MAX)),
            functions: Vec::new(),
        }))
    }

    /// As the engine takes it, owned by `owner`.
    pub(crate) fn config(&self, owner: impl Into<String>) -> skyfresh_engine::EngineConfig {
        let mut config = skyfresh_engine::EngineConfig::new(owner);
        config.lease = self.lease;
        config.lane_concurrency = self.lane_concurrency;
        // Four lanes at their full concurrency.
        config.inline_in_flight = self.lane_concurrency.saturating_mul(4);
        config.network_bytes_per_s = self.network.map(|network| network.bytes_per_second);
        config.parts_in_flight = self.parts_in_flight;
        config.sizing.part_bytes = self.part_size_bytes;
        config.sizing.max_workers = self.workers;
        config.janitor_period = self.janitor_period;
        config.retention = self.retention;
        config.notification_grace = self.notification_grace;
        config
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEngine {
    lane_concurrency: Option<Spanned<usize>>,
    planned: Option<bool>,
    region: Option<Text>,
    part_size: Option<Text>,
    workers: Option<Spanned<u32>>,
    parts_in_flight: Option<Spanned<usize>>,
    max_parts_in_flight: Option<Spanned<usize>>,
    network: Option<Text>,
    lease: Option<Text>,
    janitor_period: Option<Text>,
    retention: Option<Text>,
    notification_grace: Option<Text>,
    relays: Option<Text>,
    relays_for: Option<Text>,
}

/// A delay that cannot be zero.
fn some_delay(text: &str) -> Result<Duration, String> {
    match parse_delay(text) {
        Ok(delay) if delay.is_zero() => Err("must be above zero".into()),
        Ok(delay) => Ok(delay),
        Err(error) => Err(error.to_string()),
    }
}

/// A part size within S3's limits.
fn part_size(text: &str) -> Result<u64, String> {
    let limits = skyfresh_store::UploadLimits::S3;
    match parse_bytes(text) {
        Ok(bytes) if bytes < limits.min_part_bytes || bytes > limits.max_part_bytes => {
            Err("a part has 5 MiB to 5 GiB (S3's limits on multipart uploads)".into())
        }
        Ok(bytes) => Ok(bytes),
        Err(error) => Err(error.to_string()),
    }
}

impl RawEngine {
    pub(super) fn resolve(self, resolver: &Resolver<'_>) -> Result<EngineSection, ConfigError> {
        let default = EngineSection::default();
        let place = resolver.parsed(&self.relays, None, |text| text.parse().map(Some))?;
        let purpose = resolver.parsed(&self.relays_for, Purpose::Cost, str::parse::<Purpose>)?;
        let section = EngineSection {
            lane_concurrency: resolver
                .positive(&self.lane_concurrency, default.lane_concurrency)?,
            planned: self.planned.unwrap_or(default.planned),
            region: resolver.parsed(&self.region, default.region, str::parse::<Region>)?,
            part_size_bytes: resolver.parsed(
                &self.part_size,
                default.part_size_bytes,
                part_size,
            )?,
            workers: resolver.positive(&self.workers, default.workers)?,
            parts_in_flight: resolver.positive(&self.parts_in_flight, default.parts_in_flight)?,
            max_parts_in_flight: resolver
                .positive(&self.max_parts_in_flight, default.max_parts_in_flight)?,
            network: resolver.parsed(&self.network, default.network, |text| {
                Bandwidth::try_from(text.to_owned()).map(Some)
            })?,
            lease: resolver.parsed(&self.lease, default.lease, some_delay)?,
            janitor_period: resolver.parsed(
                &self.janitor_period,
                default.janitor_period,
                some_delay,
            )?,
            retention: resolver.parsed(&self.retention, default.retention, some_delay)?,
            notification_grace: resolver.parsed(
                &self.notification_grace,
                default.notification_grace,
                some_delay,
            )?,
            relays: place.map(|place| StandingArgs { place, purpose }),
        };
        match &self.max_parts_in_flight {
            Some(limit) if *limit.get_ref() < section.parts_in_flight => Err(resolver.error(
                limit.span(),
                format_args!(
                    "must be at least parts_in_flight ({}): no worker could start",
                    section.parts_in_flight
                ),
            )),
            _ => Ok(section),
        }
    }
}
