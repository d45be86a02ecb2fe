//! One object by ranged GETs into the parts of a multipart upload.

use crate::connection::{Ask, Connection, Endpoint, drain, nothing};
use crate::list::field;
use crate::pipe::passing;
use anyhow::{Context, Result};
use bytes::Bytes;
use hyper::Method;
use hyper::header::ETAG;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What all workers of an upload share.
struct Upload {
    object: String,
    id: String,
    bytes: u64,
    part_bytes: u64,
    next: AtomicU64,
}

pub(crate) async fn run(
    from: Endpoint,
    to: Endpoint,
    object: String,
    part_bytes: u64,
    connections: usize,
) -> Result<()> {
    let begin = async {
        let mut first = to.connect().await?;
        let answer = first
            .ask(
                &Ask {
                    method: Method::POST,
                    path: &object,
                    query: "uploads=",
                    headers: &[],
                },
                Bytes::new(),
            )
            .await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let id = field(&text, "UploadId").with_context(|| format!("no UploadId in {text}"))?;
        anyhow::Ok((first, id.to_owned()))
    };
    let (sources, destinations, begun) = tokio::join!(
        from.connect_all(connections),
        to.connect_all(connections),
        begin
    );
    let (mut first, id) = begun?;
    let mut sources = sources?;
    let bytes = length(&mut sources[0], &object).await?;
    let upload = Arc::new(Upload {
        object,
        id,
        bytes,
        part_bytes,
        next: AtomicU64::new(0),
    });
    let workers: Vec<_> = sources
        .into_iter()
        .zip(destinations?)
        .map(|(source, destination)| tokio::spawn(work(upload.clone(), source, destination)))
        .collect();
    let mut tags = Vec::new();
    for worker in workers {
        tags.extend(worker.await??);
    }
    tags.sort_unstable();
    let mut document = String::from("<CompleteMultipartUpload>");
    for (number, tag) in &tags {
        let _ = write!(
            document,
            "<Part><PartNumber>{number}</PartNumber><ETag>{tag}</ETag></Part>"
        );
    }
    document.push_str("</CompleteMultipartUpload>");
    let complete = Ask {
        method: Method::POST,
        path: &upload.object,
        query: &format!("uploadId={}", upload.id),
        headers: &[],
    };
    first.ask(&complete, document.into()).await?;
    Ok(())
}

async fn length(source: &mut Connection, object: &str) -> Result<u64> {
    let head = Ask {
        method: Method::HEAD,
        path: object,
        query: "",
        headers: &[],
    };
    let found = source.send(&head, nothing()).await?;
    let length = found.headers().get("content-length").cloned();
    drain(found).await?;
    length
        .and_then(|length| length.to_str().ok()?.parse().ok())
        .context("the source did not say how long the object is")
}

/// Takes parts until there are none left; the entity tags by part number.
async fn work(
    upload: Arc<Upload>,
    mut source: Connection,
    mut destination: Connection,
) -> Result<Vec<(u64, String)>> {
    let mut tags = Vec::new();
    loop {
        let index = upload.next.fetch_add(1, Ordering::Relaxed);
        let start = index * upload.part_bytes;
        if start >= upload.bytes {
            return Ok(tags);
        }
        let end = (start + upload.part_bytes).min(upload.bytes);
        let get = Ask {
            method: Method::GET,
            path: &upload.object,
            query: "",
            headers: &[("range", format!("bytes={start}-{}", end - 1))],
        };
        let (body, length, _) = passing(source.send(&get, nothing()).await?)?;
        let number = index + 1;
        let put = Ask {
            method: Method::PUT,
            path: &upload.object,
            query: &format!("partNumber={number}&uploadId={}", upload.id),
            headers: &[("content-length", length.to_string())],
        };
        let stored = destination.send(&put, body).await?;
        let tag = stored.headers().get(ETAG).and_then(|tag| tag.to_str().ok());
        let tag = tag
            .context("a part was answered without an ETag")?
            .to_owned();
        drain(stored).await?;
        tags.push((number, tag));
    }
}
