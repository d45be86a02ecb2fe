//! One view at work: its shards, and how its features are made.

use super::cache::Cache;
use super::codec::Judgement;
use super::config::ViewSpec;
use super::encode::{Cells, Seat};
use super::shard::{Job, Shard};
use super::sharding::Shards;
use super::store::{Arrival, Row, Store, Write, target};
use crate::function::{Evaluator, Event, Function, Item, Update};
use crate::scheduler::{KeyScheduler, Scheduler, Stats};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use skyfresh_sky::{Clock, Kind, Rng};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What a shard of a view has done and sees.
#[derive(Clone, Debug, Serialize)]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// The shard, among those of all processes.
    pub shard: u32,
    /// The policy.
    pub policy: &'static str,
    /// Keys that are known.
    pub keys: usize,
    /// Keys with data that have no feature yet.
    pub without_feature: usize,
    /// Age of the features of keys with new data, seconds: median, 90th and 99th percentile.
    pub staleness_s: [f64; 3],
    /// Errors that wait for an update of their key: what updating everything now would end.
    pub regret: f64,
    /// The shard's budget in updates a second; where it is in cores, those that it is enough for at present.
    pub updates_per_s: f64,
    /// The shard's budget in cores, where it is in cores or dollars.
    pub cores: Option<f64>,
    /// Share of the budget that was used, over the last minute, about.
    pub budget_use: f64,
    /// Errors reported for each query; above 1 where the view judges itself.
    pub feedback_coverage: f64,
    /// The scheduler's counters; times in seconds.
    pub schedule: Stats,
}

/// One view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) spec: ViewSpec,
    pub(super) features: Vec<String>,
    pub(super) function: Option<Box<dyn Function>>,
    evaluator: Option<Box<dyn Evaluator>>,
    /// Those of this process.
    pub(super) shards: Vec<Shard>,
    owners: Arc<Shards>,
    pub(super) cache: Cache,
}

impl View {
    /// A view that keeps so many bytes of rows in memory.
    pub(super) fn new(
        spec: &ViewSpec,
        owners: Arc<Shards>,
        memory_bytes: usize,
        rng: &Rng,
    ) -> Result<Self> {
        let options = spec
            .schedule
            .unwrap_or_else(|| spec.policy.default_options());
        let function = spec
            .function
            .as_ref()
            .map(|spec| spec.function())
            .transpose()?;
        let features = function
            .as_ref()
            .map_or_else(|| spec.features.clone(), |f| f.features());
        let shard = |number| {
            let policy = spec.policy.policy(&options, rng);
            Shard::new(number, KeyScheduler::new(policy, options))
        };
        Ok(View {
            spec: spec.clone(),
            features,
            evaluator: spec.function.as_ref().and_then(|spec| spec.evaluator()),
            function,
            shards: owners.mine().iter().map(|number| shard(*number)).collect(),
            owners,
            cache: Cache::new(memory_bytes),
        })
    }

    /// The place of a key's shard among those of this process, where it is one of them.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        self.owners.place(key)
    }

    /// The shard of a key, where it is one of this process.
    pub(super) fn shard(&self, key: &str) -> Option<&Shard> {
        self.shards.get(self.place(key)?)
    }

    /// That features may be written as they come.
    ///
    /// # Errors
    /// The view computes them itself.
    pub(super) fn must_come_ready(&self) -> Result<()> {
        let why = "this view computes its features: push data to its source instead";
        match self.function {
            None => Ok(()),
            Some(_) => Err(Error::invalid("write features", &self.spec.name, why)),
        }
    }

    /// A key has features for the first time, which came ready.
    pub(super) fn came_ready(&self, key: &str) {
        if let Some(shard) = self.shard(key) {
            shard.ready.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Events came, and are on the disk: hands them to their shards, in their order.
    pub(super) fn arrive(&self, arrivals: &[Arrival], now_s: f64) {
        let prefix = self.spec.name.len() + 1;
        let mut by_shard: Vec<Vec<&Arrival>> = vec![Vec::new(); self.shards.len()];
        for arrival in arrivals {
            if let Some(place) = self.place(&arrival.target[prefix..]) {
                by_shard[place].push(arrival);
            }
        }
        for (shard, arrivals) in self.shards.iter().zip(by_shard) {
            if arrivals.is_empty() {
                continue;
            }
            let mut work = shard.work(now_s);
            for arrival in arrivals {
                let waiting = (arrival.number, Some(arrival.event.clone()));
                work.arrive(&arrival.target[prefix..], waiting, arrival.judgement, now_s);
            }
            drop(work);
            shard.bell.notify_one();
        }
    }

    /// Rows were asked for: tells their shards. Waits for nobody who works.
    pub(super) fn ask(&self, rows: &[Option<Arc<Cells>>], now_s: f64) {
        let seats = || rows.iter().flatten().filter_map(|cells| cells.seat);
        if let [only] = &self.shards[..] {
            return only.ask(seats().map(|seat| seat.key), now_s);
        }
        for (place, shard) in self.shards.iter().enumerate() {
            let mut own = seats()
                .filter(|seat| seat.place as usize == place)
                .peekable();
            if own.peek().is_some() {
                shard.ask(own.map(|seat| seat.key), now_s);
            }
        }
    }

    /// Whether events say anything of the features that they meet.
    pub(super) fn judges(&self) -> bool {
        self.evaluator.is_some()
    }

    /// What an event says of the feature that it meets.
    pub(super) fn judge(&self, event: &Event, row: Option<&Row>) -> Judgement {
        let (evaluator, row) = self.evaluator.as_ref().zip(row)?;
        Some((row.version, evaluator.error(&row.features, event)?))
    }

    /// Encodes a row, as it is answered.
    pub(super) fn cells(&self, name: &str, row: &Row) -> Arc<Cells> {
        // Views whose features come ready have no scheduler to tell.
        let seat = self.function.as_ref().and_then(|_| {
            let place = self.place(name)?;
            let key = self.shards.get(place)?.key(name)?;
            let place = place as u32;
            Some(Seat { place, key })
        });
        Arc::new(Cells::of(row, &self.features, seat))
    }

    /// Updates up to so many keys of one of its shards, in one commit; how many.
    pub(super) fn update(
        &self,
        place: usize,
        store: &Store,
        clock: &dyn Clock,
        most: usize,
    ) -> Result<usize> {
        let (Some(function), Some(shard)) = (&self.function, self.shards.get(place)) else {
            return Ok(0);
        };
        let mut inputs = Vec::new();
        let mut failure = None;
        let put_back = |job: Job| {
            let now_s = seconds(clock);
            shard.work(now_s).put_back(job, now_s);
        };
        let jobs = shard.take(most, seconds(clock));
        let keys = jobs.iter().map(|job| &*job.name);
        let rows = match store.get_each(&self.spec.name, keys) {
            Ok(rows) => rows,
            Err(error) => {
                jobs.into_iter().for_each(put_back);
                return Err(error);
            }
        };
        for (job, row) in jobs.into_iter().zip(rows) {
            match row.and_then(|row| Ok((row, self.events(store, &job)?))) {
                Ok((row, events)) => inputs.push((job, row, events)),
                Err(error) => {
                    put_back(job);
                    failure = Some(error);
                }
            }
        }
        let items = inputs.iter().map(|(job, row, events)| Item {
            key: &job.name,
            events,
            state: row.as_ref().map_or(&Value::Null, |row| &row.state),
        });
        let mut updates = function.on_batch(&items.collect::<Vec<_>>());
        // A key without an answer must not lose its events.
        updates.resize_with(inputs.len(), || {
            let why = "the function gave no answer for some keys";
            let view = self.spec.name.as_str();
            Err(Error::new(Kind::Internal, "compute features", view, why))
        });
        let (mut done, mut writes) = (Vec::new(), Vec::new());
        for ((job, row, events), update) in inputs.into_iter().zip(updates) {
            match update {
                Ok(update) => {
                    writes.push(self.written(&job, row, &events, update, clock));
                    done.push(job);
                }
                Err(error) => {
                    shard.work(seconds(clock)).keep_events(job);
                    failure = Some(error);
                }
            }
        }
        let written = store.write(&mut writes).inspect_err(|_| {
            let now_s = seconds(clock);
            let mut work = shard.work(now_s);
            let jobs = std::mem::take(&mut done);
            jobs.into_iter().for_each(|job| work.put_back(job, now_s));
        })?;
        let count = done.len();
        for ((job, write), written) in done.iter().zip(&writes).zip(written) {
            if written {
                let (place, key) = (place as u32, job.lease.key);
                let seat = Seat { place, key };
                let cells = Cells::of(&write.row, &self.features, Some(seat));
                self.cache.written(&job.name, Arc::new(cells));
            }
        }
        let now_s = seconds(clock);
        let mut work = shard.work(now_s);
        for (job, write) in done.iter().zip(&writes) {
            // A lease that ran out meanwhile changes nothing: the feature is written, and nobody else works on the view.
            if !work.scheduler.complete(&job.lease, now_s) {
                let (version, records) = (write.row.version, write.row.records);
                work.scheduler
                    .restore(job.lease.key, version, job.lease.since, records);
            }
        }
        drop(work);
        match failure {
            Some(error) => Err(error),
            None => Ok(count),
        }
    }

    /// A job's events, those from before a restart out of the store.
    fn events(&self, store: &Store, job: &Job) -> Result<Vec<Event>> {
        let absent = job.events.iter().filter(|(_, event)| event.is_none());
        let absent: Vec<u64> = absent.map(|(number, _)| *number).collect();
        let mut read = match absent.is_empty() {
            true => Vec::new(),
            false => store.events(&target(&self.spec.name, &job.name), &absent)?,
        }
        .into_iter();
        let events = job.events.iter().filter_map(|(_, event)| match event {
            Some(event) => Some(event.clone()),
            None => read.next(),
        });
        Ok(events.collect())
    }

    fn written(
        &self,
        job: &Job,
        stored: Option<Row>,
        events: &[Event],
        update: Update,
        clock: &dyn Clock,
    ) -> Write {
        let newest = events.iter().map(|event| event.at_ms).max();
        let (before_ms, before) = stored.map_or((i64::MIN, 0), |row| (row.event_ms, row.records));
        Write {
            target: target(&self.spec.name, &job.name),
            row: Row {
                event_ms: newest.unwrap_or(before_ms).max(before_ms),
                version: job.lease.version,
                created_ms: clock.now().unix_ms(),
                records: before + events.len() as u64,
                features: update.features,
                state: update.state,
            },
            used: job.events.iter().map(|(number, _)| *number).collect(),
            follows: false,
        }
    }

    /// What one of its shards has done and sees.
    pub(super) fn status(&self, shard: &Shard, now_s: f64) -> ViewStatus {
        let lately = shard.lately();
        let share = self.owners.share();
        let cores = self.spec.cores().map(|cores| cores * share);
        let updates_per_s = self.spec.updates_per_s * share;
        let work = shard.work(now_s);
        let keys = work.scheduler.keys();
        let waiting = keys.iter().filter(|key| key.pending_records > 0);
        let mut ages: Vec<f64> = waiting
            .clone()
            .filter_map(|key| key.staleness(now_s))
            .collect();
        ages.sort_by(f64::total_cmp);
        let quantile = |share: f64| {
            let place = (ages.len().saturating_sub(1)) as f64 * share;
            ages.get(place.round() as usize).copied().unwrap_or(0.0)
        };
        let schedule = work.scheduler.stats();
        ViewStatus {
            view: self.spec.name.clone(),
            shard: shard.number,
            policy: self.spec.policy.as_str(),
            keys: work.names.len() + shard.ready.load(Ordering::Relaxed),
            without_feature: waiting.filter(|key| key.updated_at.is_none()).count(),
            staleness_s: [quantile(0.5), quantile(0.9), quantile(0.99)],
            regret: work.scheduler.regret(now_s),
            updates_per_s: match cores {
                Some(cores) if lately.took_s > 0.0 => cores * lately.updates / lately.took_s,
                Some(_) => 0.0,
                None => updates_per_s,
            },
            cores,
            budget_use: match cores {
                Some(cores) => lately.took_s / (cores * lately.passed_s.max(1.0)),
                None => lately.updates / (updates_per_s * lately.passed_s.max(1.0)),
            },
            feedback_coverage: schedule.feedback as f64 / schedule.queries.max(1) as f64,
            schedule,
        }
    }
}

pub(super) fn seconds(clock: &dyn Clock) -> f64 {
    clock.now().unix_ms() as f64 / 1_000.0
}
