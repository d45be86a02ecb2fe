//! Watching a source on this machine's disk.

use super::submissions;
use crate::event::ObjectEvent;
use crate::lane::Lane;
use futures::StreamExt;
use futures::stream::BoxStream;
use skyfresh_sky::ObjectKey;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// What a watched source tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Watched {
    /// This key may have changed.
    Changed(ObjectKey),
    /// Events were lost: compare listings.
    Rescan,
}

/// Keys collected before they are submitted together.
const BATCH: usize = 256;
/// Waits this long after the ledger refused a batch.
const PAUSE: Duration = Duration::from_secs(1);

/// Submits what the watch tells, to every lane of the rule, until `stop`.
pub(crate) async fn run(
    lanes: Vec<Arc<Lane>>,
    watched: BoxStream<'static, Watched>,
    stop: CancellationToken,
) {
    let mut batches = watched.ready_chunks(BATCH);
    loop {
        let batch = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            batch = batches.next() => match batch {
                Some(batch) => batch,
                None => {
                    tracing::error!("the directory watch ended; sweeps still find every change");
                    return;
                }
            },
        };
        let rescan = batch.contains(&Watched::Rescan);
        let events: Vec<ObjectEvent> = batch
            .into_iter()
            .filter_map(|watched| match watched {
                Watched::Changed(key) => Some(ObjectEvent {
                    key,
                    changed: None,
                    size: None,
                }),
                Watched::Rescan => None,
            })
            .collect();
        for lane in &lanes {
            if rescan {
                lane.sweep_now.notify_one();
            }
            let clock = &lane.shared.clock;
            while let Err(error) = lane
                .shared
                .ledger
                .submit(submissions(lane, &events, clock.now()))
                .await
            {
                tracing::warn!(lane = lane.name(), %error, "cannot record watched changes; trying again");
                clock.sleep(PAUSE).await;
                if stop.is_cancelled() {
                    return;
                }
            }
        }
    }
}
