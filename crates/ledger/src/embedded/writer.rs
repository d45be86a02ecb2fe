//! The writer thread: many changes, one commit.

use super::database::Shared;
use super::failure::Failure;
use super::view::{View, apply};
use crate::transaction::{Staged, Transaction};
use crate::{Bell, Error, Result};
use skyfresh_sky::Kind;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// A batch takes no further change once it has so many rows to write.
pub(super) const BATCH_ROWS: usize = 16_384;

/// A batch takes so many changes at most.
const BATCH_CHANGES: usize = 1_024;

/// What the writer is asked to do.
pub(super) enum Message {
    /// Make a change.
    Change(Box<dyn Job>),
    /// Close the file, then answer.
    Close(oneshot::Sender<()>),
}

/// A change on its way through the writer.
pub(super) trait Job: Send {
    /// Makes the change, not yet durable, and keeps its result.
    fn run(&mut self, staged: &mut Staged<'_>);

    /// Gives the result to the caller, or the reason why there is none.
    fn answer(self: Box<Self>, target: &str, committed: Result<(), &Failure>);
}

struct Step<T, F> {
    operation: &'static str,
    step: Option<F>,
    result: Option<Result<T>>,
    answer: oneshot::Sender<Result<T>>,
}

/// A change, and where its result will be.
pub(super) fn job<T, F>(
    operation: &'static str,
    step: F,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T>>)
where
    T: Send + 'static,
    F: FnOnce(&mut dyn Transaction) -> Result<T> + Send + 'static,
{
    let (answer, result) = oneshot::channel();
    (
        Box::new(Step {
            operation,
            step: Some(step),
            result: None,
            answer,
        }),
        result,
    )
}

impl<T: Send, F: FnOnce(&mut dyn Transaction) -> Result<T> + Send> Job for Step<T, F> {
    fn run(&mut self, staged: &mut Staged<'_>) {
        if let Some(step) = self.step.take() {
            self.result = Some(staged.run(self.operation, step));
        }
    }

    fn answer(self: Box<Self>, target: &str, committed: Result<(), &Failure>) {
        let result = match (committed, self.result) {
            (Ok(()), Some(result)) => result,
            (Err(failure), _) => Err(failure.error(self.operation, target)),
            (Ok(()), None) => Err(super::stopped(self.operation, target)),
        };
        // A caller that has gone away does not undo its change.
        let _ = self.answer.send(result);
    }
}

/// Starts the thread. It ends when every sender of `queue` is gone, and closes the file then.
pub(super) fn start(
    shared: Arc<Shared>,
    queue: mpsc::Receiver<Message>,
    arrivals: Bell,
) -> Result<std::thread::JoinHandle<()>> {
    let target = shared.name();
    std::thread::Builder::new()
        .name("ledger-writer".to_owned())
        .spawn(move || {
            let mut writer = Writer {
                queue,
                arrivals,
                target: shared.name(),
            };
            writer.run(&shared);
            shared.close();
        })
        .map_err(|error| {
            Error::new(Kind::Internal, "open", target, "cannot start a thread").with_source(error)
        })
}

struct Writer {
    queue: mpsc::Receiver<Message>,
    arrivals: Bell,
    target: String,
}

impl Writer {
    fn run(&mut self, shared: &Shared) {
        while let Some(message) = self.queue.blocking_recv() {
            let closing = match message {
                Message::Change(first) => self.batch(shared, first),
                Message::Close(answer) => Some(answer),
            };
            if let Some(answer) = closing {
                shared.close();
                let _ = answer.send(());
            }
        }
    }

    /// Runs `first` and what else waits, commits, and answers. Returns a request to close that came in between.
    fn batch(&mut self, shared: &Shared, first: Box<dyn Job>) -> Option<oneshot::Sender<()>> {
        shared.recover();
        let mut jobs = vec![first];
        let mut closing = None;
        let committed = shared.with(|database| {
            let view = View::new(database, "change", self.target.clone())?;
            let mut staged = Staged::new(&view);
            let mut next = 0;
            loop {
                jobs[next].run(&mut staged);
                next += 1;
                if next == BATCH_CHANGES || staged.rows() >= BATCH_ROWS {
                    break;
                }
                match self.queue.try_recv() {
                    Ok(Message::Change(job)) => jobs.push(job),
                    Ok(Message::Close(answer)) => {
                        closing = Some(answer);
                        break;
                    }
                    Err(_) => break,
                }
            }
            let (changes, wake) = staged.into_changes();
            drop(view);
            if !changes.is_empty() {
                apply(database, changes)?;
            }
            Ok(wake)
        });
        match &committed {
            Ok(true) => self.arrivals.ring(),
            Ok(false) => {}
            Err(failure) if !shared.is_closed() => shared.fail(failure),
            Err(_) => {}
        }
        for job in jobs {
            job.answer(&self.target, committed.as_ref().map(|_| ()));
        }
        // At once, so that reads work again even if no change comes.
        shared.recover();
        closing
    }
}
