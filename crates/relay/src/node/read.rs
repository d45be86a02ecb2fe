//! The source's side: chunks that the owner assigned are read, several at once, as far as the route's queue has room.

use super::Assignment;
use super::flow::{Flow, crc64};
use super::item::{Item, Space};
use crate::frame::{ChunkHeader, Codec, Manifest, PAYLOAD_TAG_BYTES, Stage};
use crate::program::Operator;
use crate::{Error, MAX_CHUNK_BYTES, Result};
use bytes::Bytes;
use skyfresh_sky::Kind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Chunks read at once for each route: enough to hide an object store's delay.
const READS_AT_ONCE: u16 = 8;
/// Times that one chunk is read before the owner is told.
const MAX_READS: u32 = 3;

pub(super) fn begin(flow: &Arc<Flow>, queue_chunks: u16) {
    for _ in 0..READS_AT_ONCE.min(queue_chunks) {
        let (flow, stop) = (Arc::clone(flow), flow.stop.clone());
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            loop {
                let assignment = flow.assignments.pop().await;
                if let Err(error) = carry(&flow, &assignment).await {
                    flow.fail(
                        Stage::Source,
                        (assignment.chunk.id, assignment.attempt),
                        assignment.wanted,
                        &error,
                    );
                }
            }
        }));
    }
}

async fn carry(flow: &Arc<Flow>, assignment: &Assignment) -> Result<()> {
    let chunk = &assignment.chunk;
    if chunk.length > flow.chunk_bytes.min(MAX_CHUNK_BYTES) {
        return Err(Error::invalid(
            "read chunk",
            format!(
                "chunk {} of {} bytes, above {}",
                chunk.id, chunk.length, flow.chunk_bytes
            ),
        ));
    }
    let room = Arc::clone(&flow.room)
        .acquire_many_owned(chunk.length)
        .await;
    let room = room.map_err(|error| Error::new(Kind::Internal, "read chunk", error.to_string()))?;
    let space = Space::new(&flow.shared, chunk.length.into(), room, None);
    let (payload, checksum) = read(flow, assignment).await?;
    flow.shared
        .counters
        .read_chunks
        .fetch_add(1, Ordering::Relaxed);
    let manifest = Manifest {
        key: chunk.key.clone(),
        version: chunk.version.clone(),
        checksum,
        codec: Codec::None,
        notes: chunk.notes.clone(),
    };
    let header = ChunkHeader {
        job: flow.shared.job(),
        tree: assignment.tree,
        chunk: chunk.id,
        attempt: assignment.attempt,
        object: chunk.object,
        offset: chunk.offset,
        length: chunk.length,
        wanted: assignment.wanted,
        payload_bytes: chunk.length,
        payload_checksum: checksum,
        payload_tag: [0; PAYLOAD_TAG_BYTES],
        manifest: manifest.encode()?,
    };
    let item = Item {
        header: Arc::new(header),
        payload,
        manifest: Some(Arc::new(manifest)),
        proved: true,
        resends: 0,
        _space: space,
    };
    // Sealing happens here and not behind the queue: the reader's pace is the pace of what can be sent.
    match flow.route.outputs(0).next() {
        Some(at) if is_step(flow, at) => {
            let (at, item) = flow.transform(at, item).await?;
            flow.pass(at, item);
        }
        _ => flow.pass(0, item),
    }
    Ok(())
}

fn is_step(flow: &Flow, at: u16) -> bool {
    matches!(
        flow.route.operators.get(usize::from(at)),
        Some(Operator::Compress | Operator::Seal)
    )
}

/// The chunk's bytes and their checksum, read again where that may help.
async fn read(flow: &Arc<Flow>, assignment: &Assignment) -> Result<(Bytes, u64)> {
    let mut tries = 0;
    loop {
        let result = read_once(flow, assignment).await;
        tries += 1;
        match result {
            Err(error)
                if tries < MAX_READS && matches!(error.kind, Kind::RetryAfter | Kind::Corrupt) =>
            {
                tracing::debug!(chunk = assignment.chunk.id, %error, "reading again");
                let pause = Duration::from_millis(50 << tries);
                flow.shared.clock.sleep(pause).await;
            }
            result => return result,
        }
    }
}

async fn read_once(flow: &Arc<Flow>, assignment: &Assignment) -> Result<(Bytes, u64)> {
    let chunk = &assignment.chunk;
    let source = flow.source.as_ref();
    let source = source.ok_or_else(|| Error::invalid("read chunk", "this route does not read"))?;
    let payload = source.read(chunk).await?;
    flow.shared
        .counters
        .read_bytes
        .fetch_add(payload.len() as u64, Ordering::Relaxed);
    if payload.len() != chunk.length as usize {
        return Err(Error::new(
            Kind::Corrupt,
            "read chunk",
            format!(
                "{:?} gave {} bytes at {} instead of {}",
                chunk.key,
                payload.len(),
                chunk.offset,
                chunk.length
            ),
        ));
    }
    let (payload, checksum) = flow
        .offload(move || {
            let checksum = crc64(&payload);
            Ok((payload, checksum))
        })
        .await?;
    if chunk.checksum.is_some_and(|expected| expected != checksum) {
        return Err(Error::new(
            Kind::Corrupt,
            "read chunk",
            format!(
                "{:?} gave other bytes at {} than its checksum says: check the source",
                chunk.key, chunk.offset
            ),
        ));
    }
    Ok((payload, checksum))
}
