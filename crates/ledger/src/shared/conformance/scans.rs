//! Scans of one partition: order, bounds, limits.

use super::*;

async fn fill(documents: &Subject, partition: &str, sorts: &[&[u8]]) {
    // Not in order, so that order of arrival cannot pass for order.
    for sort in sorts.iter().rev() {
        put_done(documents, &id(partition, sort), sort, Condition::Absent).await;
    }
}

/// Order is that of unsigned bytes, shorter first: not of text, of signed bytes, or of an encoding.
pub async fn order_is_by_byte(documents: Subject) {
    let ordered: [&[u8]; 14] = [
        &[0x00],
        &[0x00, 0x00],
        &[0x00, 0xff],
        &[0x01],
        b"A",
        b"B",
        b"a",
        b"a\0",
        b"aa",
        b"b",
        &[0x7f],
        &[0x80],
        &[0xfe, 0xff],
        &[0xff],
    ];
    fill(&documents, "order", &ordered).await;
    let found = documents.scan("order", &[], END, false, 99).await.unwrap();
    let sorts: Vec<_> = found
        .iter()
        .map(|document| document.sort.as_slice())
        .collect();
    assert_eq!(sorts, ordered);
    for document in found {
        assert_eq!(document.body, document.sort);
        let alone = get(&documents, &id("order", &document.sort)).await;
        assert_eq!(alone, Some(document), "a scan gives what a get gives");
    }
}

/// `from` is included, `to` is not; an empty `from` is the beginning; bounds that cross hold nothing.
pub async fn bounds_are_half_open(documents: Subject) {
    fill(&documents, "bounds", &[b"a", b"b", b"b\0", b"c"]).await;
    let between =
        async |from: &[u8], to: &[u8]| scan(&documents, "bounds", from, to, false, 9).await;
    assert_eq!(between(b"a", b"c").await, [&b"a"[..], b"b", b"b\0"]);
    assert_eq!(between(b"b", b"b\0").await, [b"b"]);
    assert_eq!(between(b"b\0", END).await, [&b"b\0"[..], b"c"]);
    assert_eq!(between(b"", b"a\0").await, [b"a"]);
    assert_eq!(between(b"aa", b"az").await, [[0_u8; 0]; 0]);
    assert_eq!(between(b"b", b"b").await, [[0_u8; 0]; 0]);
    assert_eq!(between(b"c", b"a").await, [[0_u8; 0]; 0]);
    assert_eq!(between(b"d", END).await, [[0_u8; 0]; 0]);
    assert_eq!(between(b"", b"").await, [[0_u8; 0]; 0]);
    let nowhere = scan(&documents, "bounds of nothing", &[], END, false, 9).await;
    assert_eq!(nowhere, [[0_u8; 0]; 0]);
}

/// As many as asked, if there are; fewer only where there are no more.
pub async fn limits_cut_and_never_lie(documents: Subject) {
    fill(&documents, "limits", &[b"a", b"b", b"c"]).await;
    for limit in 0..6 {
        let found = scan(&documents, "limits", &[], END, false, limit).await;
        assert_eq!(found.len(), limit.min(3));
        let found = scan(&documents, "limits", &[], END, true, limit).await;
        assert_eq!(found.len(), limit.min(3));
    }
    let all = scan(&documents, "limits", &[], END, false, usize::MAX).await;
    assert_eq!(all, [b"a", b"b", b"c"]);
}

/// `reverse` reads the same documents from their end, and the limit counts from there.
pub async fn reading_backwards_mirrors(documents: Subject) {
    fill(
        &documents,
        "backwards",
        &[b"a", b"b", b"b\0", b"c", &[0xff]],
    )
    .await;
    let backwards = async |from: &[u8], to: &[u8], limit| {
        scan(&documents, "backwards", from, to, true, limit).await
    };
    assert_eq!(backwards(b"", b"c", 9).await, [&b"b\0"[..], b"b", b"a"]);
    assert_eq!(backwards(b"b", END, 2).await, [&[0xff][..], b"c"]);
    assert_eq!(backwards(b"b", b"c", 1).await, [b"b\0"]);
    assert_eq!(backwards(b"c", b"b", 9).await, [[0_u8; 0]; 0]);
}

/// What is in another partition is not seen, however alike the names.
pub async fn partitions_do_not_mix(documents: Subject) {
    for partition in ["mix", "mix/", "mix/1", "mi", "mix\u{1}", "MIX", "ü"] {
        let sort = partition.as_bytes();
        put_done(&documents, &id(partition, sort), sort, Condition::Absent).await;
    }
    for partition in ["mix", "mix/", "mix/1", "mi", "mix\u{1}", "MIX", "ü"] {
        let found = scan(&documents, partition, &[], END, false, 9).await;
        assert_eq!(found, [partition.as_bytes()]);
    }
}

/// More than any page that a service cuts by count or by size (DynamoDB's have 1 MiB): all come, in order, and no page's end
/// passes for the end.
pub async fn a_scan_of_much_goes_through_pages(documents: Subject) {
    const DOCUMENTS: u16 = 30;
    let body = vec![7; 100 << 10];
    let writes = (0..DOCUMENTS).map(|n| {
        let (documents, body) = (Arc::clone(&documents), body.clone());
        async move {
            put_done(
                &documents,
                &id("much", &n.to_be_bytes()),
                &body,
                Condition::Absent,
            )
            .await
        }
    });
    futures::future::join_all(writes).await;
    let expected: Vec<_> = (0..DOCUMENTS).map(|n| n.to_be_bytes().to_vec()).collect();
    let all = scan(&documents, "much", &[], END, false, 1_000).await;
    assert_eq!(all, expected);
    let most = scan(&documents, "much", &[], END, false, 25).await;
    assert_eq!(most, expected[..25]);
    let backwards = scan(&documents, "much", &1_u16.to_be_bytes(), END, true, 1_000).await;
    let mirrored: Vec<_> = expected[1..].iter().rev().cloned().collect();
    assert_eq!(backwards, mirrored);
    // By hand, page by page, as a caller with a limit goes on.
    let (mut from, mut seen) = (Vec::new(), Vec::new());
    loop {
        let page = scan(&documents, "much", &from, END, false, 7).await;
        let last = page.len() < 7;
        seen.extend(page);
        if last {
            break;
        }
        from = seen.last().cloned().expect("seven");
        from.push(0);
    }
    assert_eq!(seen, expected);
}

/// Partitions and sort keys of 1,024 bytes, with any bytes in the latter, whole and as bounds.
pub async fn keys_may_be_long(documents: Subject) {
    let partition = "p".repeat(1_024);
    let mut sorts: Vec<Vec<u8>> = [0x00, b'x', 0xfe]
        .into_iter()
        .map(|byte| vec![byte; 1_024])
        .collect();
    // Differ from the second at their last byte only.
    let mut last = sorts[1].clone();
    last[1_023] = b'y';
    sorts.insert(2, last);
    for sort in &sorts {
        put_done(
            &documents,
            &id(&partition, sort),
            b"long",
            Condition::Absent,
        )
        .await;
        let found = get(&documents, &id(&partition, sort)).await;
        assert_eq!(found.map(|document| document.sort).as_ref(), Some(sort));
    }
    assert_eq!(
        scan(&documents, &partition, &[], END, false, 9).await,
        sorts
    );
    let middle = scan(&documents, &partition, &sorts[1], &sorts[3], false, 9).await;
    assert_eq!(middle, sorts[1..3]);
}
