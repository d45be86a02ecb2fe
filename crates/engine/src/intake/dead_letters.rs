//! Messages that nobody could read: a bounded list per channel, kept in the ledger so that it outlives the process and is the
//! same for all that share one.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_channel::Delivery;
use skyfresh_ledger::Ledger;
use skyfresh_sky::{Kind, Timestamp};

/// Most letters kept per channel; the oldest go.
pub const LETTERS_LIMIT: usize = 100;
/// Bytes of a message that are looked at for its excerpt, and characters of the excerpt: one row of a ledger must hold the
/// whole list, and the smallest row limit is DynamoDB's 400 KB.
const EXCERPT_LIMIT: usize = 1_024;
/// Characters kept of an id and of a reason.
const TEXT_LIMIT: usize = 256;
/// How often a list is written again because another process wrote it at the same time.
const TRIES: usize = 5;

/// A message that was taken out of its channel unread.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The channel's own name of the message.
    pub id: String,
    /// Why it could not be read.
    pub why: String,
    /// How it begins; bytes that are no printable ASCII are escaped.
    pub excerpt: String,
    /// Its whole length, bytes.
    pub length_bytes: u64,
    /// How often it was delivered.
    pub attempts: u32,
    /// When it was given up, ms since the Unix epoch.
    pub at: Timestamp,
}

impl DeadLetter {
    pub(super) fn new(delivery: &Delivery, why: String, at: Timestamp) -> Self {
        let begin = &delivery.body[..delivery.body.len().min(EXCERPT_LIMIT)];
        let cut = |text: &str, limit: usize| text.chars().take(limit).collect::<String>();
        DeadLetter {
            id: cut(&delivery.id, TEXT_LIMIT),
            why: cut(&why, TEXT_LIMIT),
            excerpt: cut(&begin.escape_ascii().to_string(), EXCERPT_LIMIT),
            length_bytes: delivery.body.len() as u64,
            attempts: delivery.attempts,
            at,
        }
    }
}

fn cursor_name(channel: &str) -> String {
    format!("dead-letters/{channel}")
}

/// A channel's letters, newest first.
pub(super) async fn list(ledger: &dyn Ledger, channel: &str) -> Result<Vec<DeadLetter>> {
    let Some(value) = ledger.cursor(&cursor_name(channel)).await? else {
        return Ok(Vec::new());
    };
    serde_json::from_value(value).map_err(|error| {
        Error::new(
            Kind::Corrupt,
            "read dead letters",
            channel,
            error.to_string(),
        )
    })
}

/// Puts a letter in front. Cursors have no precondition, so it is read back: where another process wrote at the same time, it is
/// put in again.
pub(super) async fn record(ledger: &dyn Ledger, channel: &str, letter: DeadLetter) -> Result<()> {
    for _ in 0..TRIES {
        let mut letters = list(ledger, channel).await?;
        letters.retain(|other| other.id != letter.id);
        letters.insert(0, letter.clone());
        letters.truncate(LETTERS_LIMIT);
        let value = serde_json::to_value(&letters).map_err(|error| {
            Error::new(
                Kind::Internal,
                "write dead letters",
                channel,
                error.to_string(),
            )
        })?;
        ledger
            .set_cursor(&cursor_name(channel), Some(value))
            .await?;
        if list(ledger, channel).await?.contains(&letter) {
            return Ok(());
        }
    }
    let why = "others write the list at the same time; the message is kept in its channel";
    Err(Error::new(
        Kind::RetryAfter,
        "write dead letters",
        channel,
        why,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use skyfresh_ledger::MemoryLedger;

    fn letter(number: u64) -> DeadLetter {
        let delivery = Delivery {
            id: format!("m{number}"),
            handle: "h".into(),
            body: Bytes::from(vec![0x1b; 5_000]),
            attributes: Default::default(),
            attempts: 5,
            sent: None,
        };
        DeadLetter::new(
            &delivery,
            "w".repeat(9_999),
            Timestamp::from_unix_ms(number),
        )
    }

    #[tokio::test]
    async fn the_list_is_bounded_newest_first_and_fits_a_row() {
        let ledger = MemoryLedger::new();
        for number in 0..150 {
            record(&ledger, "c", letter(number)).await.unwrap();
        }
        // Once more: no second entry.
        record(&ledger, "c", letter(149)).await.unwrap();
        let letters = list(&ledger, "c").await.unwrap();
        assert_eq!(letters.len(), LETTERS_LIMIT);
        assert_eq!(
            (letters[0].id.as_str(), letters[99].id.as_str()),
            ("m149", "m50")
        );
        assert!(letters[0].excerpt.starts_with("\\x1b") && letters[0].excerpt.len() == 1_024);
        assert!(serde_json::to_vec(&letters).unwrap().len() < 400_000);
        assert_eq!(list(&ledger, "other").await.unwrap(), []);
    }
}
