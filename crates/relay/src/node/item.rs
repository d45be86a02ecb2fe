//! A chunk inside a node, and the space it takes.

use super::lock;
use super::message::Usage;
use crate::NodeId;
use crate::frame::{ChunkHeader, Frame, Manifest};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// A chunk on its way through the operators. Clones share header, payload and space.
#[derive(Clone)]
pub(crate) struct Item {
    pub(crate) header: Arc<ChunkHeader>,
    pub(crate) payload: Bytes,
    /// Known at the source, and once the seal is open.
    pub(crate) manifest: Option<Arc<Manifest>>,
    /// The plain bytes were compared with the manifest's checksum.
    pub(crate) proved: bool,
    /// How often a hop had to send it again.
    pub(crate) resends: u32,
    pub(crate) _space: Arc<Space>,
}

/// Room in a route's queue. Given back when the last holder of the chunk lets go, and told to the previous hop then.
pub(crate) struct Space {
    bytes: u64,
    shared: Arc<super::Shared>,
    credit: Option<UnboundedSender<Frame>>,
    _room: OwnedSemaphorePermit,
}

impl Space {
    pub(crate) fn new(
        shared: &Arc<super::Shared>,
        bytes: u64,
        room: OwnedSemaphorePermit,
        credit: Option<UnboundedSender<Frame>>,
    ) -> Arc<Space> {
        shared.counters.hold(bytes);
        Arc::new(Space {
            bytes,
            shared: Arc::clone(shared),
            credit,
            _room: room,
        })
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        self.shared
            .counters
            .held_bytes
            .fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some(credit) = &self.credit {
            // A connection that is gone needs no credit.
            let _ = credit.send(Frame::Credit { bytes: self.bytes });
        }
    }
}

/// What a node counts.
#[derive(Default)]
pub(crate) struct Counters {
    held_bytes: AtomicU64,
    peak_bytes: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) read_chunks: AtomicU64,
    pub(crate) hop_resends: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    sent_bytes: Mutex<BTreeMap<NodeId, Arc<AtomicU64>>>,
}

impl Counters {
    fn hold(&self, bytes: u64) {
        let held = self.held_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.peak_bytes.fetch_max(held, Ordering::Relaxed);
    }

    /// The counter of what `to` has taken.
    pub(crate) fn sent_to(&self, to: &NodeId) -> Arc<AtomicU64> {
        Arc::clone(lock(&self.sent_bytes).entry(to.clone()).or_default())
    }

    pub(crate) fn usage(&self) -> Usage {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let sent = lock(&self.sent_bytes);
        Usage {
            held_bytes: load(&self.held_bytes),
            peak_bytes: load(&self.peak_bytes),
            read_bytes: load(&self.read_bytes),
            read_chunks: load(&self.read_chunks),
            sent_bytes: sent
                .iter()
                .map(|(to, bytes)| (to.clone(), load(bytes)))
                .collect(),
            hop_resends: load(&self.hop_resends),
            duplicates: load(&self.duplicates),
        }
    }
}
