use super::*;

const LOAD: Load = Load {
    objects: 4,
    interval: Duration::from_millis(1),
    object_bytes: 10,
    writers: 1,
    drain: Duration::ZERO,
    warm_up_objects: 1,
};

fn seen(key: &str, at: Instant, size: u64, etag: &str) -> (String, Seen) {
    (
        key.to_owned(),
        Seen {
            at,
            listed: Listed {
                key: key.to_owned(),
                size,
                etag: etag.to_owned(),
            },
        },
    )
}

#[test]
fn delays_absences_and_differences_are_told_apart() {
    let answered = Instant::now();
    let written: BTreeMap<_, _> = (0..4)
        .map(|index| {
            (
                key_of(index),
                Written {
                    answered,
                    etag: format!("e{index}"),
                },
            )
        })
        .collect();
    let later = answered + Duration::from_millis(30);
    let seen = BTreeMap::from([
        seen(&key_of(0), later, 10, "e0"),
        seen(&key_of(1), later, 10, "e1"),
        seen(&key_of(2), later, 10, "other"),
    ]);
    let outcome = compare(&LOAD, &written, &seen, Duration::ZERO);
    assert_eq!((outcome.absent, outcome.different), (1, 1));
    // The first is warm-up.
    assert_eq!(outcome.delays, [Duration::from_millis(30); 2]);
}

#[test]
fn a_multipart_object_is_compared_by_size() {
    let answered = Instant::now();
    let written = BTreeMap::from([(
        key_of(1),
        Written {
            answered,
            etag: "whole".into(),
        },
    )]);
    let equal = BTreeMap::from([seen(&key_of(1), answered, 10, "parts-2")]);
    assert_eq!(
        compare(&LOAD, &written, &equal, Duration::ZERO).different,
        0
    );
    let shorter = BTreeMap::from([seen(&key_of(1), answered, 9, "parts-2")]);
    assert_eq!(
        compare(&LOAD, &written, &shorter, Duration::ZERO).different,
        1
    );
}

#[test]
fn contents_have_the_length_asked_for_and_differ() {
    let bytes = |index, length| {
        let mut all = Vec::new();
        content(index, length)
            .read_to_end(&mut all)
            .expect("memory can be read");
        all
    };
    assert_eq!(bytes(1, 200_000).len(), 200_000);
    assert!(bytes(1, 0).is_empty());
    assert_ne!(bytes(1, 100), bytes(2, 100));
}
