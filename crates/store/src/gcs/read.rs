//! Heads and bodies.
//!
//! The head of an object is its JSON resource: the headers of a download do not tell what `Cache-Control` an object has from what
//! Google adds. A read asks for both at once, and remembers the heads it has seen: that of one generation and metageneration
//! never changes, so the parts of a large object cost one question in all.

use super::GcsStore;
use super::endpoint::add;
use super::names::is_temporary_name;
use super::request::{Answer, Call};
use super::resource::{self, OBJECT_FIELDS, Object};
use crate::http::counted;
use crate::{GetOptions, GetResult, ObjectHead, Result};
use futures::StreamExt;
use http::{HeaderValue, Method, StatusCode};
use hyper::body::Incoming;
use skyfresh_sky::{Kind, ObjectVersion};
use std::collections::VecDeque;
use std::ops::Range;

/// Heads that are remembered: enough for the objects that are read in parts at the same time.
const REMEMBERED_HEADS: usize = 128;
/// How often a read begins again because the object was overwritten between its two questions.
const ROUNDS: u32 = 4;

/// The heads seen last.
#[derive(Debug, Default)]
pub(super) struct Heads(VecDeque<(String, ObjectHead)>);

impl Heads {
    fn find(&self, full_key: &str, version: &ObjectVersion) -> Option<ObjectHead> {
        self.0
            .iter()
            .find(|(key, head)| key == full_key && head.version == *version)
            .map(|(_, head)| head.clone())
    }

    fn remember(&mut self, full_key: &str, head: &ObjectHead) {
        self.0.retain(|(key, _)| key != full_key);
        self.0.push_front((full_key.to_owned(), head.clone()));
        self.0.truncate(REMEMBERED_HEADS);
    }
}

impl GcsStore {
    /// An object's head. Temporary objects of ours do not exist for anybody else.
    pub(super) async fn read_head(&self, full_key: &str) -> Result<ObjectHead> {
        let operation = "head";
        self.refuse_temporary(operation, full_key)?;
        let object = self.resource(operation, full_key, None).await?;
        self.head_of(operation, full_key, &object)
    }

    fn refuse_temporary(&self, operation: &'static str, full_key: &str) -> Result<()> {
        if !is_temporary_name(full_key) {
            return Ok(());
        }
        let why = "this is a part of an unfinished upload, not an object";
        Err(self
            .failed(Kind::Missing, operation, full_key, why)
            .with_code(super::error::NO_SUCH_KEY))
    }

    fn head_of(
        &self,
        operation: &'static str,
        full_key: &str,
        object: &Object,
    ) -> Result<ObjectHead> {
        let head = object
            .head()
            .map_err(|why| self.failed(Kind::RetryAfter, operation, full_key, why))?;
        self.heads().remember(full_key, &head);
        Ok(head)
    }

    /// An object's resource, of one generation where one is named.
    pub(super) async fn resource(
        &self,
        operation: &'static str,
        full_key: &str,
        generation: Option<u64>,
    ) -> Result<Object> {
        let mut query = String::new();
        add(&mut query, "fields", OBJECT_FIELDS);
        if let Some(generation) = generation {
            add(&mut query, "generation", &generation.to_string());
        }
        let url = self.endpoint.object(full_key, &query);
        let answer = self
            .call(Call::new(operation, Method::GET, full_key, url))
            .await;
        let answer = self.settle_missing(operation, answer).await?;
        self.document(operation, full_key, &answer.body)
    }

    pub(super) async fn begin_get(&self, full_key: &str, options: GetOptions) -> Result<GetResult> {
        let operation = "get";
        self.refuse_temporary(operation, full_key)?;
        let version = match &options.version {
            None => None,
            Some(version) => Some(self.pin(operation, full_key, version)?),
        };
        let outcome = if options.range.as_ref().is_some_and(Range::is_empty) {
            self.get_nothing(full_key, version).await
        } else {
            self.get_bytes(full_key, options.range, version).await
        };
        match (outcome, &options.version) {
            // The generation is gone: because of a newer one, or altogether?
            (Err(error), Some(version))
                if error.kind == Kind::Missing && !error.is_missing_bucket() =>
            {
                let now = self.resource(operation, full_key, None).await?;
                let context = format!("the object is {} now, not {version}", now.version());
                Err(self.failed(Kind::Precondition, operation, full_key, context))
            }
            (outcome, _) => outcome,
        }
    }

    /// Generation and metageneration that a version names.
    pub(super) fn pin(
        &self,
        operation: &'static str,
        full_key: &str,
        version: &ObjectVersion,
    ) -> Result<(u64, u64)> {
        resource::generations(version).ok_or_else(|| {
            let context = format!("no object here ever has the version {version}");
            self.failed(Kind::Precondition, operation, full_key, context)
        })
    }

    /// No range header can ask for zero bytes.
    async fn get_nothing(&self, full_key: &str, version: Option<(u64, u64)>) -> Result<GetResult> {
        let generation = version.map(|(generation, _)| generation);
        let object = self.resource("get", full_key, generation).await?;
        let head = self.head_of("get", full_key, &object)?;
        self.check_version(full_key, &head.version, version)?;
        Ok(GetResult {
            head,
            body: futures::stream::empty().boxed(),
        })
    }

    async fn get_bytes(
        &self,
        full_key: &str,
        range: Option<Range<u64>>,
        version: Option<(u64, u64)>,
    ) -> Result<GetResult> {
        let operation = "get";
        let fail = |kind, why: String| self.failed(kind, operation, full_key, why);
        let known = version.and_then(|(generation, metageneration)| {
            let version = resource::version(generation, metageneration);
            self.heads().find(full_key, &version)
        });
        for _ in 0..ROUNDS {
            let generation = version.map(|(generation, _)| generation);
            let (answer, head) = match &known {
                Some(head) => (
                    self.download(full_key, range.as_ref(), version).await?,
                    Some(head.clone()),
                ),
                None => {
                    let (answer, object) = futures::try_join!(
                        self.download(full_key, range.as_ref(), version),
                        self.resource(operation, full_key, generation),
                    )?;
                    (answer, Some(self.head_of(operation, full_key, &object)?))
                }
            };
            let found = answered_version(&answer).ok_or_else(|| {
                fail(
                    Kind::Unsupported,
                    "the answer does not say which generation it brings: is this Google Cloud Storage?"
                        .into(),
                )
            })?;
            self.check_version(full_key, &found, version)?;
            let head = match head.filter(|head| head.version == found) {
                Some(head) => head,
                // Overwritten between the two questions: the head of what is being read, if it can still be had.
                None => {
                    let generation =
                        resource::generations(&found).map(|(generation, _)| generation);
                    match self.resource(operation, full_key, generation).await {
                        Ok(object) if object.version() == found => {
                            self.head_of(operation, full_key, &object)?
                        }
                        Ok(_) => continue,
                        Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => {
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                }
            };
            let length = body_length(&answer, range.as_ref(), head.size)
                .map_err(|why| fail(Kind::Unsupported, why))?;
            let body = counted(
                answer.body,
                length,
                self.clock.clone(),
                self.stall,
                operation,
                self.target(full_key),
            );
            return Ok(GetResult { head, body });
        }
        let why = "the object is overwritten faster than it can be read";
        Err(fail(Kind::RetryAfter, why.into()))
    }

    async fn download(
        &self,
        full_key: &str,
        range: Option<&Range<u64>>,
        version: Option<(u64, u64)>,
    ) -> Result<Answer<Incoming>> {
        let operation = "get";
        let mut query = "alt=media".to_owned();
        if let Some((generation, metageneration)) = version {
            let generation = generation.to_string();
            add(&mut query, "generation", &generation);
            add(&mut query, "ifGenerationMatch", &generation);
            add(
                &mut query,
                "ifMetagenerationMatch",
                &metageneration.to_string(),
            );
        }
        let url = self.endpoint.object(full_key, &query);
        // Bytes that are stored as gzip come as they are stored, and with their checksum, only if gzip is accepted
        // (<https://cloud.google.com/storage/docs/transcoding>).
        let mut call = Call::new(operation, Method::GET, full_key, url)
            .header("accept-encoding", HeaderValue::from_static("gzip"));
        if let Some(range) = range {
            let value = format!("bytes={}-{}", range.start, range.end - 1);
            let value = HeaderValue::try_from(value).map_err(|_| {
                self.failed(Kind::Internal, operation, full_key, "a range of no digits")
            })?;
            call = call.header("range", value);
        }
        let answer = self.open(call).await;
        self.settle_missing(operation, answer).await
    }

    /// Whatever the store does with conditions, bytes of another version never come out.
    fn check_version(
        &self,
        full_key: &str,
        found: &ObjectVersion,
        wanted: Option<(u64, u64)>,
    ) -> Result<()> {
        let Some((generation, metageneration)) = wanted else {
            return Ok(());
        };
        let wanted = resource::version(generation, metageneration);
        if *found == wanted {
            return Ok(());
        }
        let context = format!("the object is {found} now, not {wanted}");
        Err(self.failed(Kind::Precondition, "get", full_key, context))
    }

    pub(super) async fn check_bucket(&self) -> Result<()> {
        let operation = "check";
        self.objects_page(operation, 1, &[]).await.map(|_| ())
    }

    /// Where Google says that something is absent but not what, asks for the bucket.
    pub(super) async fn settle_missing<T>(
        &self,
        operation: &'static str,
        outcome: Result<T>,
    ) -> Result<T> {
        let Err(error) = outcome else { return outcome };
        if error.kind != Kind::Missing || error.code.is_some() {
            return Err(error);
        }
        match self.objects_page(operation, 1, &[]).await {
            Ok(_) => Err(error.with_code(super::error::NO_SUCH_KEY)),
            // Nothing but the bucket can be absent of a listing.
            Err(bucket) if bucket.kind == Kind::Missing => {
                Err(bucket.with_code(super::error::NO_SUCH_BUCKET))
            }
            Err(other) => Err(other),
        }
    }
}

/// The version that a download says it brings.
fn answered_version<B>(answer: &Answer<B>) -> Option<ObjectVersion> {
    Some(resource::version(
        answer.header("x-goog-generation")?.parse().ok()?,
        answer.header("x-goog-metageneration")?.parse().ok()?,
    ))
}

/// How many bytes an answer brings.
///
/// # Errors
/// It brings others than those asked for: why.
fn body_length<B>(
    answer: &Answer<B>,
    asked: Option<&Range<u64>>,
    size: u64,
) -> Result<u64, String> {
    let length: Option<u64> = match answer.header("content-length") {
        Some(text) => Some(text.parse().map_err(|_| "cannot read Content-Length")?),
        None => None,
    };
    let expected = match (answer.status, asked) {
        (StatusCode::PARTIAL_CONTENT, Some(asked)) => {
            let text = answer.header("content-range").ok_or("no Content-Range")?;
            if content_range(text) != Some((asked.clone(), size)) {
                return Err(format!("asked for bytes {asked:?} of {size}, got {text:?}"));
            }
            asked.end - asked.start
        }
        (StatusCode::OK, None) => size,
        (StatusCode::OK, Some(asked)) if *asked == (0..size) => size,
        (StatusCode::OK, Some(asked)) => {
            return Err(format!(
                "asked for bytes {asked:?}, got the whole object of {size}"
            ));
        }
        (status, _) => return Err(format!("unexpected status {status}")),
    };
    match length {
        Some(length) if length != expected => Err(format!(
            "the answer has {length} bytes, not the {expected} stored: was it decompressed on the way?"
        )),
        _ => Ok(expected),
    }
}

/// `bytes 0-9/100` as an exclusive range and the whole size (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let last: u64 = last.parse().ok()?;
    Some((
        first.parse().ok()?..last.checked_add(1)?,
        size.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(
        status: u16,
        headers: &[(&'static str, &'static str)],
        asked: Option<Range<u64>>,
    ) -> Option<u64> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect();
        let answer = Answer {
            headers,
            status: StatusCode::from_u16(status).unwrap(),
            body: (),
            sums: None,
        };
        body_length(&answer, asked.as_ref(), 100).ok()
    }

    #[test]
    fn only_the_bytes_asked_for_are_taken() {
        let whole = ("content-length", "100");
        assert_eq!(length(200, &[whole], None), Some(100));
        assert_eq!(length(200, &[], None), Some(100), "chunked");
        assert_eq!(length(200, &[whole], Some(0..100)), Some(100));
        assert_eq!(length(200, &[whole], Some(0..5)), None);
        let longer = ("content-length", "300");
        assert_eq!(length(200, &[longer], None), None, "decompressed");
        let range = ("content-range", "bytes 5-9/100");
        assert_eq!(length(206, &[range], Some(5..10)), Some(5));
        assert_eq!(length(206, &[range], Some(5..11)), None);
        assert_eq!(length(206, &[range], None), None);
        let other = ("content-range", "bytes 5-9/101");
        assert_eq!(length(206, &[other], Some(5..10)), None);
    }

    #[test]
    fn heads_are_remembered_by_version_and_not_for_ever() {
        let head = |generation| ObjectHead {
            version: resource::version(generation, 1),
            size: 0,
            modified: skyfresh_sky::Timestamp::ZERO,
            crc64: None,
            crc32c: None,
            md5: None,
            attributes: skyfresh_sky::Attributes::default(),
            tag_count: 0,
        };
        let mut heads = Heads::default();
        heads.remember("k", &head(1));
        heads.remember("k", &head(2));
        assert_eq!(heads.find("k", &resource::version(1, 1)), None);
        assert_eq!(heads.find("k", &resource::version(2, 1)), Some(head(2)));
        assert_eq!(heads.find("j", &resource::version(2, 1)), None);
        for index in 0..REMEMBERED_HEADS {
            heads.remember(&index.to_string(), &head(3));
        }
        assert_eq!(heads.find("k", &resource::version(2, 1)), None);
        assert_eq!(heads.0.len(), REMEMBERED_HEADS);
    }
}
