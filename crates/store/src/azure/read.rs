//! Heads and bodies.

use super::AzureStore;
use super::attributes;
use super::request::Call;
use crate::http::{Extent, content_length, counted, quote, set};
use crate::{GetOptions, GetResult, ObjectHead, Result};
use futures::StreamExt;
use http::{HeaderMap, Method};
use skyfresh_sky::{Kind, ObjectVersion};
use std::ops::Range;

impl AzureStore {
    pub(super) async fn read_head(&self, full_key: &str) -> Result<ObjectHead> {
        self.read_head_within(&self.container, full_key).await
    }

    pub(super) async fn read_head_within(
        &self,
        container: &str,
        full_key: &str,
    ) -> Result<ObjectHead> {
        let operation = "head";
        let call = Call::new(operation, Method::HEAD, Some(full_key), "").within(container);
        let answer = self.call(call).await?;
        let malformed = |why: String| self.failed(Kind::RetryAfter, operation, full_key, why);
        let size = content_length(&answer.headers)
            .ok_or_else(|| malformed("the answer has no Content-Length".into()))?;
        attributes::read_head(&answer.headers, size, true).map_err(malformed)
    }

    pub(super) async fn begin_get(&self, full_key: &str, options: GetOptions) -> Result<GetResult> {
        let operation = "get";
        let fail = |kind, why: String| self.failed(kind, operation, full_key, why);
        if options.range.as_ref().is_some_and(Range::is_empty) {
            // No range header can ask for zero bytes.
            let head = self.read_head(full_key).await?;
            self.check_version(full_key, &head, options.version.as_ref())?;
            return Ok(GetResult {
                head,
                body: futures::stream::empty().boxed(),
            });
        }
        let mut headers = HeaderMap::new();
        let mut header = |name, value: &str| {
            set(&mut headers, name, value).map_err(|why| fail(Kind::Invalid, why))
        };
        if let Some(version) = &options.version {
            header("if-match", &quote(&version.etag))?;
        }
        if let Some(range) = &options.range {
            header("range", &format!("bytes={}-{}", range.start, range.end - 1))?;
        }
        let mut call = Call::new(operation, Method::GET, Some(full_key), "");
        call.headers = headers;
        let answer = match self.open(call).await {
            // Where nothing is left to compare with, the object is missing, not another.
            Err(error) if error.kind == Kind::Precondition => {
                return Err(match self.read_head(full_key).await {
                    Err(missing) if missing.kind == Kind::Missing => missing,
                    _ => error,
                });
            }
            outcome => outcome?,
        };

        let extent = Extent::read(answer.status, &answer.headers, options.range.as_ref())
            .map_err(|why| fail(Kind::Unsupported, why))?;
        let whole = answer.status == http::StatusCode::OK;
        let head = attributes::read_head(&answer.headers, extent.object_size, whole)
            .map_err(|why| fail(Kind::RetryAfter, why))?;
        self.check_version(full_key, &head, options.version.as_ref())?;
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

    /// Whatever the service does with conditions, bytes of another version never come out.
    fn check_version(
        &self,
        full_key: &str,
        found: &ObjectHead,
        wanted: Option<&ObjectVersion>,
    ) -> Result<()> {
        match wanted {
            Some(wanted) if wanted.etag != found.version.etag => {
                let context = format!("the object is {} now, not {wanted}", found.version);
                Err(self.failed(Kind::Precondition, "get", full_key, context))
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn check_container(&self) -> Result<()> {
        self.page("check", "&maxresults=1").await.map(|_| ())
    }
}
