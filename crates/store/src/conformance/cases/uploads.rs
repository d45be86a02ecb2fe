//! Unfinished uploads: finding them and getting rid of them.

use crate::ListedUpload;
use crate::Precondition;
use crate::conformance::subject::{Subject, chunked, content, key, refused};
use crate::conformance::{CaseResult, Failure, Verdict, ensure};
use futures::stream::{self, StreamExt, TryStreamExt};
use skyfresh_sky::{Attributes, Kind};
use std::collections::BTreeSet;

pub(super) async fn aborted_uploads_are_gone(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.multipart {
        return Ok(Verdict::NotSupported("multipart uploads"));
    }
    let x = key("x")?;
    let bytes = content(1000, 1);
    let upload = subject
        .store
        .create_upload(&x, &Attributes::default())
        .await?;
    let parts = [subject
        .part(&*subject.store, "x", &upload, 1, &bytes)
        .await?];
    subject.store.abort_upload(&x, &upload).await?;
    let result = subject
        .store
        .complete_upload(&x, &upload, &parts, &Precondition::None)
        .await;
    refused("completing an aborted upload", result, &[Kind::Missing])?;
    let result = subject
        .store
        .upload_part(&x, &upload, 2, 1000, chunked(&bytes))
        .await;
    refused("a part of an aborted upload", result, &[Kind::Missing])?;
    subject.store.abort_upload(&x, &upload).await?;
    subject.expect_absent("x").await?;

    // One of two uploads of a key: the other goes on.
    let first = subject
        .store
        .create_upload(&x, &Attributes::default())
        .await?;
    let second = subject
        .store
        .create_upload(&x, &Attributes::default())
        .await?;
    ensure!(first != second, "two uploads share the id {first}");
    let parts = [subject
        .part(&*subject.store, "x", &second, 1, &bytes)
        .await?];
    subject.store.abort_upload(&x, &first).await?;
    subject
        .store
        .complete_upload(&x, &second, &parts, &Precondition::None)
        .await?;
    subject.expect("x", &bytes).await?;
    Ok(Verdict::Passed)
}

async fn all_uploads(subject: &Subject<'_>) -> std::result::Result<Vec<ListedUpload>, Failure> {
    let mut found: Vec<ListedUpload> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = subject.store.list_uploads(after.as_deref()).await?;
        found.extend(page.uploads);
        match page.next {
            None => return Ok(found),
            Some(next) => {
                ensure!(
                    after.as_ref() != Some(&next),
                    "the listing stands still at {next:?}"
                );
                after = Some(next);
            }
        }
    }
}

pub(super) async fn uploads_are_listed(subject: &Subject<'_>) -> CaseResult {
    if !subject.capabilities.list_uploads {
        refused(
            "listing uploads",
            subject.store.list_uploads(None).await,
            &[Kind::Unsupported],
        )?;
        return Ok(Verdict::NotSupported("listing of uploads"));
    }
    ensure!(
        all_uploads(subject).await?.is_empty(),
        "uploads are listed before there are any"
    );
    let mut expected = BTreeSet::new();
    for name in ["b", "a/b", "a/b", "spaces & +/ü"] {
        let upload = subject
            .store
            .create_upload(&key(name)?, &Attributes::default())
            .await?;
        expected.insert((name.to_owned(), upload));
    }
    let names = |uploads: Vec<ListedUpload>| -> BTreeSet<(String, String)> {
        uploads
            .into_iter()
            .map(|upload| (upload.key.as_str().to_owned(), upload.upload))
            .collect()
    };
    let another = subject.another().await?;
    let found = names(another.list_uploads(None).await?.uploads);
    ensure!(found == expected, "listed {found:?}, begun {expected:?}");
    if let Some((name, upload)) = expected.pop_first() {
        subject.store.abort_upload(&key(&name)?, &upload).await?;
    }
    let found = names(all_uploads(subject).await?);
    ensure!(
        found == expected,
        "after aborting one: listed {found:?}, expected {expected:?}"
    );
    Ok(Verdict::Passed)
}

pub(super) async fn uploads_are_listed_in_pages(subject: &Subject<'_>) -> CaseResult {
    const UPLOADS: usize = 1003;
    if !subject.capabilities.list_uploads {
        return Ok(Verdict::NotSupported("listing of uploads"));
    }
    // Several on one key, so that a page can end between two uploads of it.
    let begun: BTreeSet<String> = stream::iter(0..UPLOADS)
        .map(|index| async move {
            let name = format!("k{:03}", index / 7);
            Ok::<_, Failure>(
                subject
                    .store
                    .create_upload(&key(&name)?, &Attributes::default())
                    .await?,
            )
        })
        .buffer_unordered(16)
        .try_collect()
        .await?;
    let listed = all_uploads(subject).await?;
    let found: BTreeSet<String> = listed.iter().map(|upload| upload.upload.clone()).collect();
    ensure!(
        listed.len() == found.len(),
        "an upload is listed on two pages"
    );
    ensure!(
        found == begun,
        "{} uploads are listed of {} begun",
        found.len(),
        begun.len()
    );
    Ok(Verdict::Passed)
}
