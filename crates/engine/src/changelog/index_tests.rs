use super::*;
use crate::examples::{self, head as source, key};
use skyfresh_store::checksum::Crc64;

fn receipt(name: &str, etag: &str, text: &str, outcome: Outcome) -> Receipt {
    Receipt {
        outcome,
        source: Some(ObjectVersion::from_etag(etag)),
        destination: Some(ObjectVersion::from_etag("d")),
        crc64: (outcome == Outcome::Copied).then(|| Crc64::of(text.as_bytes()).to_string()),
        size: text.len() as u64,
        ..examples::receipt(name)
    }
}

#[test]
fn content_is_found_under_the_key_that_had_it_last() {
    let mut index = Index::default();
    let mut note = |name, etag, text, outcome| index.note(&receipt(name, etag, text, outcome), 3);
    note("a", "e1", "text", Outcome::Copied);
    note("tiny", "e9", "t", Outcome::Copied);
    note("b", "e2", "other", Outcome::AlreadyEqual);
    let find = |index: &Index, output: &str, head: &ObjectHead| {
        let found = index.find(&key(output), head)?;
        Some((found.0.as_str().to_owned(), found.1.etag))
    };
    let by_sum = source("x", "text");
    assert_eq!(find(&index, "o", &by_sum), Some(("a".into(), "e1".into())));
    assert_eq!(find(&index, "a", &by_sum), None, "not of itself");
    assert_eq!(find(&index, "o", &source("x", "texT")), None);
    assert_eq!(find(&index, "o", &source("x", "t")), None, "too small");
    // What was only found equal is known by its entity tag.
    assert_eq!(
        find(&index, "o", &source("e2", "other")),
        Some(("b".into(), "e2".into()))
    );
    assert_eq!(find(&index, "o", &source("e3", "other")), None);
    // Finding it equal again takes nothing away.
    index.note(&receipt("a", "e1", "text", Outcome::AlreadyEqual), 3);
    assert!(find(&index, "o", &by_sum).is_some());
    // Another content, or none, does.
    index.note(&receipt("a", "e4", "newer", Outcome::Copied), 3);
    assert_eq!(find(&index, "o", &by_sum), None);
    index.note(&receipt("a", "e4", "newer", Outcome::Deleted), 3);
    assert_eq!(find(&index, "o", &source("x", "newer")), None);
}

#[test]
fn it_is_bounded_and_forgets_the_oldest() {
    let mut index = Index::default();
    for round in 0..3 {
        for number in 0..MOST_KEYS + 10 {
            let (name, text) = (format!("k{number}"), format!("text {number} {round}"));
            index.note(&receipt(&name, &text, &text, Outcome::Copied), 1);
        }
    }
    assert_eq!(index.keys.len(), MOST_KEYS);
    assert_eq!(index.by_sum.len(), 2 * MOST_KEYS);
    assert!(index.queue.len() <= 2 * MOST_KEYS);
    assert!(!index.keys.contains_key(&key("k0")));
    assert!(
        index
            .keys
            .contains_key(&key(&format!("k{}", MOST_KEYS + 9)))
    );
}
