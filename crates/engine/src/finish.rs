//! **finish**: checks count, size and checksums, publishes with a precondition, and writes the receipt.
//!
//! In: an upload whose parts are all there, or an inline PUT's answer. Out: a [`Receipt`]. Never: publishes what it could
//! not verify, or over a version it has not seen.

use crate::complete::complete;
use crate::copy::{WorkOrder, WorkerContext};
use crate::decide::{Plan, Strategy, mark_hash, stamp};
use crate::lane::Lane;
use crate::rule::STAMP;
use crate::usage::Usage;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_ledger::{
    Claim, Completion, Expected, Ledger, Mark, Outcome, PartDone, Receipt, Tombstone,
};
use skyfresh_sky::{Kind, Mutant, ObjectKey, ObjectVersion, Timestamp};
use skyfresh_store::checksum::{Crc32c, Crc64};
use skyfresh_store::{CompletedPart, ObjectStore, PutReceipt};

/// An object that is now readable at the destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Published {
    /// Its version there.
    pub version: ObjectVersion,
    /// CRC64NVME of its bytes.
    pub crc64: Option<Crc64>,
}

/// Checks a finished pool against the plan and names its parts for completion.
///
/// # Errors
/// [`Kind::Corrupt`] where a part is missing, a size differs, or the parts' checksums do not make the object's.
pub(crate) fn check_parts(
    plan: &Plan,
    target: &str,
    mut done: Vec<PartDone>,
) -> Result<(Vec<CompletedPart>, Option<Crc64>)> {
    let corrupt = |why: String| Error::new(Kind::Corrupt, "verify", target, why);
    let Strategy::Multipart {
        parts, part_bytes, ..
    } = plan.strategy
    else {
        return Err(Error::new(
            Kind::Internal,
            "verify",
            target,
            "an inline plan has no parts",
        ));
    };
    done.sort_by_key(|part| part.number);
    if done.len() != parts as usize
        || done
            .iter()
            .zip(1..)
            .any(|(part, number): (_, u32)| part.number != number)
    {
        return Err(corrupt(format!(
            "{} of {parts} parts are there",
            done.len()
        )));
    }
    let (mut whole, mut size) = (Some(Crc64::EMPTY), 0u64);
    let mut whole_crc32c = Some(Crc32c::EMPTY);
    for part in &done {
        let expected = part_bytes.min(plan.size - size);
        if part.size != expected {
            return Err(corrupt(format!(
                "part {} has {} bytes, not {expected}",
                part.number, part.size
            )));
        }
        size += part.size;
        whole = whole
            .zip(part.crc64)
            .map(|(whole, crc64)| whole.then(Crc64(crc64), part.size));
        whole_crc32c = whole_crc32c
            .zip(part.crc32c)
            .map(|(whole, crc32c)| whole.then(Crc32c(crc32c), part.size));
    }
    if size != plan.size {
        return Err(corrupt(format!(
            "the parts have {size} bytes, the object {}",
            plan.size
        )));
    }
    if let (Some(whole), Some(expected)) = (whole, plan.crc64)
        && whole != expected
        && !Mutant::VerificationSkipped.is_on()
    {
        return Err(corrupt(format!(
            "the parts make CRC64NVME {whole}, the source states {expected}"
        )));
    }
    if let (Some(whole), Some(expected)) = (whole_crc32c, plan.crc32c)
        && whole != expected
    {
        return Err(corrupt(format!(
            "the parts make CRC32C {whole}, the source states {expected}"
        )));
    }
    let parts = done
        .into_iter()
        .map(|part| CompletedPart {
            number: part.number,
            etag: part.etag,
            size: part.size,
            crc64: part.crc64.map(Crc64),
        })
        .collect();
    Ok((parts, whole))
}

/// Verifies all parts of an upload and publishes it. Called by whoever completed the last part; safe to call again.
pub(crate) async fn publish_upload(
    context: &WorkerContext,
    order: &WorkOrder,
    usage: &Usage,
) -> Result<Published> {
    let done = match context.ledger.parts(&order.attempt).await? {
        Some((_, done)) => done,
        None => {
            return Err(Error::new(
                Kind::Precondition,
                "finish",
                order.task.to_string(),
                "the attempt is over",
            ));
        }
    };
    publish_parts(context.target.as_ref(), order, done, usage).await
}

pub(crate) async fn publish_parts(
    target: &dyn ObjectStore,
    order: &WorkOrder,
    done: Vec<PartDone>,
    usage: &Usage,
) -> Result<Published> {
    publish(
        target,
        &order.task.key,
        &order.upload,
        &order.plan,
        done,
        usage,
    )
    .await
}

/// Checks that the parts make the planned object, and publishes it.
pub(crate) async fn publish(
    target: &dyn ObjectStore,
    key: &ObjectKey,
    upload: &str,
    plan: &Plan,
    done: Vec<PartDone>,
    usage: &Usage,
) -> Result<Published> {
    let (parts, crc64) = check_parts(plan, key.as_str(), done)?;
    let receipt = match complete(target, key, upload, &plan.precondition, parts, usage).await {
        Ok(receipt) => receipt,
        Err(error) if error.kind == Kind::RetryAfter && Mutant::LostAnswerBelieved.is_on() => {
            PutReceipt {
                version: ObjectVersion::from_etag("believed"),
                crc64,
            }
        }
        // It may have been completed by a call whose answer was lost: the head tells.
        Err(error) if matches!(error.kind, Kind::RetryAfter | Kind::Missing) => {
            match target.head(key).await {
                Ok(head) if is_ours(&head.attributes.user, plan, head.size, head.crc64, crc64) => {
                    PutReceipt {
                        version: head.version,
                        crc64: head.crc64,
                    }
                }
                _ if error.kind == Kind::Missing => {
                    return Err(Error::new(
                        Kind::Precondition,
                        "finish",
                        key.as_str(),
                        "the upload is gone and the object is not ours: start again",
                    ));
                }
                _ => return Err(error.into()),
            }
        }
        Err(error) => return Err(error.into()),
    };
    if let (Some(stored), Some(sent)) = (receipt.crc64, crc64)
        && stored != sent
    {
        let why = format!("published with CRC64NVME {stored}, sent {sent}");
        return Err(Error::new(Kind::Corrupt, "verify", key.as_str(), why));
    }
    Ok(Published {
        version: receipt.version,
        crc64,
    })
}

fn is_ours(
    user: &std::collections::BTreeMap<String, String>,
    plan: &Plan,
    size: u64,
    held: Option<Crc64>,
    sent: Option<Crc64>,
) -> bool {
    let same_bytes = held.is_some() && held == sent;
    let stamped = user
        .get(STAMP)
        .is_some_and(|held| *held == stamp(&plan.source));
    size == plan.size && (same_bytes || stamped)
}

/// What an attempt ended with.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Outcome,
    pub(crate) source: Option<ObjectVersion>,
    pub(crate) destination: Option<ObjectVersion>,
    pub(crate) crc64: Option<Crc64>,
    pub(crate) size: u64,
    pub(crate) strategy: String,
    pub(crate) unkept: Vec<String>,
    /// The destination that was read instead of the source.
    pub(crate) via: Option<String>,
    pub(crate) expected: Option<Expected>,
}

/// The times of a claim that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span {
    /// When the oldest change that was not yet at the destination happened at the source.
    pub(crate) changed: Timestamp,
    /// When the claim began.
    pub(crate) started: Timestamp,
    /// When the object was readable at the destination.
    pub(crate) now: Timestamp,
}

/// The completion of a claim: receipt, mark, tombstone.
pub(crate) fn completion(
    lane: &Lane,
    claim: &Claim,
    ended: Ended,
    usage: &Usage,
    span: Span,
) -> Completion {
    let task = &claim.task;
    let deleted = ended.outcome == Outcome::Deleted && !Mutant::TombstoneDropped.is_on();
    let tombstone = deleted.then(|| Tombstone {
        deleted: span.now,
        destination: ended.destination.clone(),
    });
    // Where both sides state the same entity tag, a listing shows equality by itself and nothing need be remembered.
    let mark = match (&ended.source, &ended.destination) {
        (Some(source), Some(destination))
            if ended.outcome != Outcome::Deleted && source.etag != destination.etag =>
        {
            Some(Mark {
                source: mark_hash(&source.etag),
                destination: mark_hash(&destination.etag),
            })
        }
        _ => None,
    };
    let receipt = Receipt {
        task: task.task.clone(),
        outcome: ended.outcome,
        origin: task.signal.origin,
        source: ended.source,
        destination: ended.destination,
        crc64: ended.crc64.map(|crc64| crc64.to_string()),
        changed: span.changed,
        notified: task.pending_since,
        started: span.started,
        published: span.now,
        size: ended.size,
        bytes_moved: usage.bytes(),
        requests: usage.requests(),
        spend: usage.price(
            &lane.shared.catalog,
            lane.region_of(ended.via.as_deref()),
            &lane.target_region,
        ),
        strategy: match ended.via {
            Some(via) => format!("{}, read from {via}", ended.strategy),
            None => ended.strategy,
        },
        failures: task.failures,
        unkept: ended.unkept,
        bytes_saved: usage.savings.bytes(),
        saved: usage.savings.usd(),
        expected: ended.expected,
    };
    Completion {
        receipt,
        mark,
        tombstone,
    }
}

/// Discards an upload and everything remembered of its attempt. Failures are left to the janitor.
pub(crate) async fn discard_upload(
    target: &dyn ObjectStore,
    ledger: &dyn Ledger,
    attempt: &str,
    key: &skyfresh_sky::ObjectKey,
    upload: Option<&str>,
) {
    if let Some(upload) = upload
        && let Err(error) = target.abort_upload(key, upload).await
    {
        tracing::debug!(%key, %error, "the janitor will abort this upload");
        return;
    }
    let closed = ledger.close_pool(attempt).await;
    let ended = if upload.is_some() {
        ledger.end_upload(attempt).await
    } else {
        Ok(())
    };
    if let Err(error) = closed.and(ended) {
        tracing::debug!(%key, %error, "the janitor will forget this upload");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::Attributes;
    use skyfresh_store::Precondition;

    fn plan(size: u64, crc64: Option<Crc64>) -> Plan {
        Plan {
            source: ObjectVersion::from_etag("v1"),
            size,
            crc64,
            crc32c: None,
            md5: None,
            attributes: Attributes::default(),
            unkept: Vec::new(),
            precondition: Precondition::Absent,
            strategy: Strategy::Multipart {
                part_bytes: 4,
                parts: 3,
                workers: 1,
            },
            site: None,
            via: None,
            expected: None,
        }
    }

    fn parts(texts: &[&str]) -> Vec<PartDone> {
        texts
            .iter()
            .zip(1..)
            .map(|(text, number)| PartDone {
                number,
                etag: format!("e{number}"),
                size: text.len() as u64,
                crc64: Some(Crc64::of(text.as_bytes()).0),
                crc32c: Some(Crc32c::of(text.as_bytes()).0),
            })
            .collect()
    }

    #[test]
    fn only_the_whole_object_passes() {
        let expected = Crc64::of(b"aaaabbbbcc");
        let check = |plan: &Plan, done| {
            check_parts(plan, "k", done).map(|(parts, crc64)| (parts.len(), crc64))
        };
        assert_eq!(
            check(&plan(10, Some(expected)), parts(&["aaaa", "bbbb", "cc"])).unwrap(),
            (3, Some(expected))
        );
        for (wrong, why) in [
            (parts(&["aaaa", "bbbb"]), "a part is missing"),
            (parts(&["aaaa", "bbb", "ccc"]), "sizes differ"),
            (parts(&["aaaa", "bbbX", "cc"]), "bytes differ"),
            (vec![], "nothing is there"),
        ] {
            let error = check(&plan(10, Some(expected)), wrong).expect_err(why);
            assert_eq!(error.kind, Kind::Corrupt, "{why}");
        }
        let by_crc32c = Plan {
            crc32c: Some(Crc32c::of(b"aaaabbbbcc")),
            ..plan(10, None)
        };
        assert!(check(&by_crc32c, parts(&["aaaa", "bbbb", "cc"])).is_ok());
        assert!(check(&by_crc32c, parts(&["aaaa", "bbbX", "cc"])).is_err());
        let mut repeated = parts(&["aaaa", "bbbb", "cc"]);
        repeated[1].number = 1;
        assert!(check(&plan(10, None), repeated).is_err());
    }
}
