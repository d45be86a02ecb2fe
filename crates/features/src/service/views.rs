//! All views together: taking data in, answering, and the workers that keep them fresh.

use super::budget::Budget;
use super::codec::Report;
use super::config::FeaturesConfig;
use super::encode::Cells;
use super::history;
use super::id::FeatureId;
use super::peers::Peers;
use super::plan::Plans;
use super::shard::Work;
use super::sharding::Shards;
use super::store::{Arrival, Progress, Row, Store, Write, target};
use super::view::{View, ViewStatus, seconds};
use crate::function::Event;
use crate::{Error, Result};
use serde_json::Value;
use skyfresh_sky::{Clock, Kind, Rng};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, MutexGuard};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Keys updated in one commit at most.
const BATCH: usize = 256;
/// How long a worker waits for data before it looks at leases again.
const IDLE: Duration = Duration::from_millis(200);
/// How long the ids of queries whose errors were reported are kept.
const REPORTS_KEPT: Duration = Duration::from_secs(24 * 3_600);
/// How often what was written is moved into the history.
const EXPORT_EVERY: Duration = Duration::from_secs(10);
/// How often old ids are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// Keys' events for a view.
pub(super) type Taken = (Arc<View>, Vec<(String, Event)>);

/// All views over one store.
#[derive(Debug)]
pub struct Service {
    pub(super) config: FeaturesConfig,
    pub(super) views: BTreeMap<String, Arc<View>>,
    pub(super) store: Store,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) shards: Arc<Shards>,
    pub(super) peers: Peers,
    pub(super) plans: Plans,
    arrivals: AtomicU64,
}

impl Service {
    /// Opens the views of a configuration over a store, and takes up what waited in it.
    ///
    /// # Errors
    /// A view cannot be, or the store cannot be read.
    pub fn open(
        config: FeaturesConfig,
        mut store: Store,
        clock: Arc<dyn Clock>,
        rng: &Rng,
    ) -> Result<Self> {
        if config.history.is_some() {
            store.keep_history();
        }
        let shards = Arc::new(Shards::of(&config.sharding));
        let memory_bytes = (config.memory_mb << 20) / config.views.len().max(1);
        let mut views = BTreeMap::new();
        for spec in &config.views {
            let view = View::new(spec, Arc::clone(&shards), memory_bytes, rng)?;
            views.insert(spec.name.clone(), Arc::new(view));
        }
        let next = restore(&views, &store, clock.as_ref())?;
        Ok(Service {
            config,
            views,
            store,
            peers: Peers::new(Arc::clone(&shards), Arc::clone(&clock)),
            shards,
            clock,
            plans: Plans::default(),
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
    /// The view is unknown, a key is in a shard of another process, or the store cannot be written.
    pub fn push(&self, view: &str, events: Vec<(String, Event)>) -> Result<()> {
        self.all_mine(events.iter().map(|(key, _)| key.as_str()))?;
        self.take(vec![(Arc::clone(self.view(view)?), events)], &[])
    }

    /// Takes in events of several views, and how far what they are from was read, in one commit; features that come ready are written
    /// before. Those of keys in other processes' shards are passed over: every process reads a source by itself. Blocks.
    pub(super) fn take(&self, taken: Vec<Taken>, progress: &[Progress]) -> Result<()> {
        let (mut arrivals, mut arrived) = (Vec::new(), Vec::new());
        for (view, mut events) in taken {
            if !self.shards.alone() {
                events.retain(|(key, _)| self.shards.place(key).is_some());
            }
            let name = &view.spec.name;
            if view.function.is_none() {
                self.write(name, events)?;
                continue;
            }
            // What events say of the features that they meet is kept with them, to be known after a crash.
            let rows = match view.judges() {
                true => self
                    .store
                    .get_all(name, events.iter().map(|(key, _)| key.as_str()))?,
                false => vec![None; events.len()],
            };
            let from = arrivals.len();
            for ((key, event), row) in events.into_iter().zip(rows) {
                arrivals.push(Arrival {
                    target: target(name, &key),
                    number: self.arrivals.fetch_add(1, Ordering::Relaxed),
                    judgement: view.judge(&event, row.as_ref()),
                    event,
                });
            }
            arrived.push((view, from..arrivals.len()));
        }
        if arrivals.is_empty() && progress.is_empty() {
            return Ok(());
        }
        self.store.append(&arrivals, progress)?;
        let now_s = seconds(self.clock.as_ref());
        for (view, range) in arrived {
            view.arrive(&arrivals[range], now_s);
        }
        Ok(())
    }

    /// Writes features that come ready; one that is older than what is stored is passed over. Blocks.
    ///
    /// # Errors
    /// The view is unknown or computes its features itself, a key is in a shard of another process, or the store cannot be written.
    pub fn write(&self, view: &str, events: Vec<(String, Event)>) -> Result<()> {
        let view = self.view(view)?;
        view.must_come_ready()?;
        self.all_mine(events.iter().map(|(key, _)| key.as_str()))?;
        let mut writes = Vec::with_capacity(events.len());
        for (key, event) in events {
            let features = view.features.iter().map(|name| {
                let value = event.columns.get(name).cloned();
                (name.clone(), value.unwrap_or(Value::Null))
            });
            writes.push(Write {
                target: target(&view.spec.name, &key),
                row: Row {
                    event_ms: event.at_ms,
                    version: 0,
                    created_ms: self.clock.now().unix_ms(),
                    records: 0,
                    features: features.collect(),
                    state: Value::Null,
                },
                used: Vec::new(),
                follows: true,
            });
        }
        let written = self.store.write(&mut writes)?;
        let name = &view.spec.name;
        let prefix = name.len() + 1;
        for (write, _) in writes.iter().zip(written).filter(|(_, written)| *written) {
            let cells = Cells::of(&write.row, &view.features, None);
            view.cache.written(&write.target[prefix..], Arc::new(cells));
            if write.row.version == 1 {
                view.came_ready(&write.target[prefix..]);
            }
        }
        Ok(())
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
        if new && let Some(shard) = view.shard(&report.key) {
            shard.tell(&report);
        }
        Ok(new)
    }

    /// All views, each with its shards of this process.
    pub fn status(&self) -> Vec<ViewStatus> {
        let now_s = seconds(self.clock.as_ref());
        let shards = |view: &Arc<View>| {
            let view = Arc::clone(view);
            let count = view.shards.len();
            (0..count).map(move |place| view.status(&view.shards[place], now_s))
        };
        self.views.values().flat_map(shards).collect()
    }

    /// Updates what waits, once, up to so many keys a view and shard; how many in all. Blocks.
    ///
    /// # Errors
    /// The store failed, and the keys wait again; or a function, and its keys wait until their leases run out.
    pub fn update(&self, most: usize) -> Result<usize> {
        let places = self.places();
        let counts = places.map(|(view, place)| {
            let clock = self.clock.as_ref();
            view.update(place, &self.store, clock, most)
        });
        counts.sum()
    }

    /// Every shard of every view.
    fn places(&self) -> impl Iterator<Item = (&Arc<View>, usize)> {
        let views = self.views.values();
        views.flat_map(|view| (0..view.shards.len()).map(move |place| (view, place)))
    }

    /// Keeps all views fresh within their budgets until `stop` is cancelled.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let workers = self
            .places()
            .filter(|(view, _)| view.function.is_some())
            .map(|(view, place)| {
                let (service, view, stop) = (Arc::clone(&self), Arc::clone(view), stop.clone());
                tokio::spawn(async move { service.keep(view, place, stop).await })
            });
        let feeds = self.config.sources.iter().cloned().map(|source| {
            let fed = Arc::clone(&self).feed(source, stop.clone());
            tokio::spawn(fed)
        });
        let exporting = tokio::spawn(Arc::clone(&self).export(stop.clone()));
        let publishing = tokio::spawn(Arc::clone(&self).publish_all(stop.clone()));
        let workers: Vec<_> = feeds.chain(workers).collect();
        let forgetting = Arc::clone(&self).forget(stop);
        tokio::spawn(forgetting);
        for worker in workers.into_iter().chain([exporting, publishing]) {
            if let Err(error) = worker.await {
                tracing::error!(%error, "a view's worker ended early");
            }
        }
    }

    /// Moves what was written into the history, now and then and at the end.
    async fn export(self: Arc<Self>, stop: CancellationToken) {
        while self.config.history.is_some() {
            let stopped = tokio::select! {
                () = stop.cancelled() => true,
                () = self.clock.sleep(EXPORT_EVERY) => false,
            };
            let service = Arc::clone(&self);
            let exported = tokio::task::spawn_blocking(move || service.export_history());
            if let Ok(Err(error)) = exported.await {
                tracing::warn!(%error, "the history is behind; it is tried again");
            }
            if stopped {
                return;
            }
        }
    }

    /// Moves what was written into the history, where one is kept; how many rows. Blocks.
    ///
    /// # Errors
    /// The directory cannot be written, or the store cannot be read.
    pub fn export_history(&self) -> Result<usize> {
        match &self.config.history {
            Some(directory) => {
                let format = self.config.history_format;
                history::export(&self.store, Path::new(directory), format)
            }
            None => Ok(0),
        }
    }

    /// Forgets old ids now and then, so that the store does not grow for ever.
    async fn forget(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let service = Arc::clone(&self);
            let forgotten = tokio::task::spawn_blocking(move || {
                let before_ms = service.clock.now().unix_ms().saturating_sub(kept_ms());
                service.store.forget_reports(before_ms)
            });
            if let Ok(Err(error)) = forgotten.await {
                tracing::warn!(%error, "old feedback is not forgotten; it is tried again");
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.clock.sleep(FORGET_EVERY) => {}
            }
        }
    }

    async fn keep(self: Arc<Self>, view: Arc<View>, place: usize, stop: CancellationToken) {
        let shard = &view.shards[place];
        let now_ns = self.clock.monotonic_ns();
        let mut budget = Budget::of(&view.spec, self.shards.share(), now_ns);
        while !stop.is_cancelled() {
            let begun_ns = self.clock.monotonic_ns();
            let batch = budget.updates(begun_ns).min(BATCH);
            let (service, worked) = (Arc::clone(&self), Arc::clone(&view));
            let updated = tokio::task::spawn_blocking(move || {
                worked.update(place, &service.store, service.clock.as_ref(), batch)
            });
            let updated = updated.await;
            let now_ns = self.clock.monotonic_ns();
            let took_s = now_ns.saturating_sub(begun_ns) as f64 / 1e9;
            let count = match &updated {
                Ok(Ok(count)) => *count,
                _ => 0,
            };
            budget.made(count, took_s);
            shard.worked(count, took_s, now_ns);
            let wait = match updated {
                Ok(Ok(0)) if batch > 0 => IDLE,
                Ok(Ok(0)) => Duration::from_secs_f64(budget.wait_s()),
                Ok(Ok(_)) => continue,
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
                () = shard.bell.notified(), if batch > 0 => {}
                () = self.clock.sleep(wait) => {}
            }
        }
    }
}

/// Takes up what is in the store; the number of the next event. Reads no features and no events, but what is known of them.
fn restore(views: &BTreeMap<String, Arc<View>>, store: &Store, clock: &dyn Clock) -> Result<u64> {
    let now_s = seconds(clock);
    let oldest_ms = clock.now().unix_ms().saturating_sub(kept_ms());
    let shards: usize = views.values().map(|view| view.shards.len()).sum();
    // Sure to be enough for one view and shard, and harmless for several.
    let keys = store.rows()? as usize / shards.max(1);
    // Locked throughout: nobody works yet.
    let mut works: BTreeMap<&str, Vec<MutexGuard<'_, Work>>> = BTreeMap::new();
    for (name, view) in views.iter().filter(|(_, view)| view.function.is_some()) {
        let shards = view.shards.iter().map(|shard| {
            let mut work = shard.work(now_s);
            work.reserve(keys);
            work
        });
        works.insert(name, shards.collect());
    }
    let (mut next, mut waiting, mut reports) = (0, Vec::new(), Vec::new());
    // Keys of shards that are other processes' now, or of views that are gone.
    let mut strange = 0u64;
    let works = RefCell::new(works);
    store.all(
        |target, head| {
            let found = target
                .split_once('\0')
                .and_then(|(name, key)| Some((name, key, views.get(name)?)));
            let placed =
                found.and_then(|(name, key, view)| Some((name, key, view, view.place(key)?)));
            let Some((name, key, view, place)) = placed else {
                strange += 1;
                return;
            };
            match works.borrow_mut().get_mut(name) {
                Some(works) => works[place].restore(key, head),
                None => view.came_ready(key),
            }
        },
        |target, number, judgement| {
            next = next.max(number + 1);
            waiting.push((number, target.to_owned(), judgement));
        },
        |report| reports.push(report),
    )?;
    let mut works = works.into_inner();
    // Numbers are order of arrival; the table's order is by key.
    waiting.sort_unstable_by_key(|(number, _, _)| *number);
    for (number, target, judgement) in waiting {
        if let Some((name, key)) = target.split_once('\0')
            && let Some(works) = works.get_mut(name)
            && let Some(place) = views.get(name).and_then(|view| view.place(key))
        {
            works[place].arrive(key, (number, None), judgement, now_s);
        }
    }
    drop(works);
    for report in reports.iter().filter(|report| report.at_ms >= oldest_ms) {
        let view = views.get(&report.view);
        if let Some(shard) = view.and_then(|view| view.shard(&report.key)) {
            shard.tell(report);
        }
    }
    if strange > 0 {
        tracing::warn!(
            keys = strange,
            "the store has keys of views or shards that this process does not have: they are kept, and not served"
        );
    }
    Ok(next)
}

fn kept_ms() -> u64 {
    REPORTS_KEPT.as_millis() as u64
}
