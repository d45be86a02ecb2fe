//! Metadata, content headers, tiers, tags and leases of blobs.

use super::put::given_tier;
use super::read::find;
use super::{Call, Place};
use crate::azure::error::{self, Result};
use crate::azure::headers::{
    content_headers, metadata as given_metadata, names_content_headers, tags_body, write_tags,
};
use crate::azure::model::{Blob, Properties};
use crate::azure::reply::{Reply, small_body};
use crate::azure::xml::Xml;
use http::{Response, StatusCode};
use s3s::Body;
use std::sync::Arc;

/// Ten tags of the greatest length, escaped, and room.
const TAGS_LIMIT_BYTES: usize = 64 * 1024;

/// Changes a blob's properties under the lock, if the request's conditions allow it.
async fn change(
    call: Call,
    place: Place,
    touch: bool,
    change: impl FnOnce(&mut Properties) -> Result<()> + Send + 'static,
) -> Result<Arc<Blob>> {
    let terms = call.terms()?;
    call.account
        .clone()
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            let blob = terms.admit_change(&state, name, container.now())?;
            let mut properties = blob.properties.clone();
            change(&mut properties)?;
            if touch {
                properties.lease = properties.lease.after_write(container.now());
            }
            container.amend(&mut state, name, properties, touch)
        })
        .await
}

fn changed(status: StatusCode, blob: &Blob) -> Reply {
    Reply::new(status).validators(&blob.properties.etag(), blob.properties.modified())
}

pub(super) fn metadata(call: &Call, place: &Place) -> Result<Response<Body>> {
    let blob = find(call, place)?;
    let mut reply = changed(StatusCode::OK, &blob);
    for (name, value) in &blob.properties.metadata {
        reply = reply.header(&format!("x-ms-meta-{name}"), value);
    }
    Ok(reply.empty())
}

pub(super) async fn set_metadata(call: Call, place: Place) -> Result<Response<Body>> {
    let metadata = given_metadata(&call.head)?;
    let blob = change(call, place, true, |properties| {
        properties.metadata = metadata;
        Ok(())
    })
    .await?;
    Ok(changed(StatusCode::OK, &blob)
        .header("x-ms-request-server-encrypted", "true")
        .empty())
}

/// A request that names one content header clears those it does not name (Set Blob Properties, "Remarks").
pub(super) async fn set(call: Call, place: Place) -> Result<Response<Body>> {
    let headers = names_content_headers(&call.head).then(|| content_headers(&call.head, false));
    let blob = change(call, place, true, |properties| {
        if let Some(headers) = headers {
            properties.headers = headers;
        }
        Ok(())
    })
    .await?;
    Ok(changed(StatusCode::OK, &blob).empty())
}

/// Takes effect at once, also for blobs that come back from the archive: a real one takes hours (202).
pub(super) async fn set_tier(call: Call, place: Place) -> Result<Response<Body>> {
    let tier = given_tier(&call.head)?.ok_or_else(|| error::missing_header("x-ms-access-tier"))?;
    let now = call.account.now();
    change(call, place, false, move |properties| {
        properties.tier = Some(tier);
        properties.tier_changed_unix_ms = Some(now.unix_ms());
        Ok(())
    })
    .await?;
    Ok(Reply::new(StatusCode::OK).empty())
}

pub(super) fn tags(call: &Call, place: &Place) -> Result<Response<Body>> {
    let blob = find(call, place)?;
    let mut xml = Xml::document();
    write_tags(&mut xml, &blob.properties.tags);
    Ok(Reply::new(StatusCode::OK).xml(xml.finish()))
}

/// Neither the entity tag nor the time of the last change change (Set Blob Tags, "Remarks").
pub(super) async fn set_tags(call: Call, place: Place, body: Body) -> Result<Response<Body>> {
    let tags = tags_body(&small_body(&call.head, body, TAGS_LIMIT_BYTES).await?)?;
    change(call, place, false, |properties| {
        properties.tags = tags;
        Ok(())
    })
    .await?;
    Ok(Reply::new(StatusCode::NO_CONTENT).empty())
}

/// A lease is no change of the blob: entity tag and time stay.
pub(super) async fn lease(call: Call, place: Place) -> Result<Response<Body>> {
    let head = &call.head;
    let number = |name: &str| -> Result<Option<i32>> {
        let Some(value) = head.header(name) else {
            return Ok(None);
        };
        value
            .parse()
            .map(Some)
            .map_err(|_| error::invalid_header(name, value))
    };
    let action = head
        .required_header("x-ms-lease-action")?
        .to_ascii_lowercase();
    let duration_s = number("x-ms-lease-duration")?;
    let break_period_s =
        match number("x-ms-lease-break-period")? {
            None => None,
            Some(period) => Some(u32::try_from(period).map_err(|_| {
                error::invalid_header("x-ms-lease-break-period", &period.to_string())
            })?),
        };
    let proposed = match head.header("x-ms-proposed-lease-id") {
        None => None,
        Some(id) if is_guid(id) => Some(id.to_owned()),
        Some(id) => return Err(error::invalid_header("x-ms-proposed-lease-id", id)),
    };
    let conditions = super::Conditions::of(head)?;
    let id = call.lease_id().map(str::to_owned);
    let new_id = proposed.clone().unwrap_or_else(|| call.account.guid());
    let needed = move |id: Option<String>| id.ok_or_else(|| error::missing_header("x-ms-lease-id"));
    let account = call.account.clone();
    let (blob, status, left_s) = account
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            let now = container.now();
            let blob = state.existing(name)?;
            let current = (&*blob.properties.etag(), blob.properties.modified());
            conditions.check_write(Some(current), false)?;
            let mut properties = blob.properties.clone();
            let lease = &mut properties.lease;
            let (mut status, mut left_s) = (StatusCode::OK, None);
            match action.as_str() {
                "acquire" => {
                    let duration_s =
                        duration_s.ok_or_else(|| error::missing_header("x-ms-lease-duration"))?;
                    lease.acquire(&new_id, duration_s, now)?;
                    status = StatusCode::CREATED;
                }
                "renew" => lease.renew(&needed(id)?, now)?,
                "change" => {
                    let proposed =
                        proposed.ok_or_else(|| error::missing_header("x-ms-proposed-lease-id"))?;
                    lease.change(&needed(id)?, &proposed, now)?;
                }
                "release" => lease.release(&needed(id)?)?,
                "break" => {
                    left_s = Some(lease.break_after(break_period_s, now)?);
                    status = StatusCode::ACCEPTED;
                }
                other => return Err(error::invalid_header("x-ms-lease-action", other)),
            }
            let blob = container.amend(&mut state, name, properties, false)?;
            Ok((blob, status, left_s))
        })
        .await?;
    let id = blob.properties.lease.id().filter(|_| left_s.is_none());
    Ok(changed(status, &blob)
        .optional("x-ms-lease-id", id)
        .optional("x-ms-lease-time", left_s.map(|seconds| seconds.to_string()))
        .empty())
}

fn is_guid(text: &str) -> bool {
    let bare = text
        .trim_start_matches(['{', '('])
        .trim_end_matches(['}', ')']);
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
