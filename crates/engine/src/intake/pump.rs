//! Pulls a channel: receive, parse, submit to the ledger, and only then acknowledge.
//!
//! In: deliveries of one channel. Out: submissions; counts and dead letters for status. Never: acknowledges what is not in the
//! ledger, drops an unreadable message without a record of it, lets one message circulate for ever.
//!
//! Several receivers, of this process and of others, may pull one channel: a message is handed to one of them at a time, and one
//! that comes twice all the same only makes the same keys be looked at again.

use super::dead_letters::{self, DeadLetter};
use super::notification::{self, BucketEvent};
use super::pump_meter::{ChannelMeter, ChannelStatus};
use crate::{Engine, Result, retry_delay};
use skyfresh_channel::{Channel, Delivery, MESSAGE_LIMIT_BYTES};
use skyfresh_sky::{Clock, Kind, Rng};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Most messages received at once.
const BATCH: usize = 10;
/// How long a receive waits for the first message: the longest that SQS waits.
const WAIT: Duration = Duration::from_secs(20);
/// Longest pause of a receiver whose channel gives trouble: a message must not wait long once that is over.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// First delay before an unreadable message is delivered again; doubled each time.
const FIRST_GIVE_BACK: Duration = Duration::from_secs(10);
/// Longest such delay.
const LONGEST_GIVE_BACK: Duration = Duration::from_secs(300);

/// What becomes of a message that nobody can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeadLetterPolicy {
    /// After so many deliveries it is recorded in the ledger's list, which `status` shows, and acknowledged.
    Record {
        /// Deliveries, at least 1.
        attempts: u32,
    },
    /// It is only ever given back: the queue's own policy (SQS redrive, Pub/Sub dead-letter topic) takes it out.
    LeaveToQueue,
}

/// A channel to pull.
#[derive(Clone, Debug)]
pub struct PulledChannel {
    /// Its name in status, metrics and the ledger.
    pub name: String,
    /// Where messages come from.
    pub channel: Arc<dyn Channel>,
    /// Only for these rules; empty: for every rule whose source a message concerns.
    pub rules: Vec<String>,
    /// What becomes of unreadable messages.
    pub dead_letters: DeadLetterPolicy,
    /// Receives under way at once, at least 1.
    pub receivers: usize,
}

/// One channel as it is pulled.
#[derive(Debug)]
pub(crate) struct Pump {
    pub(crate) source: PulledChannel,
    pub(crate) meter: ChannelMeter,
    /// The engine owns the pump; a pump that outlives it has nothing to do.
    pub(crate) engine: Weak<Engine>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Rng,
}

/// Messages sorted by what is to be done with them.
#[derive(Debug, Default)]
struct Sorted {
    /// Handles of messages that are nothing or known already: acknowledged at once.
    done: Vec<String>,
    /// Readable messages: their events go to the ledger first.
    readable: Vec<(Delivery, Vec<BucketEvent>)>,
    /// Unreadable ones, and why.
    unreadable: Vec<(Delivery, String)>,
}

impl Pump {
    /// Pulls until `stop`.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut failures = 0;
        loop {
            let received = tokio::select! {
                biased;
                () = stop.cancelled() => return,
                received = self.source.channel.receive(BATCH, WAIT) => received,
            };
            let kind = match received {
                Ok(batch) if batch.is_empty() => {
                    self.meter.answered();
                    failures = 0;
                    continue;
                }
                // Not cut short by `stop`: what is under way is finished, or it would be delivered again.
                Ok(batch) => match self.handle(batch).await {
                    Ok(()) => {
                        self.meter.answered();
                        failures = 0;
                        continue;
                    }
                    Err(error) => self.trouble(error.kind, &error),
                },
                Err(error) => self.trouble(error.kind, &error),
            };
            let delay = retry_delay(kind, failures, &self.rng).min(LONGEST_PAUSE);
            failures += 1;
            tokio::select! {
                biased;
                () = stop.cancelled() => return,
                () = self.clock.sleep(delay) => {}
            }
        }
    }

    fn trouble(&self, kind: Kind, error: &dyn std::error::Error) -> Kind {
        tracing::warn!(channel = self.source.name, %error, "the channel gives trouble; trying again");
        self.meter.failed(error.to_string(), self.clock.now());
        kind
    }

    /// Brings a batch to its end, or gives it back.
    async fn handle(&self, batch: Vec<Delivery>) -> Result<()> {
        let Some(engine) = self.engine.upgrade() else {
            return Ok(());
        };
        self.meter.received(&batch, self.clock.now());
        let Sorted {
            mut done,
            readable,
            unreadable,
        } = self.sort(batch);
        let events: Vec<BucketEvent> = readable
            .iter()
            .flat_map(|(_, events)| events.iter().cloned())
            .collect();
        match engine.notify_events(&self.source.rules, &events).await {
            Ok(_) => {
                for (delivery, _) in readable {
                    self.meter.accepted(&delivery.id);
                    done.push(delivery.handle);
                }
            }
            Err(error) => {
                // Sooner than the channel would by itself; if even that fails, the channel will.
                let handles: Vec<String> =
                    readable.into_iter().map(|(each, _)| each.handle).collect();
                let _ = self
                    .source
                    .channel
                    .give_back(&handles, Duration::ZERO)
                    .await;
                self.acknowledge(&done).await?;
                return Err(error);
            }
        }
        for (delivery, why) in unreadable {
            if self.refuse(&engine, &delivery, why).await? {
                done.push(delivery.handle);
            }
        }
        self.acknowledge(&done).await
    }

    fn sort(&self, batch: Vec<Delivery>) -> Sorted {
        let mut sorted = Sorted::default();
        for delivery in batch {
            if self.meter.is_known(&delivery.id) {
                // Its events are in the ledger; only the acknowledgement was lost.
                self.meter.duplicate();
                sorted.done.push(delivery.handle);
                continue;
            }
            match read(&delivery) {
                Ok(events) => sorted.readable.push((delivery, events)),
                Err(why) => sorted.unreadable.push((delivery, why)),
            }
        }
        sorted
    }

    /// Gives an unreadable message back or, after enough attempts, records it. True: it may be acknowledged.
    async fn refuse(&self, engine: &Engine, delivery: &Delivery, why: String) -> Result<bool> {
        let attempts = self.meter.refused(&delivery.id, delivery.attempts);
        tracing::debug!(
            channel = self.source.name,
            id = delivery.id,
            attempts,
            "unreadable message"
        );
        let limit = match self.source.dead_letters {
            DeadLetterPolicy::Record { attempts } => attempts,
            DeadLetterPolicy::LeaveToQueue => u32::MAX,
        };
        if attempts < limit {
            let doubled = FIRST_GIVE_BACK * 2u32.saturating_pow(attempts.saturating_sub(1).min(10));
            let handle = std::slice::from_ref(&delivery.handle);
            self.source
                .channel
                .give_back(handle, doubled.min(LONGEST_GIVE_BACK))
                .await?;
            return Ok(false);
        }
        let letter = DeadLetter::new(delivery, why, self.clock.now());
        tracing::warn!(
            channel = self.source.name,
            id = delivery.id,
            why = letter.why,
            "message recorded as dead letter"
        );
        dead_letters::record(engine.ledger(), &self.source.name, letter).await?;
        self.meter.dead_lettered(&delivery.id);
        Ok(true)
    }

    async fn acknowledge(&self, handles: &[String]) -> Result<()> {
        if handles.is_empty() {
            return Ok(());
        }
        let failed = self.source.channel.acknowledge(handles).await?;
        self.meter.not_acknowledged(failed.len());
        Ok(())
    }

    /// How it stands, with at most `letters` of its dead letters.
    pub(crate) async fn status(&self, engine: &Engine, letters: usize) -> Result<ChannelStatus> {
        let mut all = dead_letters::list(engine.ledger(), &self.source.name).await?;
        let count = all.len();
        all.truncate(letters);
        Ok(self.meter.status(&self.source, count, all))
    }
}

/// What a message says.
fn read(delivery: &Delivery) -> std::result::Result<Vec<BucketEvent>, String> {
    if delivery.body.len() > MESSAGE_LIMIT_BYTES {
        return Err(format!(
            "{} bytes; the limit is {MESSAGE_LIMIT_BYTES}",
            delivery.body.len()
        ));
    }
    notification::parse_with(&delivery.body, &delivery.attributes).map_err(|error| error.context)
}
