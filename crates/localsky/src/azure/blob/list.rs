//! List Containers and List Blobs.

use super::Call;
use crate::azure::container::{Container, State};
use crate::azure::error::{self, Result};
use crate::azure::headers::write_tags;
use crate::azure::model::{Blob, Tier, shown_etag};
use crate::azure::reply::Reply;
use crate::azure::request::{Head, http_date};
use crate::azure::xml::Xml;
use crate::store::listing::{ListEntry, ListRequest, page};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use http::{Response, StatusCode};
use s3s::Body;
use serde::{Deserialize, Serialize};
use skyfresh_sky::Timestamp;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// Most lines of one page (List Blobs, "maxresults").
const PAGE_LIMIT: usize = 5000;

/// Where a listing goes on, opaque to clients.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Marker {
    after: String,
    /// The page that this marker asks for, counted from 1.
    pub(crate) page: u32,
}

impl Marker {
    pub(crate) fn new(after: String, page: u32) -> Self {
        Marker { after, page }
    }

    pub(crate) fn after(&self) -> &str {
        &self.after
    }

    pub(crate) fn encode(&self) -> String {
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn decode(text: &str) -> Option<Self> {
        serde_json::from_slice(&BASE64.decode(text).ok()?).ok()
    }
}

/// What all listings are asked.
struct Asked {
    request: ListRequest,
    page: u32,
    include: HashSet<String>,
}

impl Asked {
    fn of(head: &Head, includes: &[&str]) -> Result<Self> {
        let given = |name| head.query(name).filter(|value| !value.is_empty());
        let marker = match given("marker") {
            None => None,
            Some(text) => Some(Marker::decode(text).ok_or_else(|| {
                error::invalid_query("marker", text, "not a marker of a listing")
            })?),
        };
        let limit = head.query_number("maxresults", 1..=u64::MAX)?;
        let mut include = HashSet::new();
        for name in given("include")
            .into_iter()
            .flat_map(|names| names.split(','))
        {
            if !includes.contains(&name) {
                return Err(error::invalid_query(
                    "include",
                    name,
                    "not served by the local sky",
                ));
            }
            include.insert(name.to_owned());
        }
        Ok(Asked {
            request: ListRequest {
                prefix: given("prefix").unwrap_or_default().to_owned(),
                delimiter: given("delimiter").map(str::to_owned),
                limit: limit.map_or(PAGE_LIMIT, |limit| (limit as usize).min(PAGE_LIMIT)),
                after: marker.as_ref().map(|marker| marker.after.clone()),
            },
            page: marker.map_or(1, |marker| marker.page),
            include,
        })
    }

    fn includes(&self, name: &str) -> bool {
        self.include.contains(name)
    }

    fn open(&self, call: &Call, container: Option<&str>) -> Xml {
        let endpoint = format!(
            "{}/{}/",
            call.account.neighbours().blob_url,
            call.head.account
        );
        let mut attributes = vec![("ServiceEndpoint", endpoint.as_str())];
        attributes.extend(container.map(|name| ("ContainerName", name)));
        let mut xml = Xml::document();
        xml.open_with("EnumerationResults", &attributes);
        let given = |name| call.head.query(name).filter(|value| !value.is_empty());
        if let Some(prefix) = given("prefix") {
            xml.name("Prefix", prefix);
        }
        xml.optional("Marker", given("marker"))
            .optional("MaxResults", given("maxresults"));
        if let Some(delimiter) = given("delimiter") {
            xml.name("Delimiter", delimiter);
        }
        xml
    }

    fn close(&self, mut xml: Xml, next_after: Option<String>) -> Response<Body> {
        let next = next_after.map(|after| Marker::new(after, self.page + 1).encode());
        xml.element("NextMarker", &next.unwrap_or_default())
            .close("EnumerationResults");
        Reply::new(StatusCode::OK).xml(xml.finish())
    }
}

pub(super) fn containers(call: &Call) -> Result<Response<Body>> {
    let asked = Asked::of(&call.head, &["metadata", "deleted", "system"])?;
    let all: BTreeMap<String, Arc<Container>> = call
        .account
        .containers()
        .into_iter()
        .map(|container| (container.name.clone(), container))
        .collect();
    let request = ListRequest {
        delimiter: None,
        ..asked.request.clone()
    };
    let found = page(&all, &request, |_, container| Some(container));
    let mut xml = asked.open(call, None);
    xml.open("Containers");
    for entry in found.entries {
        let ListEntry::Item(container) = entry else {
            continue;
        };
        let Ok(state) = container.lock() else {
            continue;
        };
        let modified = Timestamp::from_unix_ms(state.record.modified_unix_ms);
        xml.open("Container")
            .element("Name", &container.name)
            .open("Properties")
            .element("Last-Modified", &http_date(modified))
            .element("Etag", &format!("\"{}\"", shown_etag(state.record.etag)))
            .element("LeaseStatus", "unlocked")
            .element("LeaseState", "available")
            .element("HasImmutabilityPolicy", "false")
            .element("HasLegalHold", "false")
            .close("Properties");
        if asked.includes("metadata") {
            write_metadata(&mut xml, &state.record.metadata);
        }
        xml.close("Container");
    }
    xml.close("Containers");
    Ok(asked.close(xml, found.next_after))
}

fn write_metadata(xml: &mut Xml, metadata: &BTreeMap<String, String>) {
    xml.open("Metadata");
    for (name, value) in metadata {
        xml.element(name, value);
    }
    xml.close("Metadata");
}

/// A line: a blob, or a name with uncommitted blocks only.
struct Line {
    name: String,
    blob: Option<Arc<Blob>>,
}

pub(super) fn blobs(call: &Call, container: &Container) -> Result<Response<Body>> {
    let includes = [
        "metadata",
        "tags",
        "uncommittedblobs",
        "copy",
        "snapshots",
        "versions",
        "deleted",
    ];
    let asked = Asked::of(&call.head, &includes)?;
    // Inclusive, and only for the first page: the marker goes on from there (List Blobs, version 2026-02-06 and later).
    let start = call.head.query("startFrom").unwrap_or_default();
    let state = container.lock()?;
    let found = page(&state.blobs, &asked.request, |name, entry| {
        let shown = name >= start && (entry.blob.is_some() || asked.includes("uncommittedblobs"));
        shown.then(|| Line {
            name: name.to_owned(),
            blob: entry.blob.clone(),
        })
    });
    drop::<std::sync::MutexGuard<'_, State>>(state);
    let now = container.now();
    let mut xml = asked.open(call, Some(&container.name));
    xml.open("Blobs");
    for entry in &found.entries {
        match entry {
            ListEntry::CommonPrefix(prefix) => {
                xml.open("BlobPrefix")
                    .name("Name", prefix)
                    .close("BlobPrefix");
            }
            ListEntry::Item(line) => write_line(&mut xml, line, &asked, now),
        }
    }
    xml.close("Blobs");
    Ok(asked.close(xml, found.next_after))
}

fn write_line(xml: &mut Xml, line: &Line, asked: &Asked, now: Timestamp) {
    xml.open("Blob").name("Name", &line.name).open("Properties");
    let Some(blob) = &line.blob else {
        xml.element("Content-Length", "0")
            .element("BlobType", "BlockBlob")
            .close("Properties")
            .close("Blob");
        return;
    };
    let properties = &blob.properties;
    let headers = &properties.headers;
    let time = |unix_ms| http_date(Timestamp::from_unix_ms(unix_ms));
    let lease = properties.lease.state(now);
    let content_type = headers.content_type.as_deref();
    xml.element("Creation-Time", &time(properties.created_unix_ms))
        .element("Last-Modified", &time(properties.modified_unix_ms))
        .element("Etag", &properties.etag())
        .element("Content-Length", &blob.content.len().to_string())
        .element(
            "Content-Type",
            content_type.unwrap_or("application/octet-stream"),
        )
        .element(
            "Content-Encoding",
            headers.content_encoding.as_deref().unwrap_or_default(),
        )
        .element(
            "Content-Language",
            headers.content_language.as_deref().unwrap_or_default(),
        )
        .element(
            "Content-MD5",
            headers.content_md5.as_deref().unwrap_or_default(),
        )
        .element(
            "Cache-Control",
            headers.cache_control.as_deref().unwrap_or_default(),
        )
        .element(
            "Content-Disposition",
            headers.content_disposition.as_deref().unwrap_or_default(),
        )
        .element("BlobType", "BlockBlob")
        .element("AccessTier", properties.tier.unwrap_or(Tier::Hot).as_str());
    if properties.tier.is_none() {
        xml.element("AccessTierInferred", "true");
    }
    xml.element(
        "LeaseStatus",
        if lease.locks() { "locked" } else { "unlocked" },
    )
    .element("LeaseState", lease.as_str())
    .optional("LeaseDuration", properties.lease.duration(now))
    .element("ServerEncrypted", "true");
    if let Some(copy) = properties.copy.as_ref().filter(|_| asked.includes("copy")) {
        xml.element("CopyId", &copy.id)
            .element("CopySource", &copy.source)
            .element("CopyStatus", copy.status.as_str())
            .element(
                "CopyProgress",
                &format!("{}/{}", copy.copied_bytes, copy.total_bytes),
            )
            .optional(
                "CopyCompletionTime",
                copy.completed_unix_ms.map(time).as_deref(),
            )
            .optional("CopyStatusDescription", copy.description.as_deref());
    }
    if !properties.tags.is_empty() {
        xml.element("TagCount", &properties.tags.len().to_string());
    }
    xml.close("Properties");
    if asked.includes("metadata") {
        write_metadata(xml, &properties.metadata);
    }
    if asked.includes("tags") && !properties.tags.is_empty() {
        write_tags(xml, &properties.tags);
    }
    xml.close("Blob");
}
