//! A bell that a process rings for itself: "a task may have become claimable".
//!
//! Not Tokio's watch channel, which wakes in an order that it draws: here whoever waited first is woken first, so that a
//! simulation of one seed is one run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Rope {
    rung: AtomicU64,
    notify: Notify,
}

/// Rings for every [`Listener`]. Clones are the same bell.
#[derive(Clone, Debug, Default)]
pub struct Bell(Arc<Rope>);

impl Bell {
    /// A bell that was never rung.
    pub fn new() -> Self {
        Self::default()
    }

    /// Rings it.
    pub fn ring(&self) {
        self.0.rung.fetch_add(1, Ordering::SeqCst);
        self.0.notify.notify_waiters();
    }

    /// Hears every ring from now on.
    pub fn listen(&self) -> Listener {
        Listener {
            heard: self.0.rung.load(Ordering::SeqCst),
            rope: Arc::clone(&self.0),
        }
    }
}

/// Hears a [`Bell`].
#[derive(Clone, Debug)]
pub struct Listener {
    heard: u64,
    rope: Arc<Rope>,
}

impl Listener {
    /// Forgets the rings so far.
    pub fn forget(&mut self) {
        self.heard = self.rope.rung.load(Ordering::SeqCst);
    }

    /// Whether it has rung since it was last heard or forgotten.
    pub fn has_rung(&self) -> bool {
        self.heard != self.rope.rung.load(Ordering::SeqCst)
    }

    /// Waits for the next ring; several in between are one. Nothing is lost where the future is dropped.
    pub async fn heard(&mut self) {
        let rope = Arc::clone(&self.rope);
        loop {
            let rung = rope.notify.notified();
            let mut rung = std::pin::pin!(rung);
            // Waits from here on, so that a ring between the look and the wait is heard.
            rung.as_mut().enable();
            if self.has_rung() {
                return self.forget();
            }
            rung.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rings_are_heard_once_and_none_is_lost() {
        let bell = Bell::new();
        let mut listener = bell.listen();
        assert!(!listener.has_rung());
        bell.ring();
        bell.ring();
        listener.heard().await;
        assert!(!listener.has_rung());
        let waiting = tokio::spawn(async move { listener.heard().await });
        tokio::task::yield_now().await;
        bell.ring();
        waiting.await.unwrap();
    }
}
