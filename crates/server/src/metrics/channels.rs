//! What every channel shows.

use super::text::{Exposition, Type};
use skyfresh_engine::ChannelStatus;

/// Reads one count of a channel.
type Read = fn(&ChannelStatus) -> u64;

/// The counts of a channel's messages, by the label `result`.
const RESULTS: [(&str, Read); 6] = [
    ("received", |channel| channel.received),
    ("accepted", |channel| channel.accepted),
    ("duplicate", |channel| channel.duplicate),
    ("refused", |channel| channel.refused),
    ("dead_lettered", |channel| channel.dead_lettered),
    ("not_acknowledged", |channel| channel.not_acknowledged),
];

/// Writes them.
pub(super) fn write(page: &mut Exposition, channels: &[ChannelStatus]) {
    let mut messages = page.family(
        "skyfresh_channel_messages_total",
        Type::Counter,
        "Messages of a channel, by what became of them; those received are the sum of the others but for what is under way.",
    );
    for channel in channels {
        for (result, read) in RESULTS {
            let labels = [("channel", channel.channel.as_str()), ("result", result)];
            messages.sample(&labels, read(channel) as f64);
        }
    }
    let mut failures = page.family(
        "skyfresh_channel_failures_total",
        Type::Counter,
        "Failed calls of a channel, or of the ledger behind it.",
    );
    for channel in channels {
        failures.sample(&[("channel", &channel.channel)], channel.failures as f64);
    }
    let mut letters = page.family(
        "skyfresh_channel_dead_letters",
        Type::Gauge,
        "Unreadable messages recorded in the ledger, of all processes; at most 100 are kept.",
    );
    for channel in channels {
        letters.sample(
            &[("channel", &channel.channel)],
            channel.dead_letters as f64,
        );
    }
    let mut last = page.family(
        "skyfresh_channel_last_message_timestamp_seconds",
        Type::Gauge,
        "When the last message came; absent before the first.",
    );
    for channel in channels {
        if let Some(at) = channel.last_message {
            last.sample(
                &[("channel", &channel.channel)],
                at.unix_ms() as f64 / 1000.0,
            );
        }
    }
}
