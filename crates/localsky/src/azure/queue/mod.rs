//! The Queue service: learn.microsoft.com/rest/api/storageservices/queue-service-rest-api. Queues live in memory.

mod messages;
mod store;

pub(crate) use store::Queues;

use super::account::is_container_name;
use super::auth::{Level, Need};
use super::blob::{Call, Marker};
use super::error::{self, Result, StorageError};
use super::headers::metadata;
use super::reply::Reply;
use super::xml::Xml;
use crate::store::listing::{ListEntry, ListRequest, page};
use http::{Method, Response, StatusCode};
use s3s::Body;

/// Most lines of one page (List Queues, "maxresults").
const PAGE_LIMIT: u64 = 5000;

fn allow(call: &Call, level: Level, permissions: &'static str) -> Result<()> {
    call.grant.allow(Need { level, permissions })
}

fn queue_not_found() -> StorageError {
    StorageError::new(
        StatusCode::NOT_FOUND,
        "QueueNotFound",
        "The specified queue does not exist.",
    )
}

pub(crate) async fn answer(call: Call, body: Body) -> Result<Response<Body>> {
    let path = call.head.path.clone();
    let segments: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    match segments[..] {
        [""] if call.head.comp() == "list" => list(&call),
        [""] if call.head.comp() == "properties" => {
            allow(&call, Level::Service, "r")?;
            let mut xml = Xml::document();
            xml.open("StorageServiceProperties")
                .close("StorageServiceProperties");
            Ok(Reply::new(StatusCode::OK).xml(xml.finish()))
        }
        [queue] => self::queue(&call, queue),
        [queue, "messages"] => messages::answer(&call, queue, None, body).await,
        [queue, "messages", id] => messages::answer(&call, queue, Some(id), body).await,
        _ => Err(error::account_not_found()),
    }
}

fn list(call: &Call) -> Result<Response<Body>> {
    allow(call, Level::Service, "l")?;
    let head = &call.head;
    let given = |name| head.query(name).filter(|value| !value.is_empty());
    let marker = match given("marker") {
        None => None,
        Some(text) => Some(
            Marker::decode(text)
                .ok_or_else(|| error::invalid_query("marker", text, "not a marker of a listing"))?,
        ),
    };
    let limit = head.query_number("maxresults", 1..=PAGE_LIMIT)?;
    let request = ListRequest {
        prefix: given("prefix").unwrap_or_default().to_owned(),
        delimiter: None,
        limit: limit.unwrap_or(PAGE_LIMIT) as usize,
        after: marker.as_ref().map(|marker| marker.after().to_owned()),
    };
    let with_metadata = given("include") == Some("metadata");
    let all = call.account.queues.metadata();
    let found = page(&all, &request, |name, metadata| Some((name, metadata)));
    let endpoint = format!("{}/{}/", call.account.neighbours().queue_url, head.account);
    let mut xml = Xml::document();
    xml.open_with("EnumerationResults", &[("ServiceEndpoint", &endpoint)])
        .optional("Prefix", given("prefix"))
        .optional("Marker", given("marker"))
        .optional("MaxResults", given("maxresults"))
        .open("Queues");
    for entry in found.entries {
        let ListEntry::Item((name, metadata)) = entry else {
            continue;
        };
        xml.open("Queue").element("Name", name);
        if with_metadata {
            xml.open("Metadata");
            for (name, value) in metadata {
                xml.element(name, value);
            }
            xml.close("Metadata");
        }
        xml.close("Queue");
    }
    let page = marker.map_or(1, |marker| marker.page);
    let next = found
        .next_after
        .map(|after| Marker::new(after, page + 1).encode());
    xml.close("Queues")
        .element("NextMarker", &next.unwrap_or_default())
        .close("EnumerationResults");
    Ok(Reply::new(StatusCode::OK).xml(xml.finish()))
}

fn queue(call: &Call, name: &str) -> Result<Response<Body>> {
    if !is_container_name(name) {
        return Err(error::invalid_resource_name());
    }
    let (head, queues) = (&call.head, &call.account.queues);
    let allow = |permissions| allow(call, Level::Container, permissions);
    match (&head.method, head.comp()) {
        (&Method::PUT, "") => {
            allow("cw")?;
            let status = if queues.create(name, metadata(head)?)? {
                StatusCode::CREATED
            } else {
                StatusCode::NO_CONTENT
            };
            Ok(Reply::new(status).empty())
        }
        (&Method::DELETE, "") => {
            allow("d")?;
            queues.delete(name)?;
            Ok(Reply::new(StatusCode::NO_CONTENT).empty())
        }
        (&Method::GET | &Method::HEAD, "metadata") => {
            allow("r")?;
            let (metadata, count) = queues.with(name, |queue, now| {
                (queue.metadata.clone(), queue.count(now))
            })?;
            let mut reply = Reply::new(StatusCode::OK)
                .header("x-ms-approximate-messages-count", count.to_string());
            for (name, value) in &metadata {
                reply = reply.header(&format!("x-ms-meta-{name}"), value);
            }
            Ok(reply.empty())
        }
        (&Method::PUT, "metadata") => {
            allow("w")?;
            let metadata = metadata(head)?;
            queues.with(name, |queue, _| queue.metadata = metadata)?;
            Ok(Reply::new(StatusCode::NO_CONTENT).empty())
        }
        (_, other) => Err(error::not_implemented(&format!(
            "comp={other} of queues by {}",
            head.method
        ))),
    }
}
