//! Upload sessions: a body that streams, in two pieces, with the checksum of the whole at its end.
//!
//! <https://cloud.google.com/storage/docs/performing-resumable-uploads>. A session that is not finished is no object; Google forgets it
//! after a week, and charges nothing.

use super::GcsStore;
use super::request::{Answer, Call, INCOMPLETE};
use super::resource::{self, Object};
use super::split::split;
use super::write::{Sent, Target};
use crate::body::whole_body;
use crate::checksum::{Crc32c, Crc64};
use crate::http::{UploadBody, Wanted};
use crate::{ByteStream, Result};
use bytes::Bytes;
use http::Method;
use serde_json::Value;
use skyfresh_sky::Kind;

/// Every piece of an upload session but the last has a multiple of this
/// (<https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload>).
const SESSION_UNIT_BYTES: u64 = 256 << 10;
/// How often the last piece is sent when answers get lost.
const LAST_PIECE_TRIES: u32 = 3;

impl GcsStore {
    /// Begins an upload session; returns its address.
    pub(super) async fn begin_session(&self, target: Target<'_>, size: u64) -> Result<String> {
        let Target {
            operation,
            full_key,
            mut metadata,
            precondition,
        } = target;
        let query = self.write_query(operation, full_key, "resumable", precondition)?;
        metadata.insert("name".into(), full_key.into());
        let length = self.value(operation, full_key, &size.to_string())?;
        let url = self.endpoint.upload(&query);
        let call = Call::new(operation, Method::POST, full_key, url)
            .header("x-upload-content-length", length)
            .json(&Value::Object(metadata));
        let begun = self.call(call).await;
        let begun = self.settle_missing(operation, begun).await?;
        begun
            .header("location")
            .and_then(|location| self.endpoint.session(location))
            .ok_or_else(|| {
                let why = "the answer does not say where the upload goes on";
                self.failed(Kind::RetryAfter, operation, full_key, why)
            })
    }

    /// An upload session in two pieces: all but the last unit while it streams, then the last with the checksum of the whole,
    /// which Google compares before the object comes into being (<https://cloud.google.com/storage/docs/data-validation>).
    pub(super) async fn send_stream(
        &self,
        target: Target<'_>,
        size: u64,
        body: ByteStream,
    ) -> Result<(Object, Sent)> {
        let (operation, full_key) = (target.operation, target.full_key);
        let session = self.begin_session(target, size).await?;
        let first = (size - 1) / SESSION_UNIT_BYTES * SESSION_UNIT_BYTES;
        let (head, rest) = split(body, first);
        let wanted = Wanted {
            crc32c: true,
            md5: false,
        };
        let range = self.value(
            operation,
            full_key,
            &format!("bytes 0-{}/{size}", first - 1),
        )?;
        let call = Call::new(operation, Method::PUT, full_key, session.clone())
            .header("content-range", range)
            .upload(UploadBody::new(head, first, None, wanted))
            .session();
        let answer = self.call(call).await?;
        let kept = kept_bytes(&answer);
        let internal = |why: &str| self.failed(Kind::Internal, operation, full_key, why);
        let sums = answer
            .sums
            .ok_or_else(|| internal("a streamed body left no checksum"))?;
        if kept != Some(first) {
            let why = format!("the store kept {kept:?} of the first {first} bytes");
            return Err(self.failed(Kind::RetryAfter, operation, full_key, why));
        }
        let rest = rest
            .take()
            .ok_or_else(|| internal("a streamed body did not end"))?;
        let last = whole_body(rest, size - first)
            .await?
            .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
        let length = last.len() as u64;
        let sent = Sent {
            crc64: sums.crc64.then(Crc64::of(&last), length),
            crc32c: Crc32c(sums.crc32c.unwrap_or_default()).then(Crc32c::of(&last), length),
        };
        let object = self
            .finish_session(operation, full_key, &session, (first, last), sent.crc32c)
            .await?;
        Ok((object, sent))
    }

    /// Sends the last piece. Where the answer is lost, the session knows whether the piece came.
    pub(super) async fn finish_session(
        &self,
        operation: &'static str,
        full_key: &str,
        session: &str,
        (first, last): (u64, Bytes),
        crc32c: Crc32c,
    ) -> Result<Object> {
        let size = first + last.len() as u64;
        let value = |text: String| self.value(operation, full_key, &text);
        let range = value(format!("bytes {first}-{}/{size}", size - 1))?;
        let hash = value(format!("crc32c={}", resource::encode_crc32c(crc32c)))?;
        let unknown = value(format!("bytes */{size}"))?;
        let put = || Call::new(operation, Method::PUT, full_key, session.to_owned()).session();
        let mut tries = 0;
        loop {
            tries += 1;
            let call = put()
                .header("content-range", range.clone())
                .header("x-goog-hash", hash.clone())
                .body(last.clone())
                .once();
            let lost = match self.call(call).await {
                Ok(answer) if answer.status != INCOMPLETE => {
                    return self.document(operation, full_key, &answer.body);
                }
                Ok(_) => self.failed(
                    Kind::RetryAfter,
                    operation,
                    full_key,
                    "the store has the whole body and still waits for more",
                ),
                Err(error) if error.kind != Kind::RetryAfter => return Err(error),
                Err(error) => error,
            };
            if tries == LAST_PIECE_TRIES {
                return Err(lost);
            }
            let status = self
                .call(put().header("content-range", unknown.clone()))
                .await?;
            if status.status != INCOMPLETE {
                return self.document(operation, full_key, &status.body);
            }
            if kept_bytes(&status) != Some(first) {
                return Err(lost);
            }
        }
    }
}

/// How many bytes an upload session has; 0 where it says nothing.
fn kept_bytes<B>(answer: &Answer<B>) -> Option<u64> {
    if answer.status != INCOMPLETE {
        return None;
    }
    match answer.header("range") {
        None => Some(0),
        Some(range) => {
            let last: u64 = range.strip_prefix("bytes=0-")?.parse().ok()?;
            last.checked_add(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, StatusCode};

    #[test]
    fn what_a_session_kept() {
        let kept = |status, range: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(range) = range {
                headers.insert("range", HeaderValue::from_static(range));
            }
            kept_bytes(&Answer {
                headers,
                status,
                body: (),
                sums: None,
            })
        };
        assert_eq!(kept(INCOMPLETE, Some("bytes=0-262143")), Some(262_144));
        assert_eq!(kept(INCOMPLETE, None), Some(0));
        for bad in [
            "bytes=1-2",
            "0-2",
            "bytes=0-18446744073709551615",
            "bytes=0-x",
        ] {
            assert_eq!(kept(INCOMPLETE, Some(bad)), None, "{bad}");
        }
        assert_eq!(kept(StatusCode::OK, None), None);
    }
}
