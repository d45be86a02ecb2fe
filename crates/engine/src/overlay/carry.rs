//! Hands parts to the relays' job and hears what became of them.

use super::edges::{PartAnswer, PartNote};
use skyfresh_ledger::PartDone;
use skyfresh_relay::executor::Executor;
use skyfresh_relay::job::{
    Failed, Feed, Job, JobOptions, JobReport, JobSeams, Listener, feed, run_fed,
};
use skyfresh_relay::topology::Topology;
use skyfresh_relay::{Chunk, DestinationSet, JobId, Receipt, Result as RelayResult};
use skyfresh_sky::{Clock, Kind, ObjectKey, ObjectVersion, Rng};
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Parts that wait for the relays' owner; beyond, whoever hands them over waits.
const WAITING: usize = 64;
/// Parts in a row that relays could not bring to a destination before they are asked no more for it.
const HOPELESS: u64 = 8;

/// The relays' world.
pub struct OverlaySeams {
    /// Where relays are started.
    pub executor: Arc<dyn Executor>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness, for the job's name.
    pub rng: Rng,
    /// Hears of losses and progress.
    pub listener: Option<Listener>,
    /// Ends the relays, whatever they do.
    pub stop: CancellationToken,
}

impl fmt::Debug for OverlaySeams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverlaySeams").finish_non_exhaustive()
    }
}

/// Relays at work for one bulk job. When it is dropped, they end.
#[derive(Debug)]
pub struct Overlay {
    /// Gone when relays carry nothing: they, and machines that are paid for them, end then.
    feed: Mutex<Option<Feed>>,
    chunk_bytes: u32,
    /// Parts in a row that did not come to each destination.
    in_a_row: Vec<AtomicU64>,
    next_object: AtomicU64,
    fallen: Arc<Fallen>,
}

/// Parts that went through this process after all.
#[derive(Debug, Default)]
pub struct Fallen {
    parts: AtomicU64,
    first: Mutex<Option<String>>,
}

impl Fallen {
    /// How many, and why the first of them; `None` where there were none.
    pub fn read(&self) -> Option<(u64, String)> {
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        let parts = self.parts.load(Ordering::Relaxed);
        first.clone().map(|why| (parts, why))
    }

    fn add(&self, why: &str) {
        self.parts.fetch_add(1, Ordering::Relaxed);
        let mut first = self.first.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_none() {
            *first = Some(why.to_owned());
            tracing::warn!(why, "a part could not be carried by relays: it goes direct");
        }
    }
}

/// A part of an object, wherever it is to go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Part {
    pub(crate) key: ObjectKey,
    /// Of this version.
    pub(crate) version: ObjectVersion,
    /// Whether its CRC32C is wanted too.
    pub(crate) crc32c: bool,
    pub(crate) number: u32,
    pub(crate) offset: u64,
    pub(crate) size: u64,
}

/// A part that relays are to carry.
pub(crate) struct PartAsked<'a> {
    pub(crate) part: &'a Part,
    /// The destinations that lack it.
    pub(crate) uploads: Vec<PartAt<'a>>,
}

/// A destination that lacks a part.
pub(crate) struct PartAt<'a> {
    pub(crate) target: usize,
    pub(crate) name: &'a ObjectKey,
    pub(crate) upload: &'a str,
}

impl Overlay {
    /// Starts relays in this shape, whose destinations are the bulk job's targets in their order. The future is the relays' job: it
    /// must be polled for anything to be carried, and ends when the overlay is dropped and everything handed over was answered.
    pub fn start(
        topology: Topology,
        options: JobOptions,
        seams: OverlaySeams,
    ) -> (
        Overlay,
        impl Future<Output = RelayResult<JobReport>> + Send + 'static,
    ) {
        let (feed, fed) = feed(WAITING);
        let overlay = Overlay {
            feed: Mutex::new(Some(feed)),
            chunk_bytes: topology.chunk_bytes,
            in_a_row: topology
                .destinations
                .iter()
                .map(|_| AtomicU64::new(0))
                .collect(),
            next_object: AtomicU64::new(0),
            fallen: Arc::default(),
        };
        let job = Job {
            id: JobId::draw(&seams.rng),
            topology,
            chunks: Vec::new(),
            options,
        };
        let seams = JobSeams {
            executor: seams.executor,
            clock: seams.clock,
            listener: seams.listener,
            stop: seams.stop,
        };
        (overlay, run_fed(job, fed, seams))
    }

    /// Parts that went through this process after all; readable when the overlay is gone.
    pub fn fallen(&self) -> Arc<Fallen> {
        Arc::clone(&self.fallen)
    }

    /// Most bytes of a part that relays carry.
    pub(crate) fn chunk_bytes(&self) -> u64 {
        self.chunk_bytes.into()
    }

    /// Has a part carried; for each of its uploads the part as its store holds it, or `None` where it must go another way.
    pub(crate) async fn part(&self, asked: &PartAsked<'_>) -> Vec<Option<PartDone>> {
        let mut done = vec![None; asked.uploads.len()];
        self.part_each(asked, |at, part| done[at] = part).await;
        done
    }

    /// The same, and says of each upload, by its place among those asked for, at once what came of it.
    pub(crate) async fn part_each(
        &self,
        asked: &PartAsked<'_>,
        mut each: impl FnMut(usize, Option<PartDone>),
    ) {
        let reached = self.reaches();
        let is_reached = |at: &PartAt<'_>| reached.contains(at.target as u8);
        for (at, upload) in asked.uploads.iter().enumerate() {
            if !is_reached(upload) {
                self.fallen.add("relays do not reach a destination");
                each(at, None);
            }
        }
        if !asked.uploads.iter().any(is_reached) {
            return;
        }
        let (feed, chunk, wanted) = match self.handed(asked, reached) {
            Ok(handed) => handed,
            Err(why) => {
                self.fallen.add(why);
                let uploads = asked.uploads.iter().enumerate();
                let open = uploads.filter(|(_, upload)| is_reached(upload));
                open.for_each(|(at, _)| each(at, None));
                return;
            }
        };
        let answered = |target: u8, answer| {
            let here = |at: &PartAt<'_>| at.target == usize::from(target);
            if let Some(at) = asked.uploads.iter().position(here) {
                each(at, self.carried(asked.part, target, answer));
            }
        };
        feed.carry_each(chunk, wanted, answered).await;
    }

    /// A part as the relays' job takes it, and the way there; or why it takes it not.
    fn handed(
        &self,
        asked: &PartAsked<'_>,
        reached: DestinationSet,
    ) -> Result<(Feed, Chunk, DestinationSet), &'static str> {
        let feed = self.open_feed().ok_or("the relays have ended")?;
        let part = asked.part;
        let length = u32::try_from(part.size)
            .ok()
            .filter(|length| *length <= self.chunk_bytes)
            .ok_or("the part is too large for relays")?;
        let version = serde_json::to_string(&part.version)
            .map_err(|_| "the part's version cannot be written down")?;
        let mut notes = vec![String::new(); self.in_a_row.len()];
        let mut wanted = DestinationSet::default();
        let uploads = asked.uploads.iter();
        for at in uploads.filter(|at| reached.contains(at.target as u8)) {
            let note = PartNote {
                key: (*at.name != part.key).then(|| at.name.as_str().to_owned()),
                upload: at.upload.to_owned(),
                part: part.number,
                crc32c: part.crc32c,
            };
            let (Some(place), Ok(note)) = (notes.get_mut(at.target), serde_json::to_string(&note))
            else {
                return Err("a destination that the relays do not know");
            };
            *place = note;
            wanted = wanted.union(DestinationSet::one(at.target as u8));
        }
        let chunk = Chunk {
            id: 0,
            // Its own: what is handed over again was not written, and must be.
            object: self.next_object.fetch_add(1, Ordering::Relaxed),
            key: part.key.as_str().to_owned(),
            version,
            offset: part.offset,
            length,
            checksum: None,
            notes,
        };
        Ok((feed, chunk, wanted))
    }

    /// The destinations that not every one of the last parts failed to come to.
    pub(crate) fn reaches(&self) -> DestinationSet {
        let places = (0u8..).zip(&self.in_a_row);
        let reached = places.filter(|(_, lost)| lost.load(Ordering::Relaxed) < HOPELESS);
        reached.map(|(at, _)| at).collect()
    }

    /// Whether there is a destination that nothing comes to.
    pub(crate) fn lacks_one(&self) -> bool {
        self.reaches() != DestinationSet::first(self.in_a_row.len())
    }

    /// Counts a part that did not come to a destination.
    fn lose(&self, target: u8, why: &str) {
        self.fallen.add(why);
        if let Some(in_a_row) = self.in_a_row.get(usize::from(target)) {
            in_a_row.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether nothing is carried any more.
    pub(crate) fn is_over(&self) -> bool {
        self.open_feed().is_none()
    }

    /// The way to relays that still carry something.
    fn open_feed(&self) -> Option<Feed> {
        let mut feed = self.feed.lock().unwrap_or_else(PoisonError::into_inner);
        if self.reaches().is_empty() && feed.take().is_some() {
            tracing::warn!("relays carry nothing: everything goes direct from here");
        }
        feed.clone().filter(|feed| !feed.is_over())
    }

    /// The part as a destination holds it; `None` where it does not.
    fn carried(
        &self,
        part: &Part,
        target: u8,
        answer: Result<Receipt, Failed>,
    ) -> Option<PartDone> {
        let receipt = match answer {
            Ok(receipt) => receipt,
            Err(failed) => {
                // The source has changed, or the upload is gone: no fault of the relays. Sending it direct finds out which.
                if !matches!(failed.kind, Kind::Precondition | Kind::Missing) {
                    self.lose(target, &failed.why);
                }
                return None;
            }
        };
        match serde_json::from_str::<PartAnswer>(&receipt.0) {
            Ok(answer) => {
                if let Some(in_a_row) = self.in_a_row.get(usize::from(target)) {
                    in_a_row.store(0, Ordering::Relaxed);
                }
                Some(PartDone {
                    number: part.number,
                    etag: answer.etag,
                    size: part.size,
                    crc64: Some(answer.crc64),
                    crc32c: answer.crc32c,
                })
            }
            Err(error) => {
                self.lose(target, &format!("a relay's answer: {error}"));
                None
            }
        }
    }
}
