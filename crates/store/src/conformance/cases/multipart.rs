//! Multipart uploads: their parts, and what completing them publishes.

use crate::checksum::Crc64;
use crate::conformance::subject::{Subject, chunked, content, failing, key, refused};
use crate::conformance::{CaseResult, Verdict, ensure};
use crate::{CompletedPart, Precondition};
use bytes::Bytes;
use skyfresh_sky::{Attributes, Kind};

const NO_MULTIPART: CaseResult = Ok(Verdict::NotSupported("multipart uploads"));

pub(super) async fn parts_out_of_order_from_two_handles(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        let created = subject
            .store
            .create_upload(&key("x")?, &Attributes::default())
            .await;
        refused("creating an upload", created, &[Kind::Unsupported])?;
        return NO_MULTIPART;
    }
    let size = subject.part_bytes();
    let parts = [content(size, 1), content(size + 1, 2), content(17, 3)];
    let another = subject.another().await?;
    let upload = subject
        .store
        .create_upload(&key("x")?, &Attributes::default())
        .await?;
    let third = subject.part(&*another, "x", &upload, 3, &parts[2]).await?;
    let first = subject
        .part(&*subject.store, "x", &upload, 1, &parts[0])
        .await?;
    let second = subject.part(&*another, "x", &upload, 2, &parts[1]).await?;
    let third_handle = subject.another().await?;
    let receipt = third_handle
        .complete_upload(
            &key("x")?,
            &upload,
            &[first, second, third],
            &Precondition::None,
        )
        .await?;
    let whole = Bytes::from(parts.concat());
    subject.expect("x", &whole).await?;
    let head = subject.head("x").await?;
    ensure!(
        head.version == receipt.version,
        "head says {}, completion {}",
        head.version,
        receipt.version
    );
    for stated in [receipt.crc64, head.crc64].into_iter().flatten() {
        ensure!(
            stated == Crc64::of(&whole),
            "the checksum of the whole is stated as {stated}"
        );
    }
    let middle = size - 5..size + 5;
    let found = subject
        .read("x", Some(middle.clone()), Some(&receipt.version))
        .await?;
    ensure!(
        found == whole[middle.start as usize..middle.end as usize],
        "a range across parts differs"
    );
    Ok(Verdict::Passed)
}

pub(super) async fn an_upload_is_invisible_until_completed(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let old = content(100, 1);
    subject.put("old", &old).await?;
    for name in ["old", "new"] {
        let upload = subject
            .store
            .create_upload(&key(name)?, &Attributes::default())
            .await?;
        subject
            .part(&*subject.store, name, &upload, 1, &content(1000, 2))
            .await?;
    }
    subject.expect("old", &old).await?;
    subject.expect_absent("new").await?;
    let listed = subject.list_all(1000).await?;
    ensure!(
        listed.len() == 1,
        "an unfinished upload is listed as an object"
    );
    Ok(Verdict::Passed)
}

pub(super) async fn a_part_uploaded_again_is_replaced(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let (one, two) = (content(1000, 1), content(999, 2));
    let x = key("x")?;
    let upload = subject
        .store
        .create_upload(&x, &Attributes::default())
        .await?;
    let stale = subject.part(&*subject.store, "x", &upload, 1, &one).await?;
    let fresh = subject.part(&*subject.store, "x", &upload, 1, &two).await?;
    let result = subject
        .store
        .complete_upload(&x, &upload, &[stale], &Precondition::None)
        .await;
    refused(
        "completing with a replaced part",
        result,
        &[Kind::Invalid, Kind::Corrupt],
    )?;
    subject.expect_absent("x").await?;
    subject
        .store
        .complete_upload(&x, &upload, &[fresh], &Precondition::None)
        .await?;
    subject.expect("x", &two).await?;
    Ok(Verdict::Passed)
}

/// By what is listed an upload can be completed, whoever sent its parts, and how often.
pub(super) async fn parts_held_are_listed(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let store = &*subject.store;
    let upload = store
        .create_upload(&key("x")?, &Attributes::default())
        .await?;
    let parts = [content(subject.part_bytes(), 1), content(17, 2)];
    let sent = [
        subject.part(store, "x", &upload, 2, &parts[1]).await?,
        subject.part(store, "x", &upload, 1, &parts[0]).await?,
        subject.part(store, "x", &upload, 2, &parts[1]).await?,
    ];
    let Some(listed) = store.list_parts(&key("x")?, &upload).await? else {
        store.abort_upload(&key("x")?, &upload).await?;
        return Ok(Verdict::NotSupported("listing of an upload's parts"));
    };
    ensure!(
        listed.len() == 2 && listed.iter().map(|part| part.number).eq([1, 2]),
        "two parts were sent, listed are {listed:?}"
    );
    for (part, sent) in listed.iter().zip([&sent[1], &sent[2]]) {
        ensure!(
            (part.size, &part.etag) == (sent.size, &sent.etag),
            "{sent:?} was sent last, listed is {part:?}"
        );
        ensure!(
            part.crc64.is_none() || part.crc64 == sent.crc64,
            "{sent:?} was sent, listed is {part:?}"
        );
    }
    store
        .complete_upload(&key("x")?, &upload, &listed, &Precondition::None)
        .await?;
    subject.expect("x", &Bytes::from(parts.concat())).await?;
    let gone = store.list_parts(&key("x")?, &upload).await;
    refused(
        "listing the parts of an upload that is gone",
        gone,
        &[Kind::Missing],
    )?;
    Ok(Verdict::Passed)
}

pub(super) async fn a_missing_part_completes_nothing(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let old = content(100, 1);
    subject.put("x", &old).await?;
    let x = key("x")?;
    let upload = subject
        .store
        .create_upload(&x, &Attributes::default())
        .await?;
    let part = subject
        .part(
            &*subject.store,
            "x",
            &upload,
            1,
            &content(subject.part_bytes(), 2),
        )
        .await?;
    let never = CompletedPart {
        number: 2,
        ..part.clone()
    };
    let result = subject
        .store
        .complete_upload(&x, &upload, &[part, never], &Precondition::None)
        .await;
    refused(
        "completing with a part that was never uploaded",
        result,
        &[Kind::Invalid],
    )?;
    subject.expect("x", &old).await?;
    Ok(Verdict::Passed)
}

pub(super) async fn parts_may_be_left_out(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let size = subject.part_bytes();
    let upload = subject
        .store
        .create_upload(&key("x")?, &Attributes::default())
        .await?;
    let parts = [content(size, 1), content(size, 2), content(10, 3)];
    let first = subject
        .part(&*subject.store, "x", &upload, 7, &parts[0])
        .await?;
    subject
        .part(&*subject.store, "x", &upload, 8, &parts[1])
        .await?;
    let last = subject
        .part(&*subject.store, "x", &upload, 900, &parts[2])
        .await?;
    subject
        .store
        .complete_upload(&key("x")?, &upload, &[first, last], &Precondition::None)
        .await?;
    subject
        .expect("x", &Bytes::from([&parts[0][..], &parts[2][..]].concat()))
        .await?;
    Ok(Verdict::Passed)
}

pub(super) async fn a_bad_part_body_leaves_no_part(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let x = key("x")?;
    let upload = subject
        .store
        .create_upload(&x, &Attributes::default())
        .await?;
    let good = content(200_000, 1);
    let kept = subject
        .part(&*subject.store, "x", &upload, 1, &good)
        .await?;
    let bad = content(200_000, 2);
    let long = subject
        .store
        .upload_part(&x, &upload, 1, 199_999, chunked(&bad))
        .await;
    ensure!(long.is_err(), "a part longer than announced was accepted");
    let short = subject
        .store
        .upload_part(&x, &upload, 1, 200_001, chunked(&bad))
        .await;
    ensure!(short.is_err(), "a part shorter than announced was accepted");
    let failed = subject
        .store
        .upload_part(&x, &upload, 1, 400_000, failing(&bad))
        .await;
    ensure!(failed.is_err(), "a part whose body failed was accepted");
    let most = subject.capabilities.upload_limits.max_parts;
    for number in [0, most + 1] {
        let result = subject
            .store
            .upload_part(&x, &upload, number, 200_000, chunked(&good))
            .await;
        refused(&format!("part number {number}"), result, &[Kind::Invalid])?;
    }
    subject
        .store
        .complete_upload(&x, &upload, &[kept], &Precondition::None)
        .await?;
    subject.expect("x", &good).await?;
    Ok(Verdict::Passed)
}

pub(super) async fn small_parts_are_refused(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let least = subject.capabilities.upload_limits.min_part_bytes;
    if least <= 1 {
        return Ok(Verdict::NotSupported("a least size of parts"));
    }
    let upload = subject
        .store
        .create_upload(&key("x")?, &Attributes::default())
        .await?;
    let mut parts = Vec::new();
    for number in 1..=2 {
        let bytes = content(least - 1, number.into());
        parts.push(
            subject
                .part(&*subject.store, "x", &upload, number, &bytes)
                .await?,
        );
    }
    let result = subject
        .store
        .complete_upload(&key("x")?, &upload, &parts, &Precondition::None)
        .await;
    refused(
        "completing with a part below the least size",
        result,
        &[Kind::Invalid],
    )?;
    subject.expect_absent("x").await?;
    Ok(Verdict::Passed)
}

/// S3 may answer a repeated completion with the first one's success, or that the upload is gone.
pub(super) async fn completing_twice_changes_nothing(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return NO_MULTIPART;
    }
    let x = key("x")?;
    let bytes = content(1000, 1);
    let upload = subject
        .store
        .create_upload(&x, &Attributes::default())
        .await?;
    let part = [subject
        .part(&*subject.store, "x", &upload, 1, &bytes)
        .await?];
    let first = subject
        .store
        .complete_upload(&x, &upload, &part, &Precondition::None)
        .await?;
    match subject
        .store
        .complete_upload(&x, &upload, &part, &Precondition::None)
        .await
    {
        Ok(second) => ensure!(
            second.version == first.version,
            "completing twice made two versions"
        ),
        other => drop(refused("completing twice", other, &[Kind::Missing])?),
    }
    subject.expect("x", &bytes).await?;
    ensure!(
        subject.head("x").await?.version == first.version,
        "completing twice made another version"
    );
    Ok(Verdict::Passed)
}
