//! Notifications of changes, in S3's or Event Grid's format, by webhook or queue, with knobs for all that goes wrong with notifications.
//!
//! ```text
//! store ── drop? duplicate? due when? ── per target: queue (1,048,576 events) ── heap by due time (same bound)
//!       ── batches of ≤ 100 records, every ≤ 20 ms ── POST, again with growing delay until it is answered 2xx
//! ```
//!
//! An event beyond a bound is dropped and counted: real notifications get lost too.

mod event;
mod format;
mod target;

pub(crate) use event::{Event, EventName};
pub use format::EventFormat;
pub(crate) use target::validate;

use crate::config::Secret;
use crate::random::DelayDistribution;
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Clock, Region, Rng};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use target::Target;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bound of every queue of events.
pub(crate) const QUEUE_EVENTS: usize = 1 << 20;

/// Who hears of changes, and how unreliably. All default to: nobody, and faithfully.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotificationSettings {
    /// The webhooks. They hear of changes in regions that speak S3; other protocols have channels of their own, which
    /// suffer the same losses and delays.
    pub targets: Vec<WebhookTarget>,
    /// The chance that an event is never delivered.
    pub drop_probability: f64,
    /// The chance that an event is delivered twice.
    pub duplicate_probability: f64,
    /// Added between the change and its delivery.
    pub delay: DelayDistribution,
    /// The chance that an event is held back for up to `reorder_window_ms` more, so that later ones overtake it.
    pub reorder_probability: f64,
    /// How long events are held back at most, in milliseconds.
    pub reorder_window_ms: u64,
}

/// A webhook.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookTarget {
    /// `http://host:port/path`.
    pub url: String,
    /// Sent as `Authorization: Bearer …` where present.
    #[serde(default, skip_serializing)]
    pub token: Option<Secret>,
    /// Only changes in this region; any where absent.
    #[serde(default)]
    pub region: Option<Region>,
    /// Only changes in this bucket; any where absent.
    #[serde(default)]
    pub bucket: Option<String>,
    /// Only keys that start with this.
    #[serde(default)]
    pub prefix: String,
    /// How events are sent, and those of which regions.
    #[serde(default)]
    pub format: EventFormat,
    /// Further conditions on events of Azure regions.
    #[serde(default)]
    pub filter: EventGridFilter,
    /// It has answered the handshake already.
    #[serde(skip)]
    pub(crate) validated: bool,
}

/// Which events of Azure regions a subscription hears of
/// (<https://learn.microsoft.com/azure/event-grid/event-filtering>). Everything empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventGridFilter {
    /// `/blobServices/default/containers/CONTAINER/blobs/PREFIX`.
    pub subject_begins_with: String,
    /// The end of the subject.
    pub subject_ends_with: String,
    /// `Microsoft.Storage.BlobCreated`, `Microsoft.Storage.BlobDeleted`; all where empty.
    pub event_types: Vec<String>,
}

impl EventGridFilter {
    fn wants(&self, event: &Event) -> bool {
        let Some(azure) = &event.azure else {
            return true;
        };
        let (subject, kind) = (azure.subject(event), azure.event_type());
        subject.starts_with(&self.subject_begins_with)
            && subject.ends_with(&self.subject_ends_with)
            && (self.event_types.is_empty() || self.event_types.iter().any(|known| known == kind))
    }
}

impl WebhookTarget {
    /// A webhook that hears of every change.
    pub fn new(url: impl Into<String>, token: Option<Secret>) -> Self {
        WebhookTarget {
            url: url.into(),
            token,
            region: None,
            bucket: None,
            prefix: String::new(),
            format: EventFormat::default(),
            filter: EventGridFilter::default(),
            validated: false,
        }
    }

    /// The same target, hearing of changes in Azure regions in this format.
    pub fn speaking(mut self, format: EventFormat) -> Self {
        self.format = format;
        self
    }

    fn wants(&self, event: &Event) -> bool {
        self.region
            .as_ref()
            .is_none_or(|region| *region == event.region)
            && self
                .bucket
                .as_ref()
                .is_none_or(|bucket| *bucket == event.bucket)
            && event.key.starts_with(&self.prefix)
            && self.format.tells_of(event)
            && self.filter.wants(event)
    }
}

/// How many events went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NotificationCounts {
    /// Changes that a target wanted.
    pub emitted: u64,
    /// Deliveries that were answered 2xx (a duplicate counts again).
    pub delivered: u64,
    /// Dropped on purpose.
    pub dropped: u64,
    /// Dropped because a queue was full.
    pub overflowed: u64,
    /// Delivered twice on purpose.
    pub duplicated: u64,
    /// POSTs that failed and were, or will be, repeated.
    pub failed_posts: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    emitted: AtomicU64,
    pub(crate) delivered: AtomicU64,
    dropped: AtomicU64,
    pub(crate) overflowed: AtomicU64,
    duplicated: AtomicU64,
    pub(crate) failed_posts: AtomicU64,
}

/// The notifications of a sky. Clones are the same.
#[derive(Clone, Debug)]
pub struct Notifications {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    settings: RwLock<Settings>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    rng: Rng,
    tasks: TaskTracker,
    stop: CancellationToken,
    /// The resource that events of Azure regions come from.
    topic: String,
}

/// Settings and the running senders that belong to them.
#[derive(Debug, Default)]
struct Settings {
    given: NotificationSettings,
    targets: Vec<RunningTarget>,
}

#[derive(Debug)]
struct RunningTarget {
    target: WebhookTarget,
    queue: mpsc::Sender<(u64, Arc<Event>)>,
}

impl Notifications {
    pub(crate) fn new(
        clock: Arc<dyn Clock>,
        rng: Rng,
        tasks: TaskTracker,
        stop: CancellationToken,
        topic: String,
    ) -> Self {
        let shared = Shared {
            settings: RwLock::default(),
            counters: Arc::default(),
            clock,
            rng,
            tasks,
            stop,
            topic,
        };
        Notifications {
            shared: Arc::new(shared),
        }
    }

    /// Replaces the settings. Targets that stay keep what they still have to send; others forget it.
    ///
    /// # Errors
    /// A target's URL is not `http://…`.
    pub fn set(&self, mut settings: NotificationSettings) -> crate::Result<()> {
        let urls: Vec<http::Uri> = settings
            .targets
            .iter()
            .map(|target| target::parse_url(&target.url))
            .collect::<crate::Result<_>>()?;
        let shared = &self.shared;
        let mut current = shared
            .settings
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        // What the admin endpoint showed came without tokens: a target given back without one keeps its own.
        for target in settings
            .targets
            .iter_mut()
            .filter(|target| target.token.is_none())
        {
            let same = current
                .given
                .targets
                .iter()
                .find(|known| known.url == target.url);
            target.token = same.and_then(|known| known.token.clone());
        }
        let mut before = std::mem::take(&mut current.targets);
        for (target, url) in settings.targets.iter().zip(urls) {
            let kept = before.iter().position(|running| running.target == *target);
            let running = match kept {
                Some(index) => before.swap_remove(index),
                None => {
                    let (queue, events) = mpsc::channel(QUEUE_EVENTS);
                    let sender = Target::new(
                        url,
                        target,
                        shared.topic.clone(),
                        shared.rng.fork(),
                        shared.clock.clone(),
                        shared.counters.clone(),
                    );
                    let stop = shared.stop.clone();
                    shared.tasks.spawn(async move {
                        stop.run_until_cancelled(sender.run(events)).await;
                    });
                    RunningTarget {
                        target: target.clone(),
                        queue,
                    }
                }
            };
            current.targets.push(running);
        }
        current.given = settings;
        Ok(())
    }

    /// The settings in force.
    pub fn settings(&self) -> NotificationSettings {
        self.shared
            .settings
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .given
            .clone()
    }

    /// Changes the settings in force.
    ///
    /// # Errors
    /// A target's URL is not `http://…`.
    pub fn update(&self, change: impl FnOnce(&mut NotificationSettings)) -> crate::Result<()> {
        let mut settings = self.settings();
        change(&mut settings);
        self.set(settings)
    }

    /// How many events went where.
    pub fn counts(&self) -> NotificationCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        NotificationCounts {
            emitted: read(&counters.emitted),
            delivered: read(&counters.delivered),
            dropped: read(&counters.dropped),
            overflowed: read(&counters.overflowed),
            duplicated: read(&counters.duplicated),
            failed_posts: read(&counters.failed_posts),
        }
    }

    /// Queues an event for whoever wants it. Never waits: it is called under the bucket's lock, which keeps the order.
    pub(crate) fn emit(&self, event: impl FnOnce() -> Event) {
        let settings = self
            .shared
            .settings
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        if settings.targets.is_empty() {
            return;
        }
        let event = Arc::new(event());
        let (rng, counters, given) = (&self.shared.rng, &self.shared.counters, &settings.given);
        for running in settings
            .targets
            .iter()
            .filter(|running| running.target.wants(&event))
        {
            for delay in draw_deliveries(given, rng, counters) {
                let due_ns = self.shared.clock.monotonic_ns() + delay.as_nanos() as u64;
                if running.queue.try_send((due_ns, event.clone())).is_err() {
                    counters.overflowed.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// When an event that goes another way than by webhook is to be delivered: never, once or twice, each after a delay.
    pub(crate) fn draw_deliveries(&self) -> Vec<Duration> {
        let settings = self
            .shared
            .settings
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        draw_deliveries(&settings.given, &self.shared.rng, &self.shared.counters)
    }

    /// Notes that such events arrived.
    pub(crate) fn count_delivered(&self, events: u64) {
        self.shared
            .counters
            .delivered
            .fetch_add(events, Ordering::Relaxed);
    }
}

/// Draws what happens to one event, and counts it.
fn draw_deliveries(
    settings: &NotificationSettings,
    rng: &Rng,
    counters: &Counters,
) -> Vec<Duration> {
    let add = |counter: &AtomicU64| {
        counter.fetch_add(1, Ordering::Relaxed);
    };
    add(&counters.emitted);
    if settings.drop_probability > 0.0 && rng.chance(settings.drop_probability) {
        add(&counters.dropped);
        return Vec::new();
    }
    let twice = settings.duplicate_probability > 0.0 && rng.chance(settings.duplicate_probability);
    if twice {
        add(&counters.duplicated);
    }
    (0..if twice { 2 } else { 1 })
        .map(|_| Duration::from_nanos((delay_ms(settings, rng) * 1e6) as u64))
        .collect()
}

fn delay_ms(settings: &NotificationSettings, rng: &Rng) -> f64 {
    let held = settings.reorder_probability > 0.0 && rng.chance(settings.reorder_probability);
    let held_ms = if held {
        rng.below(settings.reorder_window_ms + 1)
    } else {
        0
    };
    settings.delay.draw_ms(rng) + held_ms as f64
}
