//! Views at work: taking data in, updating features, answering.

use super::config::{FeaturesConfig, ViewSpec};
use super::store::{Report, Row, Store, Write, target};
use crate::function::{Evaluator, Event, Function};
use crate::scheduler::{Feedback, Key, KeyScheduler, Lease, Scheduler, Stats};
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use skyfresh_sky::{Clock, Kind, Rng};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Keys updated in one commit at most.
const BATCH: usize = 256;
/// How long a worker waits for data before it looks at leases again.
const IDLE: Duration = Duration::from_millis(200);
/// How long the ids of queries whose errors were reported are kept.
const REPORTS_KEPT: Duration = Duration::from_secs(24 * 3_600);

/// A version of a key's features: what feedback refers to. As text `view/version/key`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureId {
    /// The view.
    pub view: String,
    /// The version.
    pub version: u32,
    /// The key.
    pub key: String,
}

impl std::fmt::Display for FeatureId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.view, self.version, self.key)
    }
}

impl std::str::FromStr for FeatureId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid("read feature id", text, "expected view/version/key");
        let mut parts = text.splitn(3, '/');
        let mut part = || parts.next().ok_or_else(bad);
        let (view, version, key) = (part()?, part()?, part()?);
        Ok(FeatureId {
            view: view.to_owned(),
            version: version.parse().map_err(|_| bad())?,
            key: key.to_owned(),
        })
    }
}

/// What a view has done and sees.
#[derive(Clone, Debug, Serialize)]
pub struct ViewStatus {
    /// The view.
    pub view: String,
    /// The policy.
    pub policy: &'static str,
    /// Keys that are known.
    pub keys: usize,
    /// Keys with data that have no feature yet.
    pub without_feature: usize,
    /// Age of the features of keys with new data, seconds: median and 99th percentile.
    pub staleness_s: [f64; 2],
    /// The budget.
    pub updates_per_s: f64,
    /// Errors reported for each query; above 1 where the view judges itself.
    pub feedback_coverage: f64,
    /// The scheduler's counters; times in seconds.
    pub schedule: Stats,
}

/// What changes while a view works.
#[derive(Debug)]
struct Work {
    scheduler: KeyScheduler,
    names: Vec<String>,
    keys: HashMap<String, Key>,
    /// Events that wait, in order of their arrival.
    queues: HashMap<Key, Vec<(u64, Event)>>,
}

impl Work {
    fn key(&mut self, name: &str) -> Key {
        if let Some(key) = self.keys.get(name) {
            return *key;
        }
        let key = self.names.len() as Key;
        self.names.push(name.to_owned());
        self.keys.insert(name.to_owned(), key);
        key
    }

    fn arrive(&mut self, name: &str, number: u64, event: Event, now_s: f64) -> Key {
        let key = self.key(name);
        self.queues.entry(key).or_default().push((number, event));
        self.scheduler.data(key, 1, now_s);
        key
    }

    /// The worker failed: what it took waits again, before what came since.
    fn put_back(&mut self, job: Job, now_s: f64) {
        let queue = self.queues.entry(job.lease.key).or_default();
        let newer = std::mem::replace(queue, job.events);
        queue.extend(newer);
        self.scheduler.abandon(&job.lease, now_s);
    }
}

#[derive(Debug)]
struct Job {
    lease: Lease,
    name: String,
    events: Vec<(u64, Event)>,
}

/// One view.
#[derive(Debug)]
pub(super) struct View {
    pub(super) spec: ViewSpec,
    pub(super) features: Vec<String>,
    function: Option<Box<dyn Function>>,
    evaluator: Option<Box<dyn Evaluator>>,
    work: Mutex<Work>,
    bell: Notify,
}

impl View {
    fn new(spec: &ViewSpec, rng: &Rng) -> Result<Self> {
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
        Ok(View {
            spec: spec.clone(),
            features,
            evaluator: spec.function.as_ref().and_then(|spec| spec.evaluator()),
            function,
            work: Mutex::new(Work {
                scheduler: KeyScheduler::new(spec.policy.policy(&options, rng), options),
                names: Vec::new(),
                keys: HashMap::new(),
                queues: HashMap::new(),
            }),
            bell: Notify::new(),
        })
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events are there: counts them, and what they say of the present feature.
    fn arrived(&self, name: &str, number: u64, event: Event, row: Option<&Row>, now_s: f64) {
        let error = self
            .evaluator
            .as_ref()
            .zip(row)
            .and_then(|(evaluator, row)| {
                Some((evaluator.error(&row.features, &event)?, row.version))
            });
        let mut work = self.work();
        let key = work.arrive(name, number, event, now_s);
        if let Some((error, version)) = error {
            let feedback = Feedback {
                version,
                error,
                queried_at: now_s,
            };
            work.scheduler.feedback(key, feedback, now_s);
        }
    }

    /// Updates up to so many keys, in one commit; how many.
    fn update(&self, store: &Store, clock: &dyn Clock, most: usize) -> Result<usize> {
        let Some(function) = &self.function else {
            return Ok(0);
        };
        let jobs = self.take(most, seconds(clock));
        let (mut done, mut writes) = (Vec::new(), Vec::new());
        let mut failure = None;
        for job in jobs {
            match self.compute(function.as_ref(), store, clock, &job) {
                Ok(write) => {
                    writes.push(write);
                    done.push(job);
                }
                Err(error) => {
                    self.work().put_back(job, seconds(clock));
                    failure = Some(error);
                }
            }
        }
        if let Err(error) = store.write(&writes) {
            let mut work = self.work();
            done.into_iter()
                .for_each(|job| work.put_back(job, seconds(clock)));
            return Err(error);
        }
        let count = done.len();
        let mut work = self.work();
        for (job, write) in done.iter().zip(&writes) {
            // A lease that ran out meanwhile changes nothing: the feature is written, and nobody else works on the view.
            if !work.scheduler.complete(&job.lease, seconds(clock)) {
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

    fn take(&self, most: usize, now_s: f64) -> Vec<Job> {
        let mut work = self.work();
        let mut jobs = Vec::new();
        while jobs.len() < most
            && let Some(lease) = work.scheduler.select(now_s)
        {
            let events = work.queues.remove(&lease.key).unwrap_or_default();
            let name = work.names[lease.key as usize].clone();
            jobs.push(Job {
                lease,
                name,
                events,
            });
        }
        jobs
    }

    fn compute(
        &self,
        function: &dyn Function,
        store: &Store,
        clock: &dyn Clock,
        job: &Job,
    ) -> Result<Write> {
        let stored = store.get(&self.spec.name, &job.name)?;
        let events: Vec<Event> = job.events.iter().map(|(_, event)| event.clone()).collect();
        let state = stored.as_ref().map_or(&Value::Null, |row| &row.state);
        let call = || function.on_events(&job.name, &events, state);
        // Functions take nothing by reference that a panic could leave half changed.
        let update =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(call)).map_err(|_| {
                let why = "the function panicked; see the log above";
                Error::new(Kind::Internal, "compute features", &job.name, why)
            })??;
        let newest = events.iter().map(|event| event.at_ms).max();
        let (before_ms, before) = stored.map_or((i64::MIN, 0), |row| (row.event_ms, row.records));
        Ok(Write {
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
        })
    }

    fn status(&self, now_s: f64) -> ViewStatus {
        let work = self.work();
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
            policy: self.spec.policy.as_str(),
            keys: work.names.len(),
            without_feature: waiting.filter(|key| key.updated_at.is_none()).count(),
            staleness_s: [quantile(0.5), quantile(0.99)],
            updates_per_s: self.spec.updates_per_s,
            feedback_coverage: schedule.feedback as f64 / schedule.queries.max(1) as f64,
            schedule,
        }
    }
}

fn seconds(clock: &dyn Clock) -> f64 {
    clock.now().unix_ms() as f64 / 1_000.0
}

/// All views over one store.
#[derive(Debug)]
pub struct Service {
    pub(super) config: FeaturesConfig,
    pub(super) views: BTreeMap<String, Arc<View>>,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    arrivals: AtomicU64,
}

impl Service {
    /// Opens the views of a configuration over a store, and takes up what waited in it.
    ///
    /// # Errors
    /// A view cannot be, or the store cannot be read.
    pub fn open(
        config: FeaturesConfig,
        store: Store,
        clock: Arc<dyn Clock>,
        rng: &Rng,
    ) -> Result<Self> {
        let mut views = BTreeMap::new();
        for spec in &config.views {
            views.insert(spec.name.clone(), Arc::new(View::new(spec, rng)?));
        }
        let kept_ms = REPORTS_KEPT.as_millis() as u64;
        store.forget_reports(clock.now().unix_ms().saturating_sub(kept_ms))?;
        let now_s = seconds(clock.as_ref());
        let mut next = 0;
        let view = |target: &str| {
            let (view, key) = target.split_once('\0')?;
            Some((Arc::clone(views.get(view)?), key.to_owned()))
        };
        let restore = |target: &str, row: Row| {
            let Some((view, name)) = view(target) else {
                return;
            };
            let mut work = view.work();
            let key = work.key(&name);
            let updated_at = row.created_ms as f64 / 1_000.0;
            work.scheduler
                .restore(key, row.version, updated_at, row.records);
        };
        let mut waiting = Vec::new();
        let mut reports = Vec::new();
        store.all(
            restore,
            |target, number, event| {
                next = next.max(number + 1);
                waiting.push((target.to_owned(), number, event));
            },
            |report| reports.push(report),
        )?;
        // Numbers are order of arrival; the table's order is by key.
        waiting.sort_by_key(|(_, number, _)| *number);
        for (target, number, event) in waiting {
            if let Some((view, name)) = view(&target) {
                let row = store.get(&view.spec.name, &name)?;
                view.arrived(&name, number, event, row.as_ref(), now_s);
            }
        }
        for report in reports {
            if let Some(view) = views.get(&report.view) {
                tell(view, &report);
            }
        }
        Ok(Service {
            config,
            views,
            store,
            clock,
            arrivals: AtomicU64::new(next),
        })
    }

    pub(super) fn view(&self, name: &str) -> Result<&Arc<View>> {
        self.views.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.views.keys().map(String::as_str).collect();
            let why = format!("no such feature view; there are: {}", known.join(", "));
            Error::new(Kind::Missing, "find view", name, why)
        })
    }

    /// Takes in events for keys of a view; they are on the disk once this returns. Blocks.
    ///
    /// # Errors
    /// The view is unknown or computes nothing of events, or the store cannot be written.
    pub fn push(&self, view: &str, events: Vec<(String, Event)>) -> Result<()> {
        let view = self.view(view)?;
        let name = &view.spec.name;
        if view.function.is_none() {
            return self.write(name, events);
        }
        let numbered: Vec<(String, u64, Event)> = events
            .iter()
            .map(|(key, event)| {
                let number = self.arrivals.fetch_add(1, Ordering::Relaxed);
                (target(name, key), number, event.clone())
            })
            .collect();
        self.store.append(&numbered)?;
        let now_s = seconds(self.clock.as_ref());
        let rows = self
            .store
            .get_all(name, events.iter().map(|(key, _)| key.as_str()))?;
        for (((key, event), (_, number, _)), row) in events.into_iter().zip(numbered).zip(rows) {
            view.arrived(&key, number, event, row.as_ref(), now_s);
        }
        view.bell.notify_one();
        Ok(())
    }

    /// Writes features that come ready; one that is older than what is stored is passed over. Blocks.
    ///
    /// # Errors
    /// The view is unknown or computes its features itself, or the store cannot be written.
    pub fn write(&self, view: &str, events: Vec<(String, Event)>) -> Result<()> {
        let view = self.view(view)?;
        if view.function.is_some() {
            let why = "this view computes its features: push data to its source instead";
            return Err(Error::invalid("write features", &view.spec.name, why));
        }
        let stored = self
            .store
            .get_all(&view.spec.name, events.iter().map(|(key, _)| key.as_str()))?;
        // Of several for one key in one call, each follows the one before.
        let mut seen: HashMap<String, (u32, u64)> = HashMap::new();
        let mut writes = Vec::with_capacity(events.len());
        for ((key, event), stored) in events.into_iter().zip(stored) {
            let before = stored.map_or((0, 0), |row| (row.version, row.records));
            let before = seen.get(&key).copied().unwrap_or(before);
            let (version, records) = (before.0.wrapping_add(1), before.1 + 1);
            let features = view.features.iter().map(|name| {
                let value = event.columns.get(name).cloned();
                (name.clone(), value.unwrap_or(Value::Null))
            });
            writes.push(Write {
                target: target(&view.spec.name, &key),
                row: Row {
                    event_ms: event.at_ms,
                    version,
                    created_ms: self.clock.now().unix_ms(),
                    records,
                    features: features.collect(),
                    state: Value::Null,
                },
                used: Vec::new(),
            });
            seen.insert(key, (version, records));
        }
        self.store.write(&writes)?;
        Ok(())
    }

    /// The present features of keys, counted as queries. `None` for a key without any.
    ///
    /// # Errors
    /// The view is unknown, or the store cannot be read.
    pub fn query(&self, view: &str, keys: &[String]) -> Result<Vec<Option<Row>>> {
        let view = self.view(view)?;
        if view.function.is_some() {
            let now_s = seconds(self.clock.as_ref());
            let mut work = view.work();
            for name in keys {
                // A key that nobody has data for is not remembered: queries must not fill the memory.
                if let Some(key) = work.keys.get(name).copied() {
                    work.scheduler.query(key, now_s);
                }
            }
        }
        self.store
            .get_all(&view.spec.name, keys.iter().map(String::as_str))
    }

    /// Takes the error of a prediction; false where the query's error was reported before. Blocks.
    ///
    /// # Errors
    /// The view is unknown, or the store cannot be written.
    pub fn feedback(
        &self,
        query_id: &str,
        feature: &FeatureId,
        error: f64,
        queried_ms: Option<u64>,
    ) -> Result<bool> {
        let view = self.view(&feature.view)?;
        let at_ms = self.clock.now().unix_ms();
        let report = Report {
            view: feature.view.clone(),
            key: feature.key.clone(),
            version: feature.version,
            error,
            queried_ms: queried_ms.unwrap_or(at_ms).min(at_ms),
            at_ms,
        };
        let new = self.store.report(query_id, &report)?;
        if new {
            tell(view, &report);
        }
        Ok(new)
    }

    /// All views.
    pub fn status(&self) -> Vec<ViewStatus> {
        let now_s = seconds(self.clock.as_ref());
        self.views.values().map(|view| view.status(now_s)).collect()
    }

    /// Updates what waits, once, up to so many keys a view; how many in all. Blocks.
    ///
    /// # Errors
    /// A function or the store failed; the keys wait again.
    pub fn update(&self, most: usize) -> Result<usize> {
        let counts = self
            .views
            .values()
            .map(|view| view.update(&self.store, self.clock.as_ref(), most));
        counts.sum()
    }

    /// Keeps all views fresh within their budgets until `stop` is cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let workers = self
            .views
            .values()
            .filter(|view| view.function.is_some())
            .map(|view| {
                let (service, view, stop) = (Arc::clone(&self), Arc::clone(view), stop.clone());
                tokio::spawn(async move { service.keep(view, stop).await })
            });
        for worker in workers.collect::<Vec<_>>() {
            if let Err(error) = worker.await {
                tracing::error!(%error, "a view's worker ended early");
            }
        }
    }

    async fn keep(self: Arc<Self>, view: Arc<View>, stop: CancellationToken) {
        // Updates that may be made now; a second's worth is saved up at most.
        let rate = view.spec.updates_per_s;
        let most = rate.max(1.0);
        let (mut credit, mut counted_ns) = (most, self.clock.monotonic_ns());
        while !stop.is_cancelled() {
            let now_ns = self.clock.monotonic_ns();
            credit = (credit + rate * now_ns.saturating_sub(counted_ns) as f64 / 1e9).min(most);
            counted_ns = now_ns;
            let (service, worked) = (Arc::clone(&self), Arc::clone(&view));
            let batch = (credit as usize).min(BATCH);
            let updated = tokio::task::spawn_blocking(move || {
                worked.update(&service.store, service.clock.as_ref(), batch)
            });
            let wait = match updated.await {
                Ok(Ok(0)) if batch > 0 => IDLE,
                Ok(Ok(0)) => Duration::from_secs_f64((1.0 / rate).clamp(0.001, 1.0)),
                Ok(Ok(count)) => {
                    credit -= count as f64;
                    continue;
                }
                Ok(Err(error)) => {
                    tracing::warn!(view = view.spec.name, %error, "an update failed; its keys wait again");
                    IDLE
                }
                Err(error) => {
                    tracing::error!(view = view.spec.name, %error, "a function panicked; its keys wait for their leases to end");
                    IDLE
                }
            };
            tokio::select! {
                () = stop.cancelled() => {}
                () = view.bell.notified(), if batch > 0 => {}
                () = self.clock.sleep(wait) => {}
            }
        }
    }
}

fn tell(view: &View, report: &Report) {
    let mut work = view.work();
    if let Some(key) = work.keys.get(&report.key).copied() {
        let feedback = Feedback {
            version: report.version,
            error: report.error,
            queried_at: report.queried_ms as f64 / 1_000.0,
        };
        work.scheduler
            .feedback(key, feedback, report.at_ms as f64 / 1_000.0);
    }
}
