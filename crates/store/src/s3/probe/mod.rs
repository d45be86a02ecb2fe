//! What the endpoint really does: false conditions and wrong checksums are sent, and must be refused.
//!
//! Some 30 requests, in phases that each build on the one before; independent ones go out together. Everything is written below
//! one root and removed again, also after a failure. A condition counts as enforced only where a false one was refused. A
//! server-side copy counts only where its source can be pinned (else parts could be of different versions) and where it
//! enforces the conditions on its destination that a PUT enforces.

mod multipart;
mod verification;

use super::attributes::{self, set, version_id};
use super::endpoint::encode_query;
use super::request::Call;
use super::write::write_precondition;
use super::{AMAZON, Knowledge, S3Store, xml};
use crate::http::{Sums, Wanted};
use crate::{BatchDelete, Capabilities, ConditionSupport, CopySource, Error, Precondition, Result};
use bytes::Bytes;
use http::{HeaderMap, Method};
use skyfresh_sky::{Kind, ObjectVersion};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const PAYLOAD: &[u8] = b"skyfresh probe: may be deleted\n";
const OPERATION: &str = "probe";

impl S3Store {
    pub(in crate::s3) async fn find_out(&self, nonce: &str) -> Result<Capabilities> {
        if !nonce
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-')
        {
            let why = "the nonce of a probe may have letters, digits and '-' only";
            return Err(self.failed(Kind::Invalid, OPERATION, nonce, why));
        }
        let root = format!("{}.skyfresh-probe-{nonce}", self.location.prefix);
        let probe = Probe {
            object: format!("{root}-object"),
            copy: format!("{root}-copy"),
            root,
            store: self,
            versioned: AtomicBool::new(false),
            uploads: Mutex::default(),
        };
        let before = self.knowledge();
        let found = probe.run().await;
        let cleaned = probe.clean_up().await;
        match found.and_then(|found| cleaned.map(|()| found)) {
            Ok(found) => {
                self.learn(|knowledge| *knowledge = found.clone());
                tracing::debug!(location = %self.location, ?found, "probed");
                Ok(found.capabilities)
            }
            Err(error) => {
                self.learn(|knowledge| *knowledge = before);
                Err(error)
            }
        }
    }
}

struct Probe<'a> {
    store: &'a S3Store,
    root: String,
    /// Key of the object that conditions are tried on. Every write to it but the multipart ones has the same content.
    object: String,
    copy: String,
    /// The bucket keeps versions, so that deleting removes nothing.
    versioned: AtomicBool,
    /// Unfinished uploads of `object`.
    uploads: Mutex<Vec<String>>,
}

impl Probe<'_> {
    async fn run(&self) -> Result<Knowledge> {
        let (first, headers) = self.put(&Precondition::None).await?;
        let versioned = version_id(&headers).is_some();
        self.versioned.store(versioned, Ordering::Relaxed);
        let etag_is_md5 = self
            .sums()
            .md5
            .map(hex::encode)
            .is_some_and(|md5| md5 == first.etag);

        let (verification, put_if_absent, put_if_version, get_if_version, copies) = futures::try_join!(
            self.verification(&first, etag_is_md5),
            async { verdict(self.put(&Precondition::Absent).await) },
            async { verdict(self.put(&Precondition::Version(other_version())).await) },
            self.get_if_version(),
            self.copies(&first),
        )?;
        let capabilities = Capabilities {
            put_if_absent,
            put_if_version,
            get_if_version,
            // A copy must be no weaker than a PUT, or publishing by one would lose the other's protection.
            copy: copies.is_some_and(|[if_absent, if_version]| {
                (if_absent.enforced() || !put_if_absent.enforced())
                    && (if_version.enforced() || !put_if_version.enforced())
            }),
            verification,
            versioned,
            ..AMAZON
        };
        let mut found = Knowledge {
            capabilities,
            probed: true,
            silent: false,
            checksum_on_complete: true,
            batch_tried: true,
        };
        // What follows goes through the operations themselves, which must know how to prove bytes here.
        self.store.learn(|knowledge| *knowledge = found.clone());
        self.multipart(&mut found).await?;
        found.capabilities.tags = self.tags().await?;
        found.capabilities.delete_if_version = self.delete_if_version().await?;
        found.capabilities.batch_delete = self.batch_delete().await?;
        Ok(found)
    }

    fn sums(&self) -> Sums {
        Sums::of(
            PAYLOAD,
            Wanted {
                crc32c: true,
                md5: true,
            },
        )
    }

    /// Writes the object without any proof.
    async fn put(&self, precondition: &Precondition) -> Result<(ObjectVersion, HeaderMap)> {
        let mut headers = HeaderMap::new();
        self.internal(write_precondition(precondition, &mut headers))?;
        let answer = self.send(headers, Bytes::from_static(PAYLOAD)).await?;
        let version = attributes::version(&answer)
            .ok_or_else(|| self.error(Kind::RetryAfter, "the answer to a PUT has no ETag"))?;
        Ok((version, answer))
    }

    async fn send(&self, headers: HeaderMap, body: Bytes) -> Result<HeaderMap> {
        let mut call = Call::new(OPERATION, Method::PUT, Some(&self.object), "").body(body);
        call.headers = headers;
        Ok(self.store.call(call).await?.headers)
    }

    async fn get_if_version(&self) -> Result<ConditionSupport> {
        // Asked of the store itself: the adapter compares in any case.
        let mut call = Call::new(OPERATION, Method::GET, Some(&self.object), "");
        self.internal(set(
            &mut call.headers,
            "if-match",
            &attributes::quote(&other_version().etag),
        ))?;
        verdict(self.store.call(call).await)
    }

    /// What becomes of false conditions on a copy's destination: absence, version. `None` where the copy's source cannot be
    /// pinned, or there is no copy.
    async fn copies(&self, first: &ObjectVersion) -> Result<Option<[ConditionSupport; 2]>> {
        let copy = |version: ObjectVersion, condition: Precondition| async move {
            self.store
                .copy_object(&self.copy, &self.source(version), None, &condition)
                .await
        };
        let pinned_elsewhere = ObjectVersion {
            version_id: first.version_id.clone(),
            ..other_version()
        };
        if accepted(copy(pinned_elsewhere, Precondition::None).await)?
            || !accepted(copy(first.clone(), Precondition::None).await)?
        {
            return Ok(None);
        }
        let if_absent = verdict(copy(first.clone(), Precondition::Absent).await)?;
        let if_version =
            verdict(copy(first.clone(), Precondition::Version(other_version())).await)?;
        Ok(Some([if_absent, if_version]))
    }

    fn source(&self, version: ObjectVersion) -> CopySource {
        CopySource {
            bucket: None,
            full_key: self.object.clone(),
            version: Some(version),
        }
    }

    async fn tags(&self) -> Result<bool> {
        let tags: BTreeMap<String, String> = [("skyfresh".to_owned(), "probe".to_owned())].into();
        if !accepted_or_denied(self.store.write_tags(&self.object, &tags).await)? {
            return Ok(false);
        }
        match self.store.read_tags(&self.object).await {
            Ok(found) => Ok(found == tags),
            Err(error) => accepted_or_denied(Err::<(), _>(error)),
        }
    }

    async fn delete_if_version(&self) -> Result<ConditionSupport> {
        let mut call = Call::new(OPERATION, Method::DELETE, Some(&self.object), "");
        let condition = Precondition::Version(other_version());
        self.internal(write_precondition(&condition, &mut call.headers))?;
        verdict(self.store.call(call).await)
    }

    /// Whether many are deleted by one request, and whether it knows conditions.
    async fn batch_delete(&self) -> Result<Option<BatchDelete>> {
        // The condition before may have been ignored.
        self.put(&Precondition::None).await?;
        let support = match self.store.false_condition(&self.object).await {
            Ok(support) => support,
            Err(error) => {
                // A server that trips over it has no batches; what else was found still holds.
                tracing::debug!(%error, "the store deletes one object a request");
                None
            }
        };
        let known = AMAZON.batch_delete;
        Ok(known.and_then(|batch| {
            Some(BatchDelete {
                if_version: support?,
                ..batch
            })
        }))
    }

    /// Removes whatever the probe left, the old versions too. Goes on after an error, and returns the first.
    async fn clean_up(&self) -> Result<()> {
        let mut outcome = Ok(());
        let uploads = std::mem::take(&mut *self.uploads());
        for upload in &uploads {
            outcome = outcome.and(self.store.discard_upload(&self.object, upload).await);
        }
        for key in [&self.object, &self.copy] {
            outcome = outcome.and(self.store.delete_object(key, &Precondition::None).await);
        }
        if self.versioned.load(Ordering::Relaxed) {
            // The right to delete versions is a separate one, and not needed for anything else.
            if let Err(error) = self.delete_versions().await {
                tracing::warn!(%error, "old versions of the probe's objects remain");
            }
        }
        outcome
    }

    async fn delete_versions(&self) -> Result<()> {
        let query = format!(
            "encoding-type=url&prefix={}&versions=",
            encode_query(&self.root)
        );
        let answer = self
            .store
            .call(Call::new(OPERATION, Method::GET, None, query))
            .await?;
        let found: xml::ListVersionsResult =
            self.store.document(OPERATION, &self.root, &answer.body)?;
        for listed in found.versions.into_iter().chain(found.delete_markers) {
            let key =
                xml::decode_key(&listed.key).map_err(|why| self.error(Kind::RetryAfter, why))?;
            let query = format!("versionId={}", encode_query(&listed.version_id));
            self.store
                .call(Call::new(OPERATION, Method::DELETE, Some(&key), query))
                .await?;
        }
        Ok(())
    }

    fn error(&self, kind: Kind, why: impl Into<String>) -> Error {
        self.store.failed(kind, OPERATION, &self.root, why)
    }

    /// Headers of our own that cannot be formed.
    fn internal<T>(&self, outcome: Result<T, String>) -> Result<T> {
        outcome.map_err(|why| self.error(Kind::Internal, why))
    }
}

/// A version that no object has.
fn other_version() -> ObjectVersion {
    ObjectVersion::from_etag("00000000000000000000000000000000")
}

/// What an answer to a request under a false condition shows.
fn verdict<T>(outcome: Result<T>) -> Result<ConditionSupport> {
    match outcome {
        Ok(_) => Ok(ConditionSupport::Ignored),
        Err(error) => match error.kind {
            Kind::Precondition => Ok(ConditionSupport::Enforced),
            Kind::Unsupported | Kind::Invalid => Ok(ConditionSupport::Unsupported),
            _ => Err(error),
        },
    }
}

/// Whether the store took it. Trouble that says nothing about the store's abilities stays an error.
fn accepted<T>(outcome: Result<T>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) => match error.kind {
            Kind::Unsupported | Kind::Invalid | Kind::Corrupt | Kind::Precondition => Ok(false),
            // A server that trips over what it does not know.
            Kind::RetryAfter if error.code.as_deref() == Some("InternalError") => Ok(false),
            _ => Err(error),
        },
    }
}

/// The same where the right to do it may well be withheld.
fn accepted_or_denied<T>(outcome: Result<T>) -> Result<bool> {
    match outcome {
        Err(error) if error.kind == Kind::Denied => Ok(false),
        outcome => accepted(outcome),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: Kind) -> Result<()> {
        Err(Error::new(kind, OPERATION, "s3://b/k", "said so"))
    }

    #[test]
    fn only_a_refusal_counts_as_enforced() {
        assert_eq!(verdict(Ok(())).unwrap(), ConditionSupport::Ignored);
        assert_eq!(
            verdict(failed(Kind::Precondition)).unwrap(),
            ConditionSupport::Enforced
        );
        assert_eq!(
            verdict(failed(Kind::Unsupported)).unwrap(),
            ConditionSupport::Unsupported
        );
        for kind in [Kind::Denied, Kind::RetryAfter, Kind::Missing] {
            assert_eq!(verdict(failed(kind)).unwrap_err().kind, kind);
            assert_eq!(accepted(failed(kind)).unwrap_err().kind, kind);
        }
        assert!(!accepted_or_denied(failed(Kind::Denied)).unwrap());
    }
}
