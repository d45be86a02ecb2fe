//! A member of a consumer group: which partitions it has, and where it begins in them.
//!
//! The client calls this from within `poll`, on the thread that reads.

use super::pending::{Start, start};
use super::{failed, position_name};
use crate::service::source::KafkaSource;
use crate::service::views::Service;
use crate::{Error, Result};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long brokers may take to say where a group is, and where a partition ends.
const ASK: Duration = Duration::from_secs(5);

/// What the client tells between two polls.
#[derive(Debug, Default)]
struct Told {
    /// Partitions that are this member's: the offset behind what is in the store, once it is known.
    mine: BTreeMap<i32, Option<u64>>,
    /// Partitions that went away.
    lost: Vec<i32>,
    /// Why it cannot go on.
    fault: Option<Error>,
    /// The client's last words on what does not work.
    trouble: Option<String>,
}

/// The member.
pub(super) struct Group {
    service: Arc<Service>,
    source: KafkaSource,
    told: Mutex<Told>,
}

impl Group {
    pub(super) fn new(service: Arc<Service>, source: KafkaSource) -> Self {
        Group {
            service,
            source,
            told: Mutex::default(),
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Partitions that went away since this was asked.
    pub(super) fn lost(&self) -> Vec<i32> {
        std::mem::take(&mut self.told().lost)
    }

    /// Why it cannot go on.
    pub(super) fn fault(&self) -> Option<Error> {
        self.told().fault.take()
    }

    /// The client's last words on what does not work.
    pub(super) fn trouble(&self) -> Option<String> {
        self.told().trouble.take()
    }

    /// What is before this offset is in the store.
    pub(super) fn stored(&self, partition: i32, offset: u64) {
        if let Some(known) = self.told().mine.get_mut(&partition) {
            *known = Some(offset);
        }
    }

    /// Tells the brokers what is in the store: tools see from it how far the group is behind, and other members where to go on.
    pub(super) fn commit(&self, consumer: &BaseConsumer<Self>, mode: CommitMode) {
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in &self.told().mine {
            let Some(offset) = offset.and_then(|offset| i64::try_from(offset).ok()) else {
                continue;
            };
            // A number that is no offset cannot be: these come from messages.
            let _ = offsets.add_partition_offset(
                &self.source.topic,
                *partition,
                Offset::Offset(offset),
            );
        }
        if offsets.count() > 0
            && let Err(error) = consumer.commit(&offsets, mode)
        {
            self.uncommitted(&error);
        }
    }

    fn uncommitted(&self, error: &KafkaError) {
        tracing::warn!(source = self.source.name, %error, "the brokers do not know how far the topic was read; the store does");
    }

    /// Says where each partition begins.
    fn begin(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) -> Result<()> {
        let name = |partition| position_name(&self.source, partition);
        let mut stored: BTreeMap<i32, u64> = BTreeMap::new();
        for element in list.elements() {
            let partition = element.partition();
            stored.insert(partition, self.service.store.position(&name(partition))?);
        }
        // Only where the store has something is there anything to compare.
        let mut known = TopicPartitionList::new();
        for (partition, _) in stored.iter().filter(|(_, offset)| **offset > 0) {
            known.add_partition(&self.source.topic, *partition);
        }
        let mut asking = known.count() > 0;
        let committed = match asking.then(|| consumer.committed_offsets(known, ASK)) {
            Some(Ok(committed)) => Some(committed),
            Some(Err(error)) => {
                asking = false;
                tracing::warn!(source = self.source.name, %error, "the brokers do not say how far the group is; reading begins where the store is");
                None
            }
            None => None,
        };
        for (partition, stored) in stored {
            let committed = committed.as_ref().and_then(|list| {
                match list.find_partition(&self.source.topic, partition)?.offset() {
                    Offset::Offset(offset) => u64::try_from(offset).ok(),
                    _ => None,
                }
            });
            let ends = match asking && stored > 0 {
                true => consumer
                    .fetch_watermarks(&self.source.topic, partition, ASK)
                    .inspect_err(|_| asking = false)
                    .ok(),
                false => None,
            };
            let ends = ends.and_then(|(first, end)| {
                Some((u64::try_from(first).ok()?, u64::try_from(end).ok()?))
            });
            let offset = match start(stored, committed, ends) {
                Start::AsCommitted => {
                    self.told().mine.insert(partition, None);
                    continue;
                }
                // Not an error: brokers may be behind each other. If the topic is another one, its rows come with offsets that the store
                // has, and are refused.
                Start::Beyond { offset, end } => {
                    tracing::warn!(
                        source = self.source.name,
                        topic = self.source.topic,
                        partition,
                        offset,
                        end,
                        "the partition ends before what was read of it; if the topic was made anew, give the source another group"
                    );
                    offset
                }
                Start::At { offset, lost } => {
                    if lost > 0 {
                        tracing::warn!(
                            source = self.source.name,
                            topic = self.source.topic,
                            partition,
                            lost,
                            "the brokers deleted messages before they were read"
                        );
                    }
                    offset
                }
            };
            self.told().mine.insert(partition, Some(offset));
            let offset = Offset::Offset(i64::try_from(offset).unwrap_or(i64::MAX));
            list.set_partition_offset(&self.source.topic, partition, offset)
                .map_err(|error| failed(&self.source, &error))?;
        }
        Ok(())
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, list: &mut TopicPartitionList) {
        if let Err(error) = self.begin(consumer, list) {
            // Without partitions until the reader has seen it, and begins anew.
            self.told().fault = Some(error);
            let _ = consumer.unassign();
            return;
        }
        let mine: Vec<i32> = list.elements().iter().map(|one| one.partition()).collect();
        tracing::info!(source = self.source.name, topic = self.source.topic, partitions = ?mine, "partitions came");
        let assigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
            _ => consumer.assign(list),
        };
        if let Err(error) = assigned {
            self.told().fault = Some(failed(&self.source, &error));
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, list: &TopicPartitionList) {
        // The next member begins where the brokers know that this one was.
        if !consumer.assignment_lost() {
            self.commit(consumer, CommitMode::Sync);
        }
        let gone: Vec<i32> = list.elements().iter().map(|one| one.partition()).collect();
        tracing::info!(source = self.source.name, topic = self.source.topic, partitions = ?gone, "partitions went");
        let mut told = self.told();
        for partition in gone {
            told.mine.remove(&partition);
            told.lost.push(partition);
        }
        drop(told);
        let unassigned = match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
            _ => consumer.unassign(),
        };
        if let Err(error) = unassigned {
            self.told().fault = Some(failed(&self.source, &error));
        }
    }
}

impl ClientContext for Group {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // What goes wrong comes as errors, too.
        tracing::debug!(
            source = self.source.name,
            ?level,
            facility,
            message,
            "librdkafka"
        );
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(source = self.source.name, %error, reason, "librdkafka");
        self.told().trouble = Some(reason.to_owned());
    }
}

impl ConsumerContext for Group {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assign(consumer, list),
            _ => self.revoke(consumer, list),
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        if let Err(error) = result {
            self.uncommitted(&error);
        }
    }
}
