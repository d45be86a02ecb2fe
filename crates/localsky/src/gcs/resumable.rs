//! Resumable uploads: a session that takes the bytes in as many requests as it needs.
//!
//! Source: <https://cloud.google.com/storage/docs/performing-resumable-uploads>. What arrived of a request that broke off
//! is kept in whole quanta of 256 KiB; bytes sent again are skipped.

use super::answer::{self, Answer};
use super::change::Draft;
use super::conditions::Conditions;
use super::error::{Failure, Result};
use super::request::{ObjectName, header};
use super::resource::Given;
use super::{Context, Frontend, read_json};
use crate::store::{Algorithm, Content, Generation, digest_content};
use bytes::{Buf, BytesMut};
use futures::StreamExt;
use http::StatusCode;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use s3s::Body;
use skyfresh_sky::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What a session persists in multiples of.
const QUANTUM_BYTES: usize = 256 * 1024;
/// How long a session lives.
const SESSION_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// The sessions of a region.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<String, Arc<Session>>>);

#[derive(Debug)]
struct Session {
    name: ObjectName,
    begun: Timestamp,
    conditions: Conditions,
    /// As `X-Upload-Content-Length` said.
    announced: Option<u64>,
    progress: tokio::sync::Mutex<Progress>,
}

#[derive(Debug, Default)]
struct Progress {
    given: Given,
    chunks: Vec<Content>,
    received: u64,
    published: Option<Generation>,
}

/// What a PUT to a session says about its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ContentRange {
    /// First and last byte; `None` where none come.
    bytes: Option<(u64, u64)>,
    /// Of the object; `None` while it is not known.
    total: Option<u64>,
}

/// `bytes 0-9/100`, `bytes 0-9/*`, `bytes */100`, `bytes */*`.
fn content_range(value: &str) -> Option<ContentRange> {
    let (bytes, total) = value.trim().strip_prefix("bytes")?.trim().split_once('/')?;
    let bytes = match bytes.trim() {
        "*" => None,
        bytes => {
            let (first, last) = bytes.split_once('-')?;
            let (first, last) = (first.parse().ok()?, last.parse().ok()?);
            (first <= last).then_some(())?;
            Some((first, last))
        }
    };
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    Some(ContentRange { bytes, total })
}

impl Frontend {
    /// Begins a session: its address is in `Location`.
    pub(crate) async fn begin(
        &self,
        context: &Context,
        bucket: &str,
        body: Body,
    ) -> Result<Answer> {
        let mut given = Given::parse(&read_json(body).await?)?;
        let name = self.target(context, bucket, &mut given)?;
        if given.attributes.content_type.is_none() {
            given.attributes.content_type =
                header(&context.headers, "x-upload-content-type").map(str::to_owned);
        }
        let conditions = Conditions::of_query(&context.query)?;
        let announced = super::conditions::number(
            "X-Upload-Content-Length",
            header(&context.headers, "x-upload-content-length"),
        )?;
        self.start_session(context, name, given, conditions, announced)
    }

    pub(crate) fn start_session(
        &self,
        context: &Context,
        name: ObjectName,
        mut given: Given,
        conditions: Conditions,
        announced: Option<u64>,
    ) -> Result<Answer> {
        self.check_target(&name, &conditions)?;
        given.hashes.add_headers(&context.headers);
        let id = format!("{}{}", self.google.rng.token(), self.google.rng.token());
        let location = format!(
            "{}/upload/storage/v1/b/{}/o?uploadType=resumable&upload_id={id}",
            context.base,
            super::resource::segment(&name.bucket)
        );
        let now = self.google.clock.now();
        let session = Session {
            name,
            begun: now,
            conditions,
            announced,
            progress: tokio::sync::Mutex::new(Progress {
                given,
                ..Progress::default()
            }),
        };
        let mut sessions = self
            .sessions
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        sessions.retain(|_, session| now.since(session.begun) < SESSION_LIFETIME);
        sessions.insert(id, Arc::new(session));
        let mut answer = answer::empty(StatusCode::OK);
        answer::set(&mut answer, "location", &location);
        Ok(answer)
    }

    pub(crate) async fn cancel(&self, id: &str) -> Result<Answer> {
        let removed = self
            .sessions
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(id);
        match removed {
            None => Err(no_session()),
            // "Client Closed Request": what Google answers to a cancellation that worked.
            Some(_) => Ok(answer::empty(
                StatusCode::from_u16(499).unwrap_or(StatusCode::NO_CONTENT),
            )),
        }
    }

    pub(crate) async fn resume(&self, context: &Context, id: &str, body: Body) -> Result<Answer> {
        let session = self
            .sessions
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
            .ok_or_else(no_session)?;
        let mut progress = session.progress.lock().await;
        if let Some(published) = &progress.published {
            return Ok(self.shown(context, &session.name, published));
        }
        let length = header(&context.headers, CONTENT_LENGTH.as_str());
        let range = match header(&context.headers, CONTENT_RANGE.as_str()) {
            Some(value) => content_range(value).ok_or_else(|| {
                Failure::invalid(format!("Failed to parse Content-Range header: {value:?}"))
            })?,
            // Everything in one request; its length is known only where it is said.
            None => ContentRange {
                bytes: Some((0, u64::MAX)),
                total: length.and_then(|length| length.parse().ok()),
            },
        };
        if let (Some(announced), Some(total)) = (session.announced, range.total)
            && announced != total
        {
            return Err(Failure::invalid(format!(
                "The upload was announced with {announced} bytes, not {total}."
            )));
        }
        let whole = header(&context.headers, CONTENT_RANGE.as_str()).is_none();
        if let Some((first, last)) = range.bytes {
            let last_request = whole || range.total == last.checked_add(1);
            self.take(&mut progress, body, first, last, last_request)
                .await?;
        }
        let total = if whole {
            Some(range.total.unwrap_or(progress.received))
        } else {
            range.total
        };
        if total != Some(progress.received) {
            if total.is_some_and(|total| total < progress.received) {
                return Err(Failure::invalid(
                    "More bytes were sent than the upload has.",
                ));
            }
            return Ok(incomplete(progress.received));
        }
        self.finish(context, &session, &mut progress).await
    }

    /// Takes the bytes of one request that are new. What was received before a failure stays.
    async fn take(
        &self,
        progress: &mut Progress,
        mut body: Body,
        first: u64,
        last: u64,
        last_request: bool,
    ) -> Result<()> {
        if first > progress.received {
            return Err(Failure::invalid(format!(
                "The upload has {} bytes; a request cannot go on at {first}.",
                progress.received
            )));
        }
        let mut skip = progress.received - first;
        let mut left = (last - first).saturating_add(1).saturating_sub(skip);
        let mut writer = self.store.storage.writer().await?;
        let (mut pending, mut written, mut failed) = (BytesMut::new(), 0u64, None);
        while let Some(chunk) = body.next().await {
            let mut chunk = match chunk {
                Ok(chunk) => chunk,
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            };
            let skipped = skip.min(chunk.len() as u64);
            chunk.advance(skipped as usize);
            skip -= skipped;
            chunk.truncate(left.min(chunk.len() as u64) as usize);
            left -= chunk.len() as u64;
            pending.extend_from_slice(&chunk);
            let whole = pending.len() / QUANTUM_BYTES * QUANTUM_BYTES;
            if whole > 0 {
                writer.write(pending.split_to(whole).freeze()).await?;
                written += whole as u64;
            }
        }
        // Only a request that is the last and arrived whole may end between two quanta.
        let complete = failed.is_none() && (left == 0 || last == u64::MAX);
        if last_request && complete && !pending.is_empty() {
            written += pending.len() as u64;
            writer.write(pending.freeze()).await?;
        }
        if written > 0 {
            progress.chunks.push(writer.finish().await?);
            progress.received += written;
        }
        match failed {
            None => Ok(()),
            Some(error) => Err(Failure::invalid(format!("The body broke off: {error}"))),
        }
    }

    async fn finish(
        &self,
        context: &Context,
        session: &Session,
        progress: &mut Progress,
    ) -> Result<Answer> {
        let content = Content::concat(progress.chunks.iter());
        let content = Arc::new(content);
        let digests = digest_content(&content, 0..content.len(), &[Algorithm::Crc32c]).await?;
        let given = progress.given.clone();
        let mut hashes = given.hashes.clone();
        hashes.add_headers(&context.headers);
        let draft = Draft::verified(given, (*content).clone(), &digests, &hashes)?;
        let published = self
            .publish(context, &session.name, draft, session.conditions)
            .await?;
        let answer = self.shown(context, &session.name, &published);
        progress.chunks.clear();
        progress.published = Some(published);
        Ok(answer)
    }
}

fn incomplete(received: u64) -> Answer {
    let mut answer = answer::empty(StatusCode::PERMANENT_REDIRECT);
    if received > 0 {
        answer::set(&mut answer, "range", &format!("bytes=0-{}", received - 1));
    }
    answer
}

fn no_session() -> Failure {
    Failure::not_found("The upload session does not exist, or has ended.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_have_four_forms() {
        let range = |bytes, total| Some(ContentRange { bytes, total });
        assert_eq!(
            content_range("bytes 0-9/100"),
            range(Some((0, 9)), Some(100))
        );
        assert_eq!(content_range("bytes 10-19/*"), range(Some((10, 19)), None));
        assert_eq!(content_range("bytes */100"), range(None, Some(100)));
        assert_eq!(content_range("bytes */*"), range(None, None));
        for bad in ["", "bytes", "bytes 9-0/10", "bytes a-b/c", "lines 0-1/2"] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
