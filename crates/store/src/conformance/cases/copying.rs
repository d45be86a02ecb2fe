//! Server-side copies: of objects, and into parts.

use super::objects::check_attributes;
use crate::conformance::subject::{Subject, chunked, content, key, refused};
use crate::conformance::{CaseResult, Verdict, ensure};
use crate::{CompletedPart, CopySource, Precondition, PutOptions};
use bytes::Bytes;
use skyfresh_sky::{Attributes, Kind, ObjectVersion};

const NO_COPY: CaseResult = Ok(Verdict::NotSupported("server-side copies"));

fn source(subject: &Subject<'_>, name: &str, version: Option<ObjectVersion>) -> CopySource {
    CopySource {
        bucket: None,
        full_key: format!("{}{name}", subject.place.prefix),
        version,
    }
}

pub(super) async fn copy_keeps_or_replaces_attributes(subject: &Subject<'_>) -> CaseResult {
    let store = &subject.store;
    let bytes = content(100_000, 1);
    let attributes = Attributes {
        content_type: Some("text/x-one".into()),
        cache_control: Some("no-store".into()),
        user: [("name".to_owned(), "value".to_owned())].into(),
        ..Attributes::default()
    };
    let options = PutOptions {
        size: 100_000,
        attributes: attributes.clone(),
        precondition: Precondition::None,
    };
    // A name that must be escaped where a copy names its source in a header.
    let name = "from/ü +%41?";
    store.put(&key(name)?, options, chunked(&bytes)).await?;
    let result = store
        .copy(
            &key("kept")?,
            &source(subject, name, None),
            None,
            &Precondition::None,
        )
        .await;
    if !subject.capabilities.copy {
        refused("a copy", result, &[Kind::Unsupported])?;
        return NO_COPY;
    }
    let receipt = result?;
    subject.expect("kept", &bytes).await?;
    let head = subject.head("kept").await?;
    check_attributes(&head.attributes, &attributes)?;
    ensure!(
        head.version == receipt.version,
        "head says {}, the copy {}",
        head.version,
        receipt.version
    );

    let other = Attributes {
        content_type: Some("text/x-two".into()),
        ..Attributes::default()
    };
    store
        .copy(
            &key("replaced")?,
            &source(subject, name, None),
            Some(&other),
            &Precondition::None,
        )
        .await?;
    subject.expect("replaced", &bytes).await?;
    check_attributes(&subject.head("replaced").await?.attributes, &other)?;
    subject.expect(name, &bytes).await?;
    Ok(Verdict::Passed)
}

pub(super) async fn copy_is_pinned(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.copy {
        return NO_COPY;
    }
    let (one, two) = (content(1000, 1), content(1000, 2));
    let first = subject.put("from", &one).await?.version;
    let second = subject.put("from", &two).await?.version;
    let to = key("to")?;
    let stale = source(subject, "from", Some(first.clone()));
    match subject
        .store
        .copy(&to, &stale, None, &Precondition::None)
        .await
    {
        // A versioned store still has what was overwritten.
        Ok(_) if first.version_id.is_some() => subject.expect("to", &one).await?,
        other => {
            refused(
                "copying an overwritten version",
                other,
                &[Kind::Precondition],
            )?;
            subject.expect_absent("to").await?;
        }
    }
    let fresh = source(subject, "from", Some(second));
    subject
        .store
        .copy(&to, &fresh, None, &Precondition::None)
        .await?;
    subject.expect("to", &two).await?;
    let absent = source(subject, "absent", None);
    let result = subject
        .store
        .copy(&to, &absent, None, &Precondition::None)
        .await;
    refused("copying an absent object", result, &[Kind::Missing])?;
    subject.expect("to", &two).await?;
    Ok(Verdict::Passed)
}

/// A copy enforces its condition, or refuses to try: it never writes as if there were none.
pub(super) async fn copy_never_ignores_a_condition(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.copy {
        return NO_COPY;
    }
    if !subject.capabilities.put_if_absent.enforced() {
        return Ok(Verdict::NotSupported("put if absent"));
    }
    let (one, two) = (content(1000, 1), content(1000, 2));
    subject.put("from", &one).await?;
    let old = subject.put("to", &content(1000, 3)).await?.version;
    subject.put("to", &two).await?;
    for condition in [Precondition::Absent, Precondition::Version(old)] {
        let result = subject
            .store
            .copy(
                &key("to")?,
                &source(subject, "from", None),
                None,
                &condition,
            )
            .await;
        refused(
            "a copy under a false condition",
            result,
            &[Kind::Precondition, Kind::Unsupported],
        )?;
        subject.expect("to", &two).await?;
    }
    Ok(Verdict::Passed)
}

pub(super) async fn parts_are_copied(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return Ok(Verdict::NotSupported("multipart uploads"));
    }
    let store = &subject.store;
    let size = subject.part_bytes();
    let (one, two) = (content(size + 100, 1), content(size + 100, 2));
    let stale = subject.put("one", &two).await?.version;
    let version = subject.put("one", &one).await?.version;
    subject.put("two", &two).await?;
    let to = key("to")?;
    let upload = store.create_upload(&to, &Attributes::default()).await?;
    let pinned = source(subject, "one", Some(version));
    let result = store
        .copy_part(&to, &upload, 1, &pinned, 100..size + 100)
        .await;
    if !subject.capabilities.copy_part {
        refused("copying into a part", result, &[Kind::Unsupported])?;
        return Ok(Verdict::NotSupported("copying into a part"));
    }
    let first = result?;
    let second = store
        .copy_part(&to, &upload, 2, &source(subject, "two", None), 0..size)
        .await?;
    let result = store
        .copy_part(
            &to,
            &upload,
            3,
            &source(subject, "one", Some(stale.clone())),
            0..size,
        )
        .await;
    match result {
        Ok(_) if stale.version_id.is_some() => {}
        other => drop(refused(
            "copying a part of an overwritten version",
            other,
            &[Kind::Precondition],
        )?),
    }
    let result = store
        .copy_part(&to, &upload, 3, &source(subject, "absent", None), 0..size)
        .await;
    refused(
        "copying a part of an absent object",
        result,
        &[Kind::Missing],
    )?;
    let result = store
        .copy_part(
            &to,
            &upload,
            3,
            &source(subject, "one", None),
            0..size + 101,
        )
        .await;
    ensure!(result.is_err(), "a range outside the source was copied");
    let tail = content(11, 3);
    let third = subject.part(&**store, "to", &upload, 3, &tail).await?;
    let parts = [
        CompletedPart {
            number: 1,
            etag: first.etag,
            size,
            crc64: first.crc64,
        },
        CompletedPart {
            number: 2,
            etag: second.etag,
            size,
            crc64: second.crc64,
        },
        third,
    ];
    store
        .complete_upload(&to, &upload, &parts, &Precondition::None)
        .await?;
    let expected = [&one[100..], &two[..size as usize], &tail[..]].concat();
    subject.expect("to", &Bytes::from(expected)).await?;
    Ok(Verdict::Passed)
}
