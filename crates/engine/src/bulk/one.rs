//! A single object: looked at on both sides, and put in line where it must be copied.
//!
//! In: its key. Out: an item in line, or none. Never: an upload that is left open where the object is not wanted; a target written to
//! before it is known what it holds (an upload shows nothing until it is completed, which is under that condition).
//!
//! ```text
//!  source ─ head ─┐
//!  target         ├─ head ──────────────┬─ judge ─► parts …
//!                 └─ (far) open upload ─┘       └─► discard
//! ```

use super::judge::{Verdict, judge};
use super::shared::{LONG_WAY_NS, Shared};
use super::tally::add;
use super::transfer::as_listed;
use super::upload::{Early, Opened, discard, open};
use super::walk::{Item, Queues, Want, dry};
use super::whole::Trouble;
use super::{largest_whole_at, plan_object};
use futures::future::{Either, join, join_all, select};
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::{ListedObject, ObjectHead, Result as StoreResult};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Looks at the object everywhere, and puts it in line where it must be copied.
pub(super) async fn one(shared: &Arc<Shared>, key: &ObjectKey, queues: &Queues) {
    let (job, tally) = (&shared.job, &shared.tally);
    tally.targets[0].usage.source_read();
    let head = match job.source.head(key).await {
        Ok(head) => Arc::new(head),
        Err(error) => return tally.source_fails(error.kind, error.to_string()),
    };
    let listed = as_listed(key, &head);
    add(&tally.source_listed, 1);
    add(&tally.selected, 1);
    let looks = (0..job.targets.len()).map(|target| look(shared, key, &head, target));
    let mut wants = Vec::new();
    let mut early = Early {
        head: Arc::clone(&head),
        opened: Vec::new(),
    };
    for (target, (held, opened)) in join_all(looks).await.into_iter().enumerate() {
        let wanted = match held {
            Ok(held) => wanted(shared, &listed, target, held),
            Err(error) => {
                tally.targets[target].give_up(error.kind, error.to_string());
                None
            }
        };
        match (&wanted, opened) {
            (None, Some(opened)) => discard(shared, key, &opened).await,
            (_, opened) => early.opened.extend(opened),
        }
        wants.extend(wanted);
    }
    tally.source_complete.store(true, Ordering::Relaxed);
    if wants.is_empty() {
        return;
    }
    for want in &wants {
        plan_object(shared, want.target, listed.size);
    }
    if job.options.dry_run {
        dry(shared, &listed, &wants);
    } else {
        let early = Some(early);
        queues
            .push(Item {
                listed,
                wants,
                early,
            })
            .await;
    }
}

/// What a target wants, which holds this.
fn wanted(
    shared: &Shared,
    listed: &ListedObject,
    target: usize,
    held: Option<ListedObject>,
) -> Option<Want> {
    match judge(&shared.job.options, listed, held.as_ref()) {
        Verdict::Skip(skip) => {
            shared.skipped(&listed.key, target, listed.size, skip);
            None
        }
        verdict => Some(Want {
            target,
            held,
            compare_heads: verdict == Verdict::Heads,
        }),
    }
}

/// What a target holds. Where it is far and the object goes there in parts, an upload is opened meanwhile: that is a round trip
/// less, and two requests in vain where the object is there already.
async fn look(
    shared: &Shared,
    key: &ObjectKey,
    head: &ObjectHead,
    target: usize,
) -> (StoreResult<Option<ListedObject>>, Option<Opened>) {
    let at = &shared.job.targets[target];
    let held = async {
        shared.tally.targets[target].usage.target_read();
        let began_ns = shared.clock.monotonic_ns();
        let held = at.store.head(shared.job.name_at(target, key)).await;
        shared.round_trip(shared.clock.monotonic_ns().saturating_sub(began_ns));
        match held {
            Ok(head) => Ok(Some(as_listed(key, &head))),
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(None),
            Err(error) => Err(error),
        }
    };
    let capabilities = at.store.capabilities();
    let by_server = at.same_service && capabilities.copy || at.may_pull && capabilities.pull;
    let in_parts = head.size > largest_whole_at(shared, target);
    if !in_parts || by_server || shared.job.options.dry_run {
        return (held.await, None);
    }
    let meanwhile = async {
        let mut held = pin!(held);
        let long = pin!(shared.clock.sleep(Duration::from_nanos(LONG_WAY_NS)));
        match select(held.as_mut(), long).await {
            Either::Left((held, _)) => (held, None),
            Either::Right(_) => {
                let (held, opened) = join(held, open(shared, key, target, head)).await;
                (
                    held,
                    opened.map_err(|trouble| cannot_open(key, &trouble)).ok(),
                )
            }
        }
    };
    // What it will need in any case is made ready, too.
    join(meanwhile, shared.journal.prepare()).await.0
}

/// It is tried again, and told, if the object is wanted.
fn cannot_open(key: &ObjectKey, trouble: &Trouble) {
    tracing::debug!(%key, error = %trouble.error, "the upload could not be opened in advance");
}
