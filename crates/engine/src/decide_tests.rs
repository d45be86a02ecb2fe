//! Decisions are values: every case here is a table row.

use super::*;
use skyfresh_sky::{Attributes, Timestamp};
use skyfresh_store::{ConditionSupport::*, Verification};

const PART: u64 = 16 << 20;

fn capabilities() -> Capabilities {
    Capabilities {
        put_if_absent: Enforced,
        put_if_version: Enforced,
        complete_if_absent: Enforced,
        complete_if_version: Enforced,
        delete_if_version: Enforced,
        get_if_version: Enforced,
        copy: true,
        copy_part: true,
        multipart: true,
        list_uploads: true,
        tags: true,
        versioned: false,
        verification: Verification::Crc64Nvme,
        upload_limits: UploadLimits::S3,
        metadata: skyfresh_store::MetadataLimits::S3,
        batch_delete: None,
        pull: false,
    }
}

fn rule() -> Rule {
    Rule::new(
        "r",
        "s3://a/".parse().unwrap(),
        vec!["s3://b/".parse().unwrap()],
    )
}

fn head(etag: &str, size: u64) -> ObjectHead {
    ObjectHead {
        version: ObjectVersion::from_etag(etag),
        size,
        modified: Timestamp::ZERO,
        crc64: None,
        crc32c: None,
        md5: None,
        attributes: Attributes::default(),
        tag_count: 0,
    }
}

fn stamped(etag: &str, size: u64, source: &str) -> ObjectHead {
    let mut head = head(etag, size);
    head.attributes.user.insert(STAMP.into(), source.into());
    head
}

fn decided(
    rule: &Rule,
    source: Option<&ObjectHead>,
    target: Option<&ObjectHead>,
    mark: Option<Mark>,
) -> Decision {
    let capabilities = capabilities();
    let known = Known {
        rule,
        destination: &rule.destinations[0],
        source,
        target,
        mark,
        capabilities: &capabilities,
    };
    decide(known, Sizing::default())
}

fn plan(decision: Decision) -> Plan {
    match decision {
        Decision::Copy(plan) => *plan,
        other => panic!("not a copy: {other:?}"),
    }
}

#[test]
fn absence_deletes_only_when_asked() {
    let mut rule = rule();
    assert_eq!(
        decided(&rule, None, Some(&head("x", 1)), None),
        Decision::Absent
    );
    rule.delete = true;
    assert_eq!(
        decided(&rule, None, Some(&head("x", 1)), None),
        Decision::Delete(ObjectVersion::from_etag("x"))
    );
    assert_eq!(decided(&rule, None, None, None), Decision::Absent);
}

#[test]
fn the_condition_is_what_was_seen() {
    let absent = plan(decided(&rule(), Some(&head("s", 1)), None, None));
    assert_eq!(absent.precondition, Precondition::Absent);
    let seen = plan(decided(
        &rule(),
        Some(&head("s", 1)),
        Some(&head("old", 1)),
        None,
    ));
    assert_eq!(
        seen.precondition,
        Precondition::Version(ObjectVersion::from_etag("old"))
    );
}

#[test]
fn a_store_that_ignores_conditions_is_not_trusted_with_them() {
    let rule = rule();
    let ignoring = Capabilities {
        put_if_absent: Ignored,
        put_if_version: Unsupported,
        ..capabilities()
    };
    for target in [None, Some(&head("old", 1))] {
        let source = head("s", 1);
        let known = Known {
            rule: &rule,
            destination: &rule.destinations[0],
            source: Some(&source),
            target,
            mark: None,
            capabilities: &ignoring,
        };
        assert_eq!(
            plan(decide(known, Sizing::default())).precondition,
            Precondition::None
        );
    }
}

#[test]
fn equality_needs_proof() {
    const MD5: &str = "0123456789abcdef0123456789abcdef";
    let rule = rule();
    let is_equal = |source: &ObjectHead, target: &ObjectHead, mark| {
        decided(&rule, Some(source), Some(target), mark) == Decision::AlreadyEqual
    };
    assert!(is_equal(&head(MD5, 5), &head(MD5, 5), None), "the same MD5");
    assert!(
        !is_equal(&head("opaque", 5), &head("opaque", 5), None),
        "an equal tag that is no MD5 proves nothing"
    );
    assert!(
        !is_equal(&head(MD5, 5), &head(MD5, 6), None),
        "sizes differ"
    );
    assert!(
        is_equal(&head("s-2", 5), &stamped("d-3", 5, "s-2"), None),
        "stamped with this version"
    );
    assert!(
        !is_equal(&head("s-2", 5), &stamped("d-3", 5, "s-1"), None),
        "stamped with another version"
    );
    let mark = Mark {
        source: mark_hash("s-2"),
        destination: mark_hash("d-3"),
    };
    assert!(
        is_equal(&head("s-2", 5), &head("d-3", 5), Some(mark)),
        "marked"
    );
    assert!(
        !is_equal(&head("s-2", 5), &head("d-4", 5), Some(mark)),
        "someone else has written since the mark"
    );
    let summed = |mut head: ObjectHead, sum| {
        head.crc64 = Some(Crc64(sum));
        head
    };
    assert!(
        is_equal(&summed(head("a", 5), 7), &summed(head("b", 5), 7), None),
        "the same checksum"
    );
    assert!(
        !is_equal(
            &summed(head("s-2", 5), 7),
            &summed(stamped("b", 5, "s-2"), 8),
            None
        ),
        "a stamp does not outweigh a checksum that differs"
    );
}

#[test]
fn changed_metadata_is_a_change() {
    const MD5: &str = "0123456789abcdef0123456789abcdef";
    let mut source = head(MD5, 5);
    source.attributes.cache_control = Some("no-store".into());
    let copied = plan(decided(&rule(), Some(&source), Some(&head(MD5, 5)), None));
    assert_eq!(copied.attributes.cache_control.as_deref(), Some("no-store"));
    let mut made_up = head(MD5, 5);
    made_up.attributes.content_type = Some("binary/octet-stream".into());
    assert_eq!(
        decided(&rule(), Some(&head(MD5, 5)), Some(&made_up), None),
        Decision::AlreadyEqual
    );
}

#[test]
fn the_strategy_follows_from_the_size_within_the_limits() {
    let of = |size, limits, multipart| strategy(size, Sizing::default(), limits, multipart);
    assert_eq!(of(0, UploadLimits::S3, true), Ok(Strategy::Inline));
    assert_eq!(of(PART, UploadLimits::S3, true), Ok(Strategy::Inline));
    assert_eq!(
        of(PART + 1, UploadLimits::S3, true),
        Ok(Strategy::Multipart {
            part_bytes: PART,
            parts: 2,
            workers: 1
        })
    );
    assert_eq!(
        of(1 << 30, UploadLimits::S3, true),
        Ok(Strategy::Multipart {
            part_bytes: PART,
            parts: 64,
            workers: 4
        })
    );
    let many = Sizing {
        max_workers: 64,
        parts_a_worker: 1,
        ..Sizing::default()
    };
    assert!(matches!(
        strategy(1 << 30, many, UploadLimits::S3, true),
        Ok(Strategy::Multipart { workers: 64, .. })
    ));
    assert_eq!(of(1 << 30, UploadLimits::S3, false), Ok(Strategy::Inline));
    assert!(
        of(6 << 30, UploadLimits::S3, false).is_err(),
        "one PUT takes 5 GiB"
    );
    assert!(
        of(60 << 40, UploadLimits::S3, true).is_err(),
        "10,000 parts of 5 GiB are 48.8 TiB"
    );
}

proptest::proptest! {
    #[test]
    fn parts_always_cover_the_object_within_the_limits(size in 1u64..(48u64 << 40), part_mib in 1u64..512, max_parts in 1u32..20_000) {
        let limits = UploadLimits { max_parts, ..UploadLimits::S3 };
        let sizing = Sizing { part_bytes: part_mib << 20, max_workers: 8, ..Sizing::default() };
        if let Ok(Strategy::Multipart { part_bytes, parts, workers }) = strategy(size, sizing, limits, true) {
            proptest::prop_assert!(parts <= limits.max_parts && parts >= 1);
            proptest::prop_assert!(part_bytes >= limits.min_part_bytes && part_bytes <= limits.max_part_bytes);
            proptest::prop_assert!(u128::from(part_bytes) * u128::from(parts) >= u128::from(size));
            proptest::prop_assert!(u128::from(part_bytes) * u128::from(parts - 1) < u128::from(size));
            proptest::prop_assert!((1..=8).contains(&workers));
        }
    }
}

#[test]
fn what_the_destination_cannot_keep_is_told_or_refused() {
    let mut source = head("s", 1);
    source.attributes.expires = Some("Thu, 01 Dec 2033 16:00:00 GMT".into());
    source.attributes.cache_control = Some("no-cache".into());
    source.tag_count = 1;
    let mut rule = rule();
    rule.tags = true;
    let azure = Capabilities {
        metadata: skyfresh_store::MetadataLimits::AZURE,
        tags: false,
        ..capabilities()
    };
    let decided = |rule: &Rule, target: Option<&ObjectHead>, capabilities: &Capabilities| {
        let known = Known {
            rule,
            destination: &rule.destinations[0],
            source: Some(&source),
            target,
            mark: None,
            capabilities,
        };
        decide(known, Sizing::default())
    };
    let copied = plan(decided(&rule, None, &azure));
    assert_eq!(copied.unkept, ["Expires", "tags"]);
    assert_eq!(copied.attributes.expires, None);
    assert_eq!(copied.attributes.cache_control, Some("no-cache".into()));
    // What was copied without them is not copied again for their sake.
    let target = ObjectHead {
        version: ObjectVersion::from_etag("t"),
        attributes: copied.attributes,
        ..source.clone()
    };
    assert_eq!(
        decided(&rule, Some(&target), &azure),
        Decision::AlreadyEqual
    );
    rule.strict_metadata = true;
    let Decision::Impossible(why) = decided(&rule, None, &azure) else {
        panic!("strict rules lose nothing");
    };
    assert!(why.contains("Expires, tags"), "{why}");
    assert_eq!(
        plan(decided(&rule, None, &capabilities())).unkept,
        Vec::<String>::new()
    );
}

#[test]
fn equal_checksums_of_other_kinds_prove_equality_too() {
    use skyfresh_store::checksum::{Crc32c, Md5};
    let rule = rule();
    let md5 = Md5::of(b"x");
    let s3 = head(&md5.to_string(), 1);
    let azure = ObjectHead {
        md5: Some(md5),
        ..head("0x8D", 1)
    };
    let google = |crc32c: u32| ObjectHead {
        crc32c: Some(Crc32c(crc32c)),
        ..head("7.1", 1)
    };
    let equal = |source: &ObjectHead, target: &ObjectHead| {
        decided(&rule, Some(source), Some(target), None) == Decision::AlreadyEqual
    };
    assert!(equal(&s3, &azure) && equal(&azure, &s3));
    assert!(equal(&google(1), &google(1)) && !equal(&google(1), &google(2)));
    assert!(!equal(&google(1), &azure), "nothing in common");
}
