//! Azure Queue Storage: a queue that Event Grid fills with Blob Storage events.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/queue-service-rest-api>

use crate::plumbing::{Address, Refusal, limits, request};
use crate::{Channel, Delivery};
use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use skyfresh_sky::{Clock, Invalid, Kind, Timestamp};
use skyfresh_store::service::ServiceClient;
use skyfresh_store::{Error, Result};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The version of the service asked for: it takes every kind of authorisation.
const API_VERSION: &str = "2021-12-02";
/// Most messages in one call (`Get Messages`, `numofmessages`).
const BATCH: usize = 32;
/// How long a message that was handed out stays hidden: far longer than taking a batch in, far shorter than anyone waits.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest a message can be hidden (`Update Message`).
const LONGEST_HIDING: Duration = Duration::from_secs(7 * 86_400);
/// The service does not wait for messages: an empty queue is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Authorises requests to a storage account: by shared key, shared access signature or token.
#[async_trait]
pub trait AuthorizeAzure: Send + Sync + std::fmt::Debug {
    /// Adds what proves who we are. The request has `x-ms-date` and `x-ms-version` already, and is not changed afterwards.
    ///
    /// # Errors
    /// [`Kind::Denied`] where a person must act, [`Kind::RetryAfter`] where a token service may answer later.
    async fn authorize(&self, request: &mut Parts) -> Result<()>;
}

/// A queue.
#[derive(Debug)]
pub struct AzureQueue {
    name: String,
    client: ServiceClient,
    authorize: Arc<dyn AuthorizeAzure>,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
#[serde(rename = "QueueMessagesList")]
struct Messages {
    #[serde(rename = "QueueMessage", default)]
    messages: Vec<Message>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    message_id: String,
    #[serde(default)]
    insertion_time: String,
    pop_receipt: String,
    #[serde(default)]
    dequeue_count: u32,
    #[serde(default)]
    message_text: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Problem {
    #[serde(default)]
    message: String,
}

impl AzureQueue {
    /// Opens a queue by its URL, `https://ACCOUNT.queue.core.windows.net/QUEUE`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the URL cannot be used.
    pub fn new(
        url: &str,
        authorize: Arc<dyn AuthorizeAzure>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let invalid =
            |error: Invalid| Error::new(Kind::Invalid, "open", "azure queue", error.to_string());
        let address = Address::parse("queue", url).map_err(invalid)?;
        if address.path.is_empty() {
            let why = "expected https://ACCOUNT.queue.core.windows.net/QUEUE";
            return Err(invalid(Invalid::new("queue", url, why)));
        }
        Ok(AzureQueue {
            name: address.url(),
            client: ServiceClient::new(address.https, Arc::clone(&clock))?,
            authorize,
            clock,
        })
    }

    /// Puts a message into the queue: for tests of what pulls from it.
    ///
    /// # Errors
    /// The queue refused it, or no answer came.
    pub async fn send(&self, body: &[u8]) -> Result<()> {
        // As Event Grid writes them: base64, which needs no escaping in XML.
        let text = STANDARD.encode(body);
        let xml = format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>");
        self.call(Method::POST, "/messages", "send", xml).await?;
        Ok(())
    }

    /// Makes the queue; one that is there already is left as it is. For tests: channels of real rules are wired.
    ///
    /// # Errors
    /// The service refused it, or no answer came.
    pub async fn create(&self) -> Result<()> {
        self.call(Method::PUT, "", "create", String::new()).await?;
        Ok(())
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        operation: &'static str,
        body: String,
    ) -> Result<Bytes> {
        let url = format!("{}{path}", self.name);
        let date = httpdate::fmt_http_date(
            std::time::UNIX_EPOCH + Duration::from_millis(self.clock.now().unix_ms()),
        );
        let length = body.len().to_string();
        let mut headers = vec![("x-ms-version", API_VERSION), ("x-ms-date", date.as_str())];
        if method != Method::GET {
            // Part of what is signed, and asked for even where there is no body.
            headers.push(("content-length", length.as_str()));
        }
        if !body.is_empty() {
            headers.push(("content-type", "application/xml"));
        }
        let request = request(operation, &self.name, method, &url, &headers, body.into())?;
        let (mut parts, body) = request.into_parts();
        self.authorize.authorize(&mut parts).await?;
        let request = Request::from_parts(parts, body);
        let answer = self
            .client
            .send(operation, &self.name, request, limits(Duration::ZERO))
            .await?;
        if answer.status().is_success() {
            return Ok(answer.into_body());
        }
        let code = answer.headers().get("x-ms-error-code").cloned();
        let code = code
            .as_ref()
            .and_then(|code: &HeaderValue| code.to_str().ok());
        let text = String::from_utf8_lossy(answer.body());
        // Documents of this service may begin with a byte order mark.
        let problem: Problem =
            quick_xml::de::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
        let mut refusal = Refusal::new(answer.status(), answer.headers());
        refusal.code = code.map(str::to_owned);
        refusal.message = problem.message;
        let kind = code.and_then(kind_of);
        Err(refusal.into_error(kind, operation, &self.name))
    }

    async fn receive_now(&self, limit: usize) -> Result<Vec<Delivery>> {
        let path = format!(
            "/messages?numofmessages={}&visibilitytimeout={}",
            limit.clamp(1, BATCH),
            VISIBILITY_TIMEOUT.as_secs()
        );
        let body = self
            .call(Method::GET, &path, "receive", String::new())
            .await?;
        let text = String::from_utf8_lossy(&body);
        let messages: Messages = quick_xml::de::from_str(text.trim_start_matches('\u{feff}'))
            .map_err(|error| {
                let why = format!("the answer is no list of messages: {error}");
                Error::new(Kind::RetryAfter, "receive", &self.name, why)
            })?;
        Ok(messages.messages.into_iter().map(delivery).collect())
    }

    /// The path of one delivery.
    fn path(&self, handle: &str, more: &str) -> Option<String> {
        let (id, receipt) = handle.split_once(' ')?;
        let encode = |text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        Some(format!(
            "/messages/{}?popreceipt={}{more}",
            utf8_percent_encode(id, MESSAGE_ID),
            encode(receipt)
        ))
    }
}

/// Ids are GUIDs; whatever else came would be encoded.
const MESSAGE_ID: &percent_encoding::AsciiSet = &NON_ALPHANUMERIC.remove(b'-');

/// Queue service error codes where the status says too little.
fn kind_of(code: &str) -> Option<Kind> {
    match code {
        "QueueNotFound" | "MessageNotFound" => Some(Kind::Missing),
        // A message that was handed to someone else since.
        "PopReceiptMismatch" => Some(Kind::Precondition),
        "ServerBusy" | "OperationTimedOut" | "InternalError" => Some(Kind::RetryAfter),
        _ => None,
    }
}

fn delivery(message: Message) -> Delivery {
    let text = message.message_text.trim();
    let sent = httpdate::parse_http_date(&message.insertion_time).ok();
    let since_epoch = sent.and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    Delivery {
        handle: format!("{} {}", message.message_id, message.pop_receipt),
        id: message.message_id,
        // Event Grid encodes, others may not: JSON is never base64, for it begins with a brace.
        body: STANDARD
            .decode(text)
            .map_or_else(|_| Bytes::from(text.to_owned()), Bytes::from),
        attributes: BTreeMap::new(),
        attempts: message.dequeue_count.max(1),
        sent: since_epoch.map(|since| Timestamp::ZERO.after(since)),
    }
}

#[async_trait]
impl Channel for AzureQueue {
    fn name(&self) -> &str {
        &self.name
    }

    async fn receive(&self, limit: usize, wait: Duration) -> Result<Vec<Delivery>> {
        let deadline = self.clock.now().after(wait);
        loop {
            let received = self.receive_now(limit).await?;
            let left = deadline.since(self.clock.now());
            if !received.is_empty() || left.is_zero() {
                return Ok(received);
            }
            self.clock.sleep(ASK_AGAIN.min(left)).await;
        }
    }

    /// One call a message: the service has none for many.
    async fn acknowledge(&self, handles: &[String]) -> Result<Vec<String>> {
        let mut failed = Vec::new();
        for handle in handles {
            let Some(path) = self.path(handle, "") else {
                failed.push(handle.clone());
                continue;
            };
            match self
                .call(Method::DELETE, &path, "acknowledge", String::new())
                .await
            {
                Ok(_) => {}
                Err(error)
                    if matches!(
                        error.kind,
                        Kind::Missing | Kind::Precondition | Kind::Invalid
                    ) =>
                {
                    failed.push(handle.clone());
                }
                Err(error) => return Err(error),
            }
        }
        Ok(failed)
    }

    async fn give_back(&self, handles: &[String], delay: Duration) -> Result<()> {
        let more = format!("&visibilitytimeout={}", delay.min(LONGEST_HIDING).as_secs());
        for path in handles.iter().filter_map(|handle| self.path(handle, &more)) {
            match self
                .call(Method::PUT, &path, "give back", String::new())
                .await
            {
                Ok(_) => {}
                // It comes back by itself when its visibility time ends, or is someone else's by now.
                Err(error)
                    if matches!(
                        error.kind,
                        Kind::Missing | Kind::Precondition | Kind::Invalid
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_read_as_the_service_writes_them() {
        let text = r#"<?xml version="1.0" encoding="utf-8"?><QueueMessagesList>
            <QueueMessage><MessageId>5974b586-0df3-4e2d-ad0c-18e3892bfca2</MessageId>
            <InsertionTime>Fri, 09 Oct 2009 21:04:30 GMT</InsertionTime><ExpirationTime>Fri, 16 Oct 2009 21:04:30 GMT</ExpirationTime>
            <PopReceipt>YzQ4Yzg1MDIt/+=</PopReceipt><TimeNextVisible>Fri, 09 Oct 2009 23:29:20 GMT</TimeNextVisible>
            <DequeueCount>3</DequeueCount><MessageText>eyJhIjoxfQ==</MessageText></QueueMessage>
            <QueueMessage><MessageId>b</MessageId><PopReceipt>p</PopReceipt><MessageText>{"a":1}</MessageText></QueueMessage>
            </QueueMessagesList>"#;
        let messages: Messages = quick_xml::de::from_str(text).unwrap();
        let all: Vec<Delivery> = messages.messages.into_iter().map(delivery).collect();
        assert_eq!(
            (&all[0].body[..], &all[1].body[..]),
            (&b"{\"a\":1}"[..], &b"{\"a\":1}"[..])
        );
        assert_eq!((all[0].attempts, all[1].attempts), (3, 1));
        assert_eq!(
            all[0].sent,
            Some(Timestamp::parse("2009-10-09T21:04:30Z").unwrap())
        );
        let empty: Messages = quick_xml::de::from_str("<QueueMessagesList />").unwrap();
        assert!(empty.messages.is_empty());
    }
}
