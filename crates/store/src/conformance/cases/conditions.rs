//! Conditional writes: a false condition changes nothing, and of many writers one wins.

use crate::conformance::subject::{Subject, content, key, put_through, refused};
use crate::conformance::{CaseResult, Failure, Verdict, ensure};
use crate::{Precondition, Result};
use bytes::Bytes;
use futures::future::join_all;
use skyfresh_sky::{Attributes, Kind, ObjectVersion};

const RACERS: u64 = 8;

pub(super) async fn put_if_absent(subject: &Subject<'_>) -> CaseResult {
    let (one, two) = (content(1000, 1), content(1000, 2));
    subject.put("x", &one).await?;
    let broken = subject.put_if("x", &two, Precondition::Absent).await;
    if !subject.capabilities.put_if_absent.enforced() {
        let support = subject.capabilities.put_if_absent;
        return subject.condition_is_not_enforced(support, "put if absent", broken);
    }
    refused(
        "a put over an object, if absent",
        broken,
        &[Kind::Precondition],
    )?;
    subject.expect("x", &one).await?;
    subject.put_if("new", &two, Precondition::Absent).await?;
    subject.expect("new", &two).await?;
    subject
        .store
        .delete(&key("x")?, &Precondition::None)
        .await?;
    subject.put_if("x", &two, Precondition::Absent).await?;
    subject.expect("x", &two).await?;
    Ok(Verdict::Passed)
}

pub(super) async fn put_if_version(subject: &Subject<'_>) -> CaseResult {
    let (one, two, three) = (content(1000, 1), content(1000, 2), content(1000, 3));
    let first = subject.put("x", &one).await?.version;
    let second = subject.put("x", &two).await?.version;
    let broken = subject
        .put_if("x", &three, Precondition::Version(first.clone()))
        .await;
    if !subject.capabilities.put_if_version.enforced() {
        let support = subject.capabilities.put_if_version;
        return subject.condition_is_not_enforced(support, "put if version", broken);
    }
    refused("a put over another version", broken, &[Kind::Precondition])?;
    subject.expect("x", &two).await?;
    subject
        .put_if("x", &three, Precondition::Version(second))
        .await?;
    subject.expect("x", &three).await?;
    let result = subject
        .put_if("absent", &three, Precondition::Version(first))
        .await;
    refused(
        "a put over a version of an absent object",
        result,
        &[Kind::Precondition],
    )?;
    subject.expect_absent("absent").await?;
    Ok(Verdict::Passed)
}

/// Fails unless exactly one of the racers won, and the object is the winner's.
async fn one_winner<T>(
    subject: &Subject<'_>,
    name: &str,
    results: Vec<(Bytes, Result<T>)>,
) -> std::result::Result<(), Failure> {
    let mut winners = Vec::new();
    for (bytes, result) in results {
        match result {
            Ok(_) => winners.push(bytes),
            // A store may ask losers to try again instead: S3's 409 ConditionalRequestConflict.
            other => drop(refused(
                "losing a race",
                other,
                &[Kind::Precondition, Kind::RetryAfter],
            )?),
        }
    }
    ensure!(
        winners.len() == 1,
        "{} of {RACERS} writers won {name:?}",
        winners.len()
    );
    subject.expect(name, &winners[0]).await
}

pub(super) async fn put_if_absent_has_one_winner(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.put_if_absent.enforced() {
        return Ok(Verdict::NotSupported("put if absent"));
    }
    for round in 0..5 {
        let name = format!("x{round}");
        let results = join_all((0..RACERS).map(|racer| {
            let name = &name;
            async move {
                let bytes = content(50_000, racer);
                // Each through a handle of its own, as processes would.
                let store = subject.another().await?;
                let result = put_through(&*store, name, &bytes, Precondition::Absent).await;
                Ok((bytes, result))
            }
        }))
        .await;
        let results = results
            .into_iter()
            .collect::<std::result::Result<Vec<_>, Failure>>()?;
        one_winner(subject, &name, results).await?;
    }
    Ok(Verdict::Passed)
}

pub(super) async fn put_if_version_has_one_winner(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.put_if_version.enforced() {
        return Ok(Verdict::NotSupported("put if version"));
    }
    for round in 0..5 {
        let name = format!("x{round}");
        let version = subject.put(&name, &content(10, 99)).await?.version;
        let results = join_all((0..RACERS).map(|racer| {
            let (name, version) = (&name, version.clone());
            async move {
                let bytes = content(50_000, racer);
                let store = subject.another().await?;
                let result =
                    put_through(&*store, name, &bytes, Precondition::Version(version)).await;
                Ok((bytes, result))
            }
        }))
        .await;
        let results = results
            .into_iter()
            .collect::<std::result::Result<Vec<_>, Failure>>()?;
        one_winner(subject, &name, results).await?;
    }
    Ok(Verdict::Passed)
}

/// Uploads `bytes` as one part and completes under a condition; aborts where that is refused.
async fn upload_if(
    subject: &Subject<'_>,
    name: &str,
    bytes: &Bytes,
    precondition: Precondition,
) -> std::result::Result<Result<crate::PutReceipt>, Failure> {
    let upload = subject
        .store
        .create_upload(&key(name)?, &Attributes::default())
        .await?;
    let part = subject
        .part(&*subject.store, name, &upload, 1, bytes)
        .await?;
    let result = subject
        .store
        .complete_upload(&key(name)?, &upload, &[part], &precondition)
        .await;
    if result.is_err() {
        subject.store.abort_upload(&key(name)?, &upload).await?;
    }
    Ok(result)
}

pub(super) async fn complete_if_absent(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return Ok(Verdict::NotSupported("multipart uploads"));
    }
    let (one, two) = (content(1000, 1), content(1000, 2));
    subject.put("x", &one).await?;
    let broken = upload_if(subject, "x", &two, Precondition::Absent).await?;
    if !subject.capabilities.complete_if_absent.enforced() {
        let support = subject.capabilities.complete_if_absent;
        return subject.condition_is_not_enforced(support, "complete if absent", broken);
    }
    refused(
        "completing over an object, if absent",
        broken,
        &[Kind::Precondition],
    )?;
    subject.expect("x", &one).await?;
    upload_if(subject, "new", &two, Precondition::Absent).await??;
    subject.expect("new", &two).await?;
    Ok(Verdict::Passed)
}

pub(super) async fn complete_if_absent_has_one_winner(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart || !subject.capabilities.complete_if_absent.enforced() {
        return Ok(Verdict::NotSupported("complete if absent"));
    }
    for round in 0..3 {
        let name = format!("x{round}");
        let attempts = join_all((0..RACERS).map(|racer| {
            let name = &name;
            async move {
                let bytes = content(20_000, racer);
                let result = upload_if(subject, name, &bytes, Precondition::Absent).await;
                result.map(|result| (bytes, result))
            }
        }))
        .await;
        let results = attempts
            .into_iter()
            .collect::<std::result::Result<Vec<_>, Failure>>()?;
        one_winner(subject, &name, results).await?;
    }
    Ok(Verdict::Passed)
}

pub(super) async fn complete_if_version(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return Ok(Verdict::NotSupported("multipart uploads"));
    }
    let (one, two, three) = (content(1000, 1), content(1000, 2), content(1000, 3));
    let first = subject.put("x", &one).await?.version;
    let second = subject.put("x", &two).await?.version;
    let broken = upload_if(subject, "x", &three, Precondition::Version(first)).await?;
    if !subject.capabilities.complete_if_version.enforced() {
        let support = subject.capabilities.complete_if_version;
        return subject.condition_is_not_enforced(support, "complete if version", broken);
    }
    refused(
        "completing over another version",
        broken,
        &[Kind::Precondition],
    )?;
    subject.expect("x", &two).await?;
    // The version that a completed upload made is itself a condition.
    let third = upload_if(subject, "x", &three, Precondition::Version(second))
        .await??
        .version;
    subject.expect("x", &three).await?;
    ensure!(
        subject.head("x").await?.version == third,
        "head does not say what completion said"
    );
    upload_if(subject, "x", &one, Precondition::Version(third)).await??;
    subject.expect("x", &one).await?;
    Ok(Verdict::Passed)
}

pub(super) async fn delete_if_version(subject: &Subject<'_>) -> CaseResult {
    let (one, two) = (content(1000, 1), content(1000, 2));
    let first: ObjectVersion = subject.put("x", &one).await?.version;
    let second = subject.put("x", &two).await?.version;
    let broken = subject
        .store
        .delete(&key("x")?, &Precondition::Version(first.clone()))
        .await;
    if !subject.capabilities.delete_if_version.enforced() {
        let support = subject.capabilities.delete_if_version;
        return subject.condition_is_not_enforced(support, "delete if version", broken);
    }
    refused("deleting another version", broken, &[Kind::Precondition])?;
    subject.expect("x", &two).await?;
    subject
        .store
        .delete(&key("x")?, &Precondition::Version(second))
        .await?;
    subject.expect_absent("x").await?;
    subject
        .store
        .delete(&key("x")?, &Precondition::Version(first))
        .await?;
    Ok(Verdict::Passed)
}
