//! A large object in parts: each part read once, written to every target that lacks it.
//!
//! In: a key and the targets that want it. Out: what each target published. Never: parts of two versions in one object; an object
//! that is visible before all its parts are there and make its checksum.

use super::carried;
use super::fan::fan_out;
use super::journal;
use super::shared::Shared;
use super::tally::add;
use super::walk::Want;
use super::whole::{Landed, Trouble, copy_tags};
use crate::backoff::retry_delay;
use crate::copy::limited;
use crate::decide::{Plan, Strategy};
use crate::finish::publish;
use skyfresh_ledger::PartDone;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::checksum::Wanted;
use skyfresh_store::{
    ByteStream, Error as StoreError, GetOptions, ObjectHead, Result as StoreResult, UploadLimits,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::JoinSet;

/// The smallest part that is chosen over a long way, where many at once are what makes it fast. Smaller ones spend their time
/// waiting for answers.
const LEAST_PART_BYTES: u64 = 8 << 20;
/// The same where answers come at once: what a request costs is then worth saving.
const LEAST_NEAR_PART_BYTES: u64 = 32 << 20;
/// Parts that an object has at most before they grow: enough to keep any number of connections busy to the end.
const USUAL_PARTS: u64 = 256;
/// Passing failures of a part before its upload is given up.
const PATIENCE: u32 = 6;

/// Bytes in a part. `near`: the targets answer at once. `in_flight` is what a connection has under way at once (its rate times its round trip), where that was
/// measured: a part has several times that, or the connection would idle between parts.
pub(super) fn part_bytes(
    size: u64,
    near: bool,
    in_flight: Option<u64>,
    limits: UploadLimits,
) -> u64 {
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
struct Upload {
    target: usize,
    attempt: String,
    id: String,
    plan: Plan,
    done: Mutex<BTreeMap<u32, PartDone>>,
    /// Something went wrong there; nothing more is sent.
    trouble: Mutex<Option<Trouble>>,
    over: AtomicBool,
}

impl Upload {
    fn has(&self, number: u32) -> bool {
        self.done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(&number)
    }

    fn fail(&self, trouble: Trouble) {
        self.over.store(true, Ordering::Relaxed);
        self.trouble
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(trouble);
    }
}

/// Copies to each of `wants`.
///
/// # Errors
/// The source could not be read at all, or has changed meanwhile.
pub(super) async fn copy(
    shared: &Arc<Shared>,
    key: &ObjectKey,
    wants: &[&Want],
) -> Result<Vec<Result<Landed, Trouble>>, Trouble> {
    let Some(first) = wants.first() else {
        return Ok(Vec::new());
    };
    shared.tally.targets[first.target].usage.source_read();
    let head = shared.job.source.head(key).await;
    let head = Arc::new(head.map_err(Trouble::at_source)?);
    let begun = wants.iter().map(|want| begin(shared, key, want, &head));
    let begun = futures::future::join_all(begun).await;
    let uploads: Vec<Result<Arc<Upload>, Trouble>> = begun
        .into_iter()
        .map(|upload| upload.map(Arc::new))
        .collect();
    // Targets may cut the object differently (one goes on with what an earlier run began): each cut is read by itself.
    let mut cuts: BTreeMap<u64, Vec<Arc<Upload>>> = BTreeMap::new();
    for upload in uploads.iter().flatten() {
        if let Strategy::Multipart { part_bytes, .. } = upload.plan.strategy {
            cuts.entry(part_bytes).or_default().push(Arc::clone(upload));
        }
    }
    let moved = cuts
        .iter()
        .map(|(part_bytes, uploads)| all_parts(shared, key, &head, *part_bytes, uploads));
    let moved: Result<Vec<()>, Trouble> = futures::future::try_join_all(moved).await;
    if let Err(trouble) = moved {
        for upload in uploads.iter().flatten() {
            abandon(shared, key, upload, &trouble.error).await;
        }
        return Err(trouble);
    }
    let ends = uploads.into_iter().map(|upload| async {
        let upload = upload?;
        let ended = end(shared, key, &upload, &head).await;
        if let Err(trouble) = &ended {
            abandon(shared, key, &upload, &trouble.error).await;
        }
        ended
    });
    Ok(futures::future::join_all(ends).await)
}

/// Goes on with the upload that an earlier run left, or begins one.
async fn begin(
    shared: &Shared,
    key: &ObjectKey,
    want: &Want,
    head: &ObjectHead,
) -> Result<Upload, Trouble> {
    let (options, store) = (&shared.job.options, &shared.job.targets[want.target].store);
    let (name, location) = (shared.job.name_at(want.target, key), store.location());
    let capabilities = store.capabilities();
    let limits = capabilities.upload_limits;
    let fitted = carried::attributes(options, head, &capabilities);
    let identity = journal::identity(location, name, &head.version);
    let found = shared.journal.find(&identity).await.map_err(in_ledger)?;
    let part_bytes = match (&found, options.part_bytes) {
        (Some(found), _) => found.part_bytes,
        (None, Some(bytes)) => bytes
            .clamp(limits.min_part_bytes, limits.max_part_bytes)
            .max(head.size.div_ceil(u64::from(limits.max_parts.max(1)))),
        (None, None) => {
            let (near, in_flight) = (shared.is_near(), shared.in_flight_bytes());
            part_bytes(head.size, near, in_flight, limits)
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
            let attempt = intend.await.map_err(in_ledger)?;
            shared.tally.targets[want.target].usage.target_write();
            let began_ns = shared.clock.monotonic_ns();
            let id = store.create_upload(name, &fitted.attributes).await?;
            shared.round_trip(shared.clock.monotonic_ns().saturating_sub(began_ns));
            let begun = shared.journal.begun(&attempt, &id, parts, location, name);
            begun.await.map_err(in_ledger)?;
            (attempt, id, Vec::new())
        }
    };
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
            part_bytes,
            parts,
            workers: 1,
        },
        site: None,
        via: None,
        expected: None,
    };
    Ok(Upload {
        target: want.target,
        attempt,
        id,
        plan,
        done: Mutex::new(done.into_iter().map(|part| (part.number, part)).collect()),
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

/// Sends every part that some upload lacks, as many at once as the pace allows.
async fn all_parts(
    shared: &Arc<Shared>,
    key: &ObjectKey,
    head: &Arc<ObjectHead>,
    part_bytes: u64,
    uploads: &[Arc<Upload>],
) -> Result<(), Trouble> {
    let parts = head.size.div_ceil(part_bytes);
    let mut running = JoinSet::new();
    let joined = |joined: Result<Result<(), Trouble>, tokio::task::JoinError>| match joined {
        Ok(result) => result,
        Err(error) => {
            let error =
                StoreError::new(Kind::Internal, "copy part", key.as_str(), error.to_string());
            Err(Trouble::from(error))
        }
    };
    for number in (1..=parts).map(|number| number as u32) {
        let lacking: Vec<Arc<Upload>> = uploads
            .iter()
            .filter(|upload| !upload.has(number) && !upload.over.load(Ordering::Relaxed))
            .cloned()
            .collect();
        if lacking.is_empty() {
            continue;
        }
        let slot = shared.large.enter().await;
        while let Some(ended) = running.try_join_next() {
            joined(ended)?;
        }
        let (shared, key, head) = (Arc::clone(shared), key.clone(), Arc::clone(head));
        running.spawn(async move {
            let began_ns = shared.clock.monotonic_ns();
            let bytes = part_bytes.min(head.size - u64::from(number - 1) * part_bytes);
            let sent = part(&shared, &key, &head, number, part_bytes, lacking).await;
            let took_ns = shared.clock.monotonic_ns().saturating_sub(began_ns);
            match sent {
                Ok(throttled) if throttled => slot.refused(),
                Ok(_) => {
                    shared.connection_moved(bytes, took_ns);
                    slot.done(bytes);
                }
                Err(trouble) => return Err(trouble),
            }
            Ok(())
        });
    }
    while let Some(ended) = running.join_next().await {
        joined(ended)?;
    }
    Ok(())
}

/// One part to all that lack it, tried again where that may help; whether a store said that it was asked too much.
///
/// # Errors
/// The source has changed, or cannot be read.
async fn part(
    shared: &Shared,
    key: &ObjectKey,
    head: &ObjectHead,
    number: u32,
    part_bytes: u64,
    mut lacking: Vec<Arc<Upload>>,
) -> Result<bool, Trouble> {
    let mut throttled = false;
    let mut failures = 0;
    loop {
        let sent = send(shared, key, head, number, part_bytes, &lacking).await;
        let results = match sent {
            Ok(results) => results,
            Err(error) if error.kind == Kind::RetryAfter && failures + 1 < PATIENCE => {
                throttled |= error.is_throttled();
                failures += 1;
                let wait = error.retry_after;
                let wait = wait.unwrap_or_else(|| retry_delay(error.kind, failures, &shared.rng));
                shared.clock.sleep(wait).await;
                continue;
            }
            Err(error) => return Err(Trouble::at_source(error)),
        };
        let mut again = Vec::new();
        let mut wait = None;
        for (upload, result) in lacking.into_iter().zip(results) {
            match result {
                Ok(done) => {
                    shared.journal.part(&upload.attempt, done.clone());
                    upload
                        .done
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert(number, done);
                }
                Err(error) if error.operation == "get" && error.kind == Kind::Precondition => {
                    return Err(Trouble::at_source(error));
                }
                Err(error)
                    if matches!(error.kind, Kind::RetryAfter | Kind::Corrupt)
                        && failures + 1 < PATIENCE =>
                {
                    throttled |= error.is_throttled();
                    tracing::debug!(%key, number, %error, "the part will be sent again");
                    let delay = retry_delay(Kind::RetryAfter, failures + 1, &shared.rng);
                    wait = wait.max(Some(error.retry_after.unwrap_or(delay)));
                    again.push(upload);
                }
                Err(error) => upload.fail(Trouble::from(error)),
            }
        }
        again.retain(|upload| !upload.over.load(Ordering::Relaxed));
        if again.is_empty() {
            return Ok(throttled);
        }
        failures += 1;
        lacking = again;
        if let Some(wait) = wait {
            shared.clock.sleep(wait).await;
        }
    }
}

/// Reads a part once and sends it to each of `uploads`.
async fn send(
    shared: &Shared,
    key: &ObjectKey,
    head: &ObjectHead,
    number: u32,
    part_bytes: u64,
    uploads: &[Arc<Upload>],
) -> StoreResult<Vec<StoreResult<PartDone>>> {
    let start = u64::from(number - 1) * part_bytes;
    let size = part_bytes.min(head.size - start);
    let options = GetOptions {
        range: Some(start..start + size),
        version: Some(head.version.clone()),
    };
    let Some(first) = uploads.first() else {
        return Ok(Vec::new());
    };
    let usage = &shared.tally.targets[first.target].usage;
    usage.source_read();
    let read = shared.job.source.get(key, options).await?;
    let wanted = Wanted {
        crc32c: head.crc32c.is_some(),
        md5: false,
    };
    let (body, tally) = limited(read.body, shared.throttle.as_ref(), wanted);
    let put = |upload: Arc<Upload>, body: ByteStream| async move {
        let target = &shared.job.targets[upload.target];
        shared.tally.targets[upload.target].usage.target_write();
        let name = shared.job.name_at(upload.target, key);
        target
            .store
            .upload_part(name, &upload.id, number, size, body)
            .await
    };
    let receipts = match uploads {
        [only] => vec![put(Arc::clone(only), body).await],
        _ => {
            let (bodies, passing_on) = fan_out(body, uploads.len());
            let puts = uploads
                .iter()
                .cloned()
                .zip(bodies)
                .map(|(upload, body)| put(upload, body));
            let ((), receipts) = futures::join!(passing_on, futures::future::join_all(puts));
            receipts
        }
    };
    let (sent, moved) = tally.read();
    usage.moved(moved);
    add(&shared.tally.bytes_read, moved);
    let sums = tally.sums();
    let checked = |receipt: skyfresh_store::PartReceipt| {
        if moved != size || receipt.crc64.is_some_and(|stored| stored != sent) {
            let why = format!(
                "part {number} has {moved} bytes with CRC64NVME {sent}, the store states {:?}",
                receipt.crc64
            );
            return Err(StoreError::new(
                Kind::Corrupt,
                "verify part",
                key.as_str(),
                why,
            ));
        }
        Ok(PartDone {
            number,
            etag: receipt.etag,
            size,
            crc64: Some(sent.0),
            crc32c: sums.crc32c,
        })
    };
    Ok(receipts
        .into_iter()
        .map(|receipt| receipt.and_then(checked))
        .collect())
}

/// Checks that all parts make the object, and publishes it.
async fn end(
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
    let done: Vec<PartDone> = {
        let done = upload.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.values().cloned().collect()
    };
    let store = &shared.job.targets[upload.target].store;
    let name = shared.job.name_at(upload.target, key);
    shared.tally.targets[upload.target].usage.target_write();
    let published = publish(store.as_ref(), name, &upload.id, &upload.plan, done).await;
    let published = published.map_err(|error| {
        let kind = error.kind;
        Trouble::from(StoreError::new(
            kind,
            error.operation,
            error.target,
            error.context,
        ))
    })?;
    if let Err(error) = shared.journal.ended(&upload.attempt).await {
        tracing::debug!(%key, %error, "this upload stays in the journal and is cleared by the next run");
    }
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
async fn abandon(shared: &Shared, key: &ObjectKey, upload: &Upload, error: &StoreError) {
    if error.kind == Kind::RetryAfter {
        return;
    }
    let store = &shared.job.targets[upload.target].store;
    let name = shared.job.name_at(upload.target, key);
    if let Err(error) = store.abort_upload(name, &upload.id).await {
        tracing::debug!(%key, %error, "the next run will abort this upload");
        return;
    }
    if let Err(error) = shared.journal.ended(&upload.attempt).await {
        tracing::debug!(%key, %error, "this upload stays in the journal");
    }
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
