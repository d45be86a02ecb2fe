//! Single documents: conditions, stamps, bodies, races.

use super::*;
use tokio::task::JoinSet;

/// Written, read, replaced, removed.
pub async fn a_document_is_there_once_it_is_put(documents: Subject) {
    let a = id("once", b"a");
    assert_eq!(get(&documents, &a).await, None);
    let first = put_done(&documents, &a, b"one", Condition::Any).await;
    let found = get(&documents, &a).await.expect("it was put");
    let expected = Document {
        sort: b"a".to_vec(),
        body: b"one".to_vec(),
        stamp: first.clone(),
    };
    assert_eq!(found, expected);

    let second = put_done(&documents, &a, b"two", Condition::Any).await;
    let found = get(&documents, &a).await.expect("it was put");
    assert_eq!(
        (found.body.as_slice(), &found.stamp),
        (&b"two"[..], &second)
    );
    assert_ne!(first, second);

    let removed = documents.delete(&a, Condition::Any).await.unwrap();
    assert_eq!(removed, Written::Done(None));
    assert_eq!(get(&documents, &a).await, None);
    let again = documents.delete(&a, Condition::Any).await.unwrap();
    assert_eq!(again, Written::Done(None), "nothing there is no error");
}

/// `Absent` is for the first writer only, until the document is gone.
pub async fn absent_holds_once(documents: Subject) {
    let a = id("absent", b"a");
    put_done(&documents, &a, b"first", Condition::Absent).await;
    assert_eq!(
        put(&documents, &a, b"second", Condition::Absent).await,
        Written::Refused
    );
    assert_eq!(get(&documents, &a).await.expect("there").body, b"first");
    documents.delete(&a, Condition::Any).await.unwrap();
    put_done(&documents, &a, b"third", Condition::Absent).await;
    assert_eq!(get(&documents, &a).await.expect("there").body, b"third");
}

/// A stamp stands for one state. A document that is not there has none.
pub async fn unchanged_holds_for_the_newest_state_only(documents: Subject) {
    let a = id("unchanged", b"a");
    let first = put_done(&documents, &a, b"1", Condition::Absent).await;
    let second = put_done(&documents, &a, b"2", Condition::Unchanged(first.clone())).await;
    assert_eq!(
        put(&documents, &a, b"3", Condition::Unchanged(first.clone())).await,
        Written::Refused
    );
    let third = put_done(&documents, &a, b"3", Condition::Unchanged(second.clone())).await;
    assert_eq!(get(&documents, &a).await.expect("there").stamp, third);
    // What was read serves as well as what a write answered.
    let read = get(&documents, &a).await.expect("there").stamp;
    put_done(&documents, &a, b"4", Condition::Unchanged(read)).await;

    documents.delete(&a, Condition::Any).await.unwrap();
    assert_eq!(
        put(&documents, &a, b"5", Condition::Unchanged(third)).await,
        Written::Refused
    );
    assert_eq!(
        get(&documents, &a).await,
        None,
        "a refused write makes nothing"
    );
}

/// A removal demands as a write does.
pub async fn removals_have_conditions_too(documents: Subject) {
    let a = id("removal", b"a");
    let old = put_done(&documents, &a, b"1", Condition::Any).await;
    let new = put_done(&documents, &a, b"2", Condition::Any).await;
    let delete = async |condition| documents.delete(&a, condition).await.unwrap();
    assert_eq!(
        delete(Condition::Unchanged(old.clone())).await,
        Written::Refused
    );
    assert_eq!(delete(Condition::Absent).await, Written::Refused);
    assert_eq!(get(&documents, &a).await.expect("there").body, b"2");
    assert_eq!(
        delete(Condition::Unchanged(new.clone())).await,
        Written::Done(None)
    );
    assert_eq!(get(&documents, &a).await, None);
    assert_eq!(delete(Condition::Unchanged(new)).await, Written::Refused);
    assert_eq!(delete(Condition::Absent).await, Written::Done(None));
}

/// Whoever holds a stamp of an earlier life of a document changes nothing in its present one, not even where both lives began
/// alike: with the same content, by the same number of writes.
pub async fn stamps_never_recur(documents: Subject) {
    let a = id("recur", b"a");
    let mut seen = Vec::new();
    for _ in 0..5 {
        for condition in [Condition::Absent, Condition::Any] {
            let stamp = put_done(&documents, &a, b"same", condition).await;
            assert!(!seen.contains(&stamp), "{stamp:?} recurs");
            seen.push(stamp);
        }
        let stamp = seen.last().cloned().expect("just pushed");
        let removed = documents
            .delete(&a, Condition::Unchanged(stamp))
            .await
            .unwrap();
        assert_eq!(removed, Written::Done(None));
    }
    put_done(&documents, &a, b"same", Condition::Absent).await;
    for stamp in seen {
        assert_eq!(
            put(&documents, &a, b"x", Condition::Unchanged(stamp)).await,
            Written::Refused
        );
    }
}

/// After a refusal, content and stamp are as before.
pub async fn refused_writes_change_nothing(documents: Subject) {
    let a = id("refused", b"a");
    let old = put_done(&documents, &a, b"old", Condition::Any).await;
    put_done(&documents, &a, b"new", Condition::Any).await;
    let before = get(&documents, &a).await;
    for condition in [Condition::Absent, Condition::Unchanged(old.clone())] {
        assert_eq!(
            put(&documents, &a, b"other", condition).await,
            Written::Refused
        );
    }
    let removed = documents
        .delete(&a, Condition::Unchanged(old))
        .await
        .unwrap();
    assert_eq!(removed, Written::Refused);
    assert_eq!(get(&documents, &a).await, before);
}

/// Names that look alike, in part or whole, are different documents.
pub async fn neighbours_are_strangers(documents: Subject) {
    let ids = [
        id("near", b"a"),
        id("near", b"a\0"),
        id("near", b"A"),
        id("near", b"a/"),
        id("near", b"\0a"),
        id("near/a", b"a"),
        id("near/", b"a"),
        id("Near", b"a"),
        id("near%2Fa", b"a"),
        id("near ü~:#?&=+,'\"", b"a"),
    ];
    for (number, id) in ids.iter().enumerate() {
        put_done(&documents, id, &[number as u8], Condition::Absent).await;
    }
    for (number, id) in ids.iter().enumerate() {
        let found = get(&documents, id).await.expect("it was put");
        assert_eq!(found.body, [number as u8], "{id:?}");
    }
    documents.delete(&ids[0], Condition::Any).await.unwrap();
    assert_eq!(get(&documents, &ids[0]).await, None);
    for id in &ids[1..] {
        assert!(get(&documents, id).await.is_some(), "{id:?}");
    }
}

/// Any bytes, none at all, and 300 KiB of them.
pub async fn bodies_are_kept_byte_for_byte(documents: Subject) {
    let every_byte: Vec<u8> = (0..=255).collect();
    let big: Vec<u8> = (0..300 << 10).map(|n: u32| ((n * 31) >> 3) as u8).collect();
    for (sort, body) in [
        (&b"empty"[..], Vec::new()),
        (b"zero", vec![0]),
        (b"every", every_byte),
        (b"big", big),
    ] {
        let id = id("bodies", sort);
        let stamp = put_done(&documents, &id, &body, Condition::Absent).await;
        let found = get(&documents, &id).await.expect("it was put");
        assert!(found.body == body, "{}", sort.escape_ascii());
        assert_eq!(found.stamp, stamp);
    }
    let found = documents.scan("bodies", &[], END, false, 9).await.unwrap();
    let lengths: Vec<_> = found.iter().map(|document| document.body.len()).collect();
    assert_eq!(lengths, [300 << 10, 0, 256, 1], "big, empty, every, zero");
}

/// Sixteen writers that saw the same state: one gets through. So it is for the first write, a later one, and the removal.
pub async fn of_sixteen_racing_writers_one_wins(documents: Subject) {
    let a = id("race", b"a");
    let mut condition = Condition::Absent;
    for round in 0..4_u8 {
        let mut writers = JoinSet::new();
        for writer in 0..16_u8 {
            let (documents, a, condition) = (Arc::clone(&documents), a.clone(), condition.clone());
            writers.spawn(async move {
                let written = documents.put(&a, vec![round, writer], condition).await;
                (writer, written.unwrap())
            });
        }
        let all = writers.join_all().await;
        let mut won = all
            .into_iter()
            .filter(|(_, written)| *written != Written::Refused);
        let Some((winner, Written::Done(Some(stamp)))) = won.next() else {
            panic!("round {round}: nobody won");
        };
        assert_eq!(won.next(), None, "round {round}: two won");
        let found = get(&documents, &a).await.expect("it was put");
        assert_eq!((found.body, &found.stamp), (vec![round, winner], &stamp));
        condition = Condition::Unchanged(stamp);
    }
    let mut removers = JoinSet::new();
    for _ in 0..16 {
        let (documents, a, condition) = (Arc::clone(&documents), a.clone(), condition.clone());
        removers.spawn(async move { documents.delete(&a, condition).await.unwrap() });
    }
    let removed = removers.join_all().await;
    let won = removed.iter().filter(|done| **done == Written::Done(None));
    assert_eq!(won.count(), 1);
}

/// Read, change, write if unchanged, else again: the way everything above is built.
pub async fn sixteen_counters_lose_no_count(documents: Subject) {
    const EACH: u64 = 4;
    let a = id("counter", b"a");
    put_done(&documents, &a, &0_u64.to_be_bytes(), Condition::Absent).await;
    let mut counters = JoinSet::new();
    for _ in 0..16 {
        let (documents, a) = (Arc::clone(&documents), a.clone());
        counters.spawn(async move {
            let mut counted = 0;
            while counted < EACH {
                let found = get(&documents, &a).await.expect("there");
                let count = u64::from_be_bytes(found.body.try_into().expect("8 bytes")) + 1;
                let (body, stamp) = (count.to_be_bytes(), found.stamp);
                let written = put(&documents, &a, &body, Condition::Unchanged(stamp)).await;
                counted += u64::from(written != Written::Refused);
            }
        });
    }
    counters.join_all().await;
    let found = get(&documents, &a).await.expect("there");
    assert_eq!(found.body, (16 * EACH).to_be_bytes());
}
