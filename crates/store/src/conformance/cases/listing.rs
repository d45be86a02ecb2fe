//! Listings: complete, in order, in pages, and never empty by mistake.

use crate::conformance::subject::{Subject, content, key};
use crate::conformance::{CaseResult, Failure, Verdict, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use std::time::Duration;

pub(super) async fn pages_of_any_size(subject: &Subject<'_>) -> CaseResult {
    let mut names = vec![
        "a", "a-b", "a.b", "a/b", "a/b/c", "a/c", "a0", "ab", "b", "Z", "z/", "ä", "z/y",
    ];
    for (index, name) in names.iter().enumerate() {
        subject
            .put(name, &content(index as u64, index as u64))
            .await?;
    }
    names.sort_unstable();
    for limit in [1, 2, 5, names.len(), 1000] {
        let listed = subject.list_all(limit).await?;
        let found: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
        ensure!(
            found == names,
            "in pages of {limit}: {found:?}, expected {names:?}"
        );
    }
    for object in subject.list_all(1000).await? {
        let head = subject.store.head(&object.key).await?;
        let apart = head
            .modified
            .since(object.modified)
            .max(object.modified.since(head.modified));
        ensure!(
            object.size == head.size
                && object.etag == head.version.etag
                // Where one is cut to whole seconds.
                && apart < Duration::from_secs(1),
            "listed as {object:?}, but its head is {head:?}"
        );
    }
    Ok(Verdict::Passed)
}

pub(super) async fn more_than_a_thousand(subject: &Subject<'_>) -> CaseResult {
    const OBJECTS: usize = 1007;
    let mut names: Vec<String> = (0..OBJECTS)
        .map(|index| format!("d{}/k{index}", index % 5))
        .collect();
    stream::iter(names.clone())
        .map(|name| async move { subject.put(&name, &content(1, 1)).await })
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    names.sort_unstable();
    for limit in [1000, 300] {
        let listed = subject.list_all(limit).await?;
        let found: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
        ensure!(
            found == names,
            "in pages of {limit}, {} keys were listed of {OBJECTS}",
            found.len()
        );
    }
    Ok(Verdict::Passed)
}

pub(super) async fn an_empty_place_lists_nothing(subject: &Subject<'_>) -> CaseResult {
    ensure!(
        subject.list_all(1000).await?.is_empty(),
        "an empty place lists something"
    );
    subject.put("a/b/c", &content(1, 1)).await?;
    ensure!(
        subject.list_all(1000).await?.len() == 1,
        "one object is not listed as one"
    );
    subject
        .store
        .delete(&key("a/b/c")?, &crate::Precondition::None)
        .await?;
    ensure!(
        subject.list_all(1000).await?.is_empty(),
        "something is left of a deleted object"
    );
    Ok(Verdict::Passed)
}

/// A listing goes on after a key that has been deleted since, and after any other text.
pub(super) async fn goes_on_after_any_text(subject: &Subject<'_>) -> CaseResult {
    let names = ["a", "a/b", "a/b/c", "b", "b/x", "c/", "ü"];
    for name in names {
        subject.put(name, &content(1, 1)).await?;
    }
    let texts = [
        "",
        "A",
        "a",
        "a/",
        "a/a",
        "a/b",
        "a/b/",
        "a/bb",
        "aa",
        "b/",
        "b/x/y",
        "b0",
        "c",
        "c/",
        "c/d",
        "~",
        "ü",
        "ü/",
        "\u{10ffff}",
    ];
    for after in texts {
        let page = subject.store.list(Some(after), 1000).await?;
        let found: Vec<&str> = page
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect();
        let expected: Vec<&str> = names.into_iter().filter(|name| *name > after).collect();
        ensure!(
            found == expected,
            "after {after:?}: {found:?}, expected {expected:?}"
        );
        ensure!(
            page.next.is_none(),
            "after {after:?}: a last page names a next one"
        );
        // And one by one, whatever it starts from.
        let mut stepped = Vec::new();
        let mut at = Some(after.to_owned());
        while let Some(from) = at {
            let page = subject.store.list(Some(&from), 1).await?;
            stepped.extend(
                page.objects
                    .into_iter()
                    .map(|object| object.key.as_str().to_owned()),
            );
            if stepped.len() > names.len() {
                return Err(Failure(format!("stepping on from {after:?} does not end")));
            }
            at = page.next;
        }
        ensure!(
            stepped == expected,
            "stepping on from {after:?}: {stepped:?}, expected {expected:?}"
        );
    }
    Ok(Verdict::Passed)
}
