//! Reads: of ranges, of one version, while others write.

use crate::conformance::subject::{Subject, content, key, refused};
use crate::conformance::{CaseResult, Verdict, ensure};
use crate::{GetOptions, Precondition};
use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use skyfresh_sky::{Kind, ObjectVersion};

pub(super) async fn ranges(subject: &Subject<'_>) -> CaseResult {
    const SIZE: u64 = 1_000_003;
    let bytes = content(SIZE, 1);
    let version = subject.put("x", &bytes).await?.version;
    for range in [
        0..1,
        0..SIZE,
        1..2,
        65_535..65_537,
        300_000..SIZE,
        SIZE - 1..SIZE,
    ] {
        let expected = bytes.slice(range.start as usize..range.end as usize);
        for pin in [None, Some(&version)] {
            let found = subject.read("x", Some(range.clone()), pin).await?;
            ensure!(
                found == expected,
                "{range:?} holds other bytes ({} of them)",
                found.len()
            );
        }
        let result = subject
            .store
            .get(
                &key("x")?,
                GetOptions {
                    range: Some(range),
                    version: None,
                },
            )
            .await?;
        ensure!(
            result.head.size == SIZE,
            "the head of a range says {} bytes",
            result.head.size
        );
        ensure!(
            result.head.version == version,
            "the head of a range says {}",
            result.head.version
        );
    }
    Ok(Verdict::Passed)
}

pub(super) async fn ranges_outside_the_object_fail(subject: &Subject<'_>) -> CaseResult {
    subject.put("x", &content(100, 1)).await?;
    for range in [100..101, 50..101, 200..300] {
        let result = subject.read("x", Some(range.clone()), None).await;
        // Some stores answer with what there is of the range: then the body must fail, never end early.
        ensure!(
            result.is_err(),
            "bytes {range:?} of 100 were read without an error"
        );
    }
    Ok(Verdict::Passed)
}

pub(super) async fn pinned_reads(subject: &Subject<'_>) -> CaseResult {
    let (old, new) = (content(10_000, 1), content(10_000, 2));
    let first = subject.put("x", &old).await?.version;
    ensure!(
        subject.read("x", None, Some(&first)).await? == old,
        "a pinned read has other bytes"
    );
    let second = subject.put("x", &new).await?.version;
    ensure!(
        subject.read("x", None, Some(&second)).await? == new,
        "a pinned read has other bytes"
    );

    let kept = |version: &ObjectVersion| version.version_id.is_some();
    match subject.read("x", None, Some(&first)).await {
        Ok(bytes) if kept(&first) => ensure!(bytes == old, "an old version has other bytes"),
        other => drop(refused(
            "reading an overwritten version",
            other,
            &[Kind::Precondition],
        )?),
    }
    match subject.read("x", Some(5..10), Some(&first)).await {
        Ok(bytes) if kept(&first) => ensure!(bytes == old[5..10], "an old version has other bytes"),
        other => drop(refused(
            "reading a range of an overwritten version",
            other,
            &[Kind::Precondition],
        )?),
    }
    subject
        .store
        .delete(&key("x")?, &Precondition::None)
        .await?;
    match subject.read("x", None, Some(&second)).await {
        Ok(bytes) if kept(&second) => ensure!(bytes == new, "a deleted version has other bytes"),
        other => drop(refused(
            "reading a deleted version",
            other,
            &[Kind::Missing],
        )?),
    }
    Ok(Verdict::Passed)
}

/// A read that has begun when the object is overwritten ends with the old bytes or with an error.
pub(super) async fn a_read_never_mixes_versions(subject: &Subject<'_>) -> CaseResult {
    const SIZE: u64 = 8 << 20;
    let (old, new) = (content(SIZE, 1), content(SIZE, 2));
    let version = subject.put("x", &old).await?.version;
    for pin in [Some(version), None] {
        subject.put("x", &old).await?;
        // Where versions never recur the pin must be the present one.
        let version = match pin {
            Some(_) => Some(subject.head("x").await?.version),
            None => None,
        };
        let mut body = subject
            .store
            .get(
                &key("x")?,
                GetOptions {
                    range: None,
                    version,
                },
            )
            .await?
            .body;
        let mut read = BytesMut::new();
        if let Some(chunk) = body.try_next().await? {
            read.extend_from_slice(&chunk);
        }
        subject.put("x", &new).await?;
        let failed = loop {
            match body.try_next().await {
                Ok(Some(chunk)) => read.extend_from_slice(&chunk),
                Ok(None) => break false,
                Err(_) => break true,
            }
        };
        let read = Bytes::from(read);
        ensure!(
            failed || read == old,
            "a read that was overtaken by a write ended well with other bytes"
        );
        subject.expect("x", &new).await?;
    }
    Ok(Verdict::Passed)
}
