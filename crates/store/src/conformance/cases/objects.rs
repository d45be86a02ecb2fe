//! Whole objects: what is put is what is there, or nothing is.

use crate::checksum::Crc64;
use crate::conformance::subject::{Subject, chunked, content, failing, key, refused};
use crate::conformance::{CaseResult, Failure, Verdict, ensure};
use crate::{GetOptions, Precondition, PutOptions};
use skyfresh_sky::{Attributes, Kind};
use std::collections::BTreeMap;

/// Sizes around those at which implementations change their ways.
pub(super) async fn round_trip_of_sizes(subject: &Subject<'_>) -> CaseResult {
    for size in [0, 1, (5 << 20) - 1, 5 << 20, (5 << 20) + 1] {
        let bytes = content(size, size);
        let crc64 = Crc64::of(&bytes);
        let receipt = subject.put("x", &bytes).await?;
        ensure!(
            receipt.crc64 == Some(crc64),
            "{size} bytes: the receipt says {:?}, not {crc64}",
            receipt.crc64
        );
        subject.expect("x", &bytes).await?;
        let head = subject.head("x").await?;
        ensure!(
            head.version == receipt.version,
            "{size} bytes: head says {}, the receipt {}",
            head.version,
            receipt.version
        );
        ensure!(
            head.crc64.is_none_or(|kept| kept == crc64),
            "{size} bytes: head says {:?}, not {crc64}",
            head.crc64
        );
    }
    Ok(Verdict::Passed)
}

fn all_attributes() -> Attributes {
    let user = [
        ("owner", "skyfresh"),
        ("with-dash", "a b; c=\"d\", e"),
        ("empty", ""),
    ];
    Attributes {
        content_type: Some("application/x-skyfresh; charset=utf-8".into()),
        content_encoding: Some("gzip".into()),
        content_language: Some("de, en".into()),
        content_disposition: Some("attachment; filename=\"a b.bin\"".into()),
        cache_control: Some("public, max-age=604800".into()),
        expires: Some("Wed, 21 Oct 2037 07:28:00 GMT".into()),
        website_redirect: None,
        storage_class: None,
        user: user
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect(),
    }
}

/// Fails unless what was asked for is there; a store may add a content type or a storage class of its own.
pub(super) fn check_attributes(
    found: &Attributes,
    asked: &Attributes,
) -> std::result::Result<(), Failure> {
    let mut found = found.clone();
    if asked.content_type.is_none() {
        found.content_type = None;
    }
    if asked.storage_class.is_none() {
        found.storage_class = None;
    }
    ensure!(
        found == *asked,
        "attributes are {found:?}, asked for {asked:?}"
    );
    Ok(())
}

pub(super) async fn attributes_round_trip(subject: &Subject<'_>) -> CaseResult {
    let asked = all_attributes();
    let kept = subject.backend.keeps(asked.clone());
    let bytes = content(1000, 1);
    let options = PutOptions {
        size: 1000,
        attributes: asked.clone(),
        precondition: Precondition::None,
    };
    subject
        .store
        .put(&key("put")?, options, chunked(&bytes))
        .await?;
    check_attributes(&subject.head("put").await?.attributes, &kept)?;
    let read = subject
        .store
        .get(&key("put")?, GetOptions::default())
        .await?;
    check_attributes(&read.head.attributes, &kept)?;
    drop(read);
    // A body that is called gzip is passed on as it is.
    subject.expect("put", &bytes).await?;

    if subject.capabilities.multipart {
        let upload = subject.store.create_upload(&key("upload")?, &asked).await?;
        let part = subject
            .part(&*subject.store, "upload", &upload, 1, &bytes)
            .await?;
        subject
            .store
            .complete_upload(&key("upload")?, &upload, &[part], &Precondition::None)
            .await?;
        check_attributes(&subject.head("upload").await?.attributes, &kept)?;
    }
    Ok(Verdict::Passed)
}

pub(super) async fn website_redirect_round_trips(subject: &Subject<'_>) -> CaseResult {
    let asked = Attributes {
        website_redirect: Some("/elsewhere.html".into()),
        ..Attributes::default()
    };
    let options = PutOptions {
        size: 1,
        attributes: asked.clone(),
        precondition: Precondition::None,
    };
    subject
        .store
        .put(&key("x")?, options, chunked(&content(1, 1)))
        .await?;
    let kept = subject.backend.keeps(asked);
    check_attributes(&subject.head("x").await?.attributes, &kept)?;
    Ok(Verdict::Passed)
}

pub(super) async fn user_metadata_up_to_the_limit(subject: &Subject<'_>) -> CaseResult {
    let with = |bytes: usize| Attributes {
        user: BTreeMap::from([("name".to_owned(), "v".repeat(bytes - "name".len()))]),
        ..Attributes::default()
    };
    let options = |attributes| PutOptions {
        size: 1,
        attributes,
        precondition: Precondition::None,
    };
    let body = || chunked(&content(1, 1));
    let limit = subject.store.capabilities().metadata.user_bytes;
    let most = with(limit);
    subject
        .store
        .put(&key("most")?, options(most.clone()), body())
        .await?;
    check_attributes(&subject.head("most").await?.attributes, &most)?;
    let over = options(with(limit + 1));
    let result = subject.store.put(&key("over")?, over, body()).await;
    refused("metadata over the limit", result, &[Kind::Invalid])?;
    subject.expect_absent("over").await?;
    Ok(Verdict::Passed)
}

pub(super) async fn overwrite_replaces_everything(subject: &Subject<'_>) -> CaseResult {
    let options = PutOptions {
        size: 2000,
        attributes: all_attributes(),
        precondition: Precondition::None,
    };
    let first = subject
        .store
        .put(&key("x")?, options, chunked(&content(2000, 1)))
        .await?;
    if subject.capabilities.tags {
        subject
            .store
            .set_tags(&key("x")?, &BTreeMap::from([("a".into(), "b".into())]))
            .await?;
    }
    let bytes = content(1000, 2);
    let second = subject.put("x", &bytes).await?;
    ensure!(
        first.version != second.version,
        "two contents share version {}",
        first.version
    );
    subject.expect("x", &bytes).await?;
    let head = subject.head("x").await?;
    check_attributes(&head.attributes, &Attributes::default())?;
    ensure!(
        head.tag_count == 0,
        "{} tags outlive an overwrite",
        head.tag_count
    );
    Ok(Verdict::Passed)
}

pub(super) async fn body_of_another_length_publishes_nothing(subject: &Subject<'_>) -> CaseResult {
    let old = content(1000, 1);
    subject.put("old", &old).await?;
    for (what, announced) in [
        ("a short body", 200_001),
        ("a long body", 199_999),
        ("a body of none", 0),
    ] {
        for name in ["old", "new"] {
            let options = PutOptions {
                size: announced,
                attributes: Attributes::default(),
                precondition: Precondition::None,
            };
            let result = subject
                .store
                .put(&key(name)?, options, chunked(&content(200_000, 2)))
                .await;
            // The transport may notice first, so the kind is not prescribed.
            ensure!(result.is_err(), "{what} was accepted for {name:?}");
        }
    }
    subject.expect("old", &old).await?;
    subject.expect_absent("new").await?;
    Ok(Verdict::Passed)
}

pub(super) async fn body_that_fails_publishes_nothing(subject: &Subject<'_>) -> CaseResult {
    let old = content(1000, 1);
    subject.put("old", &old).await?;
    for sent in [0, 300_000] {
        for name in ["old", "new"] {
            let options = PutOptions {
                size: 600_000,
                attributes: Attributes::default(),
                precondition: Precondition::None,
            };
            let result = subject
                .store
                .put(&key(name)?, options, failing(&content(sent, 2)))
                .await;
            ensure!(
                result.is_err(),
                "a body that failed after {sent} bytes was accepted for {name:?}"
            );
        }
    }
    subject.expect("old", &old).await?;
    subject.expect_absent("new").await?;
    Ok(Verdict::Passed)
}

pub(super) async fn tags_are_kept_and_replaced(subject: &Subject<'_>) -> CaseResult {
    let receipt = subject.put("x", &content(10, 1)).await?;
    let some = BTreeMap::from([
        ("project".to_owned(), "skyfresh".to_owned()),
        ("with space".to_owned(), "a+b=c:d/e @ü".to_owned()),
    ]);
    if !subject.capabilities.tags {
        refused(
            "setting tags",
            subject.store.set_tags(&key("x")?, &some).await,
            &[Kind::Unsupported],
        )?;
        return Ok(Verdict::NotSupported("tags"));
    }
    ensure!(
        subject.store.tags(&key("x")?).await?.is_empty(),
        "a new object has tags"
    );
    subject.store.set_tags(&key("x")?, &some).await?;
    ensure!(
        subject.store.tags(&key("x")?).await? == some,
        "tags are not those that were set"
    );
    let head = subject.head("x").await?;
    ensure!(
        head.tag_count == 2,
        "head counts {} tags of 2",
        head.tag_count
    );
    ensure!(
        head.version == receipt.version,
        "setting tags made another version"
    );
    let other = BTreeMap::from([("only".to_owned(), String::new())]);
    subject.store.set_tags(&key("x")?, &other).await?;
    ensure!(
        subject.store.tags(&key("x")?).await? == other,
        "tags were not replaced"
    );
    subject.store.set_tags(&key("x")?, &BTreeMap::new()).await?;
    ensure!(
        subject.store.tags(&key("x")?).await?.is_empty(),
        "tags were not removed"
    );
    subject.expect("x", &content(10, 1)).await?;
    refused(
        "tags of an absent object",
        subject.store.tags(&key("absent")?).await,
        &[Kind::Missing],
    )?;
    refused(
        "tagging an absent object",
        subject.store.set_tags(&key("absent")?, &some).await,
        &[Kind::Missing],
    )?;
    Ok(Verdict::Passed)
}

pub(super) async fn delete_removes_and_repeats(subject: &Subject<'_>) -> CaseResult {
    subject.put("x", &content(10, 1)).await?;
    subject.put("x/y", &content(10, 1)).await?;
    subject
        .store
        .delete(&key("x")?, &Precondition::None)
        .await?;
    subject.expect_absent("x").await?;
    let result = subject.read("x", None, None).await;
    refused("reading a deleted object", result, &[Kind::Missing])?;
    subject
        .store
        .delete(&key("x")?, &Precondition::None)
        .await?;
    subject.expect("x/y", &content(10, 1)).await?;
    // What was deleted can be put again.
    subject.put("x", &content(20, 2)).await?;
    subject.expect("x", &content(20, 2)).await?;
    Ok(Verdict::Passed)
}

pub(super) async fn missing_bucket_is_not_a_missing_key(subject: &Subject<'_>) -> CaseResult {
    subject.store.check_readable().await?;
    subject.expect_absent("x").await?;
    let missing = subject
        .backend
        .open(&subject.backend.missing_place())
        .await?;
    let x = key("x")?;
    let options = PutOptions {
        size: 1,
        attributes: Attributes::default(),
        precondition: Precondition::None,
    };
    let mut results = vec![
        ("check readable", missing.check_readable().await),
        ("head", missing.head(&x).await.map(drop)),
        (
            "get",
            missing.get(&x, GetOptions::default()).await.map(drop),
        ),
        (
            "put",
            missing
                .put(&x, options, chunked(&content(1, 1)))
                .await
                .map(drop),
        ),
        ("list", missing.list(None, 10).await.map(drop)),
        ("delete", missing.delete(&x, &Precondition::None).await),
    ];
    if subject.capabilities.multipart {
        let created = missing
            .create_upload(&x, &Attributes::default())
            .await
            .map(drop);
        results.push(("create upload", created));
    }
    if subject.capabilities.list_uploads {
        results.push(("list uploads", missing.list_uploads(None).await.map(drop)));
    }
    for (what, result) in results {
        let error = refused(
            &format!("{what} in a missing bucket"),
            result,
            &[Kind::Missing],
        )?;
        ensure!(
            error.is_missing_bucket(),
            "{what}: a missing bucket is not told from a key: {error}"
        );
    }
    Ok(Verdict::Passed)
}

pub(super) async fn prefixes_are_isolated(subject: &Subject<'_>) -> CaseResult {
    let mut inner_place = subject.place.clone();
    inner_place.prefix.push_str("a/b");
    let inner = subject.backend.open(&inner_place).await?;
    for (name, seed) in [
        ("a/a", 1),
        ("a/b", 2),
        ("a/b/x", 3),
        ("a/bc", 4),
        ("a/c", 5),
    ] {
        subject.put(name, &content(seed, seed)).await?;
    }
    let page = inner.list(None, 1000).await?;
    let names: Vec<&str> = page
        .objects
        .iter()
        .map(|object| object.key.as_str())
        .collect();
    // The prefix is a plain string: `a/bc` lies below `a/b`. `a/b` itself has no name below it.
    ensure!(names == ["/x", "c"], "below a/b: {names:?}");
    ensure!(
        page.unusable.len() == 1,
        "the object named as the prefix was not reported: {:?}",
        page.unusable
    );
    ensure!(
        page.unusable[0].ends_with("a/b"),
        "unusable keys are whole keys: {:?}",
        page.unusable
    );
    ensure!(
        inner.head(&key("c")?).await?.size == 4,
        "a key is not relative to the prefix"
    );
    refused(
        "a key outside the prefix",
        inner.head(&key("a/c")?).await,
        &[Kind::Missing],
    )?;
    inner.delete(&key("c")?, &Precondition::None).await?;
    subject.expect_absent("a/bc").await?;
    Ok(Verdict::Passed)
}

pub(super) async fn probe_is_repeatable_and_leaves_nothing(subject: &Subject<'_>) -> CaseResult {
    let first = subject.store.probe("one").await?;
    let second = subject.store.probe("two").await?;
    ensure!(first == second, "two probes differ: {first:?}, {second:?}");
    ensure!(
        subject.store.capabilities() == second,
        "the result of the probe is not remembered"
    );
    ensure!(
        subject.list_all(1000).await?.is_empty(),
        "the probe leaves objects behind"
    );
    if first.list_uploads {
        let uploads = subject.store.list_uploads(None).await?.uploads;
        ensure!(
            uploads.is_empty(),
            "the probe leaves uploads behind: {uploads:?}"
        );
    }
    Ok(Verdict::Passed)
}
