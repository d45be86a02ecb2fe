//! Listings of objects and versions.

use super::convert::{
    length, owner, shown_algorithms, shown_etag, shown_scope, shown_storage_class, shown_time,
};
use crate::store::listing::{self, ListedObject, ListedVersion};
use crate::store::{ListEntry, ListRequest, RegionStore, VersionListRequest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Most lines of one page (API reference, ListObjectsV2).
const PAGE_LIMIT: i32 = 1_000;

/// `encoding-type=url` keeps these; a space becomes `%20`, which every decoder reads.
pub(crate) const URL_ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/');

/// Where a listing goes on, opaque to clients.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContinuationToken {
    after: String,
    /// The page that this token asks for, counted from 1.
    pub(crate) page: u32,
}

impl ContinuationToken {
    fn encode(&self) -> String {
        BASE64.encode(serde_json::to_vec(self).unwrap_or_default())
    }

    pub(crate) fn decode(token: &str) -> Option<Self> {
        serde_json::from_slice(&BASE64.decode(token).ok()?).ok()
    }
}

/// Encodes names where the client asked for it.
#[derive(Clone)]
struct Names(Option<EncodingType>);

impl Names {
    fn new(encoding: Option<EncodingType>) -> S3Result<Self> {
        match encoding.as_ref().map(EncodingType::as_str) {
            None | Some("url") => Ok(Names(encoding)),
            Some(_) => Err(s3_error!(
                InvalidArgument,
                "Invalid Encoding Method specified in Request"
            )),
        }
    }

    fn show(&self, name: &str) -> String {
        match self.0 {
            Some(_) => utf8_percent_encode(name, URL_ENCODED).to_string(),
            None => name.to_owned(),
        }
    }

    /// Takes the name where it is shown as it is.
    fn show_own(&self, name: String) -> String {
        match self.0 {
            Some(_) => self.show(&name),
            None => name,
        }
    }

    fn show_some(&self, name: Option<&str>) -> Option<String> {
        name.map(|name| self.show(name))
    }
}

fn limit(max: Option<i32>) -> S3Result<i32> {
    let max = max.unwrap_or(PAGE_LIMIT);
    if max < 0 {
        return Err(s3_error!(
            InvalidArgument,
            "Argument maxKeys must be an integer between 0 and 2147483647"
        ));
    }
    Ok(max.min(PAGE_LIMIT))
}

fn split<T, U>(
    entries: Vec<ListEntry<T>>,
    names: &Names,
    mut show: impl FnMut(T) -> U,
) -> (Vec<U>, Option<Vec<CommonPrefix>>) {
    let (mut items, mut prefixes) = (Vec::new(), Vec::new());
    for entry in entries {
        match entry {
            ListEntry::Item(item) => items.push(show(item)),
            ListEntry::CommonPrefix(prefix) => {
                prefixes.push(CommonPrefix {
                    prefix: Some(names.show(&prefix)),
                });
            }
        }
    }
    (items, (!prefixes.is_empty()).then_some(prefixes))
}

fn shown_object(item: ListedObject, names: &Names, with_owner: bool) -> Object {
    let meta = &item.object.meta;
    Object {
        key: Some(names.show_own(item.key)),
        e_tag: Some(shown_etag(&meta.etag)),
        last_modified: Some(shown_time(item.modified)),
        size: Some(length(meta.size)),
        storage_class: Some(shown_storage_class(&meta.attributes).into()),
        owner: with_owner.then(owner),
        checksum_algorithm: shown_algorithms(meta.checksum.as_ref()),
        checksum_type: meta
            .checksum
            .as_ref()
            .map(|checksum| shown_scope(checksum.scope)),
        ..Default::default()
    }
}

pub(crate) async fn objects_v2(
    store: &Arc<RegionStore>,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let names = Names::new(input.encoding_type.clone())?;
    let token = match &input.continuation_token {
        None => None,
        Some(token) => Some(ContinuationToken::decode(token).ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "The continuation token provided is incorrect"
            )
        })?),
    };
    let page_number = token.as_ref().map_or(1, |token| token.page);
    let max_keys = limit(input.max_keys)?;
    let list = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after: token
            .map(|token| token.after)
            .or_else(|| input.start_after.clone()),
        limit: max_keys as usize,
    };
    let page = listing::objects(&bucket.lock(), &list);
    let next = page.next_after.map(|after| {
        ContinuationToken {
            after,
            page: page_number + 1,
        }
        .encode()
    });
    let with_owner = input.fetch_owner.unwrap_or(false);
    let key_count = page.entries.len() as i32;
    let (contents, common_prefixes) = split(page.entries, &names, |item| {
        shown_object(item, &names, with_owner)
    });
    let output = ListObjectsV2Output {
        name: Some(input.bucket),
        prefix: Some(names.show(&list.prefix)),
        max_keys: Some(max_keys),
        key_count: Some(key_count),
        continuation_token: input.continuation_token,
        is_truncated: Some(next.is_some()),
        next_continuation_token: next,
        contents: Some(contents),
        common_prefixes,
        delimiter: names.show_some(list.delimiter.as_deref()),
        start_after: names.show_some(input.start_after.as_deref()),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

pub(crate) async fn objects(
    store: &Arc<RegionStore>,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let names = Names::new(input.encoding_type.clone())?;
    let max_keys = limit(input.max_keys)?;
    let list = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after: input.marker.clone().filter(|marker| !marker.is_empty()),
        limit: max_keys as usize,
    };
    let page = listing::objects(&bucket.lock(), &list);
    let (contents, common_prefixes) = split(page.entries, &names, |item| {
        shown_object(item, &names, true)
    });
    let output = ListObjectsOutput {
        name: Some(input.bucket),
        prefix: Some(names.show(&list.prefix)),
        marker: Some(names.show(input.marker.as_deref().unwrap_or_default())),
        max_keys: Some(max_keys),
        is_truncated: Some(page.next_after.is_some()),
        // Without a delimiter the last key is the marker, and S3 does not repeat it.
        next_marker: names.show_some(
            page.next_after
                .as_deref()
                .filter(|_| list.delimiter.is_some()),
        ),
        contents: Some(contents),
        common_prefixes,
        delimiter: names.show_some(list.delimiter.as_deref()),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}

fn shown_version(item: &ListedVersion, names: &Names) -> Option<ObjectVersion> {
    let meta = &item.version.object.as_ref()?.meta;
    Some(ObjectVersion {
        key: Some(names.show(&item.key)),
        version_id: Some(item.version.shown_id().to_owned()),
        is_latest: Some(item.is_latest),
        last_modified: Some(shown_time(item.version.modified)),
        e_tag: Some(shown_etag(&meta.etag)),
        size: Some(length(meta.size)),
        storage_class: Some(shown_storage_class(&meta.attributes).into()),
        owner: Some(owner()),
        checksum_algorithm: shown_algorithms(meta.checksum.as_ref()),
        checksum_type: meta
            .checksum
            .as_ref()
            .map(|checksum| shown_scope(checksum.scope)),
        ..Default::default()
    })
}

pub(crate) async fn versions(
    store: &Arc<RegionStore>,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let bucket = store.bucket(&input.bucket)?;
    let names = Names::new(input.encoding_type.clone())?;
    let max_keys = limit(input.max_keys)?;
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let (after, after_version) = (given(&input.key_marker), given(&input.version_id_marker));
    if after.is_none() && after_version.is_some() {
        return Err(s3_error!(
            InvalidArgument,
            "A version-id marker cannot be specified without a key marker."
        ));
    }
    let list = ListRequest {
        prefix: input.prefix.clone().unwrap_or_default(),
        delimiter: input.delimiter.clone(),
        after,
        limit: max_keys as usize,
    };
    let versions = VersionListRequest {
        list,
        after_version,
    };
    let page = listing::versions(&bucket.lock(), &versions);
    let (items, common_prefixes) = split(page.entries, &names, |item| item);
    let shown = items
        .iter()
        .filter_map(|item| shown_version(item, &names))
        .collect();
    let markers = items
        .iter()
        .filter(|item| item.version.object.is_none())
        .map(|item| DeleteMarkerEntry {
            key: Some(names.show(&item.key)),
            version_id: Some(item.version.shown_id().to_owned()),
            is_latest: Some(item.is_latest),
            last_modified: Some(shown_time(item.version.modified)),
            owner: Some(owner()),
        })
        .collect();
    let (next_key, next_version) = page
        .next
        .map_or((None, None), |(key, version)| (Some(key), version));
    let output = ListObjectVersionsOutput {
        name: Some(input.bucket),
        prefix: Some(names.show(&versions.list.prefix)),
        key_marker: Some(names.show(input.key_marker.as_deref().unwrap_or_default())),
        version_id_marker: input.version_id_marker,
        max_keys: Some(max_keys),
        is_truncated: Some(next_key.is_some()),
        next_key_marker: names.show_some(next_key.as_deref()),
        next_version_id_marker: next_version,
        versions: Some(shown),
        delete_markers: Some(markers),
        common_prefixes,
        delimiter: names.show_some(versions.list.delimiter.as_deref()),
        encoding_type: input.encoding_type,
        ..Default::default()
    };
    Ok(S3Response::new(output))
}
