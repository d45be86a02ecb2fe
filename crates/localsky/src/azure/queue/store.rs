//! Queues and their messages. What a queue does is a function of its state and the time.

use super::queue_not_found;
use crate::azure::error::{Result, StorageError};
use crate::store::Surroundings;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::StatusCode;
use skyfresh_sky::{Rng, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A message in a queue.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) inserted: Timestamp,
    /// [`Timestamp::MAX`] for ever.
    pub(super) expires: Timestamp,
    pub(super) visible: Timestamp,
    /// Of the last one who saw it; others are refused.
    pub(super) pop_receipt: String,
    pub(super) dequeue_count: u64,
}

/// A queue: the oldest message first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) metadata: BTreeMap<String, String>,
    messages: Vec<Message>,
}

fn message_not_found() -> StorageError {
    StorageError::new(
        StatusCode::NOT_FOUND,
        "MessageNotFound",
        "The specified message does not exist.",
    )
}

fn receipt(rng: &Rng) -> String {
    BASE64.encode(rng.u64().to_be_bytes())
}

impl Queue {
    fn expire(&mut self, now: Timestamp) {
        self.messages.retain(|message| message.expires > now);
    }

    /// Messages, the invisible ones too.
    pub(super) fn count(&mut self, now: Timestamp) -> usize {
        self.expire(now);
        self.messages.len()
    }

    /// `lifetime`: `None` for ever.
    pub(super) fn put(
        &mut self,
        id: String,
        text: String,
        hidden: Duration,
        lifetime: Option<Duration>,
        now: Timestamp,
        rng: &Rng,
    ) -> Message {
        let message = Message {
            id,
            text,
            inserted: now,
            expires: lifetime.map_or(Timestamp::MAX, |lifetime| now.after(lifetime)),
            visible: now.after(hidden),
            pop_receipt: receipt(rng),
            dequeue_count: 0,
        };
        self.messages.push(message.clone());
        message
    }

    /// Takes up to `most` visible messages and hides them.
    pub(super) fn get(
        &mut self,
        most: usize,
        hidden: Duration,
        now: Timestamp,
        rng: &Rng,
    ) -> Vec<Message> {
        self.expire(now);
        self.messages
            .iter_mut()
            .filter(|message| message.visible <= now)
            .take(most)
            .map(|message| {
                message.visible = now.after(hidden);
                message.pop_receipt = receipt(rng);
                message.dequeue_count += 1;
                message.clone()
            })
            .collect()
    }

    pub(super) fn peek(&mut self, most: usize, now: Timestamp) -> Vec<Message> {
        self.expire(now);
        let visible = |message: &&Message| message.visible <= now;
        self.messages
            .iter()
            .filter(visible)
            .take(most)
            .cloned()
            .collect()
    }

    fn find(&mut self, id: &str, pop_receipt: &str, now: Timestamp) -> Result<usize> {
        self.expire(now);
        let index = self
            .messages
            .iter()
            .position(|message| message.id == id)
            .ok_or_else(message_not_found)?;
        if self.messages[index].pop_receipt != pop_receipt {
            return Err(StorageError::new(
                StatusCode::BAD_REQUEST,
                "PopReceiptMismatch",
                "The specified pop receipt did not match the pop receipt for a dequeued message.",
            ));
        }
        Ok(index)
    }

    pub(super) fn delete(&mut self, id: &str, pop_receipt: &str, now: Timestamp) -> Result<()> {
        let index = self.find(id, pop_receipt, now)?;
        self.messages.remove(index);
        Ok(())
    }

    /// Hides a message anew, with another text where one is given.
    pub(super) fn update(
        &mut self,
        id: &str,
        pop_receipt: &str,
        text: Option<String>,
        hidden: Duration,
        now: Timestamp,
        rng: &Rng,
    ) -> Result<Message> {
        let index = self.find(id, pop_receipt, now)?;
        let message = &mut self.messages[index];
        message.visible = now.after(hidden);
        message.pop_receipt = receipt(rng);
        if let Some(text) = text {
            message.text = text;
        }
        Ok(message.clone())
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
    }
}

/// The queues of an account.
#[derive(Debug)]
pub(crate) struct Queues {
    surroundings: Arc<Surroundings>,
    queues: Mutex<BTreeMap<String, Queue>>,
}

impl Queues {
    pub(crate) fn new(surroundings: Arc<Surroundings>) -> Self {
        Queues {
            surroundings,
            queues: Mutex::default(),
        }
    }

    pub(super) fn rng(&self) -> &Rng {
        &self.surroundings.rng
    }

    fn locked<T>(&self, act: impl FnOnce(&mut BTreeMap<String, Queue>) -> T) -> T {
        act(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a queue. False where there is one of the same name and metadata already.
    pub(super) fn create(&self, name: &str, metadata: BTreeMap<String, String>) -> Result<bool> {
        self.locked(|queues| match queues.get(name) {
            Some(queue) if queue.metadata == metadata => Ok(false),
            Some(_) => Err(StorageError::new(
                StatusCode::CONFLICT,
                "QueueAlreadyExists",
                "The specified queue already exists.",
            )),
            None => {
                let queue = Queue {
                    metadata,
                    ..Queue::default()
                };
                queues.insert(name.to_owned(), queue);
                Ok(true)
            }
        })
    }

    pub(super) fn delete(&self, name: &str) -> Result<()> {
        self.locked(|queues| queues.remove(name))
            .map(drop)
            .ok_or_else(queue_not_found)
    }

    pub(super) fn metadata(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        self.locked(|queues| {
            queues
                .iter()
                .map(|(name, queue)| (name.clone(), queue.metadata.clone()))
                .collect()
        })
    }

    /// Works on a queue under the lock; is told the time.
    pub(super) fn with<T>(
        &self,
        name: &str,
        act: impl FnOnce(&mut Queue, Timestamp) -> T,
    ) -> Result<T> {
        let now = self.surroundings.clock.now();
        self.locked(|queues| queues.get_mut(name).map(|queue| act(queue, now)))
            .ok_or_else(queue_not_found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_unix_ms(second * 1000)
    }

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_message_hides_comes_back_and_goes() {
        let (mut queue, rng) = (Queue::default(), Rng::seeded(1));
        queue.put("a".into(), "x".into(), s(0), Some(s(100)), at(0), &rng);
        queue.put("b".into(), "y".into(), s(5), None, at(0), &rng);
        assert_eq!(queue.peek(9, at(0)).len(), 1);
        let got = queue.get(9, s(30), at(1), &rng);
        assert_eq!(
            (got.len(), got[0].dequeue_count, &*got[0].text),
            (1, 1, "x")
        );
        assert!(queue.get(1, s(30), at(4), &rng).is_empty());
        let again = queue.get(1, s(30), at(31), &rng);
        assert_eq!((&*again[0].id, again[0].dequeue_count), ("a", 2));
        let stale = queue.delete("a", &got[0].pop_receipt, at(32)).unwrap_err();
        assert_eq!(stale.code, "PopReceiptMismatch");
        let updated = queue
            .update(
                "a",
                &again[0].pop_receipt,
                Some("z".into()),
                s(0),
                at(33),
                &rng,
            )
            .unwrap();
        assert_eq!(queue.peek(1, at(33))[0].text, "z");
        queue.delete("a", &updated.pop_receipt, at(34)).unwrap();
        assert_eq!(queue.count(at(1_000_000)), 1);
    }

    #[test]
    fn a_message_expires() {
        let (mut queue, rng) = (Queue::default(), Rng::seeded(1));
        let put = queue.put("a".into(), "x".into(), s(0), Some(s(10)), at(0), &rng);
        assert_eq!(queue.count(at(9)), 1);
        let gone = queue.delete("a", &put.pop_receipt, at(10)).unwrap_err();
        assert_eq!(gone.code, "MessageNotFound");
        assert_eq!(queue.count(at(10)), 0);
    }
}
