//! Heads and bodies.

use super::S3Store;
use super::attributes::{self, set};
use super::endpoint::encode_query;
use super::request::Call;
use crate::http::counted;
use crate::{Error, GetOptions, GetResult, ObjectHead, Result};
use futures::StreamExt;
use http::{HeaderMap, Method, StatusCode};
use skyfresh_sky::{Kind, ObjectVersion};
use std::ops::Range;

impl S3Store {
    /// An answer to HEAD has no body, so a missing object looks like a missing bucket: a GET of one byte tells which.
    pub(super) async fn read_head(&self, full_key: &str) -> Result<ObjectHead> {
        match self.head_once(full_key).await {
            Err(error) if error.kind == Kind::Missing && error.code.is_none() => {}
            outcome => return outcome,
        }
        let operation = "head";
        let mut call = Call::new(operation, Method::GET, Some(full_key), "");
        set(&mut call.headers, "range", "bytes=0-0")
            .map_err(|why| self.failed(Kind::Internal, operation, full_key, why))?;
        match self.open(call).await {
            // It came into being in between.
            Ok(_) => self.head_once(full_key).await,
            Err(error) if error.code.as_deref() == Some("InvalidRange") => {
                self.head_once(full_key).await
            }
            Err(error) => Err(error),
        }
    }

    async fn head_once(&self, full_key: &str) -> Result<ObjectHead> {
        let operation = "head";
        let mut call = Call::new(operation, Method::HEAD, Some(full_key), "");
        set(&mut call.headers, "x-amz-checksum-mode", "ENABLED")
            .map_err(|why| self.failed(Kind::Internal, operation, full_key, why))?;
        let answer = self.call(call).await?;
        let size = content_length(&answer.headers).ok_or_else(|| {
            self.failed(
                Kind::RetryAfter,
                operation,
                full_key,
                "the answer has no Content-Length",
            )
        })?;
        attributes::read_head(&answer.headers, size)
            .map_err(|why| self.failed(Kind::RetryAfter, operation, full_key, why))
    }

    pub(super) async fn begin_get(&self, full_key: &str, options: GetOptions) -> Result<GetResult> {
        let operation = "get";
        let fail = |kind, why: String| self.failed(kind, operation, full_key, why);
        if options.range.as_ref().is_some_and(Range::is_empty) {
            return self.get_nothing(full_key, options).await;
        }
        let mut query = String::new();
        let mut headers = HeaderMap::new();
        let mut header = |name, value: &str| {
            set(&mut headers, name, value).map_err(|why| fail(Kind::Invalid, why))
        };
        match &options.version {
            Some(ObjectVersion {
                version_id: Some(id),
                ..
            }) => {
                query = format!("versionId={}", encode_query(id));
            }
            Some(ObjectVersion {
                etag,
                version_id: None,
            }) => {
                header("if-match", &attributes::quote(etag))?;
            }
            None => {}
        }
        match &options.range {
            Some(range) => header("range", &format!("bytes={}-{}", range.start, range.end - 1))?,
            None => header("x-amz-checksum-mode", "ENABLED")?,
        }
        let mut call = Call::new(operation, Method::GET, Some(full_key), query);
        call.headers = headers;
        let answer = self.open(call).await?;

        let extent = Extent::read(answer.status, &answer.headers, options.range.as_ref())
            .map_err(|why| fail(Kind::Unsupported, why))?;
        let head = attributes::read_head(&answer.headers, extent.object_size)
            .map_err(|why| fail(Kind::RetryAfter, why))?;
        self.check_version(operation, full_key, &head, options.version.as_ref())?;
        let body = counted(
            answer.body,
            extent.body_size,
            self.clock.clone(),
            self.stall,
            operation,
            self.target(Some(full_key)),
        );
        Ok(GetResult { head, body })
    }

    /// No range header can ask for zero bytes.
    async fn get_nothing(&self, full_key: &str, options: GetOptions) -> Result<GetResult> {
        let head = self.read_head(full_key).await?;
        self.check_version("get", full_key, &head, options.version.as_ref())?;
        Ok(GetResult {
            head,
            body: futures::stream::empty().boxed(),
        })
    }

    /// Whatever the store does with conditions, bytes of another version never come out.
    fn check_version(
        &self,
        operation: &'static str,
        full_key: &str,
        found: &ObjectHead,
        wanted: Option<&ObjectVersion>,
    ) -> Result<()> {
        let Some(wanted) = wanted else { return Ok(()) };
        let same_id = match (&wanted.version_id, &found.version.version_id) {
            (Some(wanted), Some(found)) => wanted == found,
            // Asked for by its id and answered without one: only the content can be compared.
            (Some(_), None) | (None, _) => true,
        };
        if same_id && wanted.etag == found.version.etag {
            return Ok(());
        }
        let context = format!("the object is {} now, not {wanted}", found.version);
        Err(self.failed(Kind::Precondition, operation, full_key, context))
    }

    pub(super) async fn check_bucket(&self) -> Result<()> {
        let prefix = encode_query(&self.location.prefix);
        let query = format!("list-type=2&max-keys=1&prefix={prefix}");
        let answer = self
            .call(Call::new("check", Method::GET, None, query))
            .await?;
        self.document::<super::xml::ListBucketResult>("check", "", &answer.body)
            .map(|_| ())
            .map_err(|error: Error| {
                let next_step = "check that the endpoint speaks the S3 protocol";
                Error {
                    context: format!("{}; {next_step}", error.context),
                    ..error
                }
            })
    }
}

/// How many bytes an answer brings, of how many.
struct Extent {
    object_size: u64,
    body_size: u64,
}

impl Extent {
    fn read(
        status: StatusCode,
        headers: &HeaderMap,
        asked: Option<&Range<u64>>,
    ) -> Result<Self, String> {
        let length = content_length(headers);
        match (status, asked) {
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => {
                let text = attributes::text(headers, "content-range").ok_or("no Content-Range")?;
                let (range, object_size) = content_range(&text)
                    .ok_or_else(|| format!("cannot read Content-Range {text:?}"))?;
                if range != *asked {
                    return Err(format!(
                        "asked for bytes {asked:?} of the object, got {text:?}"
                    ));
                }
                Ok(Extent {
                    object_size,
                    body_size: asked.end - asked.start,
                })
            }
            (StatusCode::OK, asked) => {
                let size = length.ok_or("the answer has no Content-Length")?;
                match asked {
                    Some(asked) if *asked != (0..size) => Err(format!(
                        "asked for bytes {asked:?}, got the whole object of {size}"
                    )),
                    _ => Ok(Extent {
                        object_size: size,
                        body_size: size,
                    }),
                }
            }
            (status, _) => Err(format!("unexpected status {status}")),
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    attributes::text(headers, "content-length")?.parse().ok()
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

    fn extent(
        status: u16,
        headers: &[(&'static str, &'static str)],
        asked: Option<Range<u64>>,
    ) -> Option<(u64, u64)> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect();
        Extent::read(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            asked.as_ref(),
        )
        .ok()
        .map(|extent| (extent.object_size, extent.body_size))
    }

    #[test]
    fn only_the_bytes_asked_for_are_taken() {
        let length = ("content-length", "10");
        assert_eq!(extent(200, &[length], None), Some((10, 10)));
        assert_eq!(extent(200, &[length], Some(0..10)), Some((10, 10)));
        assert_eq!(extent(200, &[length], Some(0..5)), None);
        assert_eq!(extent(200, &[], None), None);
        let range = ("content-range", "bytes 5-9/100");
        assert_eq!(extent(206, &[range], Some(5..10)), Some((100, 5)));
        assert_eq!(extent(206, &[range], Some(5..11)), None);
        assert_eq!(extent(206, &[range], None), None);
        for bad in [
            "bytes 5-9/*",
            "bytes */100",
            "5-9/100",
            "bytes 5-18446744073709551615/1",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
