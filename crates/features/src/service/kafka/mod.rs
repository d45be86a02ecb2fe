//! Topics of Kafka as sources: each row counts once, however often the process dies or partitions move.
//!
//! **In:** messages, at least once, of the partitions that the group gives to this member. **Out:** events in the store, with the offsets
//! behind them, in one commit; then the same offsets to the brokers, for tools and other members. **Never:** a row twice in a store or
//! left out of all; but a message that is no row is logged and passed over.
//!
//! ```text
//! brokers ── poll ── pending.rs (rows by partition) ── take: events + offsets, one commit ── commit to the brokers
//!              └ group.rs: a partition comes: where does it begin? It goes: what is in no commit is forgotten
//! ```
//!
//! The store decides what was read, not the brokers: after a crash between the two commits they are behind it.

mod group;
mod pending;
#[cfg(test)]
mod tests;

use super::source::{KafkaSource, MessageFormat};
use super::store::Progress;
use super::views::Service;
use crate::{Error, Result};
use group::Group;
use pending::{Odd, Pending};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;
use skyfresh_sky::Kind;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Messages in one commit at most.
const BATCH: usize = 10_000;
/// Bytes of their values that a commit is made at.
const BATCH_BYTES: usize = 8 << 20;
/// How long the client waits for a message before it looks whether it is to stop.
const POLL: Duration = Duration::from_millis(100);
/// Pauses before a member that failed begins anew: the first, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// How often trouble that goes on is told.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Properties that this source sets: others would break what it promises.
const OURS: [&str; 4] = [
    "bootstrap.servers",
    "group.id",
    "enable.auto.commit",
    "enable.auto.offset.store",
];

/// The name under which the store keeps how far a partition was read.
fn position_name(source: &KafkaSource, partition: i32) -> String {
    let KafkaSource {
        name, group, topic, ..
    } = source;
    format!("{name}\0kafka\0{group}\0{topic}\0{partition}")
}

fn failed(source: &KafkaSource, error: &KafkaError) -> Error {
    let (kind, hint) = match error {
        KafkaError::ClientConfig(..) | KafkaError::ClientCreation(_) => {
            (Kind::Invalid, ": look at options")
        }
        _ => (Kind::RetryAfter, ""),
    };
    // Not with the error as its source: it may have an option's value.
    let why = match error {
        KafkaError::ClientConfig(_, why, ..) => why.clone(),
        other => other.to_string(),
    };
    Error::new(kind, "read topic", &source.topic, format!("{why}{hint}"))
}

fn settings(source: &KafkaSource) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("client.id", "skyfresh")
        // A group that is new begins at the beginning, unless the options say otherwise.
        .set("auto.offset.reset", "earliest")
        // What waits in memory; the default is 64 MiB.
        .set("queued.max.messages.kbytes", "16384");
    for (key, value) in &source.options.0 {
        settings.set(key, value);
    }
    settings
        .set("bootstrap.servers", &source.kafka)
        .set("group.id", &source.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false");
    settings
}

/// Whether the client knows the options, and takes their values.
pub(super) fn check(source: &KafkaSource) -> Result<()> {
    let MessageFormat::Json = source.format;
    let bad = |why: String| Err(Error::invalid("read configuration", &source.name, why));
    if let Some(ours) = OURS
        .iter()
        .find(|ours| source.options.0.contains_key(**ours))
    {
        return bad(format!("{ours} is set by the source itself"));
    }
    match settings(source).create_native_config() {
        Ok(_) => Ok(()),
        // Without the value, which may be a password.
        Err(KafkaError::ClientConfig(_, why, key, _)) => bad(format!("options, {key}: {why}")),
        Err(error) => bad(error.to_string()),
    }
}

/// What does not work, told now and then.
#[derive(Debug, Default)]
struct Trouble {
    told_ns: Option<u64>,
}

impl Trouble {
    fn is_due(&mut self, now_ns: u64) -> bool {
        let every_ns = TELL_EVERY.as_nanos() as u64;
        let due = self
            .told_ns
            .is_none_or(|told_ns| now_ns.saturating_sub(told_ns) >= every_ns);
        if due {
            self.told_ns = Some(now_ns);
        }
        due
    }
}

impl Service {
    /// Reads a topic as a member of a group until `stop` is cancelled. Brokers that are away are waited for.
    ///
    /// # Errors
    /// The client does not take the options.
    pub(super) async fn consume(
        self: Arc<Self>,
        source: &KafkaSource,
        stop: &CancellationToken,
    ) -> Result<()> {
        let mut pause = PAUSE.0;
        while !stop.is_cancelled() {
            let begun_ns = self.clock.monotonic_ns();
            let (service, member, token) = (Arc::clone(&self), source.clone(), stop.clone());
            let ran = tokio::task::spawn_blocking(move || service.member(&member, &token)).await;
            match ran {
                Ok(Ok(())) => {}
                Ok(Err(error)) if error.kind == Kind::Invalid => return Err(error),
                Ok(Err(error)) => {
                    tracing::warn!(source = source.name, %error, pause_s = pause.as_secs(), "reading a topic failed; it is begun anew after a pause");
                }
                Err(error) => {
                    tracing::error!(source = source.name, %error, "reading a topic panicked; it is begun anew after a pause");
                }
            }
            let ran_ns = self.clock.monotonic_ns().saturating_sub(begun_ns);
            if Duration::from_nanos(ran_ns) > PAUSE.1 {
                pause = PAUSE.0;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.clock.sleep(pause) => pause = (pause * 2).min(PAUSE.1),
            }
        }
        Ok(())
    }

    /// Is a member until `stop` is cancelled, or something fails. Blocks.
    fn member(self: &Arc<Self>, source: &KafkaSource, stop: &CancellationToken) -> Result<()> {
        let group = Group::new(Arc::clone(self), source.clone());
        let consumer: BaseConsumer<Group> = settings(source)
            .create_with_context(group)
            .map_err(|error| failed(source, &error))?;
        consumer
            .subscribe(&[&source.topic])
            .map_err(|error| failed(source, &error))?;
        let mut pending = Pending::default();
        let mut odd: Vec<Odd> = Vec::new();
        let mut trouble = Trouble::default();
        while !stop.is_cancelled() {
            // What is there already is taken together; a commit need not wait for what may come.
            let wait = match pending.messages() {
                0 => POLL,
                _ => Duration::ZERO,
            };
            let polled = consumer.poll(wait);
            let group = consumer.context();
            // Before the message, which may be of a partition that went and came back.
            for partition in group.lost() {
                pending.forget(partition);
            }
            if let Some(fault) = group.fault() {
                return Err(fault);
            }
            match polled {
                Some(Ok(message)) => {
                    let offset = u64::try_from(message.offset()).unwrap_or(0);
                    odd.extend(pending.add(message.partition(), offset, message.payload()));
                    if pending.messages() < BATCH && pending.bytes() < BATCH_BYTES {
                        continue;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(failed(source, &error));
                }
                Some(Err(error)) if trouble.is_due(self.clock.monotonic_ns()) => {
                    tell(source, &error, group.trouble());
                }
                Some(Err(_)) | None => {}
            }
            if pending.messages() > 0 {
                self.flush(source, &consumer, &mut pending, &mut odd)?;
            }
        }
        if pending.messages() > 0 {
            self.flush(source, &consumer, &mut pending, &mut odd)?;
        }
        consumer.context().commit(&consumer, CommitMode::Sync);
        Ok(())
    }

    /// Writes what waits, with its offsets, then tells the brokers.
    fn flush(
        &self,
        source: &KafkaSource,
        consumer: &BaseConsumer<Group>,
        pending: &mut Pending,
        odd: &mut Vec<Odd>,
    ) -> Result<()> {
        if let Some(first) = odd.first() {
            tracing::warn!(
                source = source.name,
                topic = source.topic,
                partition = first.partition,
                offset = first.offset,
                why = first.why,
                count = odd.len(),
                "messages that are no rows are passed over; the first one is named"
            );
            odd.clear();
        }
        let parts = pending.take();
        let progress: Vec<Progress> = parts
            .iter()
            .map(|(partition, part)| Progress {
                name: position_name(source, *partition),
                from: part.from,
                to: part.to,
            })
            .collect();
        let rows: Vec<_> = parts.values().flat_map(|part| &part.rows).collect();
        self.take_rows(&source.name, &rows, &progress)?;
        let group = consumer.context();
        for (partition, part) in &parts {
            group.stored(*partition, part.to);
        }
        group.commit(consumer, CommitMode::Async);
        Ok(())
    }
}

/// Says what does not work and what becomes of it.
fn tell(source: &KafkaSource, error: &KafkaError, trouble: Option<String>) {
    let (brokers, topic) = (source.kafka.as_str(), source.topic.as_str());
    let why = trouble.unwrap_or_else(|| error.to_string());
    let next = next(error);
    tracing::warn!(source = source.name, brokers, topic, why, "{next}");
}

fn next(error: &KafkaError) -> &'static str {
    match error {
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownPartition,
        ) => {
            "the topic is not there: make it, or correct its name; it is looked for again and again"
        }
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::BrokerTransportFailure
            | RDKafkaErrorCode::AllBrokersDown
            | RDKafkaErrorCode::Resolve
            | RDKafkaErrorCode::OperationTimedOut,
        ) => "brokers cannot be reached: they are tried again, after pauses of 10 s at most",
        _ => "reading a topic has trouble; the client tries again",
    }
}
