//! All views together: taking data in, answering, and the workers that keep them fresh.

use super::config::FeaturesConfig;
use super::id::FeatureId;
use super::store::{Report, Row, Store, Write, target};
use super::view::{View, ViewStatus, seconds, tell};
use crate::function::Event;
use crate::scheduler::Scheduler;
use crate::{Error, Result};
use serde_json::Value;
use skyfresh_sky::{Clock, Kind, Rng};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Keys updated in one commit at most.
const BATCH: usize = 256;
/// How long a worker waits for data before it looks at leases again.
const IDLE: Duration = Duration::from_millis(200);
/// How long the ids of queries whose errors were reported are kept.
const REPORTS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How often old ids are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

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
        let workers: Vec<_> = workers.collect();
        let forgetting = Arc::clone(&self).forget(stop);
        tokio::spawn(forgetting);
        for worker in workers {
            if let Err(error) = worker.await {
                tracing::error!(%error, "a view's worker ended early");
            }
        }
    }

    /// Forgets old ids now and then, so that the store does not grow for ever.
    async fn forget(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(FORGET_EVERY) => {}
            }
            let service = Arc::clone(&self);
            let forgotten = tokio::task::spawn_blocking(move || {
                let kept_ms = REPORTS_KEPT.as_millis() as u64;
                let before_ms = service.clock.now().unix_ms().saturating_sub(kept_ms);
                service.store.forget_reports(before_ms)
            });
            if let Ok(Err(error)) = forgotten.await {
                tracing::warn!(%error, "old feedback is not forgotten; it is tried again");
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
