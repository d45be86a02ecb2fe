use super::*;
use crate::examples::{self, head, key};
use skyfresh_store::ConditionSupport;
use skyfresh_store::checksum::Md5;
use skyfresh_store::memory::MEMORY_CAPABILITIES;

fn stating_nothing(etag: &str, text: &str) -> ObjectHead {
    ObjectHead {
        crc64: None,
        ..head(etag, text)
    }
}

fn receipt(source: &str, destination: &str, text: &str) -> Receipt {
    Receipt {
        source: Some(ObjectVersion::from_etag(source)),
        destination: Some(ObjectVersion::from_etag(destination)),
        crc64: Some(Crc64::of(text.as_bytes()).to_string()),
        size: text.len() as u64,
        bytes_moved: text.len() as u64,
        requests: 3,
        ..examples::receipt("a")
    }
}

/// An object of any version at the destination.
fn there(name: &str, text: &str) -> Held {
    held(
        &key(name),
        None,
        head(&format!("d-{name}"), text),
        None,
        &[],
    )
    .unwrap()
}

fn parts_from(min_part_bytes: u64) -> Capabilities {
    Capabilities {
        upload_limits: UploadLimits {
            min_part_bytes,
            ..UploadLimits::LOCAL
        },
        ..MEMORY_CAPABILITIES
    }
}

#[test]
fn an_input_must_be_a_verified_copy_of_the_version_that_was_named() {
    let wanted = ObjectVersion::from_etag("s1");
    let look = |head, mark, receipts: &[Receipt]| {
        held(&key("a"), Some(&wanted), head, mark, receipts).map(|held| held.crc64)
    };
    let crc64 = Some(Crc64::of(b"text"));
    let plain = || stating_nothing("d1", "text");
    assert!(
        look(head("d1", "text"), None, &[]).is_err(),
        "nothing says so"
    );
    assert_eq!(
        look(plain(), None, &[receipt("s1", "d1", "text")]),
        Ok(crc64)
    );
    for (source, destination) in [("s2", "d1"), ("s1", "d2")] {
        let other = receipt(source, destination, "text");
        assert!(
            look(plain(), None, &[other]).is_err(),
            "{source} {destination}"
        );
    }
    let mark = Mark {
        source: mark_hash("s1"),
        destination: mark_hash("d1"),
    };
    assert_eq!(look(plain(), Some(mark), &[]), Ok(None));
    assert_eq!(look(head("d1", "text"), Some(mark), &[]), Ok(crc64));
    assert!(look(stating_nothing("d2", "text"), Some(mark), &[]).is_err());
    let mut stamped = plain();
    stamped.attributes.user.insert(STAMP.into(), "s1".into());
    assert!(look(stamped.clone(), None, &[]).is_ok());
    stamped.attributes.user.insert(STAMP.into(), "s2".into());
    assert!(look(stamped, None, &[]).is_err());
    let contradicted = look(
        head("d1", "other"),
        Some(mark),
        &[receipt("s1", "d1", "text")],
    );
    assert!(contradicted.unwrap_err().contains("states"));
}

#[test]
fn a_copy_is_made_of_equal_content_only() {
    let source = head("s-o", "text");
    let make = |input: Held| recipe(&source, None, &[input], &MEMORY_CAPABILITIES);
    let made = make(there("a", "text")).unwrap();
    assert_eq!(made.name, "server-side copy of a");
    assert_eq!(made.way, Way::Copy(Box::new(there("a", "text"))));
    assert_eq!(
        (made.crc64, made.precondition),
        (Some(Crc64::of(b"text")), Precondition::Absent)
    );
    assert!(make(there("a", "texT")).is_err(), "another checksum");
    assert!(make(there("a", "tex")).is_err(), "another size");
    let unknown = held(&key("a"), None, stating_nothing("d-a", "text"), None, &[]).unwrap();
    assert!(make(unknown).is_err(), "no checksum");
    let md5 = Md5::of(b"text").to_string();
    let by_etag = recipe(
        &stating_nothing(&md5, "text"),
        None,
        &[held(&key("a"), None, stating_nothing(&md5, "text"), None, &[]).unwrap()],
        &MEMORY_CAPABILITIES,
    );
    assert!(by_etag.is_ok(), "entity tags that are MD5s of the content");
}

#[test]
fn what_replaces_an_object_replaces_the_one_that_was_seen() {
    let target = head("d-o", "old");
    let make = |capabilities: &Capabilities| {
        let inputs = [there("a", "te"), there("b", "xt")];
        recipe(&head("s-o", "text"), Some(&target), &inputs, capabilities).unwrap()
    };
    assert_eq!(
        make(&MEMORY_CAPABILITIES).precondition,
        Precondition::Version(target.version.clone())
    );
    let ignoring = Capabilities {
        complete_if_version: ConditionSupport::Ignored,
        ..MEMORY_CAPABILITIES
    };
    assert_eq!(make(&ignoring).precondition, Precondition::None);
}

#[test]
fn joined_objects_must_make_the_whole() {
    let source = head("s-o", "one two three");
    let join = |texts: &[&str]| {
        let inputs: Vec<Held> = texts.iter().map(|text| there("a", text)).collect();
        recipe(&source, None, &inputs, &MEMORY_CAPABILITIES)
    };
    let made = join(&["one ", "", "two ", "three"]).unwrap();
    assert_eq!(made.name, "concat of 4 objects");
    let Way::Assemble(pieces) = made.way else {
        panic!("nothing is joined by one copy")
    };
    let sizes: Vec<u64> = pieces.iter().map(Piece::size).collect();
    assert_eq!(sizes, [4, 4, 5], "nothing is copied of an empty object");
    for wrong in [
        vec!["two ", "one ", "three"],
        vec!["one ", "two "],
        vec!["one ", "two ", "three", "four"],
        vec!["one ", "twO ", "three"],
        vec![],
    ] {
        assert!(join(&wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn parts_keep_to_the_limits_of_the_destination() {
    let source = head("s-o", "one two three");
    let inputs = [there("a", "one "), there("b", "two three")];
    let join = |capabilities: &Capabilities| recipe(&source, None, &inputs, capabilities);
    assert!(join(&parts_from(4)).is_ok());
    assert!(join(&parts_from(5)).unwrap_err().contains("parts of 5"));
    let mut few = parts_from(1);
    few.upload_limits.max_parts = 1;
    assert!(join(&few).unwrap_err().contains("more than"));
    let mut small = parts_from(1);
    small.upload_limits.max_part_bytes = 4;
    let Way::Assemble(pieces) = join(&small).unwrap().way else {
        panic!("two objects are joined")
    };
    let ranges: Vec<_> = pieces.iter().map(|piece| piece.range.clone()).collect();
    assert_eq!(ranges, [0..4, 0..3, 3..6, 6..9]);
    assert_eq!(pieces[0].crc64, Some(Crc64::of(b"one ")));
    assert_eq!(pieces[1].crc64, None, "not known of a part of an object");
    for lacking in [
        Capabilities {
            copy_part: false,
            ..MEMORY_CAPABILITIES
        },
        Capabilities {
            multipart: false,
            ..MEMORY_CAPABILITIES
        },
    ] {
        assert!(join(&lacking).is_err());
    }
}

#[test]
fn an_object_with_tags_or_without_a_stated_checksum_is_copied_by_parts() {
    let source = head("s-o", "text");
    let way = |head: ObjectHead, receipts: &[Receipt]| {
        let input = held(&key("a"), None, head, None, receipts).unwrap();
        recipe(&source, None, &[input], &MEMORY_CAPABILITIES)
            .unwrap()
            .way
    };
    let tagged = ObjectHead {
        tag_count: 1,
        ..head("d1", "text")
    };
    assert!(matches!(way(tagged, &[]), Way::Assemble(_)));
    let receipts = [receipt("s1", "d1", "text")];
    let silent = stating_nothing("d1", "text");
    assert!(matches!(way(silent, &receipts), Way::Assemble(_)));
}
