//! What an endpoint really does: true and false conditions are tried, and bytes with a wrong checksum sent.

use super::blocks::write_precondition;
use super::request::Call;
use super::{AZURE, AzureStore, attributes};
use crate::checksum::Md5;
use crate::http::{quote, set};
use crate::{
    Capabilities, CompletedPart, ConditionSupport, CopySource, Error, Precondition, PutReceipt,
    Result,
};
use http::Method;
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use std::collections::BTreeMap;

const PAYLOAD: &[u8] = b"skyfresh probe: may be deleted\n";
const OPERATION: &str = "probe";

impl AzureStore {
    pub(super) async fn find_out(&self, nonce: &str) -> Result<Capabilities> {
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
            store: self,
        };
        let found = probe.run().await;
        let mut cleaned = Ok(());
        for key in [&probe.object, &probe.copy] {
            cleaned = cleaned.and(self.delete_object(key, &Precondition::None).await);
        }
        let found = found.and_then(|found| cleaned.map(|()| found))?;
        self.learn(found.clone());
        tracing::debug!(location = %self.location, ?found, "probed");
        Ok(found)
    }
}

struct Probe<'a> {
    store: &'a AzureStore,
    /// Full name of the object that conditions are tried on.
    object: String,
    copy: String,
}

impl Probe<'_> {
    async fn run(&self) -> Result<Capabilities> {
        if accepted(self.put(&Precondition::None, Md5::of(b"other bytes")).await)? {
            let why = "the server takes bytes with a wrong MD5: nothing would show that it holds what was sent";
            return Err(self.error(Kind::Unsupported, why));
        }
        let right = Md5::of(PAYLOAD);
        let first = self.put(&Precondition::None, right).await?;
        let other = Precondition::Version(other_version());
        let put_if_absent = verdict(self.put(&Precondition::Absent, right).await)?;
        let put_if_version = verdict(self.put(&other, right).await)?;
        let get_if_version = self.get_if_version().await?;
        // Before the uploads, which write the object anew.
        let copy = self.copies(&first).await?;
        let complete_if_absent = verdict(self.upload_if(&Precondition::Absent).await)?;
        let complete_if_version = verdict(self.upload_if(&other).await)?;
        let current = self.upload_if(&Precondition::None).await?.version;
        let copy_part = self.copies_parts(&current).await?;
        let tags = self.tags().await?;
        let delete_if_version = verdict(self.store.delete_object(&self.object, &other).await)?;
        Ok(Capabilities {
            put_if_absent,
            put_if_version,
            get_if_version,
            complete_if_absent,
            complete_if_version,
            delete_if_version,
            copy,
            copy_part,
            tags,
            ..AZURE
        })
    }

    async fn put(&self, precondition: &Precondition, md5: Md5) -> Result<ObjectVersion> {
        let mut call = Call::new(OPERATION, Method::PUT, Some(&self.object), "").body(PAYLOAD);
        write_precondition(precondition, &mut call.headers)
            .and_then(|()| set(&mut call.headers, "x-ms-blob-type", "BlockBlob"))
            .and_then(|()| {
                set(
                    &mut call.headers,
                    "content-md5",
                    &attributes::encode_md5(md5.0),
                )
            })
            .map_err(|why| self.error(Kind::Internal, why))?;
        let answer = self.store.call(call).await?;
        self.store
            .published(OPERATION, &self.object, &answer.headers)
    }

    async fn get_if_version(&self) -> Result<ConditionSupport> {
        // Asked of the service itself: the adapter compares in any case.
        let mut call = Call::new(OPERATION, Method::GET, Some(&self.object), "");
        set(&mut call.headers, "if-match", &quote(&other_version().etag))
            .map_err(|why| self.error(Kind::Internal, why))?;
        verdict(self.store.call(call).await)
    }

    /// An upload of one part, which also shows that blocks are answered with their checksum.
    async fn upload_if(&self, precondition: &Precondition) -> Result<PutReceipt> {
        let store = self.store;
        let upload = store
            .begin_upload(&self.object, &Attributes::default())
            .await?;
        let size = PAYLOAD.len() as u64;
        let receipt = store
            .send_part(&self.object, &upload, 1, size, crate::single_chunk(PAYLOAD))
            .await?;
        let part = CompletedPart {
            number: 1,
            etag: receipt.etag,
            size,
            crc64: receipt.crc64,
        };
        store
            .finish_upload(&self.object, &upload, &[part], precondition)
            .await
    }

    fn source(&self, version: ObjectVersion) -> CopySource {
        CopySource {
            bucket: None,
            full_key: self.object.clone(),
            version: Some(version),
        }
    }

    async fn copies(&self, version: &ObjectVersion) -> Result<bool> {
        let copied = self
            .store
            .copy_object(
                &self.copy,
                &self.source(version.clone()),
                None,
                &Precondition::None,
            )
            .await;
        accepted_or_denied(copied)
    }

    /// Whether a range is copied into a block, and only from the version it is pinned to.
    async fn copies_parts(&self, version: &ObjectVersion) -> Result<bool> {
        let upload = super::upload::Upload::new(&self.store.rng, &Attributes::default()).id();
        let stage = |version: ObjectVersion| async move {
            let (block, source) = (
                upload.block(1, &self.store.rng),
                self.source(version.clone()),
            );
            self.store
                .stage_from(OPERATION, &self.copy, &block, &source, &version, 0..4)
                .await
        };
        Ok(!accepted_or_denied(stage(other_version()).await)?
            && accepted_or_denied(stage(version.clone()).await)?)
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

    fn error(&self, kind: Kind, why: impl Into<String>) -> Error {
        self.store.failed(kind, OPERATION, &self.object, why)
    }
}

/// A version that no object has.
fn other_version() -> ObjectVersion {
    ObjectVersion::from_etag("0x8D0000000000000")
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

/// Whether the service took it. Trouble that says nothing about its abilities stays an error.
fn accepted<T>(outcome: Result<T>) -> Result<bool> {
    match outcome {
        Ok(_) => Ok(true),
        Err(error) => match error.kind {
            Kind::Unsupported | Kind::Invalid | Kind::Corrupt | Kind::Precondition => Ok(false),
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

    #[test]
    fn only_a_refusal_counts_as_enforced() {
        let failed = |kind| Err::<(), _>(Error::new(kind, OPERATION, "az://a/c/k", "said so"));
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
        assert!(!accepted(failed(Kind::Corrupt)).unwrap());
    }
}
