//! Reading a destination's tasks, page by page, into the view.

use super::core::{AT_ONCE, Core};
use super::names::{END, Lane, behind};
use super::view::{Known, View};
use crate::{Error, Result};
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::{Kind, Timestamp};
use std::sync::Arc;

/// Documents that one request asks for.
const PAGE: usize = 500;

/// Pages that one claim reads of each shard at most. What is behind them is read by the next claims.
const PAGES_A_CLAIM: usize = 4;

/// What was read of a shard.
struct Page {
    tasks: Vec<Known>,
    /// A document that cannot be read.
    unreadable: Option<Error>,
    /// Where the next page begins; `None`: this was the last.
    next: Option<Vec<u8>>,
}

impl Core {
    async fn page(
        &self,
        operation: &'static str,
        (lane, view, shard): (&Lane, &View, u32),
        from: &[u8],
    ) -> Result<Page> {
        let changes = view.changes();
        let partition = lane.tasks(shard);
        let found = self
            .documents
            .scan(&partition, from, END, false, PAGE)
            .await?;
        let next = (found.len() >= PAGE)
            .then(|| found.last().map(|last| behind(&last.sort)))
            .flatten();
        let (mut tasks, mut unreadable) = (Vec::with_capacity(found.len()), None);
        for document in found {
            let sort = document.sort.clone();
            match self.known(operation, lane, document) {
                Ok(known) => tasks.push(known),
                // One unreadable task must not stop the others.
                Err(error) => {
                    if view.is_news(&sort) {
                        tracing::error!(%partition, %error, "a task cannot be read; it will not be claimed");
                    }
                    unreadable = Some(error);
                }
            }
        }
        let span = (from, next.as_deref());
        view.learn(shard, span, &tasks, changes, self.settings.patience);
        Ok(Page {
            tasks,
            unreadable,
            next,
        })
    }

    /// Reads what others have written: all of it, or as much as one claim may, each time from where the last ended.
    pub(crate) async fn look_around(
        &self,
        operation: &'static str,
        lane: &Lane,
        now: Option<Timestamp>,
    ) -> Result<()> {
        let view = self.views.of(lane);
        let _scan = view.scan();
        let shards = futures::stream::iter(0..self.settings.task_shards).map(|shard| {
            let view = Arc::clone(&view);
            async move {
                let begun = view.position(shard);
                let (mut from, mut wrapped) = (begun.clone(), begun.is_empty());
                for _ in 0..PAGES_A_CLAIM {
                    let page = self.page(operation, (lane, &view, shard), &from).await?;
                    match page.next {
                        Some(next) => from = next,
                        None if wrapped => {
                            view.set_position(shard, Vec::new());
                            return Ok::<_, Error>(true);
                        }
                        None => (from, wrapped) = (Vec::new(), true),
                    }
                    if wrapped && !begun.is_empty() && from >= begun {
                        view.set_position(shard, from);
                        return Ok(true);
                    }
                }
                view.set_position(shard, from);
                Ok(false)
            }
        });
        let complete = shards
            .buffer_unordered(AT_ONCE)
            .try_fold(true, |all, one| async move { Ok(all && one) })
            .await?;
        view.scanned(now, complete);
        Ok(())
    }

    /// Reads all pending tasks of a destination, in order of key within each shard.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] where one cannot be read and `strict`: what is counted must not leave out what is pending.
    pub(crate) async fn read_all(
        &self,
        operation: &'static str,
        lane: &Lane,
        strict: bool,
        visit: &(impl Fn(Known) + Sync),
    ) -> Result<()> {
        let view = self.views.of(lane);
        let _scan = view.scan();
        let shards = futures::stream::iter(0..self.settings.task_shards).map(|shard| {
            let view = Arc::clone(&view);
            async move {
                let mut from = Vec::new();
                loop {
                    let page = self.page(operation, (lane, &view, shard), &from).await?;
                    if let (true, Some(error)) = (strict, page.unreadable) {
                        debug_assert_eq!(error.kind, Kind::Corrupt);
                        return Err(error);
                    }
                    page.tasks.into_iter().for_each(visit);
                    match page.next {
                        Some(next) => from = next,
                        None => return Ok(()),
                    }
                }
            }
        });
        shards.buffer_unordered(AT_ONCE).try_collect().await
    }
}
