//! What the endpoint really does: false conditions and wrong checksums are sent, and must be refused.
//!
//! Everything is written below one root and removed again, also after a failure. A condition counts as enforced only where a false
//! one was refused; a server-side copy only where its source can be pinned and it is no weaker than a write.

use super::GOOGLE;
use super::GcsStore;
use super::endpoint::add;
use super::request::Call;
use super::resource::{self, Object};
use super::write::{Target, staging_metadata};
use crate::checksum::Crc32c;
use crate::{
    Capabilities, CompletedPart, ConditionSupport, CopySource, Error, Precondition, Result,
    UploadLimits, Verification, single_chunk,
};
use bytes::Bytes;
use http::Method;
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use std::sync::{Mutex, MutexGuard, PoisonError};

const PAYLOAD: &[u8] = b"skyfresh probe: may be deleted\n";
const OPERATION: &str = "probe";

impl GcsStore {
    pub(in crate::gcs) async fn find_out(&self, nonce: &str) -> Result<Capabilities> {
        if !nonce
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        {
            let why = "the nonce of a probe may have letters, digits and '-' only";
            return Err(self.failed(Kind::Invalid, OPERATION, nonce, why));
        }
        let root = format!("{}.skyfresh-probe-{nonce}", self.location.prefix);
        let probe = Probe {
            object: format!("{root}-object"),
            proof: format!("{root}-proof"),
            copy: format!("{root}-copy"),
            root,
            store: self,
            uploads: Mutex::default(),
        };
        let before = self.capabilities_now();
        let found = probe.run().await;
        let cleaned = probe.clean_up().await;
        match found.and_then(|found| cleaned.map(|()| found)) {
            Ok(capabilities) => {
                tracing::debug!(location = %self.location, ?capabilities, "probed");
                self.learn(capabilities.clone());
                Ok(capabilities)
            }
            Err(error) => {
                self.learn(before);
                Err(error)
            }
        }
    }
}

struct Probe<'a> {
    store: &'a GcsStore,
    root: String,
    /// The object that conditions are tried on.
    object: String,
    /// The object that checksums are tried on.
    proof: String,
    copy: String,
    /// Unfinished uploads of `object`.
    uploads: Mutex<Vec<String>>,
}

impl Probe<'_> {
    async fn run(&self) -> Result<Capabilities> {
        let first = self.put(&Precondition::None).await?.version();
        let other = Precondition::Version(other_version());
        let (verification, put_if_absent, put_if_version, get_if_version, copies) = futures::try_join!(
            self.verification(),
            async { verdict(self.put(&Precondition::Absent).await) },
            async { verdict(self.put(&other).await) },
            self.get_if_version(),
            self.copies(&first),
        )?;
        let mut found = Capabilities {
            put_if_absent,
            put_if_version,
            get_if_version,
            // A copy must be no weaker than a PUT, or publishing by one would lose the other's protection.
            copy: copies.is_some_and(|[if_absent, if_version]| {
                (if_absent.enforced() || !put_if_absent.enforced())
                    && (if_version.enforced() || !put_if_version.enforced())
            }),
            verification,
            ..GOOGLE
        };
        // What follows goes through the operations themselves, which must know how to prove bytes here.
        self.store.learn(found.clone());
        self.multipart(&mut found).await?;
        found.delete_if_version = self.delete_if_version().await?;
        Ok(found)
    }

    fn target<'t>(&self, full_key: &'t str, precondition: &'t Precondition) -> Target<'t> {
        Target {
            operation: OPERATION,
            full_key,
            metadata: staging_metadata(),
            precondition,
        }
    }

    async fn put(&self, precondition: &Precondition) -> Result<Object> {
        let target = self.target(&self.object, precondition);
        let payload = Bytes::from_static(PAYLOAD);
        self.store
            .send_whole(target, payload, Crc32c::of(PAYLOAD))
            .await
    }

    /// Whether a checksum that is off is refused, ahead of a body and at the end of a session.
    async fn verification(&self) -> Result<Verification> {
        let right = Crc32c::of(PAYLOAD);
        let wrong = Crc32c(right.0 ^ 1);
        // Wrong ones first: they leave nothing behind where they are refused.
        if !accepted(self.ahead(wrong).await)? && !accepted(self.at_the_end(wrong).await)? {
            let object = self.at_the_end(right).await?;
            self.store
                .compare(OPERATION, &self.proof, &object, PAYLOAD.len() as u64, right)?;
            return Ok(Verification::Crc32c);
        }
        let object = self.ahead(right).await?;
        self.store
            .compare(OPERATION, &self.proof, &object, PAYLOAD.len() as u64, right)?;
        Ok(Verification::Staged)
    }

    async fn ahead(&self, crc32c: Crc32c) -> Result<Object> {
        let target = self.target(&self.proof, &Precondition::None);
        let payload = Bytes::from_static(PAYLOAD);
        self.store.send_whole(target, payload, crc32c).await
    }

    async fn at_the_end(&self, crc32c: Crc32c) -> Result<Object> {
        let target = self.target(&self.proof, &Precondition::None);
        let session = self
            .store
            .begin_session(target, PAYLOAD.len() as u64)
            .await?;
        let body = (0, Bytes::from_static(PAYLOAD));
        self.store
            .finish_session(OPERATION, &self.proof, &session, body, crc32c)
            .await
    }

    async fn get_if_version(&self) -> Result<ConditionSupport> {
        // Asked of the store itself: the adapter compares in any case.
        let mut query = "alt=media".to_owned();
        add(&mut query, "ifGenerationMatch", "1");
        let url = self.store.endpoint.object(&self.object, &query);
        verdict(
            self.store
                .call(Call::new(OPERATION, Method::GET, &self.object, url))
                .await,
        )
    }

    /// What becomes of false conditions on a copy's destination: absence, version. `None` where the copy's source cannot be
    /// pinned, or there is no copy.
    async fn copies(&self, first: &ObjectVersion) -> Result<Option<[ConditionSupport; 2]>> {
        let copy =
            |version: ObjectVersion, condition: Precondition| self.copy_if(version, condition);
        if accepted(copy(other_version(), Precondition::None).await)?
            || !accepted(copy(first.clone(), Precondition::None).await)?
        {
            return Ok(None);
        }
        let if_absent = verdict(copy(first.clone(), Precondition::Absent).await)?;
        let other = Precondition::Version(other_version());
        let if_version = verdict(copy(first.clone(), other).await)?;
        Ok(Some([if_absent, if_version]))
    }

    async fn copy_if(&self, version: ObjectVersion, condition: Precondition) -> Result<()> {
        let source = CopySource {
            bucket: None,
            full_key: self.object.clone(),
            version: Some(version),
        };
        self.store
            .copy_object(&self.copy, &source, None, &condition)
            .await
            .map(|_| ())
    }

    async fn multipart(&self, found: &mut Capabilities) -> Result<()> {
        let upload = match self.begin().await {
            Err(error) if cannot(&error) => {
                found.upload_limits = UploadLimits::GCS_COMPOSE;
                self.store.learn(found.clone());
                match self.begin().await {
                    Err(error) if cannot(&error) => {
                        found.multipart = false;
                        found.list_uploads = false;
                        found.complete_if_absent = ConditionSupport::Unsupported;
                        found.complete_if_version = ConditionSupport::Unsupported;
                        return Ok(());
                    }
                    upload => upload?,
                }
            }
            upload => upload?,
        };
        found.list_uploads = self.lists(&upload).await?;
        let part = self.part(&upload).await?;
        found.complete_if_absent =
            verdict(self.complete(&upload, &part, &Precondition::Absent).await)?;
        let other = Precondition::Version(other_version());
        let again = self.begin().await?;
        let part = self.part(&again).await?;
        found.complete_if_version = verdict(self.complete(&again, &part, &other).await)?;
        // And without a condition it must go through.
        let last = self.begin().await?;
        let part = self.part(&last).await?;
        self.complete(&last, &part, &Precondition::None).await
    }

    fn uploads(&self) -> MutexGuard<'_, Vec<String>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self) -> Result<String> {
        let upload = self
            .store
            .begin_upload(&self.object, &Attributes::default())
            .await?;
        self.uploads().push(upload.clone());
        Ok(upload)
    }

    async fn part(&self, upload: &str) -> Result<CompletedPart> {
        let size = PAYLOAD.len() as u64;
        let body = single_chunk(Bytes::from_static(PAYLOAD));
        let receipt = self
            .store
            .send_part(&self.object, upload, 1, size, body)
            .await?;
        Ok(CompletedPart {
            number: 1,
            etag: receipt.etag,
            size,
            crc64: receipt.crc64,
        })
    }

    async fn complete(
        &self,
        upload: &str,
        part: &CompletedPart,
        precondition: &Precondition,
    ) -> Result<()> {
        self.store
            .finish_upload(
                &self.object,
                upload,
                std::slice::from_ref(part),
                precondition,
            )
            .await?;
        self.uploads().retain(|open| open != upload);
        Ok(())
    }

    async fn lists(&self, upload: &str) -> Result<bool> {
        let mut after = None;
        loop {
            let page = match self.store.page_of_uploads(after.as_deref()).await {
                // The right to list uploads may well be withheld.
                Err(error) if cannot(&error) || error.kind == Kind::Denied => return Ok(false),
                page => page?,
            };
            if page.uploads.iter().any(|listed| listed.upload == upload) {
                return Ok(true);
            }
            match page.next {
                None => return Ok(false),
                next => after = next,
            }
        }
    }

    async fn delete_if_version(&self) -> Result<ConditionSupport> {
        let mut query = String::new();
        add(&mut query, "ifGenerationMatch", "1");
        let url = self.store.endpoint.object(&self.object, &query);
        verdict(
            self.store
                .call(Call::new(OPERATION, Method::DELETE, &self.object, url))
                .await,
        )
    }

    /// Removes whatever the probe left. Goes on after an error, and returns the first.
    async fn clean_up(&self) -> Result<()> {
        let mut outcome = Ok(());
        let uploads = std::mem::take(&mut *self.uploads());
        for upload in &uploads {
            outcome = outcome.and(self.store.discard_upload(&self.object, upload).await);
        }
        outcome = outcome.and(
            self.store
                .remove_all(OPERATION, &format!("{}-", self.root))
                .await,
        );
        outcome.map_err(|error| Error {
            context: format!("{} (while removing {}*)", error.context, self.root),
            ..error
        })
    }
}

/// A version that no object has: Google's generations are microseconds since 1970.
fn other_version() -> ObjectVersion {
    resource::version(1, 1)
}

/// The endpoint does not know what was asked.
fn cannot(error: &Error) -> bool {
    match error.kind {
        Kind::Unsupported | Kind::Invalid => true,
        Kind::Missing => !error.is_missing_bucket(),
        _ => false,
    }
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
            _ => Err(error),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(kind: Kind) -> Result<()> {
        Err(Error::new(kind, OPERATION, "gs://b/k", "said so"))
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
        assert!(!accepted(failed(Kind::Corrupt)).unwrap());
    }
}
