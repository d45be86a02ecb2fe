//! Publishing and deleting objects.

use super::GcsStore;
use super::endpoint::add;
use super::request::Call;
use super::resource::{self, OBJECT_FIELDS, Object};
use crate::body::whole_body;
use crate::checksum::{Crc32c, Crc64, Md5};
use crate::{ByteStream, Precondition, PutOptions, PutReceipt, Result, Verification};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderValue, Method};
use serde_json::{Map, Value};
use skyfresh_sky::Kind;

/// Bodies up to this size are collected first: they go in one request with their checksum ahead, and can be sent again.
const COLLECT_LIMIT_BYTES: u64 = 1 << 20;
const DELETIONS_AT_ONCE: usize = 8;

/// Checksums of bytes that were sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) crc64: Crc64,
    pub(super) crc32c: Crc32c,
}

/// What is written under which name.
pub(super) struct Target<'a> {
    pub(super) operation: &'static str,
    pub(super) full_key: &'a str,
    pub(super) metadata: Map<String, Value>,
    pub(super) precondition: &'a Precondition,
}

impl GcsStore {
    pub(super) async fn put_object(
        &self,
        full_key: &str,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let operation = "put";
        self.check_name(operation, full_key)?;
        let limit = self.capabilities_now().upload_limits.max_put_bytes;
        if options.size > limit {
            let context = format!(
                "{} bytes are more than one object takes ({limit})",
                options.size
            );
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let metadata = self.metadata(operation, full_key, &options.attributes)?;
        if self.capabilities_now().verification != Verification::Crc32c {
            return self.put_staged(full_key, metadata, options, body).await;
        }
        let target = Target {
            operation,
            full_key,
            metadata,
            precondition: &options.precondition,
        };
        let (object, sent) = self.send(target, options.size, body).await?;
        Ok(PutReceipt {
            version: object.version(),
            crc64: Some(sent.crc64),
        })
    }

    /// Where the store does not check what it is told: first under a temporary name, compared, then published.
    async fn put_staged(
        &self,
        full_key: &str,
        metadata: Map<String, Value>,
        options: PutOptions,
        body: ByteStream,
    ) -> Result<PutReceipt> {
        let operation = "put";
        let temporary = self.staging_name(operation, full_key)?;
        let target = Target {
            operation,
            full_key: &temporary,
            metadata: staging_metadata(),
            precondition: &Precondition::Absent,
        };
        let (object, sent) = match self.send(target, options.size, body).await {
            // It is there, but it is not what was sent.
            Err(error) if matches!(error.kind, Kind::Corrupt | Kind::Unsupported) => {
                let removed = self.remove_temporary(operation, &temporary).await;
                return removed.and(Err(error));
            }
            sent => sent?,
        };
        let published = self
            .publish(
                operation,
                &object,
                full_key,
                metadata,
                &options.precondition,
            )
            .await;
        self.remove_quietly(&object).await;
        Ok(PutReceipt {
            version: published?.version(),
            crc64: Some(sent.crc64),
        })
    }

    /// Writes an object. Where the store checks no checksum ahead or at the end of the body, what it says it holds is compared,
    /// so that a temporary name may be given here in any case.
    pub(super) async fn send(
        &self,
        target: Target<'_>,
        size: u64,
        body: ByteStream,
    ) -> Result<(Object, Sent)> {
        let (operation, full_key) = (target.operation, target.full_key);
        let precondition = target.precondition.clone();
        let outcome = if size <= COLLECT_LIMIT_BYTES {
            let bytes = whole_body(body, size)
                .await?
                .map_err(|why| self.failed(Kind::Invalid, operation, full_key, why))?;
            let sent = Sent {
                crc64: Crc64::of(&bytes),
                crc32c: Crc32c::of(&bytes),
            };
            self.send_whole(target, bytes, sent.crc32c)
                .await
                .map(|object| (object, sent))
        } else {
            self.send_stream(target, size, body).await
        };
        let (object, sent) = match outcome {
            // No object is no object of that version.
            Err(mut error)
                if error.kind == Kind::Missing
                    && !error.is_missing_bucket()
                    && matches!(precondition, Precondition::Version(_)) =>
            {
                error.kind = Kind::Precondition;
                return Err(error);
            }
            outcome => outcome?,
        };
        self.compare(operation, full_key, &object, size, sent.crc32c)?;
        Ok((object, sent))
    }

    /// Fails unless the store says that it holds these bytes.
    pub(super) fn compare(
        &self,
        operation: &'static str,
        full_key: &str,
        object: &Object,
        size: u64,
        crc32c: Crc32c,
    ) -> Result<()> {
        let Some(stated) = object.crc32c() else {
            let why = "the store states no CRC32C, so nothing shows that it holds what was sent";
            return Err(self.failed(Kind::Unsupported, operation, full_key, why));
        };
        if stated == crc32c && object.size == size {
            return Ok(());
        }
        let why = format!(
            "the store holds {} bytes with CRC32C {stated}, but {size} bytes with {crc32c} were sent",
            object.size
        );
        Err(self.failed(Kind::Corrupt, operation, full_key, why))
    }

    /// `multipart/related`: metadata and bytes in one request
    /// (<https://cloud.google.com/storage/docs/uploading-objects#uploading-an-object>).
    pub(super) async fn send_whole(
        &self,
        target: Target<'_>,
        bytes: Bytes,
        crc32c: Crc32c,
    ) -> Result<Object> {
        let Target {
            operation,
            full_key,
            mut metadata,
            precondition,
        } = target;
        let query = self.write_query(operation, full_key, "multipart", precondition)?;
        metadata.insert("name".into(), full_key.into());
        metadata.insert("crc32c".into(), resource::encode_crc32c(crc32c).into());
        metadata.insert("md5Hash".into(), BASE64.encode(Md5::of(&bytes).0).into());
        let content_type = metadata["contentType"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let boundary = self.boundary();
        let mut body = format!(
            "--{boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n{}\r\n--{boundary}\r\ncontent-type: {content_type}\r\n\r\n",
            Value::Object(metadata)
        )
        .into_bytes();
        body.extend_from_slice(&bytes);
        body.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        let kind = self.value(
            operation,
            full_key,
            &format!("multipart/related; boundary={boundary}"),
        )?;
        let url = self.endpoint.upload(&query);
        let call = Call::new(operation, Method::POST, full_key, url)
            .header("content-type", kind)
            .body(body);
        let answer = self.call(call).await;
        let answer = self.settle_missing(operation, answer).await?;
        self.document(operation, full_key, &answer.body)
    }

    /// The query of an upload.
    pub(super) fn write_query(
        &self,
        operation: &'static str,
        full_key: &str,
        kind: &str,
        precondition: &Precondition,
    ) -> Result<String> {
        let mut query = String::new();
        add(&mut query, "uploadType", kind);
        add(&mut query, "fields", OBJECT_FIELDS);
        self.add_precondition(operation, full_key, &mut query, precondition)?;
        Ok(query)
    }

    /// Conditions on the object a write replaces
    /// (<https://cloud.google.com/storage/docs/request-preconditions>).
    pub(super) fn add_precondition(
        &self,
        operation: &'static str,
        full_key: &str,
        query: &mut String,
        precondition: &Precondition,
    ) -> Result<()> {
        match precondition {
            Precondition::None => {}
            Precondition::Absent => add(query, "ifGenerationMatch", "0"),
            Precondition::Version(version) => {
                let (generation, metageneration) = self.pin(operation, full_key, version)?;
                add(query, "ifGenerationMatch", &generation.to_string());
                add(query, "ifMetagenerationMatch", &metageneration.to_string());
            }
        }
        Ok(())
    }

    pub(super) async fn delete_object(
        &self,
        full_key: &str,
        precondition: &Precondition,
    ) -> Result<()> {
        let operation = "delete";
        if *precondition == Precondition::Absent {
            let context = "deleting on condition that there is nothing to delete makes no sense";
            return Err(self.failed(Kind::Invalid, operation, full_key, context));
        }
        let mut query = String::new();
        self.add_precondition(operation, full_key, &mut query, precondition)?;
        let url = self.endpoint.object(full_key, &query);
        let outcome = self
            .call(Call::new(operation, Method::DELETE, full_key, url))
            .await;
        match self.settle_missing(operation, outcome).await {
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(()),
            // The condition fails as well where there is no object: that is what was wanted.
            Err(error) if error.kind == Kind::Precondition => {
                match self.resource(operation, full_key, None).await {
                    Err(missing)
                        if missing.kind == Kind::Missing && !missing.is_missing_bucket() =>
                    {
                        Ok(())
                    }
                    _ => Err(error),
                }
            }
            outcome => outcome.map(|_| ()),
        }
    }

    /// Removes one generation for good: where a bucket keeps versions, a deletion without it would keep the bytes.
    pub(super) async fn remove_generation(
        &self,
        operation: &'static str,
        name: &str,
        generation: u64,
    ) -> Result<()> {
        let mut query = String::new();
        add(&mut query, "generation", &generation.to_string());
        let url = self.endpoint.object(name, &query);
        let outcome = self
            .call(Call::new(operation, Method::DELETE, name, url))
            .await;
        match self.settle_missing(operation, outcome).await {
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(()),
            outcome => outcome.map(|_| ()),
        }
    }

    /// Removes a temporary object by its name, for good. One that is gone is no error.
    pub(super) async fn remove_temporary(&self, operation: &'static str, name: &str) -> Result<()> {
        match self.resource(operation, name, None).await {
            Ok(object) => {
                self.remove_generation(operation, name, object.generation)
                    .await
            }
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes every version of every object whose name begins like this.
    pub(super) async fn remove_all(&self, operation: &'static str, prefix: &str) -> Result<()> {
        loop {
            let parameters = [("prefix", prefix), ("versions", "true")];
            let page = self.objects_page(operation, 1000, &parameters).await?;
            let more = page.next_page_token.is_some();
            stream::iter(page.items)
                .map(Ok)
                .try_for_each_concurrent(DELETIONS_AT_ONCE, |object| async move {
                    self.remove_generation(operation, &object.name, object.generation)
                        .await
                })
                .await?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Removes a temporary object whose purpose is over; what remains is found by its name.
    pub(super) async fn remove_quietly(&self, object: &Object) {
        let removed = self.remove_generation("clean up", &object.name, object.generation);
        if let Err(error) = removed.await {
            tracing::warn!(%error, "a temporary object could not be removed");
        }
    }

    pub(super) fn value(
        &self,
        operation: &'static str,
        full_key: &str,
        text: &str,
    ) -> Result<HeaderValue> {
        HeaderValue::from_str(text).map_err(|_| {
            let why = format!("{text:?} cannot stand in a header");
            self.failed(Kind::Invalid, operation, full_key, why)
        })
    }

    /// A line that separates two parts and, being unpredictable, stands in neither.
    fn boundary(&self) -> String {
        format!("skyfresh-{}-{}", self.rng.token(), self.rng.token())
    }
}

/// Temporary objects are deleted after seconds, which a colder class would charge for as if they had stayed for months
/// (<https://cloud.google.com/storage/pricing#early-delete>).
pub(super) fn staging_metadata() -> Map<String, Value> {
    let mut metadata = Map::new();
    metadata.insert("contentType".into(), "application/octet-stream".into());
    metadata.insert("storageClass".into(), "STANDARD".into());
    metadata
}
