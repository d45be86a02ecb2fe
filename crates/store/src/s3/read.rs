//! Heads and bodies.

use super::S3Store;
use super::attributes::{self, set};
use super::endpoint::encode_query;
use super::request::Call;
use crate::http::{Extent, content_length, counted};
use crate::{Error, GetOptions, GetResult, ObjectHead, Result};
use futures::StreamExt;
use http::{HeaderMap, Method};
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
