//! Rewrites: server-side copies, and how a temporary object becomes the one that is meant.
//!
//! A rewrite within one bucket and storage class moves no bytes; others go on in steps, each named by a token.

use super::GcsStore;
use super::endpoint::add;
use super::request::Call;
use super::resource::{OBJECT_FIELDS, Object, Rewrite};
use crate::{CopySource, Precondition, PutReceipt, Result};
use http::Method;
use serde_json::{Map, Value};
use skyfresh_sky::{Attributes, Kind};

/// Steps of one rewrite: each moves 1 MiB at the very least (<https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite>,
/// `maxBytesRewrittenPerCall`), in practice gigabytes.
const MAX_STEPS: u32 = 100_000;

/// Where a rewrite reads.
struct Source<'a> {
    bucket: &'a str,
    full_key: &'a str,
    /// Generation and metageneration it must have.
    pin: Option<(u64, u64)>,
}

impl GcsStore {
    pub(super) async fn copy_object(
        &self,
        full_key: &str,
        source: &CopySource,
        attributes: Option<&Attributes>,
        precondition: &Precondition,
    ) -> Result<PutReceipt> {
        let operation = "copy";
        self.check_name(operation, full_key)?;
        let pin = match &source.version {
            None => None,
            Some(version) => Some(self.pin(operation, &source.full_key, version)?),
        };
        let metadata = match attributes {
            None => None,
            Some(attributes) => Some(self.metadata(operation, full_key, attributes)?),
        };
        let source = Source {
            bucket: source.bucket.as_deref().unwrap_or(&self.location.bucket),
            full_key: &source.full_key,
            pin,
        };
        let object = self
            .rewrite(operation, &source, full_key, metadata, precondition)
            .await?;
        Ok(PutReceipt {
            version: object.version(),
            crc64: None,
        })
    }

    /// Makes a temporary object, whose content has been compared, the object of this key.
    pub(super) async fn publish(
        &self,
        operation: &'static str,
        temporary: &Object,
        full_key: &str,
        metadata: Map<String, Value>,
        precondition: &Precondition,
    ) -> Result<Object> {
        let source = Source {
            bucket: &self.location.bucket,
            full_key: &temporary.name,
            pin: Some((temporary.generation, temporary.metageneration)),
        };
        let object = self
            .rewrite(operation, &source, full_key, Some(metadata), precondition)
            .await?;
        if object.size != temporary.size || object.crc32c() != temporary.crc32c() {
            let why =
                "the store says that the published object differs from the one it was made of";
            return Err(self.failed(Kind::Corrupt, operation, full_key, why));
        }
        Ok(object)
    }

    async fn rewrite(
        &self,
        operation: &'static str,
        source: &Source<'_>,
        full_key: &str,
        metadata: Option<Map<String, Value>>,
        precondition: &Precondition,
    ) -> Result<Object> {
        let mut fixed = String::new();
        let fields = format!("kind,done,rewriteToken,resource({OBJECT_FIELDS})");
        add(&mut fixed, "fields", &fields);
        if let Some((generation, metageneration)) = source.pin {
            add(
                &mut fixed,
                "ifSourceGenerationMatch",
                &generation.to_string(),
            );
            add(
                &mut fixed,
                "ifSourceMetagenerationMatch",
                &metageneration.to_string(),
            );
        }
        self.add_precondition(operation, full_key, &mut fixed, precondition)?;
        let metadata = metadata.map(Value::Object);
        let mut token: Option<String> = None;
        for _ in 0..MAX_STEPS {
            let mut query = fixed.clone();
            if let Some(token) = &token {
                add(&mut query, "rewriteToken", token);
            }
            let url = self
                .endpoint
                .rewrite(source.bucket, source.full_key, full_key, &query);
            let call = Call::new(operation, Method::POST, full_key, url).slow();
            let call = match &metadata {
                Some(metadata) => call.json(metadata),
                None => call,
            };
            let answer = self.call(call).await;
            let answer = self.settle_missing(operation, answer).await?;
            let step: Rewrite = self.document(operation, full_key, &answer.body)?;
            match (step.done, step.resource, step.rewrite_token) {
                (true, Some(object), _) => return Ok(object),
                (false, _, Some(next)) => token = Some(next),
                _ => break,
            }
        }
        let why = "the answer to a rewrite says neither what was written nor how to go on";
        Err(self.failed(Kind::RetryAfter, operation, full_key, why))
    }
}
