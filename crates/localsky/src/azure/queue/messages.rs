//! Put, Get, Peek, Update, Delete and Clear Messages.

use super::allow;
use super::store::Message;
use crate::azure::auth::Level;
use crate::azure::blob::Call;
use crate::azure::error::{self, Result, StorageError};
use crate::azure::reply::{Reply, small_body};
use crate::azure::request::http_date;
use crate::azure::xml::{Xml, leaves};
use http::{Method, Response, StatusCode};
use s3s::Body;
use skyfresh_sky::Timestamp;
use std::time::Duration;

/// The largest message, as it is sent (Put Message, "Remarks").
const TEXT_LIMIT_BYTES: usize = 64 * 1024;
/// The largest message escaped, in its document.
const BODY_LIMIT_BYTES: usize = 8 * TEXT_LIMIT_BYTES;
/// Most messages of one Get or Peek.
const BATCH_MOST: u64 = 32;
/// Longest visibility timeout, and the lifetime of a message that names none.
const WEEK_S: u64 = 7 * 24 * 3600;
/// How long a message that was got stays invisible by default, in seconds.
const HIDDEN_S: u64 = 30;
/// Shown as the expiration of messages that live for ever: the last second of the year 9999.
const NEVER: Timestamp = Timestamp::from_unix_ms(253_402_300_799_000);

/// What of a message is shown by which operation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Put,
    Get,
    Peek,
}

fn show(messages: &[Message], view: View) -> String {
    let mut xml = Xml::document();
    xml.open("QueueMessagesList");
    for message in messages {
        xml.open("QueueMessage")
            .element("MessageId", &message.id)
            .element("InsertionTime", &http_date(message.inserted))
            .element("ExpirationTime", &http_date(message.expires.min(NEVER)));
        if view != View::Peek {
            xml.element("PopReceipt", &message.pop_receipt)
                .element("TimeNextVisible", &http_date(message.visible));
        }
        if view != View::Put {
            xml.element("DequeueCount", &message.dequeue_count.to_string())
                .element("MessageText", &message.text);
        }
        xml.close("QueueMessage");
    }
    xml.close("QueueMessagesList").finish()
}

pub(super) async fn answer(
    call: &Call,
    queue: &str,
    id: Option<&str>,
    body: Body,
) -> Result<Response<Body>> {
    let (head, queues) = (&call.head, &call.account.queues);
    let rng = queues.rng();
    let allow = |permissions| allow(call, Level::Object, permissions);
    match (&head.method, id) {
        (&Method::POST, None) => {
            allow("a")?;
            let hidden = head
                .query_number("visibilitytimeout", 0..=WEEK_S)?
                .unwrap_or(0);
            let lifetime = match head.query("messagettl") {
                None => Some(Duration::from_secs(WEEK_S)),
                Some("-1") => None,
                Some(_) => head
                    .query_number("messagettl", 1..=u64::from(u32::MAX))?
                    .map(Duration::from_secs),
            };
            if lifetime.is_some_and(|lifetime| lifetime.as_secs() <= hidden) {
                let reason = "the message would expire before it becomes visible";
                return Err(error::invalid_query(
                    "visibilitytimeout",
                    &hidden.to_string(),
                    reason,
                ));
            }
            let text = text(&small_body(head, body, BODY_LIMIT_BYTES).await?)?
                .ok_or_else(error::invalid_xml)?;
            let guid = call.account.guid();
            let message = queues.with(queue, |queue, now| {
                queue.put(guid, text, Duration::from_secs(hidden), lifetime, now, rng)
            })?;
            Ok(Reply::new(StatusCode::CREATED).xml(show(&[message], View::Put)))
        }
        (&Method::GET, None) => {
            let most = head
                .query_number("numofmessages", 1..=BATCH_MOST)?
                .unwrap_or(1) as usize;
            if head
                .query("peekonly")
                .is_some_and(|peek| peek.eq_ignore_ascii_case("true"))
            {
                allow("r")?;
                let found = queues.with(queue, |queue, now| queue.peek(most, now))?;
                return Ok(Reply::new(StatusCode::OK).xml(show(&found, View::Peek)));
            }
            allow("p")?;
            let hidden = head
                .query_number("visibilitytimeout", 1..=WEEK_S)?
                .unwrap_or(HIDDEN_S);
            let found = queues.with(queue, |queue, now| {
                queue.get(most, Duration::from_secs(hidden), now, rng)
            })?;
            Ok(Reply::new(StatusCode::OK).xml(show(&found, View::Get)))
        }
        (&Method::PUT, Some(id)) => {
            allow("u")?;
            let pop_receipt = head.required_query("popreceipt")?;
            let hidden = head
                .query_number("visibilitytimeout", 0..=WEEK_S)?
                .ok_or_else(|| error::missing_query("visibilitytimeout"))?;
            let body = small_body(head, body, BODY_LIMIT_BYTES).await?;
            let text = if body.is_empty() { None } else { text(&body)? };
            let hidden = Duration::from_secs(hidden);
            let message = queues.with(queue, |queue, now| {
                queue.update(id, pop_receipt, text, hidden, now, rng)
            })??;
            Ok(Reply::new(StatusCode::NO_CONTENT)
                .header("x-ms-popreceipt", &message.pop_receipt)
                .header("x-ms-time-next-visible", http_date(message.visible))
                .empty())
        }
        (&Method::DELETE, Some(id)) => {
            allow("p")?;
            let pop_receipt = head.required_query("popreceipt")?;
            queues.with(queue, |queue, now| queue.delete(id, pop_receipt, now))??;
            Ok(Reply::new(StatusCode::NO_CONTENT).empty())
        }
        (&Method::DELETE, None) => {
            allow("d")?;
            queues.with(queue, |queue, _| queue.clear())?;
            Ok(Reply::new(StatusCode::NO_CONTENT).empty())
        }
        _ => Err(error::method_not_allowed()),
    }
}

/// The text of a message's document.
fn text(body: &[u8]) -> Result<Option<String>> {
    let mut found = None;
    for (path, text) in leaves(body)? {
        match path.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["QueueMessage", "MessageText"] => found = Some(text),
            ["QueueMessage"] => {}
            _ => return Err(error::invalid_xml()),
        }
    }
    if found
        .as_ref()
        .is_some_and(|text| text.len() > TEXT_LIMIT_BYTES)
    {
        return Err(StorageError::new(
            StatusCode::BAD_REQUEST,
            "RequestBodyTooLarge",
            "The message exceeds the maximum allowed size.",
        ));
    }
    Ok(found)
}
