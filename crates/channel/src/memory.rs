//! A queue in memory that behaves like the clouds': at least once, hidden while handed out, counted, in no order.

use crate::{Channel, Delivery};
use async_trait::async_trait;
use bytes::Bytes;
use skyfresh_sky::{Clock, Kind, Rng, Timestamp, timeout};
use skyfresh_store::{Error, Result};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a message that was handed out stays hidden.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a waiting receiver looks for messages that became visible again.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A queue. Clones are the same queue.
#[derive(Clone, Debug)]
pub struct MemoryQueue {
    name: String,
    state: Arc<Mutex<State>>,
    arrived: Arc<tokio::sync::Notify>,
    clock: Arc<dyn Clock>,
    rng: Rng,
}

#[derive(Debug, Default)]
struct State {
    messages: BTreeMap<u64, Message>,
    next: u64,
    failing: Option<Kind>,
}

#[derive(Debug)]
struct Message {
    body: Bytes,
    attributes: BTreeMap<String, String>,
    sent: Timestamp,
    visible: Timestamp,
    attempts: u32,
}

impl MemoryQueue {
    /// An empty queue.
    pub fn new(name: impl Into<String>, clock: Arc<dyn Clock>, rng: Rng) -> Self {
        MemoryQueue {
            name: name.into(),
            state: Arc::default(),
            arrived: Arc::default(),
            clock,
            rng,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in.
    pub fn send(&self, body: impl Into<Bytes>, attributes: BTreeMap<String, String>) {
        let now = self.clock.now();
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        let message = Message {
            body: body.into(),
            attributes,
            sent: now,
            visible: now,
            attempts: 0,
        };
        state.messages.insert(number, message);
        drop(state);
        self.arrived.notify_waiters();
    }

    /// Messages not yet acknowledged, hidden ones included.
    pub fn len(&self) -> usize {
        self.state().messages.len()
    }

    /// Whether everything has been acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// From now on every call fails with this kind (`None`: no longer).
    pub fn fail(&self, kind: Option<Kind>) {
        self.state().failing = kind;
        self.arrived.notify_waiters();
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        match self.state().failing {
            None => Ok(()),
            Some(kind) => Err(Error::new(kind, operation, &self.name, "told to fail")),
        }
    }

    fn take(&self, limit: usize) -> Vec<Delivery> {
        let now = self.clock.now();
        let mut state = self.state();
        let mut visible: Vec<u64> = state
            .messages
            .iter()
            .filter(|(_, message)| message.visible <= now)
            .map(|(number, _)| *number)
            .collect();
        let mut taken = Vec::new();
        while taken.len() < limit && !visible.is_empty() {
            let number = visible.swap_remove(self.rng.below(visible.len() as u64) as usize);
            let Some(message) = state.messages.get_mut(&number) else {
                continue;
            };
            message.attempts += 1;
            message.visible = now.after(VISIBILITY_TIMEOUT);
            taken.push(Delivery {
                id: format!("message-{number}"),
                handle: format!("{number}.{}", message.attempts),
                body: message.body.clone(),
                attributes: message.attributes.clone(),
                attempts: message.attempts,
                sent: Some(message.sent),
            });
        }
        taken
    }
}

/// The message of a handle, where no later delivery has taken its place.
fn current<'a>(
    messages: &'a mut BTreeMap<u64, Message>,
    handle: &str,
) -> Option<(u64, &'a mut Message)> {
    let (number, attempt) = handle.split_once('.')?;
    let number: u64 = number.parse().ok()?;
    let message = messages.get_mut(&number)?;
    (attempt.parse() == Ok(message.attempts)).then_some((number, message))
}

#[async_trait]
impl Channel for MemoryQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn receive(&self, limit: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let deadline = self.clock.now().after(wait);
        loop {
            let arrived = self.arrived.notified();
            self.check("receive")?;
            let taken = self.take(limit);
            let left = deadline.since(self.clock.now());
            if !taken.is_empty() || left.is_zero() {
                return Ok(taken);
            }
            timeout(&*self.clock, left.min(LOOK_EVERY), arrived).await;
        }
    }

    async fn acknowledge(&self, handles: &[String]) -> Result<Vec<String>> {
        self.check("acknowledge")?;
        let mut state = self.state();
        let mut stale = Vec::new();
        for handle in handles {
            match current(&mut state.messages, handle).map(|(number, _)| number) {
                Some(number) => {
                    state.messages.remove(&number);
                }
                None => stale.push(handle.clone()),
            }
        }
        Ok(stale)
    }

    async fn give_back(&self, handles: &[String], delay: Duration) -> Result<()> {
        self.check("give back")?;
        let visible = self.clock.now().after(delay);
        let mut state = self.state();
        for handle in handles {
            if let Some((_, message)) = current(&mut state.messages, handle) {
                message.visible = visible;
            }
        }
        Ok(())
    }
}
