//! Uploads in parts where XML multipart cannot be used: every part is an object, and they are composed in trees.
//!
//! A small object, the manifest, says what the upload is for; while it is there the upload is. A composition takes at most 32
//! objects (<https://cloud.google.com/storage/docs/composite-objects>).

use super::GcsStore;
use super::endpoint::add;
use super::names;
use super::request::Call;
use super::resource::{OBJECT_FIELDS, Object};
use super::uploads::{OwnTag, Whole, part_tag};
use super::write::{Target, staging_metadata};
use crate::{ByteStream, PartReceipt, Precondition, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use skyfresh_sky::{Attributes, Kind};

/// The key below the location, in the manifest's custom metadata, where a listing shows it.
pub(super) const KEY: &str = "skyfresh-key";
/// Sources of one composition.
const MAX_SOURCES: usize = 32;
/// Compositions at once.
const AT_ONCE: usize = 8;

#[derive(Deserialize, Serialize)]
struct Manifest {
    attributes: Attributes,
}

/// An object of a known generation.
struct Piece {
    name: String,
    generation: u64,
}

fn part_name(manifest: &str, number: u32) -> String {
    format!("{manifest}/p{number:05}")
}

impl GcsStore {
    pub(super) async fn begin_compose(
        &self,
        full_key: &str,
        nonce: &str,
        attributes: &Attributes,
    ) -> Result<()> {
        let operation = "create upload";
        if !names::fits_compose(&self.location) {
            let why = "the prefix is too long: no name for the parts would fit";
            return Err(self.failed(Kind::Invalid, operation, full_key, why));
        }
        let name = names::manifest(&self.location, nonce);
        let key = full_key
            .strip_prefix(&self.location.prefix)
            .unwrap_or(full_key);
        let mut metadata = staging_metadata();
        metadata.insert("metadata".into(), json!({KEY: key}));
        let manifest = Manifest {
            attributes: attributes.clone(),
        };
        let content = serde_json::to_vec(&manifest)
            .map_err(|why| self.failed(Kind::Internal, operation, full_key, why.to_string()))?;
        let target = Target {
            operation,
            full_key: &name,
            metadata,
            precondition: &Precondition::None,
        };
        let size = content.len() as u64;
        self.send(target, size, crate::single_chunk(content))
            .await
            .map(|_| ())
    }

    pub(super) async fn send_compose_part(
        &self,
        full_key: &str,
        nonce: &str,
        number: u32,
        size: u64,
        body: ByteStream,
    ) -> Result<PartReceipt> {
        let operation = "upload part";
        let manifest = names::manifest(&self.location, nonce);
        let name = part_name(&manifest, number);
        let target = Target {
            operation,
            full_key: &name,
            metadata: staging_metadata(),
            precondition: &Precondition::None,
        };
        let (object, sent) = self.send(target, size, body).await?;
        // Afterwards, so that a part that comes while the upload is aborted does not stay.
        match self.resource(operation, &manifest, None).await {
            Ok(_) => Ok(PartReceipt {
                etag: part_tag(sent.crc32c, &object.generation.to_string()),
                crc64: Some(sent.crc64),
            }),
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => {
                self.remove_quietly(&object).await;
                Err(self.upload_is_gone(operation, full_key))
            }
            Err(error) => Err(error),
        }
    }

    fn upload_is_gone(&self, operation: &'static str, full_key: &str) -> crate::Error {
        let why = "there is no such upload: it was completed or aborted";
        self.failed(Kind::Missing, operation, full_key, why)
            .with_code("NoSuchUpload")
    }

    pub(super) async fn finish_compose(
        &self,
        full_key: &str,
        nonce: &str,
        parts: &[OwnTag<'_>],
        whole: Whole,
        precondition: &Precondition,
    ) -> Result<Object> {
        let operation = "complete upload";
        let manifest = names::manifest(&self.location, nonce);
        let attributes = self.read_manifest(operation, full_key, &manifest).await?;
        let metadata = self.metadata(operation, full_key, &attributes)?;
        let mut pieces = Vec::with_capacity(parts.len());
        for (number, generation) in parts {
            pieces.push(Piece {
                name: part_name(&manifest, *number),
                generation: generation.parse().map_err(|_| {
                    let why = format!("part {number} has a tag that is not of this upload");
                    self.failed(Kind::Invalid, operation, full_key, why)
                })?,
            });
        }
        let object = self
            .compose_all(operation, full_key, &manifest, pieces)
            .await?;
        self.compare(operation, full_key, &object, whole.size, whole.crc32c)?;
        let published = self
            .publish(operation, &object, full_key, metadata, precondition)
            .await?;
        if let Err(error) = self.discard_compose(nonce).await {
            tracing::warn!(%error, "the parts of a published object could not be removed");
        }
        Ok(published)
    }

    async fn read_manifest(
        &self,
        operation: &'static str,
        full_key: &str,
        manifest: &str,
    ) -> Result<Attributes> {
        let url = self.endpoint.object(manifest, "alt=media");
        let answer = self
            .call(Call::new(operation, Method::GET, manifest, url))
            .await;
        match self.settle_missing(operation, answer).await {
            Ok(answer) => self
                .document::<Manifest>(operation, full_key, &answer.body)
                .map(|manifest| manifest.attributes),
            Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => {
                Err(self.upload_is_gone(operation, full_key))
            }
            Err(error) => Err(error),
        }
    }

    /// Composes level by level until one object is left.
    async fn compose_all(
        &self,
        operation: &'static str,
        full_key: &str,
        manifest: &str,
        mut pieces: Vec<Piece>,
    ) -> Result<Object> {
        let mut level = 0;
        loop {
            let last = pieces.len() <= MAX_SOURCES;
            let mut compositions = Vec::new();
            for (index, sources) in pieces.chunks(MAX_SOURCES).enumerate() {
                let name = if last {
                    format!("{manifest}/whole")
                } else {
                    format!("{manifest}/c{level}-{index:05}")
                };
                compositions.push(self.compose(operation, full_key, name, sources));
            }
            let composed: Vec<Object> = stream::iter(compositions)
                .buffered(AT_ONCE)
                .try_collect()
                .await?;
            if last {
                return composed.into_iter().next().ok_or_else(|| {
                    self.failed(Kind::Internal, operation, full_key, "nothing was composed")
                });
            }
            level += 1;
            pieces = composed
                .into_iter()
                .map(|object| Piece {
                    name: object.name,
                    generation: object.generation,
                })
                .collect();
        }
    }

    async fn compose(
        &self,
        operation: &'static str,
        full_key: &str,
        name: String,
        sources: &[Piece],
    ) -> Result<Object> {
        let sources: Vec<Value> = sources
            .iter()
            .map(|piece| {
                let generation = piece.generation.to_string();
                json!({"name": piece.name, "generation": generation,
                       "objectPreconditions": {"ifGenerationMatch": generation}})
            })
            .collect();
        let body = json!({"kind": "storage#composeRequest", "sourceObjects": sources,
                          "destination": staging_metadata()});
        let mut query = String::new();
        add(&mut query, "fields", OBJECT_FIELDS);
        let url = self.endpoint.compose(&name, &query);
        let call = Call::new(operation, Method::POST, full_key, url)
            .json(&body)
            .slow();
        let answer = self.call(call).await;
        match self.settle_missing(operation, answer).await {
            Ok(answer) => self.document(operation, full_key, &answer.body),
            Err(error)
                if matches!(error.kind, Kind::Missing | Kind::Precondition)
                    && !error.is_missing_bucket() =>
            {
                let why = format!(
                    "a part was never uploaded, or was uploaded again since: {}",
                    error.context
                );
                Err(self.failed(Kind::Invalid, operation, full_key, why))
            }
            Err(error) => Err(error),
        }
    }

    /// The manifest goes first: a part that arrives from now on sees that and goes, too.
    pub(super) async fn discard_compose(&self, nonce: &str) -> Result<()> {
        let operation = "abort upload";
        let manifest = names::manifest(&self.location, nonce);
        self.remove_temporary(operation, &manifest).await?;
        // With the old versions, where parts were sent again.
        self.remove_all(operation, &format!("{manifest}/")).await
    }
}
