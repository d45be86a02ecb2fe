//! Changes of objects: conditions, versions and notifications, at one instant under the bucket's lock.

use super::conditions::Conditions;
use super::error::{Failure, Result};
use super::names::check_object_name;
use super::notify::{Change, EventType};
use super::request::ObjectName;
use super::resource::{Given, Hashes};
use super::{Context, Frontend};
use crate::store::{
    Algorithm, Bucket, Content, Digests, Generation, GoogleObject, NewObject, ObjectMeta,
    Versioning,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use skyfresh_sky::Attributes;
use std::collections::HashSet;
use std::sync::Arc;

/// An object ready to be published.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) content: Content,
    pub(crate) attributes: Attributes,
    pub(crate) custom_time: Option<String>,
    /// Big-endian.
    pub(crate) crc32c: Vec<u8>,
    /// Of objects that arrived in one stream.
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) component_count: Option<u64>,
}

/// An upload whose parts make an object.
#[derive(Debug)]
pub(crate) struct Completed {
    pub(crate) upload_id: String,
    /// The parts that were named.
    pub(crate) used: HashSet<u16>,
}

impl Draft {
    /// From a body that arrived whole, whose checksums are compared with those given.
    pub(crate) fn verified(
        given: Given,
        content: Content,
        digests: &Digests,
        hashes: &Hashes,
    ) -> Result<Self> {
        let draft = Draft {
            content,
            attributes: given.attributes,
            custom_time: given.custom_time,
            crc32c: digests
                .checksum(Algorithm::Crc32c)
                .unwrap_or_default()
                .to_vec(),
            md5: Some(digests.md5),
            component_count: None,
        };
        hashes.check(
            Some(&BASE64.encode(digests.md5)),
            &BASE64.encode(&draft.crc32c),
        )?;
        Ok(draft)
    }

    fn into_object(self, default_class: &str) -> NewObject {
        let mut attributes = self.attributes;
        attributes
            .storage_class
            .get_or_insert_with(|| default_class.to_owned());
        let meta = ObjectMeta {
            size: self.content.len(),
            etag: self.md5.map(hex::encode).unwrap_or_default(),
            attributes,
            google: Some(GoogleObject {
                crc32c: BASE64.encode(&self.crc32c),
                md5: self.md5.map(|md5| BASE64.encode(md5)),
                component_count: self.component_count,
                custom_time: self.custom_time,
                ..GoogleObject::default()
            }),
            ..ObjectMeta::default()
        };
        NewObject {
            meta,
            content: self.content,
        }
    }
}

impl Frontend {
    pub(crate) fn bucket(&self, name: &str) -> Result<Arc<Bucket>> {
        self.store.find(name).ok_or_else(Failure::no_bucket)
    }

    /// Runs a change of a bucket: at once in memory, on the blocking pool where it writes files.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        change: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        if self.store.storage.disk().is_none() {
            return change();
        }
        tokio::task::spawn_blocking(change)
            .await
            .map_err(|error| Failure::backend(error.to_string()))?
    }

    /// Refuses early what could not be published anyway.
    pub(crate) fn check_target(&self, name: &ObjectName, conditions: &Conditions) -> Result<()> {
        check_object_name(&name.key)?;
        let bucket = self.bucket(&name.bucket)?;
        conditions.check(bucket.lock().live(&name.key).as_ref())
    }

    /// Makes an object the live version if the conditions hold.
    pub(crate) async fn publish(
        &self,
        context: &Context,
        name: &ObjectName,
        draft: Draft,
        conditions: Conditions,
    ) -> Result<Generation> {
        self.publish_from(context, name, draft, conditions, None)
            .await
    }

    /// Makes the parts of an upload the live version; who comes second finds no upload any more.
    pub(crate) async fn publish_completed(
        &self,
        context: &Context,
        name: &ObjectName,
        draft: Draft,
        completed: Completed,
    ) -> Result<Generation> {
        let conditions = Conditions::default();
        self.publish_from(context, name, draft, conditions, Some(completed))
            .await
    }

    async fn publish_from(
        &self,
        context: &Context,
        name: &ObjectName,
        draft: Draft,
        conditions: Conditions,
        completed: Option<Completed>,
    ) -> Result<Generation> {
        check_object_name(&name.key)?;
        let bucket = self.bucket(&name.bucket)?;
        let (google, key) = (self.google.clone(), name.key.clone());
        let (published, replaced) = self
            .blocking(move || {
                let mut state = bucket.lock();
                conditions.check(state.live(&key).as_ref())?;
                google.writes.admit(&google, &bucket.name, &key)?;
                if let Some(completed) = &completed {
                    state.uploads.get(&key, &completed.upload_id)?;
                }
                let object = draft.into_object(&state.google.storage_class);
                let published = bucket.publish_generation(&mut state, &key, object)?;
                if let Some(Completed { upload_id, used }) = completed {
                    bucket.forget_completed(&mut state, &key, &upload_id, &used)?;
                }
                Ok(published)
            })
            .await?;
        let overwrote = replaced.before.as_ref().map(|before| before.number);
        if let Some(before) = replaced.before {
            let event = if replaced.archived {
                EventType::Archive
            } else {
                EventType::Delete
            };
            self.notify(
                context,
                name,
                Change {
                    overwritten_by: Some(published.number),
                    ..Change::new(event, before)
                },
            );
        }
        self.notify(
            context,
            name,
            Change {
                overwrote,
                ..Change::new(EventType::Finalize, published.clone())
            },
        );
        Ok(published)
    }

    /// Deletes the live version, or the one named for good.
    pub(crate) async fn remove(
        &self,
        context: &Context,
        name: &ObjectName,
        generation: Option<u64>,
        conditions: Conditions,
    ) -> Result<()> {
        let bucket = self.bucket(&name.bucket)?;
        let (google, named) = (self.google.clone(), name.clone());
        let (removed, archived) = self
            .blocking(move || {
                let mut state = bucket.lock();
                let found = state.generation(&named.key, generation);
                if found.is_none() && conditions.generation_match != Some(0) {
                    return Err(Failure::no_object(&named.bucket, &named.key));
                }
                conditions.check(found.as_ref())?;
                let Some(found) = found else {
                    return Err(Failure::no_object(&named.bucket, &named.key));
                };
                google.writes.admit(&google, &bucket.name, &named.key)?;
                if generation.is_some() {
                    bucket.remove_generation(&mut state, &named.key, found.number);
                    return Ok((found, false));
                }
                let archived = state.versioning == Versioning::Enabled;
                bucket.remove_live(&mut state, &named.key)?;
                Ok((found, archived))
            })
            .await?;
        let event = if archived {
            EventType::Archive
        } else {
            EventType::Delete
        };
        self.notify(context, name, Change::new(event, removed));
        Ok(())
    }

    /// Changes the metadata of a version, which gets the next metageneration.
    pub(crate) async fn change_metadata(
        &self,
        context: &Context,
        name: &ObjectName,
        generation: Option<u64>,
        conditions: Conditions,
        change: impl FnOnce(&mut Attributes, &mut GoogleObject) -> Result<()> + Send + 'static,
    ) -> Result<Generation> {
        let bucket = self.bucket(&name.bucket)?;
        let (google, named) = (self.google.clone(), name.clone());
        let changed = self
            .blocking(move || {
                let missing = || Failure::no_object(&named.bucket, &named.key);
                let mut state = bucket.lock();
                let found = state
                    .generation(&named.key, generation)
                    .ok_or_else(missing)?;
                conditions.check(Some(&found))?;
                let mut object = (*found.object).clone();
                let mut kept = found.google();
                change(&mut object.meta.attributes, &mut kept)?;
                google.writes.admit(&google, &bucket.name, &named.key)?;
                kept.metageneration += 1;
                kept.updated_unix_ms = google.clock.now().unix_ms();
                object.meta.google = Some(kept);
                bucket
                    .replace(&mut state, &named.key, found.number, object)?
                    .ok_or_else(missing)
            })
            .await?;
        self.notify(
            context,
            name,
            Change::new(EventType::MetadataUpdate, changed.clone()),
        );
        Ok(changed)
    }
}
