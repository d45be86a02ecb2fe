//! A large object in parts: each part read once, written to every target that lacks it.
//!
//! In: a key and the targets that want it. Out: what each target published. Never: parts of two versions in one object; an object
//! that is visible before all its parts are there and make its checksum.

use super::fan::{again, fan_out};
use super::shared::Shared;
use super::tally::add;
use super::upload::{Early, Upload, abandon, begin, end};
use super::walk::Want;
use super::whole::{Landed, Trouble};
use crate::backoff::retry_delay;
use crate::copy::limited;
use crate::overlay::{self, PartAsked, PartAt};
use skyfresh_ledger::PartDone;
use skyfresh_sky::{Kind, ObjectKey};
use skyfresh_store::checksum::Wanted;
use skyfresh_store::{
    ByteStream, Error as StoreError, GetOptions, ObjectHead, Result as StoreResult,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Passing failures of a part before its upload is given up.
const PATIENCE: u32 = 6;

/// Copies to each of `wants`, into the uploads that are open already, where there are some.
///
/// # Errors
/// The source could not be read at all, or has changed meanwhile.
pub(super) async fn copy(
    shared: &Arc<Shared>,
    key: &ObjectKey,
    wants: &[&Want],
    early: Option<Early>,
) -> Result<Vec<Result<Landed, Trouble>>, Trouble> {
    let Some(first) = wants.first() else {
        return Ok(Vec::new());
    };
    let mut early = match early {
        Some(early) => early,
        None => {
            shared.tally.targets[first.target].usage.source_read();
            let head = shared.job.source.head(key).await;
            Early {
                head: Arc::new(head.map_err(Trouble::at_source)?),
                opened: Vec::new(),
            }
        }
    };
    let head = Arc::clone(&early.head);
    if head.size <= super::SMALL_BYTES {
        // It was large when it was listed.
        return super::whole::copy(shared, key, wants).await;
    }
    let begun = wants
        .iter()
        .map(|want| begin(shared, key, want, &head, early.take(want.target)));
    let begun = futures::future::join_all(begun).await;
    let uploads: Vec<Result<Arc<Upload>, Trouble>> = begun
        .into_iter()
        .map(|upload| upload.map(Arc::new))
        .collect();
    // Targets may cut the object differently (one goes on with what an earlier run began): each cut is read by itself.
    let mut cuts: BTreeMap<u64, Vec<Arc<Upload>>> = BTreeMap::new();
    for upload in uploads.iter().flatten() {
        let cut = cuts.entry(upload.part_bytes).or_default();
        cut.push(Arc::clone(upload));
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

/// One part of one version of an object.
#[derive(Clone, Copy)]
struct Part<'a> {
    key: &'a ObjectKey,
    head: &'a ObjectHead,
    /// From 1.
    number: u32,
    /// Bytes of every part but the last.
    part_bytes: u64,
}

impl Part<'_> {
    fn offset(&self) -> u64 {
        u64::from(self.number - 1) * self.part_bytes
    }

    fn size(&self) -> u64 {
        self.part_bytes.min(self.head.size - self.offset())
    }
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
            .filter(|upload| upload.needs(number))
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
            let part = Part {
                key: &key,
                head: &head,
                number,
                part_bytes,
            };
            let bytes = part.size();
            let sent = to_all(&shared, part, lacking).await;
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
async fn to_all(
    shared: &Shared,
    part: Part<'_>,
    mut lacking: Vec<Arc<Upload>>,
) -> Result<bool, Trouble> {
    let mut throttled = false;
    let mut failures = 0;
    loop {
        let sent = send(shared, part, &lacking).await;
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
                    upload.add(done);
                }
                Err(error) if error.operation == "get" && error.kind == Kind::Precondition => {
                    return Err(Trouble::at_source(error));
                }
                Err(error)
                    if matches!(error.kind, Kind::RetryAfter | Kind::Corrupt)
                        && failures + 1 < PATIENCE =>
                {
                    throttled |= error.is_throttled();
                    tracing::debug!(key = %part.key, number = part.number, %error, "the part will be sent again");
                    let delay = retry_delay(Kind::RetryAfter, failures + 1, &shared.rng);
                    wait = wait.max(Some(error.retry_after.unwrap_or(delay)));
                    again.push(upload);
                }
                Err(error) => upload.fail(Trouble::from(error)),
            }
        }
        again.retain(|upload| !upload.is_over());
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

/// A part to each of `uploads`: by relays where there are some, and whatever they cannot carry through this process.
async fn send(
    shared: &Shared,
    part: Part<'_>,
    uploads: &[Arc<Upload>],
) -> StoreResult<Vec<StoreResult<PartDone>>> {
    let Some(overlay) = &shared.overlay else {
        return send_here(shared, part, uploads).await;
    };
    let wanted = overlay::Part {
        key: part.key.clone(),
        version: part.head.version.clone(),
        crc32c: part.head.crc32c.is_some(),
        number: part.number,
        offset: part.offset(),
        size: part.size(),
    };
    let asked = PartAsked {
        part: &wanted,
        uploads: uploads
            .iter()
            .map(|upload| PartAt {
                target: upload.target,
                name: shared.job.name_at(upload.target, part.key),
                upload: &upload.id,
            })
            .collect(),
    };
    // Relays read it, and no faster than it is handed to them.
    if let Some(throttle) = &shared.throttle {
        throttle.wait(wanted.size).await;
    }
    let carried = overlay.part(&asked).await;
    if carried.iter().any(Option::is_some) {
        // Whoever reads first pays for the read; hops are priced by what the relays report.
        add(&shared.tally.bytes_read, wanted.size);
        if let Some(first) = uploads.first() {
            shared.tally.targets[first.target].usage.source_read();
        }
    }
    let mut rest = Vec::new();
    for (upload, carried) in uploads.iter().zip(&carried) {
        match carried {
            Some(_) => shared.tally.targets[upload.target].usage.target_write(),
            None => rest.push(Arc::clone(upload)),
        }
    }
    let here = send_here(shared, part, &rest).await;
    let mut here = match here {
        Ok(results) => results.into_iter(),
        Err(error) if rest.len() == uploads.len() => return Err(error),
        Err(error) => {
            let failed = rest.iter().map(|_| Err(again(&error)));
            failed.collect::<Vec<_>>().into_iter()
        }
    };
    let lost = || {
        let why = "no result for this destination";
        StoreError::new(Kind::Internal, "upload part", part.key.as_str(), why)
    };
    let results = carried.into_iter().map(|carried| match carried {
        Some(done) => Ok(done),
        None => here.next().unwrap_or_else(|| Err(lost())),
    });
    Ok(results.collect())
}

/// Reads a part once and sends it to each of `uploads`, through this process.
async fn send_here(
    shared: &Shared,
    part: Part<'_>,
    uploads: &[Arc<Upload>],
) -> StoreResult<Vec<StoreResult<PartDone>>> {
    let Part {
        key, head, number, ..
    } = part;
    let (start, size) = (part.offset(), part.size());
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
