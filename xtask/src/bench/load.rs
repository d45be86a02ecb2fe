//! A paced writer at the source and a watcher at the destination.
//!
//! Writes start on a fixed schedule, whether or not earlier ones are done (an open loop): a slow system is not given
//! less to do. Every write is a new key. The watcher lists the destination again and again, and notes when each key is
//! first there; a key is listed by S3 exactly when it can be read.

use super::s3::{Bucket, Listed};
use crate::process;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The pause between two listings: the resolution of the delays.
pub(super) const WATCH_PERIOD: Duration = Duration::from_millis(10);

/// A workload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// How many objects are written.
    pub(super) objects: u64,
    /// One write starts this long after the other.
    pub(super) interval: Duration,
    /// Bytes in each object.
    pub(super) object_bytes: u64,
    /// Writes in flight, at most. Too few of them delay the schedule, which [`Outcome::wrote_for`] shows.
    pub(super) writers: usize,
    /// How long to wait for what has not arrived after the last write.
    pub(super) drain: Duration,
    /// The delays of the first objects are not counted: connections are being opened.
    pub(super) warm_up_objects: u64,
}

/// What came of it.
pub(super) struct Outcome {
    /// From the answer to the PUT to the first listing of the destination that has the object.
    pub(super) delays: Vec<Duration>,
    /// How long the writing took.
    pub(super) wrote_for: Duration,
    /// Objects that did not arrive in time.
    pub(super) absent: usize,
    /// Objects that arrived with another size or content.
    pub(super) different: usize,
}

struct Written {
    answered: Instant,
    etag: String,
}

struct Seen {
    at: Instant,
    listed: Listed,
}

/// Writes and watches until everything arrived or the time is up.
pub(super) fn run(load: &Load, source: &Bucket, destination: &Bucket) -> Result<Outcome> {
    let start = Instant::now();
    let next = AtomicU64::new(0);
    let written: Mutex<BTreeMap<String, Written>> = Mutex::default();
    let watching = AtomicBool::new(true);
    std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(load, destination, &watching));
        let writers: Vec<_> = (0..load.writers)
            .map(|_| scope.spawn(|| write(load, source, start, &next, &written)))
            .collect();
        let wrote: Result<()> = writers
            .into_iter()
            .try_for_each(|writer| writer.join().expect("no panic"));
        let wrote_for = start.elapsed();
        let deadline = Instant::now() + load.drain;
        while wrote.is_ok()
            && !watcher.is_finished()
            && Instant::now() < deadline
            && !process::interrupted()
        {
            std::thread::sleep(WATCH_PERIOD);
        }
        watching.store(false, Ordering::SeqCst);
        let seen = watcher.join().expect("no panic");
        wrote?;
        let written = std::mem::take(
            &mut *written
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        Ok(compare(load, &written, &seen?, wrote_for))
    })
}

fn key_of(index: u64) -> String {
    format!("object-{index:010}")
}

fn write(
    load: &Load,
    source: &Bucket,
    start: Instant,
    next: &AtomicU64,
    written: &Mutex<BTreeMap<String, Written>>,
) -> Result<()> {
    let agent = agent();
    loop {
        let index = next.fetch_add(1, Ordering::SeqCst);
        if index >= load.objects {
            return Ok(());
        }
        if process::interrupted() {
            bail!("interrupted");
        }
        let due = start + load.interval.mul_f64(index as f64);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let key = key_of(index);
        let etag = source.put(
            &agent,
            &key,
            load.object_bytes,
            content(index, load.object_bytes),
        )?;
        let entry = Written {
            answered: Instant::now(),
            etag,
        };
        written
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .insert(key, entry);
    }
}

/// Bytes that differ from object to object.
fn content(index: u64, bytes: u64) -> impl Read {
    let block: Vec<u8> = index
        .to_le_bytes()
        .into_iter()
        .cycle()
        .take(64 << 10)
        .collect();
    let mut offset = 0;
    let endless = ReadWith(move |buffer: &mut [u8]| {
        let count = buffer.len().min(block.len() - offset);
        buffer[..count].copy_from_slice(&block[offset..offset + count]);
        offset = (offset + count) % block.len();
        count
    });
    endless.take(bytes)
}

struct ReadWith<F>(F);

impl<F: FnMut(&mut [u8]) -> usize> Read for ReadWith<F> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        Ok((self.0)(buffer))
    }
}

/// Lists what lies behind the first key that is still absent, so that a page holds little more than what is under way.
fn watch(
    load: &Load,
    destination: &Bucket,
    watching: &AtomicBool,
) -> Result<BTreeMap<String, Seen>> {
    let agent = agent();
    let mut seen = BTreeMap::new();
    let mut complete_below = 0;
    // Once more after the end: what arrived during the last listing counts.
    let mut last_round = false;
    while complete_below < load.objects && !last_round {
        last_round = !watching.load(Ordering::SeqCst);
        // What keys have in common sorts before each of them.
        let mut after = complete_below
            .checked_sub(1)
            .map_or_else(|| "object-".to_owned(), key_of);
        loop {
            let page = destination.list_after(&agent, &after)?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.key);
            let at = Instant::now();
            for listed in page {
                seen.entry(listed.key.clone())
                    .or_insert(Seen { at, listed });
            }
        }
        while seen.contains_key(&key_of(complete_below)) {
            complete_below += 1;
        }
        std::thread::sleep(WATCH_PERIOD);
    }
    Ok(seen)
}

fn compare(
    load: &Load,
    written: &BTreeMap<String, Written>,
    seen: &BTreeMap<String, Seen>,
    wrote_for: Duration,
) -> Outcome {
    let mut outcome = Outcome {
        delays: Vec::new(),
        wrote_for,
        absent: 0,
        different: 0,
    };
    let first_counted = key_of(load.warm_up_objects);
    for (key, written) in written {
        let Some(seen) = seen.get(key) else {
            outcome.absent += 1;
            continue;
        };
        // The entity tag of an object made of parts depends on the parts; only those of whole objects compare.
        let comparable = !written.etag.contains('-') && !seen.listed.etag.contains('-');
        if seen.listed.size != load.object_bytes || (comparable && seen.listed.etag != written.etag)
        {
            outcome.different += 1;
        }
        if *key >= first_counted {
            // An object may be there before the source's answer reaches the writer.
            outcome
                .delays
                .push(seen.at.saturating_duration_since(written.answered));
        }
    }
    outcome
}

fn agent() -> ureq::Agent {
    ureq::Agent::new_with_config(ureq::Agent::config_builder().proxy(None).build())
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
