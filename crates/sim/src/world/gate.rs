//! Whether a simulated process goes on, stands still or is dead, and at which of its operations it dies.
//!
//! A process is nothing but tasks that talk to stores, to the ledger and to the clock. All of them pass here before and
//! after each operation, so a process that is frozen or dead can neither cause nor learn anything.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running = 0,
    Frozen = 1,
    Dead = 2,
}

/// When a process shall die: at the operation after `left` more.
#[derive(Clone, Copy, Debug)]
struct Fuse {
    left: u32,
    after_effect: bool,
}

/// What is to become of a process once its operation has taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It hears the answer.
    Lives,
    /// It dies before it hears the answer.
    DiesUnheard,
}

/// The gate of one incarnation of one process.
#[derive(Debug)]
pub(crate) struct Gate {
    phase: AtomicU8,
    /// Rung at every change. Who waited first goes first, so that one seed is one run.
    changed: Notify,
    fuse: Mutex<Option<Fuse>>,
}

impl Gate {
    pub(crate) fn new() -> Self {
        Gate {
            phase: AtomicU8::new(Phase::Running as u8),
            changed: Notify::new(),
            fuse: Mutex::new(None),
        }
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::SeqCst) == phase as u8
    }

    fn set(&self, phase: Phase) {
        if !self.is_dead() {
            self.phase.store(phase as u8, Ordering::SeqCst);
            self.changed.notify_waiters();
        }
    }

    async fn until(&self, phase: Phase) {
        while !self.is(phase) {
            let changed = self.changed.notified();
            let mut changed = std::pin::pin!(changed);
            changed.as_mut().enable();
            if !self.is(phase) {
                changed.await;
            }
        }
    }

    /// Ends the process where it is: whoever waits here, or comes here, waits for ever.
    pub(crate) fn kill(&self) {
        self.set(Phase::Dead);
    }

    /// Stops the process, as a machine does that is suspended or collects garbage.
    pub(crate) fn freeze(&self) {
        self.set(Phase::Frozen);
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        if self.is(Phase::Frozen) {
            self.set(Phase::Running);
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is(Phase::Dead)
    }

    /// Lets the process die at one of its next operations: before it has an effect, or after, unheard.
    pub(crate) fn light(&self, operations: u32, after_effect: bool) {
        *self.fuse() = Some(Fuse {
            left: operations,
            after_effect,
        });
    }

    /// Lets it live after all.
    pub(crate) fn unlight(&self) {
        *self.fuse() = None;
    }

    fn fuse(&self) -> std::sync::MutexGuard<'_, Option<Fuse>> {
        self.fuse.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while the process stands still; for ever if it is dead.
    pub(crate) async fn pass(&self) {
        self.until(Phase::Running).await;
    }

    /// Passes, and counts an operation about to happen.
    pub(crate) async fn begin(&self) -> Fate {
        self.pass().await;
        let burnt = {
            let mut fuse = self.fuse();
            match &mut *fuse {
                Some(Fuse { left: 0, .. }) => fuse.take(),
                Some(fuse) => {
                    fuse.left -= 1;
                    None
                }
                None => None,
            }
        };
        match burnt {
            None => Fate::Lives,
            Some(Fuse {
                after_effect: true, ..
            }) => Fate::DiesUnheard,
            Some(_) => {
                self.kill();
                std::future::pending().await
            }
        }
    }

    /// Passes on the way back from an operation.
    pub(crate) async fn end(&self, fate: Fate) {
        if fate == Fate::DiesUnheard {
            self.kill();
        }
        self.pass().await;
    }

    /// Returns once the process is dead.
    pub(crate) async fn death(&self) {
        self.until(Phase::Dead).await;
    }

    /// What comes of `call`, or `None` where the process dies first.
    pub(crate) async fn unless_dead<T>(&self, call: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.death() => None,
            result = call => Some(result),
        }
    }
}
