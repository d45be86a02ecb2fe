//! Writing the objects that are copied.

use crate::connection::{Ask, BoxBody, Endpoint, drain, whole};
use anyhow::Result;
use bytes::Bytes;
use hyper::Method;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

/// Content is this much of noise, again and again: nothing here compresses or deduplicates.
const BLOCK_BYTES: usize = 1 << 20;

pub(crate) async fn run(
    to: Endpoint,
    bucket: String,
    objects: u64,
    bytes: u64,
    connections: usize,
) -> Result<()> {
    let block = noise();
    let next = Arc::new(AtomicU64::new(0));
    let connections = (connections as u64).min(objects) as usize;
    let workers: Vec<_> = to
        .connect_all(connections)
        .await?
        .into_iter()
        .map(|mut connection| {
            let (block, next, bucket) = (block.clone(), next.clone(), bucket.clone());
            tokio::spawn(async move {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= objects {
                        return anyhow::Ok(());
                    }
                    let path = format!("/{bucket}/object-{index:010}");
                    let ask = Ask {
                        method: Method::PUT,
                        path: &path,
                        query: "",
                        headers: &[("content-length", bytes.to_string())],
                    };
                    drain(connection.send(&ask, content(&block, index, bytes)).await?).await?;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

/// Small contents begin at different places of the block, so that they differ from object to object.
fn content(block: &Bytes, index: u64, bytes: u64) -> BoxBody {
    if bytes <= BLOCK_BYTES as u64 {
        let room = BLOCK_BYTES - bytes as usize + 1;
        let start = (index as usize).wrapping_mul(97) % room;
        return whole(block.slice(start..start + bytes as usize));
    }
    Box::pin(Repeated {
        block: block.clone(),
        left: bytes,
    })
}

/// Noise of a xorshift generator: the same in every run.
fn noise() -> Bytes {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = (0..BLOCK_BYTES / 8).flat_map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.collect()
}

struct Repeated {
    block: Bytes,
    left: u64,
}

impl Body for Repeated {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let bytes = self.left.min(BLOCK_BYTES as u64);
        self.left -= bytes;
        Poll::Ready(Some(Ok(Frame::data(self.block.slice(..bytes as usize)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
