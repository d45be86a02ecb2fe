//! Put Block, Put Block List, Get Block List.

use super::put::new_properties;
use super::read::find;
use super::{Call, Place};
use crate::azure::error::{self, Result};
use crate::azure::model::{Api, CommittedBlock, Entry};
use crate::azure::reply::{Received, Reply, receive, small_body};
use crate::azure::xml::{Xml, leaves};
use crate::store::{Content, Segment};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{Response, StatusCode};
use s3s::Body;
use std::collections::HashMap;

/// The largest block, since version 2019-12-12 (Put Block, "Remarks").
pub(super) const BLOCK_LIMIT_BYTES: u64 = 4000 * 1024 * 1024;
/// The longest block id before encoding (Put Block, "URI parameters").
const ID_LONGEST_BYTES: usize = 64;
/// Most uncommitted blocks of a blob (Put Block, "Remarks").
const UNCOMMITTED_MOST: usize = 100_000;
/// Most blocks of a blob (Put Block List).
const COMMITTED_MOST: usize = 50_000;
/// A list of that many of the longest ids, and room.
const LIST_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// The checked `blockid`.
pub(super) fn given_id(call: &Call) -> Result<String> {
    let id = call.head.required_query("blockid")?;
    let bad = |reason| Err(error::invalid_query("blockid", id, reason));
    match BASE64.decode(id) {
        Err(_) => bad("Not a valid base64 string."),
        Ok(bytes) if bytes.is_empty() || bytes.len() > ID_LONGEST_BYTES => {
            bad("Block ID length is out of range.")
        }
        Ok(_) => Ok(id.to_owned()),
    }
}

pub(super) async fn put(call: Call, place: Place, body: Body) -> Result<Response<Body>> {
    let id = given_id(&call)?;
    if call.head.content_length()? == Some(0) {
        return Err(error::invalid_header("Content-Length", "0"));
    }
    admit(&call, &place, &id)?;
    let received = receive(&call.account, &call.head, body, BLOCK_LIMIT_BYTES).await?;
    keep(call, place, id, received).await
}

/// Whether the blob takes this block.
pub(super) fn admit(call: &Call, place: &Place, id: &str) -> Result<()> {
    let mut state = place.container.lock()?;
    place.container.expire_blocks(&mut state, &place.name);
    let Some(entry) = state.blobs.get(&place.name) else {
        return Ok(());
    };
    if let Some(blob) = &entry.blob {
        let lease = &blob.properties.lease;
        lease.check_write(call.lease_id(), place.container.now())?;
        if !call.grant.may_overwrite() {
            return Err(super::permission_mismatch());
        }
    }
    let known = entry.uncommitted.keys().next();
    if known.is_some_and(|known| known.len() != id.len()) {
        return Err(error::invalid_blob_or_block());
    }
    if entry.uncommitted.len() >= UNCOMMITTED_MOST && !entry.uncommitted.contains_key(id) {
        return Err(error::block_count_exceeds_limit());
    }
    Ok(())
}

/// Stores a block that has arrived.
pub(super) async fn keep(
    call: Call,
    place: Place,
    id: String,
    received: Received,
) -> Result<Response<Body>> {
    let reply = Reply::new(StatusCode::CREATED)
        .header("x-ms-content-crc64", received.crc64_base64())
        .header("x-ms-request-server-encrypted", "true")
        // Only where the request has one, since version 2019-02-02.
        .optional("content-md5", call.head.header("content-md5"));
    let account = call.account.clone();
    account
        .blocking(move || {
            admit(&call, &place, &id)?;
            let mut state = place.container.lock()?;
            place
                .container
                .put_block(&mut state, &place.name, &id, received.content)
        })
        .await?;
    Ok(reply.empty())
}

/// Where Put Block List looks for a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum From {
    Committed,
    Uncommitted,
    Latest,
}

fn parse_list(body: &[u8]) -> Result<Vec<(From, String)>> {
    let mut list = Vec::new();
    for (path, id) in leaves(body)? {
        let from = match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["BlockList", "Committed"] => From::Committed,
            ["BlockList", "Uncommitted"] => From::Uncommitted,
            ["BlockList", "Latest"] => From::Latest,
            ["BlockList"] => continue,
            _ => return Err(error::invalid_xml()),
        };
        if list.len() == COMMITTED_MOST {
            return Err(error::block_list_too_long());
        }
        list.push((from, id));
    }
    Ok(list)
}

/// The blob that a block list makes of what is under its name. Pure.
fn assemble(
    entry: Option<&Entry>,
    list: &[(From, String)],
) -> Result<(Vec<CommittedBlock>, Content)> {
    let mut committed: HashMap<&str, (u64, &[Segment])> = HashMap::new();
    if let Some(blob) = entry.and_then(|entry| entry.blob.as_ref()) {
        let mut rest = blob.content.segments();
        for block in &blob.properties.blocks {
            let (own, others) = rest
                .split_at_checked(block.segments)
                .ok_or_else(error::invalid_block_list)?;
            committed.insert(&block.id, (block.size, own));
            rest = others;
        }
    }
    let (mut blocks, mut segments) = (Vec::with_capacity(list.len()), Vec::new());
    for (from, id) in list {
        let uncommitted = entry
            .and_then(|entry| entry.uncommitted.get(id))
            .map(|block| (block.content.len(), block.content.segments()))
            .filter(|_| *from != From::Committed);
        let committed = committed
            .get(id.as_str())
            .copied()
            .filter(|_| *from != From::Uncommitted);
        let (size, own) = uncommitted
            .or(committed)
            .ok_or_else(error::invalid_block_list)?;
        segments.extend_from_slice(own);
        blocks.push(CommittedBlock {
            id: id.clone(),
            size,
            segments: own.len(),
        });
    }
    Ok((blocks, Content::new(segments)))
}

pub(super) async fn commit(call: Call, place: Place, body: Body) -> Result<Response<Body>> {
    let terms = call.terms()?;
    let mut properties = new_properties(&call, false)?;
    let body = small_body(&call.head, body, LIST_LIMIT_BYTES).await?;
    let list = parse_list(&body)?;
    let reply = Reply::new(StatusCode::CREATED)
        .optional("content-md5", call.head.header("content-md5"))
        .header("x-ms-request-server-encrypted", "true");
    let account = call.account.clone();
    let blob = account
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            container.expire_blocks(&mut state, name);
            terms.admit_creation(&state, name, container.now())?;
            let (blocks, content) = assemble(state.blobs.get(name), &list)?;
            properties.blocks = blocks;
            let api = Some(Api::PutBlockList);
            container.publish(&mut state, name, properties, content, api, &call.origin)
        })
        .await?;
    Ok(reply
        .validators(&blob.properties.etag(), blob.properties.modified())
        .empty())
}

pub(super) fn list(call: &Call, place: &Place) -> Result<Response<Body>> {
    let (committed, uncommitted) = match call.head.query("blocklisttype").unwrap_or("committed") {
        "committed" => (true, false),
        "uncommitted" => (false, true),
        "all" => (true, true),
        other => {
            let reason = "expected committed, uncommitted or all";
            return Err(error::invalid_query("blocklisttype", other, reason));
        }
    };
    let mut state = place.container.lock()?;
    place.container.expire_blocks(&mut state, &place.name);
    let entry = state
        .blobs
        .get(&place.name)
        .ok_or_else(error::blob_not_found)?;
    if entry.blob.is_none() && !uncommitted {
        return Err(error::blob_not_found());
    }
    let mut xml = Xml::document();
    let write = |xml: &mut Xml, id: &str, size: u64| {
        xml.open("Block")
            .element("Name", id)
            .element("Size", &size.to_string())
            .close("Block");
    };
    xml.open("BlockList");
    if committed {
        xml.open("CommittedBlocks");
        for block in entry.blob.iter().flat_map(|blob| &blob.properties.blocks) {
            write(&mut xml, &block.id, block.size);
        }
        xml.close("CommittedBlocks");
    }
    if uncommitted {
        xml.open("UncommittedBlocks");
        for (id, block) in &entry.uncommitted {
            write(&mut xml, id, block.content.len());
        }
        xml.close("UncommittedBlocks");
    }
    xml.close("BlockList");
    let mut reply = Reply::new(StatusCode::OK);
    let exists = entry.blob.is_some();
    drop(state);
    if exists {
        let blob = find(call, place)?;
        reply = reply
            .validators(&blob.properties.etag(), blob.properties.modified())
            .header("x-ms-blob-content-length", blob.content.len().to_string());
    }
    Ok(reply.xml(xml.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::azure::model::{Blob, Block, Properties};
    use bytes::Bytes;
    use std::sync::Arc;

    fn content(text: &'static str) -> Content {
        Content::new(vec![Segment::Memory(Bytes::from_static(text.as_bytes()))])
    }

    fn text(content: &Content) -> String {
        let bytes = |segment: &Segment| match segment {
            Segment::Memory(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Segment::File { .. } => String::new(),
        };
        content.segments().iter().map(bytes).collect()
    }

    fn entry() -> Entry {
        let block = |id: &str, size| CommittedBlock {
            id: id.into(),
            size,
            segments: 1,
        };
        let blob = Blob {
            properties: Properties {
                blocks: vec![block("AA==", 3), block("AQ==", 2)],
                ..Properties::default()
            },
            content: Arc::new(Content::concat(
                [&content("old"), &content("11")].into_iter(),
            )),
        };
        let new = |text| Block {
            content: content(text),
            put_unix_ms: 0,
        };
        Entry {
            blob: Some(Arc::new(blob)),
            uncommitted: [
                ("AA==".to_owned(), new("new")),
                ("Ag==".to_owned(), new("2")),
            ]
            .into(),
        }
    }

    fn commit(body: &str) -> Result<String> {
        let list = parse_list(body.as_bytes())?;
        let (blocks, content) = assemble(Some(&entry()), &list)?;
        assert_eq!(blocks.len(), list.len());
        Ok(text(&content))
    }

    #[test]
    fn a_list_takes_blocks_from_where_it_says() {
        let list = |entries: &str| commit(&format!("<BlockList>{entries}</BlockList>"));
        assert_eq!(
            list("<Latest>AA==</Latest><Latest>AQ==</Latest>").unwrap(),
            "new11"
        );
        assert_eq!(
            list("<Committed>AA==</Committed><Uncommitted>AA==</Uncommitted>").unwrap(),
            "oldnew"
        );
        assert_eq!(
            list("<Latest>Ag==</Latest><Latest>Ag==</Latest>").unwrap(),
            "22"
        );
        assert_eq!(list("").unwrap(), "");
        for unknown in [
            "<Uncommitted>AQ==</Uncommitted>",
            "<Committed>Ag==</Committed>",
            "<Latest>BB==</Latest>",
        ] {
            assert_eq!(
                list(unknown).unwrap_err().code,
                "InvalidBlockList",
                "{unknown}"
            );
        }
        assert_eq!(
            list("<Other>AA==</Other>").unwrap_err().code,
            "InvalidXmlDocument"
        );
    }

    #[test]
    fn a_list_has_at_most_50_000_blocks() {
        let body = |count| {
            format!(
                "<BlockList>{}</BlockList>",
                "<Latest>AA==</Latest>".repeat(count)
            )
        };
        assert_eq!(
            parse_list(body(COMMITTED_MOST).as_bytes()).unwrap().len(),
            COMMITTED_MOST
        );
        let error = parse_list(body(COMMITTED_MOST + 1).as_bytes()).unwrap_err();
        assert_eq!(error.code, "BlockListTooLong");
    }
}
