//! Keys that file systems, URLs, XML or carelessness would change.

use crate::Precondition;
use crate::conformance::subject::{Subject, content, key, refused};
use crate::conformance::{CaseResult, Failure, Verdict, ensure};
use skyfresh_sky::{Attributes, Kind, Scheme};

/// S3's limit on a whole key, in bytes.
const FULL_KEY_LIMIT_BYTES: usize = 1024;

/// Every key is put, read, listed in pages of 1, 2 and 1,000, uploaded to, and deleted, beside all the others.
async fn survive(subject: &Subject<'_>, keys: &[&str]) -> CaseResult {
    let refused_by_name = |name: &&str| {
        let full_key = format!("{}{name}", subject.place.prefix);
        subject.backend.refuses_key(&full_key)
    };
    let (never, keys): (Vec<&str>, Vec<&str>) = keys.iter().copied().partition(refused_by_name);
    for name in never {
        let what = format!("a key that cannot be kept, {name:?}");
        refused(
            &what,
            subject
                .put_if(name, &content(1, 1), Precondition::None)
                .await,
            &[Kind::Invalid],
        )?;
        refused(
            &what,
            subject.store.head(&key(name)?).await,
            &[Kind::Invalid],
        )?;
        refused(
            &what,
            subject.store.delete(&key(name)?, &Precondition::None).await,
            &[Kind::Invalid],
        )?;
    }
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    for (index, name) in keys.iter().enumerate() {
        let put = subject
            .put(name, &content(100 + index as u64, index as u64))
            .await;
        put.map_err(|Failure(why)| Failure(format!("putting {name:?}: {why}")))?;
    }
    for (index, name) in keys.iter().enumerate() {
        let found = subject
            .expect(name, &content(100 + index as u64, index as u64))
            .await;
        found.map_err(|Failure(why)| Failure(format!("reading {name:?}: {why}")))?;
    }
    for limit in [1, 2, 1000] {
        let listed = subject.list_all(limit).await?;
        let found: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
        ensure!(
            found == sorted,
            "in pages of {limit}: {found:?}, expected {sorted:?}"
        );
    }
    if subject.capabilities.multipart {
        for (index, name) in keys.iter().enumerate() {
            let bytes = content(10, 1000 + index as u64);
            let upload = subject
                .store
                .create_upload(&key(name)?, &Attributes::default())
                .await?;
            let part = subject
                .part(&*subject.store, name, &upload, 1, &bytes)
                .await?;
            subject
                .store
                .complete_upload(&key(name)?, &upload, &[part], &Precondition::None)
                .await?;
            subject.expect(name, &bytes).await?;
        }
    }
    for (index, name) in sorted.iter().enumerate() {
        subject
            .store
            .delete(&key(name)?, &Precondition::None)
            .await?;
        let left = subject.list_all(1000).await?;
        let found: Vec<&str> = left.iter().map(|object| object.key.as_str()).collect();
        ensure!(
            found == sorted[index + 1..],
            "after deleting {name:?}: {found:?}"
        );
    }
    Ok(Verdict::Passed)
}

pub(super) async fn punctuation_and_unicode(subject: &Subject<'_>) -> CaseResult {
    survive(
        subject,
        &[
            "spaces in it",
            " lead",
            "trail ",
            "a+b",
            "%41",
            "%2F",
            "%",
            "a%zz",
            "a&b=c",
            "a?b#c",
            "'\"`",
            "<a>&amp;",
            "back\\slash",
            "semi;colon:at@",
            "~tilde",
            "*",
            "[a]{b}|^$!(),",
            "hé/ünïcödé",
            "e\u{301}",
            "日本語",
            "emoji😀",
            "-",
            "--",
            "CON",
            "a.",
            ".hidden",
            "..hidden",
            "...",
            ".skyfresh",
            ".skyfresh/x",
            "A",
            "a",
        ],
    )
    .await
}

pub(super) async fn empty_segments(subject: &Subject<'_>) -> CaseResult {
    survive(
        subject,
        &[
            "/", "//", "///", "/lead", "//lead", "a//b", "a///b", "x/", "x//", "a/b", "y",
        ],
    )
    .await
}

pub(super) async fn dot_segments(subject: &Subject<'_>) -> CaseResult {
    survive(
        subject,
        &[
            ".",
            "..",
            "./",
            "../",
            "./c",
            "../c",
            "a/.",
            "a/..",
            "a/./b",
            "a/../b",
            "a/b",
            "../../../etc/hostname",
        ],
    )
    .await
}

pub(super) async fn objects_beside_directories(subject: &Subject<'_>) -> CaseResult {
    survive(
        subject,
        &[
            "a/b/c/d", "a", "a/b", "a/b/c", "z", "z/y", "z/", "z/y/", "q/", "q/r",
        ],
    )
    .await
}

pub(super) async fn long_keys(subject: &Subject<'_>) -> CaseResult {
    let most = FULL_KEY_LIMIT_BYTES - subject.place.prefix.len();
    let one_segment = "s".repeat(most);
    let sibling = format!("{}t", &one_segment[..most - 1]);
    let segments = ["0123456789abcde/".repeat(most / 16), "z".repeat(most % 16)].concat();
    let just_fits = "f".repeat(255);
    let just_over = "f".repeat(256);
    let wide = "ü".repeat(most / 2);
    let deep = format!("{}/x/y", "d".repeat(400));
    survive(
        subject,
        &[
            &one_segment,
            &sibling,
            &segments,
            &just_fits,
            &just_over,
            &wide,
            &deep,
        ],
    )
    .await
}

pub(super) async fn control_characters(subject: &Subject<'_>) -> CaseResult {
    let mut keys = vec!["tab\there", "\u{1}", "\u{7f}", "nel\u{85}", "bom\u{feff}"];
    for name in ["line\nfeed", "return\rhere"] {
        if subject.place.scheme == Scheme::Gcs {
            // Google takes neither in a name: it must be refused as such, not altered.
            let put = subject
                .put_if(name, &content(1, 1), Precondition::None)
                .await;
            refused("a line end in a name", put, &[Kind::Invalid])?;
        } else {
            keys.push(name);
        }
    }
    survive(subject, &keys).await
}
