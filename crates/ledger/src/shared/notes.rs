//! The upload journal and cursors: one document each.

use super::bodies::{BODY_LIMIT_BYTES, checked};
use super::core::{AT_ONCE, Core, delete_any, put_any};
use super::names::{self, END, UPLOAD_SHARDS, behind};
use crate::Result;
use crate::logic::cursors::{from_text, to_text};
use crate::logic::uploads::UPLOADS_LIMIT;
use crate::model::UploadIntent;
use crate::rows::{decode, encode};
use crate::tables::{Table, check_name, corrupt};
use futures::{StreamExt, TryStreamExt};
use skyfresh_sky::Timestamp;

/// Intents read at once.
const PAGE: usize = 500;

impl Core {
    /// See [`Ledger::record_upload`](crate::Ledger::record_upload).
    pub(crate) async fn record_upload(&self, intent: &UploadIntent) -> Result<()> {
        let operation = "record_upload";
        let id = names::upload(operation, &intent.attempt)?;
        names::Lane::of(operation, &intent.task)?;
        let body = checked(operation, &intent.attempt, encode(operation, intent)?)?;
        put_any(&*self.documents, &id, body).await
    }

    /// See [`Ledger::end_upload`](crate::Ledger::end_upload).
    pub(crate) async fn end_upload(&self, attempt: &str) -> Result<()> {
        let id = names::upload("end_upload", attempt)?;
        delete_any(&*self.documents, &id).await
    }

    /// See [`Ledger::uploads`](crate::Ledger::uploads). Reads the intents of all rules: there are as many as uploads under way.
    pub(crate) async fn uploads(&self, rule: &str, before: Timestamp) -> Result<Vec<UploadIntent>> {
        let operation = "uploads";
        check_name(operation, "rule", rule)?;
        let shards = futures::stream::iter(0..UPLOAD_SHARDS).map(|shard| async move {
            let partition = names::uploads(shard);
            let (mut from, mut intents) = (Vec::new(), Vec::new());
            loop {
                let page = self
                    .documents
                    .scan(&partition, &from, END, false, PAGE)
                    .await?;
                for document in &page {
                    let sort = &document.sort;
                    let attempt = std::str::from_utf8(sort)
                        .map_err(|_| corrupt(operation, Table::Uploads, sort, "bad key"))?;
                    let attempt = attempt.to_owned();
                    let intent: UploadIntent =
                        decode(operation, Table::Uploads, sort, attempt, &document.body)?;
                    if intent.task.rule == rule && intent.started < before {
                        intents.push(intent);
                    }
                }
                match page.last() {
                    Some(last) if page.len() == PAGE => from = behind(&last.sort),
                    _ => return Ok::<_, crate::Error>(intents),
                }
            }
        });
        let mut intents: Vec<UploadIntent> = shards.buffer_unordered(AT_ONCE).try_concat().await?;
        intents.sort_by(|a, b| (a.started, &a.attempt).cmp(&(b.started, &b.attempt)));
        intents.truncate(UPLOADS_LIMIT);
        Ok(intents)
    }

    /// See [`Ledger::cursor`](crate::Ledger::cursor).
    pub(crate) async fn cursor(&self, name: &str) -> Result<Option<serde_json::Value>> {
        let id = names::cursor("cursor", name)?;
        let found = self.documents.get(&id).await?;
        found
            .map(|document| from_text("cursor", name, &document.body))
            .transpose()
    }

    /// See [`Ledger::set_cursor`](crate::Ledger::set_cursor).
    pub(crate) async fn set_cursor(
        &self,
        name: &str,
        value: Option<&serde_json::Value>,
    ) -> Result<()> {
        let operation = "set_cursor";
        let id = names::cursor(operation, name)?;
        match value {
            None => delete_any(&*self.documents, &id).await,
            Some(value) => {
                let text = to_text(operation, name, value, BODY_LIMIT_BYTES)?;
                put_any(&*self.documents, &id, text).await
            }
        }
    }
}
