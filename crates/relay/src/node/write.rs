//! The destination's side: proves, writes once, acknowledges.

use super::flow::{Flow, manifest_of, prove};
use super::item::Item;
use super::lock;
use crate::chunk::{ChunkSink, MAX_RECEIPT_BYTES};
use crate::frame::{Acknowledgement, Codec, Frame};
use crate::{Chunk, Error, Receipt, Result};
use skyfresh_sky::Kind;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Writes at once for each destination and route.
const WRITES_AT_ONCE: usize = 16;

/// What one node has written in this job. Grows by a row a chunk, some hundred bytes with its receipt: a terabyte in chunks of
/// 8 MiB is a dozen megabytes.
#[derive(Default)]
pub(crate) struct Written(Mutex<HashMap<Place, State>>);

/// A chunk at a destination. Not its number: what makes a write idempotent is where the bytes go.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Place {
    destination: u8,
    object: u64,
    offset: u64,
    length: u32,
}

enum State {
    Writing,
    Held(Receipt),
}

/// One `Write` operator at work.
pub(crate) struct Writing {
    destination: u8,
    sink: Arc<dyn ChunkSink>,
    turns: Semaphore,
}

/// Frees a place whose write did not come to its end, whatever ended it.
struct Claim<'a> {
    written: &'a Written,
    place: Place,
    receipt: Option<Receipt>,
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut written = lock(&self.written.0);
        match self.receipt.take() {
            Some(receipt) => written.insert(self.place, State::Held(receipt)),
            None => written.remove(&self.place),
        };
    }
}

impl Writing {
    pub(crate) fn new(destination: u8, sink: Arc<dyn ChunkSink>) -> Self {
        Writing {
            destination,
            sink,
            turns: Semaphore::new(WRITES_AT_ONCE),
        }
    }

    /// Writes a chunk, or says again what was said when it was written before.
    pub(crate) async fn write(&self, flow: &Arc<Flow>, item: Item) -> Result<()> {
        let item = self.prove(flow, item).await?;
        let manifest = manifest_of(&item)?;
        let header = &item.header;
        let acknowledge = |receipt: Receipt| {
            flow.upstream.send(Frame::Written(Acknowledgement {
                chunk: header.chunk,
                attempt: header.attempt,
                destination: self.destination,
                receipt,
            }));
        };
        let place = Place {
            destination: self.destination,
            object: header.object,
            offset: header.offset,
            length: header.length,
        };
        let written = &flow.shared.written;
        {
            let mut places = lock(&written.0);
            match places.get(&place) {
                Some(State::Held(receipt)) => {
                    flow.shared
                        .counters
                        .duplicates
                        .fetch_add(1, Ordering::Relaxed);
                    acknowledge(receipt.clone());
                    return Ok(());
                }
                // The write under way will acknowledge.
                Some(State::Writing) => {
                    flow.shared
                        .counters
                        .duplicates
                        .fetch_add(1, Ordering::Relaxed);
                    return Ok(());
                }
                None => places.insert(place, State::Writing),
            };
        }
        let mut claim = Claim {
            written,
            place,
            receipt: None,
        };
        let turn = self.turns.acquire().await;
        let _turn =
            turn.map_err(|error| Error::new(Kind::Internal, "write chunk", error.to_string()))?;
        let chunk = Chunk {
            id: header.chunk,
            object: header.object,
            key: manifest.key.clone(),
            version: manifest.version.clone(),
            offset: header.offset,
            length: header.length,
            checksum: Some(manifest.checksum),
            notes: manifest
                .notes
                .get(usize::from(self.destination))
                .cloned()
                .into_iter()
                .collect(),
        };
        let receipt = self.sink.write(&chunk, item.payload.clone()).await?;
        if receipt.0.len() > MAX_RECEIPT_BYTES {
            return Err(Error::new(
                Kind::Internal,
                "write chunk",
                format!(
                    "the sink's receipt has {} bytes, above {MAX_RECEIPT_BYTES}",
                    receipt.0.len()
                ),
            ));
        }
        claim.receipt = Some(receipt.clone());
        drop(claim);
        acknowledge(receipt);
        Ok(())
    }

    async fn prove(&self, flow: &Arc<Flow>, mut item: Item) -> Result<Item> {
        if item.proved {
            return Ok(item);
        }
        let manifest = manifest_of(&item)?;
        let plain =
            manifest.codec == Codec::None && item.header.payload_bytes == item.header.length;
        if plain && manifest.checksum == item.header.payload_checksum {
            // The wire's checksum was over the same bytes, and was compared as they came in.
            item.manifest = Some(manifest);
            item.proved = true;
            return Ok(item);
        }
        flow.offload(move || prove(item)).await
    }
}
