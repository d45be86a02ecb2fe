//! Copies within Google's side of the sky: in one call, or call by call with a token.
//!
//! Sources: <https://cloud.google.com/storage/docs/json_api/v1/objects/copy>,
//! <https://cloud.google.com/storage/docs/json_api/v1/objects/rewrite>. A rewrite to another location or storage class
//! copies `GoogleConfig::rewrite_bytes_per_call` a call; any other is done in its first one.

use super::answer::{self, Answer};
use super::change::Draft;
use super::conditions::{Conditions, number};
use super::error::{Failure, Result};
use super::request::ObjectName;
use super::resource::{self, Given};
use super::{Context, Frontend, read_json};
use crate::store::{Content, Generation, RegionStore};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::StreamExt;
use s3s::Body;
use serde_json::{Value, json};
use skyfresh_sky::Timestamp;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// `maxBytesRewrittenPerCall` is a multiple of this.
const REWRITE_UNIT_BYTES: u64 = 1024 * 1024;

/// How long a rewrite may be gone on with.
const TOKEN_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Rewrites under way, by token.
#[derive(Debug, Default)]
pub(crate) struct Rewrites(Mutex<HashMap<String, Rewrite>>);

#[derive(Debug)]
struct Rewrite {
    from: ObjectName,
    to: ObjectName,
    source: Generation,
    copied: Vec<Content>,
    done: u64,
    begun: Timestamp,
}

/// A source, and the store that has it.
struct Source {
    store: Arc<RegionStore>,
    found: Generation,
}

impl Frontend {
    /// The source of a copy: here, or in another region that speaks Google Cloud Storage.
    fn source(
        &self,
        name: &ObjectName,
        generation: Option<u64>,
        conditions: &Conditions,
    ) -> Result<Source> {
        let here = self.store.find(&name.bucket).is_some();
        let elsewhere = || {
            self.google
                .stores
                .iter()
                .find(|store| store.find(&name.bucket).is_some())
        };
        let store = if here { Some(&self.store) } else { elsewhere() };
        let store = store.ok_or_else(Failure::no_bucket)?.clone();
        let bucket = store.bucket(&name.bucket)?;
        let found = bucket
            .lock()
            .generation(&name.key, generation)
            .ok_or_else(|| Failure::no_object(&name.bucket, &name.key))?;
        conditions.check_source(&found)?;
        Ok(Source { store, found })
    }

    /// Copies a range of a source's bytes here, and counts what crosses a border.
    async fn fetch(
        &self,
        store: &RegionStore,
        content: &Arc<Content>,
        range: Range<u64>,
    ) -> Result<Content> {
        if store.region() == self.store.region() {
            return Ok(self.store.storage.duplicate(content, range).await?);
        }
        let pair = (store.region().clone(), self.store.region().clone());
        if let Some(counters) = self.google.transfers.get(&pair) {
            let bytes = range.end - range.start;
            counters.uploaded_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        let mut writer = self.store.storage.writer().await?;
        let mut stream = content.stream(range);
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| Failure::backend(error.to_string()))?;
            writer.write(chunk).await?;
        }
        Ok(writer.finish().await?)
    }

    /// What a copy of `source` is to be, by the resource in the request: without one it keeps the source's metadata.
    fn draft(source: &Generation, resource: &Value, content: Content) -> Result<Draft> {
        let (meta, google) = (&source.object.meta, source.google());
        let mut given = Given::parse(resource)?;
        let class = given.attributes.storage_class.take();
        let (mut attributes, custom_time) = if overrides_metadata(resource) {
            (given.attributes, given.custom_time)
        } else {
            (meta.attributes.clone(), google.custom_time.clone())
        };
        // The class comes from the request or the target's bucket, never from the source.
        attributes.storage_class = class;
        Ok(Draft {
            content,
            attributes,
            custom_time,
            crc32c: BASE64.decode(&google.crc32c).unwrap_or_default(),
            md5: google
                .md5
                .and_then(|md5| BASE64.decode(md5).ok()?.try_into().ok()),
            component_count: google.component_count,
        })
    }

    pub(crate) async fn copy(
        &self,
        context: &Context,
        from: &ObjectName,
        to: &ObjectName,
        body: Body,
    ) -> Result<Answer> {
        let resource = read_json(body).await?;
        let published = self.copy_whole(context, from, to, &resource).await?;
        Ok(self.shown(context, to, &published))
    }

    async fn copy_whole(
        &self,
        context: &Context,
        from: &ObjectName,
        to: &ObjectName,
        resource: &Value,
    ) -> Result<Generation> {
        let query = &context.query;
        let generation = number("sourceGeneration", query.get("sourceGeneration"))?;
        let source = self.source(from, generation, &Conditions::of_source(query)?)?;
        let conditions = Conditions::of_query(query)?;
        self.copy_from(context, &source, to, resource, conditions)
            .await
    }

    async fn copy_from(
        &self,
        context: &Context,
        source: &Source,
        to: &ObjectName,
        resource: &Value,
        conditions: Conditions,
    ) -> Result<Generation> {
        self.check_target(to, &conditions)?;
        let content = &source.found.object.content;
        let copied = self.fetch(&source.store, content, 0..content.len()).await?;
        let draft = Self::draft(&source.found, resource, copied)?;
        self.publish(context, to, draft, conditions).await
    }

    /// A copy as the XML API asks for it.
    pub(crate) async fn xml_copy(
        &self,
        context: &Context,
        from: &ObjectName,
        generation: Option<u64>,
        to: &ObjectName,
        resource: &Value,
    ) -> Result<Generation> {
        let on_source = Conditions::of_headers(&context.headers, "x-goog-copy-source-if-")?;
        let source = self.source(from, generation, &on_source)?;
        let conditions = Conditions::of_headers(&context.headers, "x-goog-if-")?;
        self.copy_from(context, &source, to, resource, conditions)
            .await
    }

    pub(crate) async fn rewrite(
        &self,
        context: &Context,
        from: &ObjectName,
        to: &ObjectName,
        body: Body,
    ) -> Result<Answer> {
        let query = &context.query;
        let resource = read_json(body).await?;
        let conditions = Conditions::of_query(query)?;
        let generation = number("sourceGeneration", query.get("sourceGeneration"))?;
        let source = self.source(from, generation, &Conditions::of_source(query)?)?;
        self.check_target(to, &conditions)?;
        let size = source.found.object.meta.size;
        let mut rewrite = match query.get("rewriteToken") {
            None => Rewrite {
                from: from.clone(),
                to: to.clone(),
                source: source.found.clone(),
                copied: Vec::new(),
                done: 0,
                begun: self.google.clock.now(),
            },
            Some(token) => {
                let known = self.lock_rewrites().remove(token);
                known
                    .filter(|known| {
                        (&known.from, &known.to) == (from, to)
                            && known.source.number == source.found.number
                    })
                    .ok_or_else(|| {
                        Failure::invalid(
                            "Invalid rewrite token: it is unknown, of another rewrite, or its source has changed.",
                        )
                    })?
            }
        };
        let asked = number(
            "maxBytesRewrittenPerCall",
            query.get("maxBytesRewrittenPerCall"),
        )?;
        if asked.is_some_and(|asked| asked == 0 || asked % REWRITE_UNIT_BYTES != 0) {
            return Err(Failure::invalid(
                "maxBytesRewrittenPerCall must be a multiple of 1048576.",
            ));
        }
        let limit = if self.moves(&source, to, &resource)? {
            let most = self.google.config.rewrite_bytes_per_call.max(1);
            asked.map_or(most, |asked| asked.min(most))
        } else {
            u64::MAX
        };
        let end = rewrite.done.saturating_add(limit).min(size);
        let content = &rewrite.source.object.content;
        if rewrite.done < end || size == 0 {
            let range = rewrite.done..end;
            let piece = self.fetch(&source.store, content, range).await?;
            rewrite.copied.push(piece);
            rewrite.done = end;
        }
        let mut shown = json!({
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": rewrite.done.to_string(),
            "objectSize": size.to_string(),
            "done": rewrite.done == size,
        });
        if rewrite.done < size {
            let token = self.google.rng.token();
            shown["rewriteToken"] = json!(token);
            let mut rewrites = self.lock_rewrites();
            let now = self.google.clock.now();
            rewrites.retain(|_, rewrite| now.since(rewrite.begun) < TOKEN_LIFETIME);
            rewrites.insert(token, rewrite);
        } else {
            let whole = Content::concat(rewrite.copied.iter());
            let draft = Self::draft(&rewrite.source, &resource, whole)?;
            let published = self.publish(context, to, draft, conditions).await?;
            shown["resource"] = resource::object(&context.base, &to.bucket, &to.key, &published);
        }
        Ok(answer::json(&shown))
    }

    fn lock_rewrites(&self) -> std::sync::MutexGuard<'_, HashMap<String, Rewrite>> {
        self.rewrites
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether bytes have to move: to another region or another storage class.
    fn moves(&self, source: &Source, to: &ObjectName, resource: &Value) -> Result<bool> {
        let bucket = self.bucket(&to.bucket)?;
        let default = bucket.lock().google.storage_class.clone();
        let class = resource["storageClass"].as_str().unwrap_or(&default);
        let before = source.found.object.meta.attributes.storage_class.as_deref();
        Ok(source.store.region() != self.store.region() || before != Some(class))
    }
}

/// A resource with nothing but a storage class leaves the metadata as the source has it.
fn overrides_metadata(resource: &Value) -> bool {
    let says_nothing = ["storageClass", "name", "bucket", "kind"];
    resource.as_object().is_some_and(|map| {
        map.keys()
            .any(|name| !says_nothing.contains(&name.as_str()))
    })
}
