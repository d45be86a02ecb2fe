//! Pub/Sub as far as storage notifications need it: topics, pull and push subscriptions, leases, dead letters.
//!
//! **In:** messages of buckets and of publishers. **Out:** at-least-once deliveries, by pull or by push.
//! **Never:** drops a message that a subscription has taken before it is acknowledged, except to a dead-letter topic.
//!
//! Deliberately absent: filters, ordering keys' order, snapshots and seeking, schemas, exactly-once delivery (each is
//! refused where it is asked for), streaming pull and gRPC, expiry of messages and subscriptions.
//!
//! Source: <https://cloud.google.com/pubsub/docs/reference/rest>.

mod model;
mod push;
mod rest;

pub(crate) use model::NewMessage;

use super::Google;
use model::State;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The topics and subscriptions of a sky.
#[derive(Debug, Default)]
pub(crate) struct PubSub {
    state: Mutex<State>,
    /// Something may be delivered now that could not before.
    changed: Notify,
}

impl PubSub {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Google {
    pub(crate) fn has_topic(&self, topic: &str) -> bool {
        self.pubsub.lock().topics.contains_key(topic)
    }

    /// Publishes; `None` where there is no such topic.
    pub(crate) fn publish(
        self: &Arc<Self>,
        topic: &str,
        messages: Vec<NewMessage>,
    ) -> Option<Vec<String>> {
        let now = self.clock.now();
        let ids = self.pubsub.lock().publish(topic, messages, now);
        self.pubsub.changed.notify_waiters();
        ids
    }
}
