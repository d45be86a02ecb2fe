//! Levels: what is in one and what lies deeper, in pages, and without reading what lies deeper.

use crate::conformance::subject::{Subject, content, key};
use crate::conformance::{CaseResult, Failure, Verdict, ensure};
use crate::{LevelPage, ListedObject, ObjectStore, Precondition};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::collections::BTreeSet;

/// A whole level.
#[derive(Default)]
struct Whole {
    /// As they came.
    lines: Vec<String>,
    objects: Vec<ListedObject>,
    pages: usize,
}

/// Reads a level in pages of `limit`.
async fn whole(store: &dyn ObjectStore, limit: usize) -> Result<Whole, Failure> {
    let mut found = Whole::default();
    let mut after = None;
    loop {
        let page: LevelPage = store.list_level(after.as_deref(), limit).await?;
        ensure!(
            page.lines() <= limit,
            "a page of {limit} has {} lines",
            page.lines()
        );
        ensure!(
            page.unusable.is_empty(),
            "unusable keys: {:?}",
            page.unusable
        );
        found.pages += 1;
        ensure!(found.pages < 10_000, "the level does not end");
        let keys = page.objects.iter().map(|object| object.key.to_string());
        let mut lines: Vec<String> = keys.chain(page.prefixes).collect();
        lines.sort_unstable();
        found.lines.extend(lines);
        found.objects.extend(page.objects);
        match page.next {
            None => return Ok(found),
            next => after = next,
        }
    }
}

/// What a level should show of these keys.
fn expected(names: &[&str]) -> Vec<String> {
    let line = |name: &&str| match name.find('/') {
        Some(slash) => name[..=slash].to_owned(),
        None => (*name).to_owned(),
    };
    let lines: BTreeSet<String> = names.iter().map(line).collect();
    lines.into_iter().collect()
}

pub(super) async fn a_level_in_pages_of_any_size(subject: &Subject<'_>) -> CaseResult {
    let empty = whole(&*subject.store, 1000).await?;
    ensure!(empty.lines.is_empty(), "an empty place has a level");
    let names = [
        "Z", "a", "a-b", "a/1", "a/2/3", "a/2/4", "a0", "b c/x", "b/", "b//c", "d+%/x", "d/e/f/g",
        "ä/x", "ä",
    ];
    for name in names {
        subject.put(name, &content(3, 1)).await?;
    }
    let lines = expected(&names);
    for limit in [1, 2, 3, lines.len(), 1000] {
        let found = whole(&*subject.store, limit).await?;
        ensure!(
            found.lines == lines,
            "in pages of {limit}: {:?}, expected {lines:?}",
            found.lines
        );
        for object in found.objects {
            let head = subject.store.head(&object.key).await?;
            ensure!(
                object.size == head.size && object.etag == head.version.etag,
                "listed as {object:?}, but its head is {head:?}"
            );
        }
    }
    let mut below = subject.place.clone();
    below.prefix.push_str("a/");
    let found = whole(&*subject.backend.open(&below).await?, 1000).await?;
    ensure!(found.lines == ["1", "2/"], "below a/: {:?}", found.lines);
    // What is gone is in no level, nor what it was in.
    subject
        .store
        .delete(&key("d/e/f/g")?, &Precondition::None)
        .await?;
    let found = whole(&*subject.store, 1000).await?;
    ensure!(
        !found.lines.iter().any(|line| line == "d/"),
        "a common prefix is left of a deleted object"
    );
    Ok(Verdict::Passed)
}

pub(super) async fn a_level_passes_over_what_lies_deeper(subject: &Subject<'_>) -> CaseResult {
    const DEEPER: usize = 1_020;
    let deeper = (0..DEEPER).map(|index| format!("deep/{}/k{index}", index % 7));
    let names: Vec<String> = deeper.chain(["a".into(), "z/z".into()]).collect();
    stream::iter(names)
        .map(|name| async move { subject.put(&name, &content(1, 1)).await })
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    let found = whole(&*subject.store, 1000).await?;
    ensure!(
        found.lines == ["a", "deep/", "z/"],
        "the level is {:?}",
        found.lines
    );
    ensure!(
        found.pages == 1,
        "a level of three lines took {} pages: the store reads what lies deeper",
        found.pages
    );
    Ok(Verdict::Passed)
}
