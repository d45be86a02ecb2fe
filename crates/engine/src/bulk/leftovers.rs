//! Uploads that earlier runs of the same job left and this one did not go on with: the object has changed since, or is not
//! meant any more.
//!
//! In: the journal. Out: they are aborted, and forgotten. Never: touches an upload that the journal does not name.

use super::shared::Shared;
use skyfresh_ledger::UploadIntent;
use skyfresh_sky::Kind;
use skyfresh_store::{ObjectStore, Result as StoreResult};
use std::time::Duration;

/// Pages of unfinished uploads looked through for one whose id was never written down.
const PAGES: usize = 10;
/// How far the store's clock may be behind ours.
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// Aborts what is left. What cannot be aborted now is left to the next run.
pub(super) async fn sweep(shared: &Shared) {
    for intent in shared.journal.left() {
        let target = shared
            .job
            .targets
            .iter()
            .find(|target| target.store.location().to_string() == intent.task.destination);
        let Some(target) = target else { continue };
        match abort(target.store.as_ref(), &intent).await {
            Ok(()) => shared.journal.ended(&intent.attempt),
            Err(error) => {
                tracing::debug!(key = %intent.task.key, %error, "the next run will abort this upload");
            }
        }
    }
    shared.journal.flush().await;
}

async fn abort(store: &dyn ObjectStore, intent: &UploadIntent) -> StoreResult<()> {
    let key = &intent.task.key;
    if let Some(upload) = &intent.upload {
        return store.abort_upload(key, upload).await;
    }
    // A crash between the intent and the store's answer: whatever was begun for the key since.
    let since = intent.started.before(CLOCK_SKEW);
    let mut after = None;
    for _ in 0..PAGES {
        let page = match store.list_uploads(after.as_deref()).await {
            Err(error) if error.kind == Kind::Unsupported => return Ok(()),
            page => page?,
        };
        for upload in &page.uploads {
            if upload.key == *key && upload.started >= since {
                store.abort_upload(key, &upload.upload).await?;
            }
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    Ok(())
}
