//! What the endpoint does with uploads in parts.

use super::{OPERATION, PAYLOAD, Probe, accepted, accepted_or_denied, other_version, verdict};
use crate::s3::endpoint::encode_query;
use crate::s3::request::Call;
use crate::s3::{Knowledge, xml};
use crate::{CompletedPart, ConditionSupport, Precondition, Result, single_chunk};
use bytes::Bytes;
use http::Method;
use skyfresh_sky::{Attributes, Kind, ObjectVersion};
use std::sync::PoisonError;

impl Probe<'_> {
    pub(super) async fn multipart(&self, found: &mut Knowledge) -> Result<()> {
        let capabilities = &mut found.capabilities;
        let upload = match self.begin().await {
            Err(error) if matches!(error.kind, Kind::Unsupported | Kind::Invalid) => {
                capabilities.multipart = false;
                capabilities.copy_part = false;
                capabilities.list_uploads = false;
                capabilities.complete_if_absent = ConditionSupport::Unsupported;
                capabilities.complete_if_version = ConditionSupport::Unsupported;
                return Ok(());
            }
            upload => upload?,
        };
        let current = self.store.read_head(&self.object).await?.version;
        let (part, list_uploads, copy_part) = futures::try_join!(
            self.part(&upload),
            self.lists(&upload),
            self.copies_part(&upload, &current),
        )?;
        capabilities.list_uploads = list_uploads;
        capabilities.copy_part = copy_part;
        let parts = std::slice::from_ref(&part);
        if !accepted(self.complete(&upload, parts, &Precondition::None).await)? {
            found.checksum_on_complete = false;
            self.store
                .learn(|knowledge| knowledge.checksum_on_complete = false);
            self.complete(&upload, parts, &Precondition::None).await?;
        }
        let mut upload = None;
        capabilities.complete_if_absent =
            self.complete_if(&mut upload, &Precondition::Absent).await?;
        let other = Precondition::Version(other_version());
        capabilities.complete_if_version = self.complete_if(&mut upload, &other).await?;
        Ok(())
    }

    async fn begin(&self) -> Result<String> {
        let upload = self
            .store
            .begin_upload(&self.object, &Attributes::default())
            .await?;
        self.uploads().push(upload.clone());
        Ok(upload)
    }

    pub(super) fn uploads(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.uploads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn part(&self, upload: &str) -> Result<CompletedPart> {
        let size = PAYLOAD.len() as u64;
        let receipt = self
            .store
            .send_part(
                &self.object,
                upload,
                1,
                size,
                single_chunk(Bytes::from_static(PAYLOAD)),
            )
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
        parts: &[CompletedPart],
        precondition: &Precondition,
    ) -> Result<()> {
        self.store
            .finish_upload(&self.object, upload, parts, precondition)
            .await?;
        self.uploads().retain(|open| open != upload);
        Ok(())
    }

    /// Completes under a condition that does not hold. The upload is kept for the next try where it survives a refusal.
    async fn complete_if(
        &self,
        upload: &mut Option<(String, CompletedPart)>,
        precondition: &Precondition,
    ) -> Result<ConditionSupport> {
        for _ in 0..2 {
            let (id, part) = match upload.take() {
                Some(kept) => kept,
                None => {
                    let id = self.begin().await?;
                    let part = self.part(&id).await?;
                    (id, part)
                }
            };
            let outcome = self
                .complete(&id, std::slice::from_ref(&part), precondition)
                .await;
            if outcome
                .as_ref()
                .is_err_and(|error| error.kind == Kind::Missing)
            {
                continue;
            }
            if outcome.is_err() {
                *upload = Some((id, part));
            }
            return verdict(outcome);
        }
        Err(self.error(
            Kind::RetryAfter,
            "an upload was gone before it could be completed",
        ))
    }

    async fn lists(&self, upload: &str) -> Result<bool> {
        let query = format!(
            "encoding-type=url&max-uploads=1000&prefix={}&uploads=",
            encode_query(&self.root)
        );
        match self
            .store
            .call(Call::new(OPERATION, Method::GET, None, query))
            .await
        {
            Ok(answer) => Ok(xml::parse::<xml::ListMultipartUploadsResult>(&answer.body)
                .is_ok_and(|page| page.uploads.iter().any(|listed| listed.upload_id == upload))),
            Err(error) => accepted_or_denied(Err::<(), _>(error)),
        }
    }

    async fn copies_part(&self, upload: &str, current: &ObjectVersion) -> Result<bool> {
        let copy = |version: ObjectVersion| async move {
            let source = self.source(version);
            let range = 0..PAYLOAD.len() as u64;
            accepted(
                self.store
                    .copy_into_part(&self.object, upload, 2, &source, range)
                    .await,
            )
        };
        let pinned_elsewhere = ObjectVersion {
            version_id: current.version_id.clone(),
            ..other_version()
        };
        Ok(!copy(pinned_elsewhere).await? && copy(current.clone()).await?)
    }
}
