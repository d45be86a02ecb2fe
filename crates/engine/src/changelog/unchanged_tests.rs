use super::*;
use crate::decide::Strategy;
use skyfresh_sky::Attributes;
use skyfresh_store::Precondition;

fn sums(texts: &[&str]) -> Vec<PartSum> {
    let sum = |text: &&str| PartSum::crc64(text.len() as u64, Crc64::of(text.as_bytes()));
    texts.iter().map(sum).collect()
}

/// The old object, as it was copied in parts of four bytes.
fn memory(texts: &[&str]) -> Memory {
    let whole = texts.concat();
    Memory {
        source: ObjectVersion::from_etag("s1"),
        destination: ObjectVersion::from_etag("d1"),
        part_bytes: 4,
        crc64s: whole.as_bytes().chunks(4).map(Crc64::of).collect(),
        stated: sums(texts),
    }
}

fn plan(whole: &str) -> Plan {
    Plan {
        source: ObjectVersion::from_etag("s2"),
        size: whole.len() as u64,
        crc64: None,
        crc32c: None,
        md5: None,
        attributes: Attributes::default(),
        unkept: Vec::new(),
        site: None,
        via: None,
        expected: None,
        precondition: Precondition::None,
        strategy: Strategy::Inline,
    }
}

/// Numbers of the parts that are found, whose checksums are checked.
fn found(old: &[&str], new: &[&str], part_bytes: u64) -> Vec<u32> {
    let whole = new.concat();
    let found = unchanged_parts(&memory(old), &sums(new), &plan(&whole), part_bytes);
    for part in &found {
        let range = part.range.start as usize..part.range.end as usize;
        assert_eq!(part.crc64, Crc64::of(&whole.as_bytes()[range.clone()]));
        assert_eq!(
            old.concat().as_bytes()[range.clone()],
            whole.as_bytes()[range]
        );
    }
    found.iter().map(|part| part.number).collect()
}

#[test]
fn parts_that_the_source_says_are_equal_are_found() {
    let old = ["aaaa", "bbbb", "cccc", "dd"];
    for (new, expected, what) in [
        (vec!["aaaa", "bbbb", "cccc", "dd"], vec![1, 2, 3, 4], "all"),
        (
            vec!["aaaa", "BBBB", "cccc", "dd"],
            vec![1, 3, 4],
            "one changed",
        ),
        (
            vec!["aaaa", "bbbb", "cccc", "ddee"],
            vec![1, 2, 3],
            "appended to",
        ),
        (vec!["aaaa", "bbbb"], vec![1, 2], "cut"),
        (vec!["bbbb", "aaaa", "cccc"], vec![3], "moved"),
        (
            vec!["aaaabbbb", "cccc", "dd"],
            vec![3, 4],
            "uploaded in other parts",
        ),
        (vec!["aa", "aabb", "bbcccc", "dd"], vec![4], "cut elsewhere"),
        (vec![], vec![], "nothing"),
    ] {
        assert_eq!(found(&old, &new, 4), expected, "{what}");
    }
}

#[test]
fn the_copys_parts_need_not_be_the_sources() {
    let old = ["aaaa", "bbbb", "cccc", "dd"];
    let new = ["aaaa", "bbbb", "CCCC", "dd"];
    assert_eq!(found(&old, &new, 8), [1], "two of the source's in one");
    assert_eq!(
        found(&["aaaabbbb", "cccc"], &["aaaabbbb", "CCCC"], 4),
        [1, 2]
    );
    assert_eq!(
        found(&old, &new, 2),
        [7],
        "no checksum is known of half a part, but of the last"
    );
    assert_eq!(
        found(&old, &old, 6),
        [3],
        "nor of one and a half, but of the last"
    );
    assert_eq!(found(&old, &old, 100), [1], "of all of them it is");
    // The copy was made in parts of two of the source's: what the source stated of its own tells their checksums.
    let whole = ["aaaa", "bbbb", "CCCC", "dd"].concat();
    let coarse = Memory {
        part_bytes: 8,
        crc64s: vec![Crc64::of(b"aaaabbbb"), Crc64::of(b"ccccdd")],
        ..memory(&old)
    };
    let fine = unchanged_parts(&coarse, &sums(&new), &plan(&whole), 4);
    let numbers: Vec<u32> = fine.iter().map(|part| part.number).collect();
    assert_eq!(numbers, [1, 2, 4]);
    assert_eq!(fine[1].crc64, Crc64::of(b"bbbb"));
}

#[test]
fn weak_checksums_need_a_checksum_of_the_whole() {
    let weak = |texts: &[&str]| -> Vec<PartSum> {
        let weaken = |part: PartSum| PartSum {
            checksum: part.checksum.replace("CRC64NVME", "CRC32C"),
            ..part
        };
        sums(texts).into_iter().map(weaken).collect()
    };
    let (old, new) = (["aaaa", "bbbb"], ["aaaa", "BBBB"]);
    let memory = Memory {
        stated: weak(&old),
        ..memory(&old)
    };
    let whole = new.concat();
    let count = |plan: &Plan| unchanged_parts(&memory, &weak(&new), plan, 4).len();
    assert_eq!(count(&plan(&whole)), 0);
    let stated = Plan {
        crc64: Some(Crc64::of(whole.as_bytes())),
        ..plan(&whole)
    };
    assert_eq!(count(&stated), 1);
    let other_size = Plan { size: 9, ..stated };
    assert_eq!(count(&other_size), 0, "the parts are not this object's");
}

#[test]
fn a_memory_is_kept_as_it_is_or_not_at_all() {
    let small = memory(&["aaaa", "bbbb", "cccc", "dd"]);
    assert_eq!(
        Memory::from_json(small.to_json().unwrap()),
        Some(small.clone())
    );
    let of_parts = |count: usize| Memory {
        crc64s: vec![Crc64(7); count],
        stated: vec![PartSum::crc64(4, Crc64(7)); count],
        ..small.clone()
    };
    assert!(of_parts(5_000).to_json().is_some());
    assert!(of_parts(10_000).to_json().is_none());
    let mut wrong = small.to_json().unwrap();
    wrong["checksums"] = "x".into();
    assert_eq!(Memory::from_json(wrong), None);
    assert_eq!(Memory::from_json(serde_json::json!([])), None);
}
