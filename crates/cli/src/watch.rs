//! A directory's watch, for as long as anyone listens: begun again where it ended.

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use skyfresh_engine::Watched;
use skyfresh_sky::Clock;
use skyfresh_store::disk::{DiskStore, WatchEvent};
use std::sync::Arc;
use std::time::Duration;

/// How long after a watch that ended, or could not be begun, the next one is tried.
const AGAIN_AFTER: Duration = Duration::from_secs(10);

enum State {
    /// None yet, or the last one is over.
    Idle {
        wait: bool,
    },
    Watching(BoxStream<'static, WatchEvent>),
}

/// What changes below a directory, for ever. Begins, as after every gap, with [`Watched::Rescan`]: what changed before the watch
/// was in place is for a sweep to find.
pub(crate) fn watch(store: Arc<DiskStore>, clock: Arc<dyn Clock>) -> BoxStream<'static, Watched> {
    let start = (State::Idle { wait: false }, store, clock);
    stream::unfold(start, |(state, store, clock)| async move {
        let mut state = state;
        loop {
            match state {
                State::Idle { wait } => {
                    if wait {
                        clock.sleep(AGAIN_AFTER).await;
                    }
                    match store.watch().await {
                        Ok(events) => {
                            let watching = State::Watching(events);
                            return Some((Watched::Rescan, (watching, store, clock)));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "not watched; only comparisons of listings find changes");
                            state = State::Idle { wait: true };
                        }
                    }
                }
                State::Watching(mut events) => match events.next().await {
                    Some(event) => {
                        let watched = match event {
                            WatchEvent::Changed(key) => Watched::Changed(key),
                            WatchEvent::Rescan => Watched::Rescan,
                        };
                        return Some((watched, (State::Watching(events), store, clock)));
                    }
                    None => {
                        tracing::warn!(directory = %store.path().display(), "the watch ended; beginning again");
                        state = State::Idle { wait: true };
                    }
                },
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::{ObjectKey, SystemClock};
    use skyfresh_store::disk::DiskOptions;

    #[tokio::test]
    async fn a_watch_begins_with_a_rescan_and_tells_of_changes() {
        let directory = tempfile::tempdir().unwrap();
        let location =
            crate::locations::parse_location(directory.path().to_str().unwrap()).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = DiskStore::open(location, Arc::clone(&clock), DiskOptions::default()).unwrap();
        let mut watched = watch(store, clock);
        assert_eq!(watched.next().await, Some(Watched::Rescan));
        std::fs::write(directory.path().join("a"), b"1").unwrap();
        assert_eq!(
            watched.next().await,
            Some(Watched::Changed(ObjectKey::new("a").unwrap()))
        );
    }
}
