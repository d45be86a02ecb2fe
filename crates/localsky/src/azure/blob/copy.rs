//! Copy Blob and its abort.
//!
//! A small source is copied before the answer (`success`). A larger one is copied by a task, at the pace of the way
//! between the two regions: until it is done the destination is empty, says `pending`, and refuses writes.

use super::fetch::Source;
use super::put::new_properties;
use super::{Call, Place};
use crate::azure::error::{self, Result};
use crate::azure::model::{Api, CopyState, CopyStatus, Properties};
use crate::azure::reply::Reply;
use crate::store::Content;
use http::{Response, StatusCode};
use s3s::Body;

/// Sources up to this size are copied at once. Azure states no such size: it copies within an account at once and
/// between accounts "on a best-effort basis" (Copy Blob, "Remarks").
const COPY_AT_ONCE_BYTES: u64 = 4 * 1024 * 1024;
/// The largest source of a synchronous copy (Copy Blob From URL, "Remarks").
const SYNCHRONOUS_LIMIT_BYTES: u64 = 256 * 1024 * 1024;

pub(super) async fn start(call: Call, place: Place) -> Result<Response<Body>> {
    let terms = call.terms()?;
    let mut properties = new_properties(&call, false)?;
    let synchronous = call.head.flag("x-ms-requires-sync")?;
    {
        let state = place.container.lock()?;
        terms.admit_creation(&state, &place.name, place.container.now())?;
    }
    // A synchronous copy reads its source as Put Block From URL does: with a signature of its own.
    let source = Source::open(&call, None, !synchronous).await?;
    if synchronous && source.size > SYNCHRONOUS_LIMIT_BYTES {
        return Err(error::request_body_too_large());
    }
    properties.headers = source.content_headers();
    if properties.metadata.is_empty() {
        properties.metadata = source_metadata(&source);
    }
    let copy = CopyState {
        id: call.account.guid(),
        source: source.shown_url.clone(),
        status: CopyStatus::Pending,
        copied_bytes: 0,
        total_bytes: source.size,
        completed_unix_ms: None,
        description: None,
    };
    properties.copy = Some(copy.clone());
    let at_once = synchronous || source.size <= COPY_AT_ONCE_BYTES;
    let (content, api, source) = if at_once {
        let content = source.receive(&call).await?.content;
        succeed(&mut properties, place.container.now().unix_ms());
        (content, Some(Api::CopyBlob), None)
    } else {
        (Content::default(), None, Some(source))
    };
    let (account, origin, at) = (call.account.clone(), call.origin.clone(), place.clone());
    let blob = account
        .blocking(move || {
            let (container, name) = (&at.container, &at.name);
            let mut state = container.lock()?;
            terms.admit_creation(&state, name, container.now())?;
            container.publish(&mut state, name, properties, content, api, &origin)
        })
        .await?;
    if let Some(source) = source {
        let (tasks, stop, id) = (account.tasks.clone(), account.stop.clone(), copy.id.clone());
        tasks.spawn(async move {
            stop.run_until_cancelled(finish(call, place, id, source))
                .await;
        });
    }
    let status = blob.properties.copy.as_ref().map(|copy| copy.status);
    Ok(Reply::new(StatusCode::ACCEPTED)
        .validators(&blob.properties.etag(), blob.properties.modified())
        .header("x-ms-copy-id", copy.id)
        .optional("x-ms-copy-status", status.map(CopyStatus::as_str))
        .empty())
}

fn succeed(properties: &mut Properties, now_unix_ms: u64) {
    if let Some(copy) = &mut properties.copy {
        copy.status = CopyStatus::Success;
        copy.copied_bytes = copy.total_bytes;
        copy.completed_unix_ms = Some(now_unix_ms);
    }
}

fn source_metadata(source: &Source) -> std::collections::BTreeMap<String, String> {
    source
        .headers
        .iter()
        .filter_map(|(name, value)| {
            let name = name.as_str().strip_prefix("x-ms-meta-")?;
            Some((name.to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect()
}

/// Copies the bytes and publishes them, unless the copy was aborted or the blob deleted meanwhile.
async fn finish(call: Call, place: Place, id: String, source: Source) {
    let received = source.receive(&call).await;
    let account = call.account.clone();
    let done = account
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            let Some(mut properties) = pending(&state, name, &id) else {
                return Ok(());
            };
            match received {
                Ok(received) => {
                    succeed(&mut properties, container.now().unix_ms());
                    let (content, api) = (received.content, Some(Api::CopyBlob));
                    container.publish(&mut state, name, properties, content, api, &call.origin)?;
                }
                Err(error) => {
                    if let Some(copy) = &mut properties.copy {
                        copy.status = CopyStatus::Failed;
                        copy.description =
                            Some(format!("{} {}", error.status.as_u16(), error.code));
                        copy.completed_unix_ms = Some(container.now().unix_ms());
                    }
                    container.amend(&mut state, name, properties, true)?;
                }
            }
            Ok(())
        })
        .await;
    if let Err(error) = done {
        tracing::warn!(?error, "a copy could not be finished");
    }
}

fn pending(state: &crate::azure::container::State, name: &str, id: &str) -> Option<Properties> {
    let properties = state.blob(name)?.properties.clone();
    let copy = properties.copy.as_ref()?;
    (copy.id == id && copy.is_pending()).then_some(properties)
}

/// Leaves an empty blob with its metadata (Abort Copy Blob).
pub(super) async fn abort(call: Call, place: Place) -> Result<Response<Body>> {
    let id = call.head.required_query("copyid")?.to_owned();
    if call.head.required_header("x-ms-copy-action")? != "abort" {
        let action = call.head.required_header("x-ms-copy-action")?;
        return Err(error::invalid_header("x-ms-copy-action", action));
    }
    let lease_id = call.lease_id().map(str::to_owned);
    let account = call.account.clone();
    account
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            let blob = state.existing(name)?;
            let mut properties = pending(&state, name, &id).ok_or_else(error::no_pending_copy)?;
            let lease = &blob.properties.lease;
            lease.check_write(lease_id.as_deref(), container.now())?;
            if let Some(copy) = &mut properties.copy {
                copy.status = CopyStatus::Aborted;
                copy.completed_unix_ms = Some(container.now().unix_ms());
            }
            container
                .amend(&mut state, name, properties, true)
                .map(drop)
        })
        .await?;
    Ok(Reply::new(StatusCode::NO_CONTENT).empty())
}
