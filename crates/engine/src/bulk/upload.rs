//! An upload of one object to one target: gone on with or begun, added to, ended or discarded.
//!
//! In: what the target wants. Out: an upload under way; then a published object. Never: an upload that the journal does not know; an
//! object published whose parts do not make its checksum.

use super::carried;
use super::journal;
use super::shared::Shared;
use super::walk::Want;
use super::whole::{Landed, Trouble, copy_tags};
use crate::decide::{Plan, Strategy};
use crate::finish::publish;
use crate::overlay::Overlay;
use skyfresh_ledger::PartDone;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::{Error as StoreError, ObjectHead, UploadLimits};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The smallest part that is chosen over a long way, where many at once are what makes it fast. Smaller ones spend their time
/// waiting for answers.
const LEAST_PART_BYTES: u64 = 8 << 20;
/// The same where answers come at once: what a request costs is then worth saving.
const LEAST_NEAR_PART_BYTES: u64 = 32 << 20;
/// Parts that an object has at most before they grow: enough to keep any number of connections busy to the end.
const USUAL_PARTS: u64 = 256;

/// Bytes in a part. `near`: the targets answer at once. `in_flight` is what a connection has under way at once (its rate times its round trip), where that was
/// measured: a part has several times that, or the connection would idle between parts.
fn part_bytes(size: u64, near: bool, in_flight: Option<u64>, limits: UploadLimits) -> u64 {
    let preferred = match near {
        true => LEAST_NEAR_PART_BYTES,
        false => LEAST_PART_BYTES,
    };
    let by_count = size.div_ceil(USUAL_PARTS);
    let by_link = in_flight.map_or(0, |bytes| bytes.saturating_mul(4));
    let least = size.div_ceil(u64::from(limits.max_parts.max(1)));
    by_count
        .max(by_link.min(64 << 20))
        .max(preferred)
        .max(limits.min_part_bytes)
        .max(least)
        .next_multiple_of(1 << 20)
        .min(limits.max_part_bytes)
}

/// An upload under way at one target.
pub(super) struct Upload {
    pub(super) target: usize,
    pub(super) attempt: String,
    pub(super) id: String,
    /// Bytes of every part but the last.
    pub(super) part_bytes: u64,
    plan: Plan,
    done: Mutex<BTreeMap<u32, PartDone>>,
    /// Something went wrong there; nothing more is sent.
    trouble: Mutex<Option<Trouble>>,
    over: AtomicBool,
}

impl Upload {
    fn parts(&self) -> MutexGuard<'_, BTreeMap<u32, PartDone>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a part is done, or nothing more is sent at all.
    pub(super) fn needs(&self, number: u32) -> bool {
        !self.is_over() && !self.parts().contains_key(&number)
    }

    /// Whether nothing more is sent.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// A part is done.
    pub(super) fn add(&self, part: PartDone) {
        self.parts().insert(part.number, part);
    }

    /// It cannot be gone on with.
    pub(super) fn fail(&self, trouble: Trouble) {
        self.over.store(true, Ordering::Relaxed);
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(trouble);
    }
}

/// An upload at one target to which parts can be added, before it is known what the target holds: what it is published by comes
/// with the want.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) target: usize,
    attempt: String,
    id: String,
    part_bytes: u64,
    parts: u32,
    done: Vec<PartDone>,
}

/// Uploads that were opened while it was found out whether they are wanted, and the source as it was then.
#[derive(Debug)]
pub(super) struct Early {
    pub(super) head: Arc<ObjectHead>,
    pub(super) opened: Vec<Opened>,
}

impl Early {
    /// Takes the one at a target out.
    pub(super) fn take(&mut self, target: usize) -> Option<Opened> {
        let index = self.opened.iter().position(|it| it.target == target)?;
        Some(self.opened.swap_remove(index))
    }

    /// Takes those out at targets that are not `wanted`.
    pub(super) fn without(&mut self, wanted: impl Fn(usize) -> bool) -> Vec<Opened> {
        let unwanted = |opened: &mut Opened| !wanted(opened.target);
        self.opened.extract_if(.., unwanted).collect()
    }
}

/// Goes on with the upload that an earlier run left, or begins one.
pub(super) async fn open(
    shared: &Shared,
    key: &ObjectKey,
    target: usize,
    head: &ObjectHead,
) -> Result<Opened, Trouble> {
    let (options, store) = (&shared.job.options, &shared.job.targets[target].store);
    let (name, location) = (shared.job.name_at(target, key), store.location());
    let capabilities = store.capabilities();
    let limits = capabilities.upload_limits;
    let identity = journal::identity(location, name, &head.version);
    let found = shared.journal.find(&identity).await.map_err(in_ledger)?;
    let part_bytes = match (&found, options.part_bytes) {
        (Some(found), _) => found.part_bytes,
        (None, Some(bytes)) => bytes
            .clamp(limits.min_part_bytes, limits.max_part_bytes)
            .max(head.size.div_ceil(u64::from(limits.max_parts.max(1)))),
        (None, None) => {
            let relayed = shared.overlay.as_ref();
            let near = shared.is_near() && relayed.is_none();
            let bytes = part_bytes(head.size, near, shared.in_flight_bytes(), limits);
            match relayed.map(Overlay::chunk_bytes) {
                // Where the object has room for that many parts; else it goes direct.
                Some(most) if head.size.div_ceil(most) <= u64::from(limits.max_parts) => {
                    bytes.min(most).max(limits.min_part_bytes)
                }
                _ => bytes,
            }
        }
    };
    let parts = head.size.div_ceil(part_bytes.max(1));
    let Some(parts) = u32::try_from(parts)
        .ok()
        .filter(|parts| *parts <= limits.max_parts)
    else {
        let why = format!("{} bytes are more than the destination takes", head.size);
        return Err(StoreError::new(Kind::Invalid, "begin upload", name.as_str(), why).into());
    };
    let (attempt, id, done) = match found {
        Some(found) => (found.attempt, found.upload, found.done),
        None => {
            let intend = shared.journal.intend(&identity, part_bytes, location, name);
            let intent = intend.await.map_err(in_ledger)?;
            let attempt = intent.attempt.clone();
            shared.tally.targets[target].usage.target_write();
            let began_ns = shared.clock.monotonic_ns();
            let fitted = carried::attributes(options, head, &capabilities);
            let id = store.create_upload(name, &fitted.attributes).await?;
            shared.round_trip(shared.clock.monotonic_ns().saturating_sub(began_ns));
            shared.journal.begun(intent, &id, parts);
            (attempt, id, Vec::new())
        }
    };
    Ok(Opened {
        target,
        attempt,
        id,
        part_bytes,
        parts,
        done,
    })
}

/// Makes an upload ready for parts, under the condition that the target holds what the want says.
pub(super) async fn begin(
    shared: &Shared,
    key: &ObjectKey,
    want: &Want,
    head: &ObjectHead,
    early: Option<Opened>,
) -> Result<Upload, Trouble> {
    let opened = match early {
        Some(opened) => opened,
        None => open(shared, key, want.target, head).await?,
    };
    let options = &shared.job.options;
    let capabilities = shared.job.targets[want.target].store.capabilities();
    let fitted = carried::attributes(options, head, &capabilities);
    let plan = Plan {
        source: head.version.clone(),
        size: head.size,
        crc64: head.crc64,
        crc32c: head.crc32c,
        md5: None,
        attributes: fitted.attributes,
        unkept: fitted.unkept,
        precondition: carried::precondition(
            options,
            want,
            capabilities.complete_if_absent,
            capabilities.complete_if_version,
        ),
        strategy: Strategy::Multipart {
            part_bytes: opened.part_bytes,
            parts: opened.parts,
            workers: 1,
        },
        site: None,
        via: None,
        expected: None,
    };
    let done = opened.done.into_iter().map(|part| (part.number, part));
    Ok(Upload {
        target: opened.target,
        attempt: opened.attempt,
        id: opened.id,
        part_bytes: opened.part_bytes,
        plan,
        done: Mutex::new(done.collect()),
        trouble: Mutex::new(None),
        over: AtomicBool::new(false),
    })
}

fn in_ledger(error: crate::Error) -> Trouble {
    Trouble::from(StoreError::new(
        error.kind,
        "journal",
        error.target.clone(),
        error.context.clone(),
    ))
}

/// Checks that all parts make the object, and publishes it.
pub(super) async fn end(
    shared: &Shared,
    key: &ObjectKey,
    upload: &Upload,
    head: &ObjectHead,
) -> Result<Landed, Trouble> {
    let trouble = upload
        .trouble
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(trouble) = trouble {
        return Err(trouble);
    }
    let done: Vec<PartDone> = upload.parts().values().cloned().collect();
    let store = &shared.job.targets[upload.target].store;
    let name = shared.job.name_at(upload.target, key);
    let usage = &shared.tally.targets[upload.target].usage;
    let published = publish(store.as_ref(), name, &upload.id, &upload.plan, done, usage).await;
    let published = published.map_err(|error| {
        let kind = error.kind;
        Trouble::from(StoreError::new(
            kind,
            error.operation,
            error.target,
            error.context,
        ))
    })?;
    shared.journal.ended(&upload.attempt);
    let mut unkept = upload.plan.unkept.clone();
    let capabilities = store.capabilities();
    if carried::copies_tags(&shared.job.options, head) && capabilities.tags {
        unkept.extend(copy_tags(shared, upload.target, key).await);
    }
    Ok(Landed {
        source: head.version.clone(),
        destination: published.version,
        size: head.size,
        crc64: published.crc64,
        unkept,
        by_server: false,
    })
}

/// Discards an upload that cannot be gone on with. Passing trouble keeps it: the next run goes on there.
pub(super) async fn abandon(shared: &Shared, key: &ObjectKey, upload: &Upload, error: &StoreError) {
    if error.kind != Kind::RetryAfter {
        abort(shared, key, upload.target, &upload.id, &upload.attempt).await;
    }
}

/// Discards an upload that turned out not to be wanted.
pub(super) async fn discard(shared: &Shared, key: &ObjectKey, opened: &Opened) {
    abort(shared, key, opened.target, &opened.id, &opened.attempt).await;
}

async fn abort(shared: &Shared, key: &ObjectKey, target: usize, id: &str, attempt: &str) {
    let store = &shared.job.targets[target].store;
    shared.tally.targets[target].usage.target_write();
    if let Err(error) = store
        .abort_upload(shared.job.name_at(target, key), id)
        .await
    {
        tracing::debug!(%key, %error, "the next run will abort this upload");
        return;
    }
    shared.journal.ended(attempt);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_grow_with_the_object_and_with_the_link() {
        let bytes = |size, in_flight| part_bytes(size, false, in_flight, UploadLimits::S3);
        assert_eq!(part_bytes(1 << 30, true, None, UploadLimits::S3), 32 << 20);
        assert_eq!(bytes(1 << 30, None), 8 << 20);
        assert_eq!(bytes(16 << 30, None), 64 << 20);
        assert_eq!(
            bytes(1 << 30, Some(4_000_000)),
            16 << 20,
            "50 MB/s times 80 ms"
        );
    }

    proptest! {
        #[test]
        fn parts_are_within_the_limits(size in 1u64..=(5 << 40), near: bool, in_flight in proptest::option::of(0u64..1 << 40)) {
            let limits = UploadLimits::S3;
            let bytes = part_bytes(size, near, in_flight, limits);
            prop_assert!((limits.min_part_bytes..=limits.max_part_bytes).contains(&bytes));
            prop_assert!(size.div_ceil(bytes) <= u64::from(limits.max_parts));
        }
    }
}
