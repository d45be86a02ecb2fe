//! Buckets: insert, get, list, patch, delete.
//!
//! Source: <https://cloud.google.com/storage/docs/json_api/v1/buckets>.

use super::answer::{self, Answer};
use super::error::{Failure, Result};
use super::names::check_bucket_name;
use super::resource::{check_storage_class, fields, segment, text};
use super::{Context, Frontend, conditions, read_json};
use crate::store::{Bucket, GoogleBucket, State, Versioning};
use http::{Method, StatusCode};
use s3s::Body;
use serde_json::{Map, Value, json};
use skyfresh_sky::Timestamp;
use std::sync::Arc;

/// A project's number, where the API shows one: made up, and the same for every project of every sky.
const PROJECT_NUMBER: &str = "100000000001";

impl Frontend {
    fn shown_bucket(&self, context: &Context, bucket: &Bucket, state: &State) -> Value {
        let google = &state.google;
        let location = self.store.region().name.to_ascii_uppercase();
        let created = bucket.created;
        let updated = google
            .updated_unix_ms
            .map_or(created, Timestamp::from_unix_ms);
        let mut shown = json!({
            "kind": "storage#bucket",
            "id": bucket.name,
            "selfLink": format!("{}/storage/v1/b/{}", context.base, segment(&bucket.name)),
            "projectNumber": PROJECT_NUMBER,
            "name": bucket.name,
            "timeCreated": created.to_string(),
            "updated": updated.to_string(),
            "metageneration": google.metageneration.to_string(),
            "location": location,
            "locationType": "region",
            "storageClass": google.storage_class,
            "etag": super::resource::etag(google.metageneration, google.metageneration),
            "iamConfiguration": {
                "uniformBucketLevelAccess": { "enabled": true },
                "publicAccessPrevention": "inherited",
            },
            "softDeletePolicy": { "retentionDurationSeconds": "0" },
        });
        if state.versioning != Versioning::Off {
            shown["versioning"] = json!({ "enabled": state.versioning == Versioning::Enabled });
        }
        if !google.labels.is_empty() {
            shown["labels"] = json!(google.labels);
        }
        shown
    }

    pub(crate) fn list_buckets(&self, context: &Context) -> Result<Answer> {
        let query = &context.query;
        if !query.has("project") {
            return Err(Failure::required("Required parameter: project"));
        }
        let prefix = query.get("prefix").unwrap_or_default();
        let after = query.get("pageToken").unwrap_or_default();
        let limit = super::list::Listing::limit(query.get("maxResults"))?.max(1);
        let mut found: Vec<Arc<Bucket>> = self.store.buckets();
        found.retain(|bucket| bucket.name.starts_with(prefix) && bucket.name.as_str() > after);
        let more = found.len() > limit;
        found.truncate(limit);
        let items: Vec<Value> = found
            .iter()
            .map(|bucket| self.shown_bucket(context, bucket, &bucket.lock()))
            .collect();
        let mut shown = json!({ "kind": "storage#buckets" });
        if !items.is_empty() {
            shown["items"] = Value::Array(items);
        }
        if let Some(last) = found.last().filter(|_| more) {
            shown["nextPageToken"] = json!(last.name);
        }
        Ok(answer::json(&shown))
    }

    pub(crate) async fn insert_bucket(&self, context: &Context, body: Body) -> Result<Answer> {
        let resource = read_json(body).await?;
        let map = fields(&resource)?.clone();
        let name = text(&map, "name")?.ok_or_else(|| Failure::required("Required"))?;
        check_bucket_name(&name)?;
        let here = &self.store.region().name;
        let location = text(&map, "location")?;
        if let Some(location) = location.filter(|location| {
            // `US`, the default, stands for wherever this sky is.
            !location.eq_ignore_ascii_case(here) && !location.eq_ignore_ascii_case("US")
        }) {
            return Err(Failure::invalid(format!(
                "The specified location constraint is not valid: {location:?}. This endpoint serves {here}."
            )));
        }
        let mut google = GoogleBucket::default();
        change(&map, &mut google)?;
        let versioned = versioning(&map)?.unwrap_or_default();
        let (store, created) = (self.store.clone(), name.clone());
        let bucket = self
            .blocking(move || {
                if store.find(&created).is_some() {
                    return Err(Failure::conflict(
                        "BucketAlreadyOwnedByYou",
                        "Your previous request to create the named bucket succeeded and you already own it.",
                    ));
                }
                let versioning = if versioned {
                    Versioning::Enabled
                } else {
                    Versioning::Off
                };
                store.create_bucket(&created, versioning)?;
                let bucket = store.bucket(&created)?;
                let mut state = bucket.lock();
                state.google = google;
                bucket.save_google(&state)?;
                drop(state);
                Ok(bucket)
            })
            .await?;
        let shown = self.shown_bucket(context, &bucket, &bucket.lock());
        Ok(answer::json(&shown))
    }

    pub(crate) async fn bucket_operation(
        &self,
        context: &Context,
        name: &str,
        body: Body,
    ) -> Result<Answer> {
        let bucket = self.bucket(name)?;
        match context.method {
            Method::GET => {
                let state = bucket.lock();
                check_metageneration(context, &state)?;
                Ok(answer::json(&self.shown_bucket(context, &bucket, &state)))
            }
            Method::DELETE => {
                check_metageneration(context, &bucket.lock())?;
                let (store, name) = (self.store.clone(), name.to_owned());
                self.blocking(move || {
                    if !bucket.is_empty() {
                        return Err(Failure::conflict(
                            "BucketNotEmpty",
                            "The bucket you tried to delete is not empty.",
                        ));
                    }
                    Ok(store.delete_bucket(&name)?)
                })
                .await?;
                Ok(answer::empty(StatusCode::NO_CONTENT))
            }
            Method::PATCH | Method::PUT => {
                let resource = read_json(body).await?;
                let map = fields(&resource)?.clone();
                check_metageneration(context, &bucket.lock())?;
                let changed = bucket.clone();
                self.blocking(move || {
                    let mut state = changed.lock();
                    let mut google = state.google.clone();
                    change(&map, &mut google)?;
                    google.metageneration += 1;
                    google.updated_unix_ms = Some(changed.surroundings.clock.now().unix_ms());
                    if let Some(enabled) = versioning(&map)? {
                        changed.set_google_versioning(&mut state, enabled)?;
                    }
                    state.google = google;
                    Ok(changed.save_google(&state)?)
                })
                .await?;
                let shown = self.shown_bucket(context, &bucket, &bucket.lock());
                Ok(answer::json(&shown))
            }
            _ => Err(Failure::method_not_allowed()),
        }
    }

    pub(crate) fn service_account(&self, project: &str) -> Answer {
        answer::json(&json!({
            "kind": "storage#serviceAccount",
            "email_address": format!("service-{PROJECT_NUMBER}@gs-project-accounts.iam.gserviceaccount.com"),
            "project": project,
        }))
    }
}

fn check_metageneration(context: &Context, state: &State) -> Result<()> {
    let value = |name: &str| conditions::number(name, context.query.get(name));
    let found = state.google.metageneration;
    if value("ifMetagenerationMatch")?.is_some_and(|wanted| wanted != found) {
        return Err(Failure::precondition());
    }
    if value("ifMetagenerationNotMatch")?.is_some_and(|unwanted| unwanted == found) {
        return Err(Failure::not_modified());
    }
    Ok(())
}

fn versioning(map: &Map<String, Value>) -> Result<Option<bool>> {
    match map.get("versioning") {
        None => Ok(None),
        Some(Value::Null) => Ok(Some(false)),
        Some(value) => value["enabled"]
            .as_bool()
            .map(Some)
            .ok_or_else(|| Failure::invalid("Invalid value for field versioning.enabled")),
    }
}

/// Applies the fields that this sky keeps; others are taken and forgotten, as most of them do not matter on loopback.
fn change(map: &Map<String, Value>, google: &mut GoogleBucket) -> Result<()> {
    if let Some(class) = text(map, "storageClass")? {
        check_storage_class(&class)?;
        google.storage_class = class;
    }
    match map.get("labels") {
        None => {}
        Some(Value::Null) => google.labels.clear(),
        Some(labels) => {
            for (name, value) in fields(labels)? {
                match value {
                    Value::Null => {
                        google.labels.remove(name);
                    }
                    Value::String(value) => {
                        google.labels.insert(name.clone(), value.clone());
                    }
                    _ => return Err(Failure::invalid("Invalid value for a label")),
                }
            }
        }
    }
    Ok(())
}
