//! A queue that several tasks take from: whoever is ready takes the next.

use super::lock;
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::Semaphore;

/// Unbounded by itself: whoever puts something in holds space of a bounded pool, or is bounded by the owner's window.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Mutex<VecDeque<T>>,
    count: Semaphore,
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Queue {
            items: Mutex::default(),
            count: Semaphore::new(0),
        }
    }
}

impl<T> Queue<T> {
    pub(crate) fn push(&self, item: T) {
        lock(&self.items).push_back(item);
        self.count.add_permits(1);
    }

    /// Before everything else, for what was taken already and comes back.
    pub(crate) fn push_front(&self, item: T) {
        lock(&self.items).push_front(item);
        self.count.add_permits(1);
    }

    /// The next item. Dropped while it waits, it takes nothing.
    pub(crate) async fn pop(&self) -> T {
        loop {
            // The semaphore is never closed.
            if let Ok(permit) = self.count.acquire().await {
                permit.forget();
            }
            if let Some(item) = lock(&self.items).pop_front() {
                return item;
            }
        }
    }

    pub(crate) fn try_pop(&self) -> Option<T> {
        self.count.try_acquire().ok()?.forget();
        lock(&self.items).pop_front()
    }

    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.items).is_empty()
    }
}
