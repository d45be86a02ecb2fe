//! The suite on the queue in memory.

use async_trait::async_trait;
use skyfresh_channel::Channel;
use skyfresh_channel::conformance::{self, Subject};
use skyfresh_channel::memory::MemoryQueue;
use skyfresh_sky::{Rng, SystemClock};
use std::collections::BTreeMap;
use std::sync::Arc;

struct Queue(MemoryQueue);

#[async_trait]
impl Subject for Queue {
    fn channel(&self) -> &dyn Channel {
        &self.0
    }

    async fn send(&self, body: &str) {
        self.0.send(body.to_owned(), BTreeMap::new());
    }
}

#[tokio::test]
async fn conformance() {
    let queue = MemoryQueue::new("memory", Arc::new(SystemClock), Rng::seeded(7));
    conformance::run(&Queue(queue), &SystemClock).await;
}
