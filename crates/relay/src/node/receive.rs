//! The receiving side of one connection of a hop.

use super::Shared;
use super::flow::Flow;
use super::item::{Item, Space};
use crate::crypto::{Peer, Reader, Writer};
use crate::frame::{ChunkHeader, Frame, read_frame, reason};
use crate::program::Operator;
use crate::topology::MAX_CONNECTIONS;
use crate::{Error, NodeId, Result, TreeId};
use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm, Digest};
use skyfresh_sky::{Kind, timeout};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// Takes chunks from a previous hop until the connection or the route ends.
pub(super) async fn serve(
    shared: &Arc<Shared>,
    mut reader: Reader,
    mut writer: Writer,
    peer: &Peer,
    from: &NodeId,
    tree: TreeId,
    connections: u16,
) -> Result<()> {
    let flow = match admit(shared, peer, from, tree, connections) {
        Ok(flow) => flow,
        Err(error) => {
            refuse(&mut writer, &error).await;
            return Err(error);
        }
    };
    let window_bytes = (flow.queue_bytes / u64::from(connections)).max(flow.chunk_bytes.into());
    // What goes back is bounded: one `Taken` and one `Credit` for each chunk that the window lets in, and acknowledgements of
    // chunks that the owner's window lets out.
    let (back, outgoing) = unbounded_channel();
    let _ = back.send(Frame::Welcome { window_bytes });
    let line = flow.upstream.open(back.clone());
    let heard_ns = AtomicU64::new(shared.clock.monotonic_ns());
    let result = tokio::select! {
        result = take(shared, &flow, &mut reader, &back, &heard_ns) => result,
        result = answer(shared, &mut writer, outgoing) => result,
        () = watch(shared, &heard_ns) => Err(Error::new(
            Kind::RetryAfter,
            "receive",
            format!("nothing was heard from {from} for {} ms", shared.timing.link_timeout_ms),
        )),
        () = flow.stop.cancelled() => Ok(()),
    };
    flow.upstream.close(line);
    if let Err(error) = &result {
        refuse(&mut writer, error).await;
    }
    result
}

fn admit(
    shared: &Arc<Shared>,
    peer: &Peer,
    from: &NodeId,
    tree: TreeId,
    connections: u16,
) -> Result<Arc<Flow>> {
    if !shared.endpoint.is(peer, from) {
        return Err(Error::new(
            Kind::Denied,
            "receive",
            format!("the caller is not {from}"),
        ));
    }
    let flow = shared.flow(tree).ok_or_else(|| {
        // The owner may not have told us yet, or has told us already that it is over.
        Error::new(
            Kind::RetryAfter,
            "receive",
            format!("{tree} does not go over this node now"),
        )
    })?;
    let expected = matches!(flow.route.operators.first(), Some(Operator::Receive { from: expected }) if expected == from);
    if !expected || connections == 0 || connections > MAX_CONNECTIONS {
        return Err(Error::new(
            Kind::Denied,
            "receive",
            format!("{from} does not send on {tree}"),
        ));
    }
    Ok(flow)
}

async fn refuse(writer: &mut Writer, error: &Error) {
    let frame = Frame::Error {
        kind: error.kind,
        why: reason(error),
    };
    if let Ok(bytes) = frame.encode() {
        // Whether the other side still hears it makes no difference.
        let _ = writer.write_all(&bytes).await;
        let _ = writer.shutdown().await;
    }
}

async fn watch(shared: &Shared, heard_ns: &AtomicU64) {
    loop {
        shared.clock.sleep(shared.heartbeat()).await;
        // While this side waits for room it does not listen, and the mark lies in the future.
        let silent_ns = shared
            .clock
            .monotonic_ns()
            .saturating_sub(heard_ns.load(Ordering::Relaxed));
        if silent_ns > shared.timing.link_timeout_ms * 1_000_000 {
            return;
        }
    }
}

async fn answer(
    shared: &Shared,
    writer: &mut Writer,
    mut outgoing: UnboundedReceiver<Frame>,
) -> Result<()> {
    let failed = |error| Error::io("answer", "previous hop", error);
    loop {
        match timeout(&*shared.clock, shared.heartbeat(), outgoing.recv()).await {
            Some(Some(frame)) => writer.write_all(&frame.encode()?).await.map_err(failed)?,
            Some(None) => return Ok(()),
            None => writer
                .write_all(&Frame::Alive.encode()?)
                .await
                .map_err(failed)?,
        }
        // Whatever else is waiting goes with it.
        while let Ok(frame) = outgoing.try_recv() {
            writer.write_all(&frame.encode()?).await.map_err(failed)?;
        }
        writer.flush().await.map_err(failed)?;
    }
}

async fn take(
    shared: &Arc<Shared>,
    flow: &Arc<Flow>,
    reader: &mut Reader,
    back: &UnboundedSender<Frame>,
    heard_ns: &AtomicU64,
) -> Result<()> {
    loop {
        let frame = read_frame(&mut **reader, false).await?;
        heard_ns.store(shared.clock.monotonic_ns(), Ordering::Relaxed);
        let (sequence, header) = match frame {
            Frame::Chunk { sequence, header } => (sequence, header),
            Frame::Alive => continue,
            _ => {
                return Err(Error::new(
                    Kind::Corrupt,
                    "receive",
                    "a sender says what only a receiver may",
                ));
            }
        };
        if header.job != shared.job()
            || header.tree != flow.route.tree
            || header.payload_bytes > flow.chunk_bytes
        {
            return Err(Error::new(
                Kind::Corrupt,
                "receive",
                format!(
                    "chunk {} of another job or tree, or too large",
                    header.chunk
                ),
            ));
        }
        heard_ns.store(u64::MAX, Ordering::Relaxed);
        let room = Arc::clone(&flow.room)
            .acquire_many_owned(header.payload_bytes)
            .await;
        let room =
            room.map_err(|error| Error::new(Kind::Internal, "receive", error.to_string()))?;
        heard_ns.store(shared.clock.monotonic_ns(), Ordering::Relaxed);
        let space = Space::new(
            shared,
            header.payload_bytes.into(),
            room,
            Some(back.clone()),
        );
        let Some(payload) = read_payload(shared, reader, &header, heard_ns).await? else {
            let _ = back.send(Frame::Damaged { sequence });
            continue;
        };
        let _ = back.send(Frame::Taken { sequence });
        let item = Item {
            header: Arc::new(header),
            payload,
            manifest: None,
            proved: false,
            resends: 0,
            _space: space,
        };
        flow.pass(0, item);
    }
}

/// The payload, straight into a buffer of its size; `None` where it is not what its checksum says.
async fn read_payload(
    shared: &Shared,
    reader: &mut Reader,
    header: &ChunkHeader,
    heard_ns: &AtomicU64,
) -> Result<Option<Bytes>> {
    let size = header.payload_bytes as usize;
    let mut payload = BytesMut::with_capacity(size);
    let mut limited = reader.take(size as u64);
    let mut checksum = Digest::new(CrcAlgorithm::Crc64Nvme);
    while payload.len() < size {
        let before = payload.len();
        let read = limited
            .read_buf(&mut payload)
            .await
            .map_err(|error| Error::io("receive", "previous hop", error))?;
        if read == 0 {
            return Err(Error::new(
                Kind::RetryAfter,
                "receive",
                "the connection ended inside a chunk",
            ));
        }
        // While it is still in the processor's cache.
        checksum.update(&payload[before..]);
        heard_ns.store(shared.clock.monotonic_ns(), Ordering::Relaxed);
    }
    Ok((checksum.finalize() == header.payload_checksum).then(|| payload.freeze()))
}
