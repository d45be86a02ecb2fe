//! From a request's body to verified content, in one pass.

use super::checksum::Digests;
use super::content::Segment;
use super::disk::Storage;
use super::{Algorithm, Content, Hasher};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use s3s::{S3Error, S3ErrorCode, S3Result, StdError, TrailingHeaders, s3_error};
use std::ops::Range;
use std::sync::Arc;

/// Bodies up to this are copied into one allocation of their exact size, so that a small object does not hold on to a
/// whole network buffer. Larger ones keep the buffers they arrived in.
const COMPACT_BELOW_BYTES: usize = 64 * 1024;

/// How much is hashed between two chances for other tasks to run.
const YIELD_EVERY_BYTES: u64 = 4 * 1024 * 1024;

/// The largest body of one PUT or part (Amazon S3 user guide, "Amazon S3 multipart upload limits").
const BODY_LIMIT_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// What the client said about the body.
#[derive(Debug, Default)]
pub(crate) struct Expected {
    pub(crate) length: Option<u64>,
    /// `Content-MD5`, base64.
    pub(crate) content_md5: Option<String>,
    /// `x-amz-checksum-*`, base64.
    pub(crate) checksum: Option<(Algorithm, String)>,
    /// A checksum announced by `x-amz-trailer`, and where it will appear.
    pub(crate) trailer: Option<(Algorithm, TrailingHeaders)>,
    /// Nobody but a client that sent one asks for the MD5: entity tags are made otherwise.
    pub(crate) md5_unused: bool,
}

impl Expected {
    /// The algorithm of the checksum that came, or will come, with the body.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        self.checksum
            .as_ref()
            .map(|(algorithm, _)| *algorithm)
            .or_else(|| self.trailer.as_ref().map(|(algorithm, _)| *algorithm))
    }

    fn check_form(&self) -> S3Result<()> {
        let decoded_len = |value: &str| BASE64.decode(value).map(|bytes| bytes.len()).ok();
        if let Some(md5) = &self.content_md5
            && decoded_len(md5) != Some(16)
        {
            return Err(s3_error!(
                InvalidDigest,
                "The Content-MD5 you specified was invalid."
            ));
        }
        if let Some((algorithm, value)) = &self.checksum
            && decoded_len(value) != Some(algorithm.digest_len())
        {
            return Err(s3_error!(
                InvalidRequest,
                "Value for {} header is invalid.",
                algorithm.header()
            ));
        }
        Ok(())
    }

    fn check(&self, size: u64, digests: &Digests) -> S3Result<()> {
        if self.length.is_some_and(|length| length != size) {
            return Err(s3_error!(
                IncompleteBody,
                "You did not provide the number of bytes specified by the Content-Length HTTP header"
            ));
        }
        if let Some(md5) = &self.content_md5
            && BASE64.encode(digests.md5) != *md5
        {
            return Err(s3_error!(
                BadDigest,
                "The Content-MD5 you specified did not match what we received."
            ));
        }
        if let Some((algorithm, value)) = &self.checksum {
            check_digest(*algorithm, value, digests)?;
        }
        if let Some((algorithm, trailers)) = &self.trailer {
            let value = trailers
                .read(|map| {
                    map.get(algorithm.header())
                        .and_then(|value| value.to_str().ok())
                        .map(str::to_owned)
                })
                .flatten()
                .ok_or_else(|| s3_error!(IncompleteBody, "The announced trailer did not arrive"))?;
            check_digest(*algorithm, &value, digests)?;
        }
        Ok(())
    }
}

fn check_digest(algorithm: Algorithm, expected: &str, digests: &Digests) -> S3Result<()> {
    match digests.checksum(algorithm) {
        Some(digest) if BASE64.encode(digest) == expected => Ok(()),
        _ => Err(s3_error!(
            BadDigest,
            "The {} you specified did not match the calculated checksum.",
            algorithm.name()
        )),
    }
}

/// A verified body. On disk it is temporary until a record refers to it.
#[derive(Debug)]
pub(crate) struct Ingested {
    pub(crate) content: Content,
    pub(crate) digests: Digests,
}

/// Reads `body` to its end, hashing with `algorithms` besides MD5 and whatever `expected` names, and verifies it.
///
/// # Errors
/// The body broke off, was too long, or did not match what was said about it: nothing is kept then.
pub(crate) async fn ingest(
    storage: &Storage,
    body: impl Stream<Item = Result<Bytes, StdError>>,
    expected: &Expected,
    algorithms: &[Algorithm],
) -> S3Result<Ingested> {
    expected.check_form()?;
    let mut wanted = algorithms.to_vec();
    wanted.extend(expected.algorithm());
    wanted.sort();
    wanted.dedup();
    let mut hasher = Hasher::new(&wanted);
    if expected.md5_unused && expected.content_md5.is_none() {
        hasher = hasher.without_md5();
    }
    let mut writer = storage.writer().await?;
    let mut size = 0u64;
    let mut body = std::pin::pin!(body);
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(body_error)?;
        size += chunk.len() as u64;
        if size
            > expected
                .length
                .unwrap_or(BODY_LIMIT_BYTES)
                .min(BODY_LIMIT_BYTES)
        {
            return Err(s3_error!(
                EntityTooLarge,
                "Your proposed upload exceeds the maximum allowed object size"
            ));
        }
        hasher.update(&chunk);
        writer.write(chunk).await?;
    }
    let digests = hasher.finish();
    expected.check(size, &digests)?;
    Ok(Ingested {
        content: writer.finish().await?,
        digests,
    })
}

/// s3s keeps its stream errors private, so they are told apart by their text.
fn body_error(source: StdError) -> S3Error {
    let text = source.to_string();
    if text.contains("Sha256Mismatch") {
        let mut error = s3_error!(
            InvalidRequest,
            "The provided 'x-amz-content-sha256' header does not match what was computed."
        );
        error.set_code(S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into()));
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        error
    } else if text.contains("SignatureMismatch") {
        s3_error!(SignatureDoesNotMatch, "A chunk's signature does not match")
    } else {
        let mut error = s3_error!(IncompleteBody, "The request body terminated unexpectedly");
        error.set_source(source);
        error
    }
}

/// Hashes a range of content that is already stored.
///
/// # Errors
/// A data file cannot be read.
pub(crate) async fn digest_content(
    content: &Arc<Content>,
    range: Range<u64>,
    algorithms: &[Algorithm],
) -> S3Result<Digests> {
    let mut hasher = Hasher::new(algorithms);
    let mut stream = content.stream(range);
    let mut since_yield = 0;
    while let Some(chunk) = stream.next().await {
        let chunk =
            chunk.map_err(|source| S3Error::with_source(S3ErrorCode::InternalError, source))?;
        hasher.update(&chunk);
        since_yield += chunk.len() as u64;
        if since_yield >= YIELD_EVERY_BYTES {
            since_yield = 0;
            tokio::task::yield_now().await;
        }
    }
    Ok(hasher.finish())
}

/// Gathers chunks in memory.
#[derive(Debug, Default)]
pub(crate) struct MemoryWriter {
    chunks: Vec<Bytes>,
    len: usize,
}

impl MemoryWriter {
    pub(crate) fn write(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.len += chunk.len();
            self.chunks.push(chunk);
        }
    }

    pub(crate) fn finish(self) -> Content {
        if self.len > COMPACT_BELOW_BYTES {
            return Content::new(self.chunks.into_iter().map(Segment::Memory).collect());
        }
        let mut whole = BytesMut::with_capacity(self.len);
        for chunk in &self.chunks {
            whole.extend_from_slice(chunk);
        }
        Content::new(vec![Segment::Memory(whole.freeze())])
    }
}
