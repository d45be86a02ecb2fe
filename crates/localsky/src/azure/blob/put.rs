//! Put Blob and Delete Blob.

use super::{Call, Place};
use crate::azure::auth::Level;
use crate::azure::error::{self, Result};
use crate::azure::headers::{content_headers, metadata, tags_header};
use crate::azure::model::{Api, Properties, Tier};
use crate::azure::reply::{Reply, receive};
use http::{Response, StatusCode};
use s3s::Body;

/// The largest blob of one Put Blob, since version 2019-12-12 (Put Blob, "Remarks").
pub(super) const PUT_LIMIT_BYTES: u64 = 5000 * 1024 * 1024;

pub(super) async fn blob(call: Call, place: Place, body: Body) -> Result<Response<Body>> {
    match call.head.required_header("x-ms-blob-type")? {
        "BlockBlob" => {}
        "AppendBlob" | "PageBlob" => {
            return Err(error::not_implemented("append blobs and page blobs"));
        }
        other => return Err(error::invalid_header("x-ms-blob-type", other)),
    }
    let terms = call.terms()?;
    let mut properties = new_properties(&call, true)?;
    // What can be refused without the body is refused before it.
    {
        let state = place.container.lock()?;
        terms.admit_creation(&state, &place.name, place.container.now())?;
    }
    let received = receive(&call.account, &call.head, body, PUT_LIMIT_BYTES).await?;
    let (md5, crc64) = (received.md5_base64(), received.crc64_base64());
    properties.headers.content_md5.get_or_insert(md5.clone());
    let blob = call
        .account
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            terms.admit_creation(&state, name, container.now())?;
            container.publish(
                &mut state,
                name,
                properties,
                received.content,
                Some(Api::PutBlob),
                &call.origin,
            )
        })
        .await?;
    Ok(Reply::new(StatusCode::CREATED)
        .validators(&blob.properties.etag(), blob.properties.modified())
        .header("content-md5", md5)
        .header("x-ms-content-crc64", crc64)
        .header("x-ms-request-server-encrypted", "true")
        .empty())
}

/// What a request says of the blob it makes. `plain`: standard headers count as the blob's.
pub(super) fn new_properties(call: &Call, plain: bool) -> Result<Properties> {
    if call.head.header("x-ms-tags").is_some() {
        call.allow(Level::Object, "t")?;
    }
    Ok(Properties {
        headers: content_headers(&call.head, plain),
        metadata: metadata(&call.head)?,
        tags: tags_header(&call.head)?,
        tier: given_tier(&call.head)?,
        ..Properties::default()
    })
}

pub(super) fn given_tier(head: &crate::azure::request::Head) -> Result<Option<Tier>> {
    match head.header("x-ms-access-tier") {
        None => Ok(None),
        Some(name) => Tier::parse(name)
            .map(Some)
            .ok_or_else(|| error::invalid_header("x-ms-access-tier", name)),
    }
}

pub(super) async fn delete(call: Call, place: Place) -> Result<Response<Body>> {
    let terms = call.terms()?;
    let account = call.account.clone();
    account
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            terms.admit_change(&state, name, container.now())?;
            container.remove(&mut state, name, &call.origin)
        })
        .await?;
    Ok(Reply::new(StatusCode::ACCEPTED)
        .header("x-ms-delete-type-permanent", "true")
        .empty())
}
