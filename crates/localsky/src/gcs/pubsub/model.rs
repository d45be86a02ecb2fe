//! Topics, subscriptions and leases. Pure but for being changed: the caller brings the time.

use serde_json::Value;
use skyfresh_sky::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Most messages that wait in one subscription; more are lost, and that is logged.
const BACKLOG_MESSAGES: usize = 1 << 20;

/// A message as a publisher gives it.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewMessage {
    /// Base64.
    pub(crate) data: String,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) ordering_key: String,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) published: Timestamp,
    pub(super) content: NewMessage,
}

#[derive(Debug, Default)]
pub(super) struct Topic {
    pub(super) labels: Value,
    pub(super) policy: Option<Value>,
}

/// Where a push subscription's messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PushConfig {
    pub(super) endpoint: String,
    /// E-mail of the service account whose token is sent, and the token's audience.
    pub(super) token: Option<(String, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct DeadLetterPolicy {
    pub(super) topic: String,
    pub(super) max_attempts: u32,
}

#[derive(Debug)]
pub(super) struct Subscription {
    pub(super) topic: String,
    pub(super) ack_deadline_s: u64,
    pub(super) push: Option<PushConfig>,
    pub(super) dead_letter: Option<DeadLetterPolicy>,
    pub(super) labels: Value,
    /// Tells this subscription from an earlier one of the same name.
    pub(super) incarnation: u64,
    waiting: VecDeque<Waiting>,
    leased: BTreeMap<String, Lease>,
}

#[derive(Debug)]
struct Waiting {
    message: Arc<Message>,
    /// Deliveries so far.
    attempts: u32,
    not_before_ns: u64,
}

#[derive(Debug)]
struct Lease {
    message: Arc<Message>,
    attempts: u32,
    until_ns: u64,
}

/// A message on loan.
#[derive(Clone, Debug)]
pub(super) struct Delivery {
    pub(super) ack_id: String,
    pub(super) message: Arc<Message>,
    /// Counted from 1; shown where there is a dead-letter policy.
    pub(super) attempt: u32,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) subscriptions: BTreeMap<String, Subscription>,
    last_id: u64,
}

const SECOND_NS: u64 = 1_000_000_000;

impl State {
    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// Hands messages to every subscription of the topic; their ids.
    pub(super) fn publish(
        &mut self,
        topic: &str,
        messages: Vec<NewMessage>,
        now: Timestamp,
    ) -> Option<Vec<String>> {
        if !self.topics.contains_key(topic) {
            return None;
        }
        let mut ids = Vec::with_capacity(messages.len());
        for content in messages {
            let id = self.next_id().to_string();
            let message = Arc::new(Message {
                id: id.clone(),
                published: now,
                content,
            });
            for (name, subscription) in &mut self.subscriptions {
                if subscription.topic == topic {
                    subscription.enqueue(name, message.clone());
                }
            }
            ids.push(id);
        }
        Some(ids)
    }

    pub(super) fn subscribe(&mut self, name: &str, mut subscription: Subscription) -> u64 {
        subscription.incarnation = self.next_id();
        let incarnation = subscription.incarnation;
        self.subscriptions.insert(name.to_owned(), subscription);
        incarnation
    }

    /// Lends up to `most` messages for the subscription's deadline.
    pub(super) fn take(
        &mut self,
        name: &str,
        most: usize,
        now_ns: u64,
        now: Timestamp,
    ) -> Vec<Delivery> {
        self.expire(name, now_ns, now);
        let mut id = self.last_id;
        let mut deliveries = Vec::new();
        let Some(subscription) = self.subscriptions.get_mut(name) else {
            return deliveries;
        };
        let mut index = 0;
        while deliveries.len() < most && index < subscription.waiting.len() {
            if subscription.waiting[index].not_before_ns > now_ns {
                index += 1;
                continue;
            }
            let Some(waiting) = subscription.waiting.remove(index) else {
                break;
            };
            id += 1;
            let ack_id = format!("{id:016x}");
            let attempt = waiting.attempts + 1;
            let lease = Lease {
                message: waiting.message.clone(),
                attempts: attempt,
                until_ns: now_ns + subscription.ack_deadline_s * SECOND_NS,
            };
            subscription.leased.insert(ack_id.clone(), lease);
            deliveries.push(Delivery {
                ack_id,
                message: waiting.message,
                attempt,
            });
        }
        self.last_id = id;
        deliveries
    }

    /// Takes back what was lent too long ago.
    fn expire(&mut self, name: &str, now_ns: u64, now: Timestamp) {
        let Some(subscription) = self.subscriptions.get(name) else {
            return;
        };
        let late: Vec<String> = subscription
            .leased
            .iter()
            .filter(|(_, lease)| lease.until_ns <= now_ns)
            .map(|(id, _)| id.clone())
            .collect();
        for id in late {
            self.give_back(name, &id, now_ns, now);
        }
    }

    /// Ends a lease without an acknowledgement: the message waits again from `not_before_ns` on, or goes to the
    /// dead-letter topic once it was delivered often enough.
    pub(super) fn give_back(
        &mut self,
        name: &str,
        ack_id: &str,
        not_before_ns: u64,
        now: Timestamp,
    ) {
        let Some(subscription) = self.subscriptions.get_mut(name) else {
            return;
        };
        let Some(lease) = subscription.leased.remove(ack_id) else {
            return;
        };
        let dead = subscription
            .dead_letter
            .clone()
            .filter(|policy| lease.attempts >= policy.max_attempts);
        if let Some(policy) = dead {
            let letter = dead_letter(&lease.message, name, lease.attempts);
            if self.publish(&policy.topic, vec![letter], now).is_some() {
                return;
            }
        }
        if let Some(subscription) = self.subscriptions.get_mut(name) {
            subscription.waiting.push_back(Waiting {
                message: lease.message,
                attempts: lease.attempts,
                not_before_ns,
            });
        }
    }

    pub(super) fn acknowledge(&mut self, name: &str, ack_ids: &[String]) {
        if let Some(subscription) = self.subscriptions.get_mut(name) {
            for id in ack_ids {
                subscription.leased.remove(id);
            }
        }
    }

    /// Extends leases; a deadline of zero gives the messages back.
    pub(super) fn modify_deadline(
        &mut self,
        name: &str,
        ack_ids: &[String],
        deadline_s: u64,
        now_ns: u64,
        now: Timestamp,
    ) {
        for id in ack_ids {
            if deadline_s == 0 {
                self.give_back(name, id, now_ns, now);
            } else if let Some(lease) = self
                .subscriptions
                .get_mut(name)
                .and_then(|subscription| subscription.leased.get_mut(id))
            {
                lease.until_ns = now_ns + deadline_s * SECOND_NS;
            }
        }
    }

    /// When the next message becomes due that is not now: a held one, or a lease that ends.
    pub(super) fn next_due_ns(&self, name: &str) -> Option<u64> {
        let subscription = self.subscriptions.get(name)?;
        let waiting = subscription
            .waiting
            .iter()
            .map(|waiting| waiting.not_before_ns);
        let leased = subscription.leased.values().map(|lease| lease.until_ns);
        waiting.chain(leased).min()
    }
}

impl Subscription {
    pub(super) fn new(topic: String) -> Self {
        Subscription {
            topic,
            // The documented default.
            ack_deadline_s: 10,
            push: None,
            dead_letter: None,
            labels: Value::Null,
            incarnation: 0,
            waiting: VecDeque::new(),
            leased: BTreeMap::new(),
        }
    }

    fn enqueue(&mut self, name: &str, message: Arc<Message>) {
        if self.waiting.len() >= BACKLOG_MESSAGES {
            tracing::warn!(subscription = name, "a message was lost: too many wait");
            return;
        }
        self.waiting.push_back(Waiting {
            message,
            attempts: 0,
            not_before_ns: 0,
        });
    }
}

/// The message with what is said of dead letters
/// (<https://cloud.google.com/pubsub/docs/handling-failures#dead_letter_topic>).
fn dead_letter(message: &Message, subscription: &str, attempts: u32) -> NewMessage {
    let mut letter = message.content.clone();
    let mut parts = subscription.split('/').skip(1).step_by(2);
    let (project, name) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let attributes = [
        (
            "CloudPubSubDeadLetterSourceDeliveryCount",
            attempts.to_string(),
        ),
        ("CloudPubSubDeadLetterSourceSubscription", name.to_owned()),
        (
            "CloudPubSubDeadLetterSourceSubscriptionProject",
            project.to_owned(),
        ),
        (
            "CloudPubSubDeadLetterSourceTopicPublishTime",
            message.published.to_string(),
        ),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
    letter.attributes.extend(attributes);
    letter
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBSCRIPTION: &str = "projects/p/subscriptions/s";
    const NOW: Timestamp = Timestamp::ZERO;

    fn state() -> State {
        let mut state = State::default();
        for topic in ["t", "dead"] {
            state.topics.insert(topic.into(), Topic::default());
        }
        state.subscribe(SUBSCRIPTION, Subscription::new("t".into()));
        state
    }

    fn send(state: &mut State) {
        state
            .publish("t", vec![NewMessage::default()], NOW)
            .unwrap();
    }

    #[test]
    fn a_message_comes_again_until_it_is_acknowledged() {
        let mut state = state();
        send(&mut state);
        let first = state.take(SUBSCRIPTION, 10, 0, NOW);
        assert_eq!((first.len(), first[0].attempt), (1, 1));
        assert!(state.take(SUBSCRIPTION, 10, 9 * SECOND_NS, NOW).is_empty());
        let again = state.take(SUBSCRIPTION, 10, 10 * SECOND_NS, NOW);
        assert_eq!(again[0].attempt, 2);
        // The lease that ended no longer acknowledges.
        state.acknowledge(SUBSCRIPTION, &[first[0].ack_id.clone()]);
        state.modify_deadline(SUBSCRIPTION, &[again[0].ack_id.clone()], 0, 0, NOW);
        let third = state.take(SUBSCRIPTION, 10, 10 * SECOND_NS, NOW);
        assert_eq!(third[0].attempt, 3);
        state.acknowledge(SUBSCRIPTION, &[third[0].ack_id.clone()]);
        assert!(state.take(SUBSCRIPTION, 10, u64::MAX / 2, NOW).is_empty());
        assert_eq!(state.next_due_ns(SUBSCRIPTION), None);
    }

    #[test]
    fn what_fails_too_often_is_a_dead_letter() {
        let mut state = state();
        let graveyard = "projects/p/subscriptions/g";
        state.subscribe(graveyard, Subscription::new("dead".into()));
        let subscription = state.subscriptions.get_mut(SUBSCRIPTION).unwrap();
        subscription.dead_letter = Some(DeadLetterPolicy {
            topic: "dead".into(),
            max_attempts: 5,
        });
        send(&mut state);
        for attempt in 1..=5 {
            let taken = state.take(SUBSCRIPTION, 1, 0, NOW);
            assert_eq!(taken[0].attempt, attempt);
            state.give_back(SUBSCRIPTION, &taken[0].ack_id, 0, NOW);
        }
        assert!(state.take(SUBSCRIPTION, 1, 0, NOW).is_empty());
        let letters = state.take(graveyard, 1, 0, NOW);
        let attributes = &letters[0].message.content.attributes;
        assert_eq!(attributes["CloudPubSubDeadLetterSourceDeliveryCount"], "5");
        assert_eq!(attributes["CloudPubSubDeadLetterSourceSubscription"], "s");
    }
}
