//! **intake**: everything that says "this key may have changed" becomes a submission in the ledger.
//!
//! In: notifications of every cloud, pushed or pulled from channels; a directory watch; comparisons of listings. Out:
//! [`Signal`]s, durable before anything is acknowledged. Never: believes what an event says about content; drops one silently.

pub mod authenticate;
pub(crate) mod dead_letters;
pub mod notification;
pub(crate) mod pump;
pub(crate) mod pump_meter;
pub(crate) mod sweep;
pub(crate) mod sweep_merge;
pub(crate) mod watch;

use crate::event::ObjectEvent;
use crate::lane::Lane;
use skyfresh_ledger::{Origin, Signal, Submission};
use skyfresh_sky::Timestamp;

/// One lane's submissions for these events; keys out of scope are left out.
pub(crate) fn submissions(lane: &Lane, events: &[ObjectEvent], now: Timestamp) -> Vec<Submission> {
    events
        .iter()
        .filter(|event| lane.scope.covers(&event.key))
        .map(|event| {
            // A clock that runs ahead must not make lag negative, nor hold the watermark in the future.
            let changed = event.changed.unwrap_or(now).min(now);
            lane.rates.changed(&event.key, changed);
            Submission {
                task: lane.task_key(event.key.clone()),
                signal: Signal {
                    origin: Origin::Live,
                    changed,
                    notified: now,
                    size: event.size,
                },
            }
        })
        .collect()
}
