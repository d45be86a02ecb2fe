//! What a channel has given, counted; and the ids it gave lately.

use super::dead_letters::DeadLetter;
use super::pump::PulledChannel;
use serde::{Deserialize, Serialize};
use skyfresh_channel::Delivery;
use skyfresh_sky::Timestamp;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Ids of readable messages that are remembered: those of the last minutes, under any load one process takes.
const REMEMBERED: usize = 10_000;
/// Unreadable messages whose attempts are counted here, for channels that do not count themselves.
const COUNTED: usize = 1_000;

/// A channel, as status shows it. Counts are of this process since it began.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelStatus {
    /// Its name in the configuration.
    pub channel: String,
    /// Its address.
    pub address: String,
    /// The rules it serves; empty: all whose sources its messages concern.
    pub rules: Vec<String>,
    /// Messages handed out to this process.
    pub received: u64,
    /// Messages whose events are durable, test messages included.
    pub accepted: u64,
    /// Messages that came again after they had been accepted.
    pub duplicate: u64,
    /// Times that a message could not be read.
    pub refused: u64,
    /// Messages that were recorded as dead letters and taken out of the channel.
    pub dead_lettered: u64,
    /// Messages that could not be acknowledged; they come again.
    pub not_acknowledged: u64,
    /// Failed calls of the channel or of the ledger.
    pub failures: u64,
    /// The last failure, where nothing has worked since.
    pub trouble: Option<String>,
    /// The last failure at all: when, ms since the Unix epoch, and what.
    pub last_failure: Option<(Timestamp, String)>,
    /// When the last message came, ms since the Unix epoch.
    pub last_message: Option<Timestamp>,
    /// How old that message was: from when it was put into the channel, ms. Absent where the channel does not say.
    pub last_message_age_ms: Option<u64>,
    /// Dead letters in the ledger, of all processes.
    pub dead_letters: usize,
    /// The newest of them.
    pub newest_dead_letters: Vec<DeadLetter>,
}

/// Counts for one channel.
#[derive(Debug, Default)]
pub(crate) struct ChannelMeter(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counts: ChannelStatus,
    known: BTreeSet<String>,
    order: VecDeque<String>,
    attempts: BTreeMap<String, u32>,
}

impl ChannelMeter {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn received(&self, batch: &[Delivery], now: Timestamp) {
        let counts = &mut self.state().counts;
        counts.received += batch.len() as u64;
        counts.last_message = Some(now);
        let oldest = batch.iter().filter_map(|delivery| delivery.sent).min();
        counts.last_message_age_ms = oldest.map(|sent| now.since(sent).as_millis() as u64);
    }

    pub(super) fn accepted(&self, id: &str) {
        let mut state = self.state();
        state.counts.accepted += 1;
        if state.known.insert(id.to_owned()) {
            state.order.push_back(id.to_owned());
        }
        while state.order.len() > REMEMBERED {
            if let Some(oldest) = state.order.pop_front() {
                state.known.remove(&oldest);
            }
        }
    }

    /// Whether the message was accepted before.
    pub(super) fn is_known(&self, id: &str) -> bool {
        self.state().known.contains(id)
    }

    pub(super) fn duplicate(&self) {
        self.state().counts.duplicate += 1;
    }

    /// Counts an attempt at a message that cannot be read; how many there were, by the channel's count or by ours.
    pub(super) fn refused(&self, id: &str, counted: u32) -> u32 {
        let mut state = self.state();
        state.counts.refused += 1;
        if state.attempts.len() >= COUNTED && !state.attempts.contains_key(id) {
            // Begin again rather than grow: some messages are then tried a few times more.
            state.attempts.clear();
        }
        let ours = state.attempts.entry(id.to_owned()).or_default();
        *ours += 1;
        counted.max(*ours)
    }

    pub(super) fn dead_lettered(&self, id: &str) {
        let mut state = self.state();
        state.counts.dead_lettered += 1;
        state.attempts.remove(id);
    }

    pub(super) fn not_acknowledged(&self, count: usize) {
        self.state().counts.not_acknowledged += count as u64;
    }

    pub(super) fn failed(&self, why: String, now: Timestamp) {
        let counts = &mut self.state().counts;
        counts.failures += 1;
        counts.trouble = Some(why.clone());
        counts.last_failure = Some((now, why));
    }

    pub(super) fn answered(&self) {
        self.state().counts.trouble = None;
    }

    pub(super) fn status(
        &self,
        source: &PulledChannel,
        dead_letters: usize,
        newest_dead_letters: Vec<DeadLetter>,
    ) -> ChannelStatus {
        ChannelStatus {
            channel: source.name.clone(),
            address: source.channel.name().to_owned(),
            rules: source.rules.clone(),
            dead_letters,
            newest_dead_letters,
            ..self.state().counts.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_bounded() {
        let meter = ChannelMeter::default();
        for number in 0..REMEMBERED + 5 {
            meter.accepted(&number.to_string());
        }
        assert!(!meter.is_known("4") && meter.is_known("5"));
        for number in 0..COUNTED + 5 {
            assert_eq!(meter.refused(&number.to_string(), 1), 1);
        }
        assert!(meter.state().attempts.len() <= COUNTED);
        assert_eq!(meter.refused("x", 1), 1);
        assert_eq!(
            meter.refused("x", 1),
            2,
            "ours, where the channel does not count"
        );
        assert_eq!(meter.refused("x", 7), 7, "the channel's, where it does");
    }
}
