//! PUT, GET, HEAD and DELETE of objects.
//!
//! Source: <https://cloud.google.com/storage/docs/xml-api/reference-headers>.

use super::super::answer::{self, Answer};
use super::super::change::Draft;
use super::super::conditions::{Conditions, number};
use super::super::error::{Failure, Result};
use super::super::names::check_metadata;
use super::super::read::media;
use super::super::request::{ObjectName, header};
use super::super::resource::{Given, check_storage_class, header_etag};
use super::super::{Context, Frontend};
use super::element;
use crate::store::Generation;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG,
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_UNMODIFIED_SINCE,
};
use http::{HeaderMap, StatusCode};
use percent_encoding::percent_decode_str;
use s3s::Body;
use serde_json::{Value, json};
use skyfresh_sky::Timestamp;

const METADATA_PREFIX: &str = "x-goog-meta-";

/// What the headers of a write say about the object.
pub(super) fn given(headers: &HeaderMap) -> Result<Given> {
    let text = |name: &str| header(headers, name).map(str::to_owned);
    let mut given = Given::default();
    let attributes = &mut given.attributes;
    attributes.content_type = text(CONTENT_TYPE.as_str());
    attributes.content_encoding = text(CONTENT_ENCODING.as_str());
    attributes.content_language = text(CONTENT_LANGUAGE.as_str());
    attributes.content_disposition = text(CONTENT_DISPOSITION.as_str());
    attributes.cache_control = text(CACHE_CONTROL.as_str());
    attributes.storage_class = text("x-goog-storage-class");
    if let Some(class) = &attributes.storage_class {
        check_storage_class(class)?;
    }
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(METADATA_PREFIX) {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            attributes.user.insert(name.to_owned(), value);
        }
    }
    check_metadata(attributes)?;
    given.custom_time = text("x-goog-custom-time");
    given.hashes.add_headers(headers);
    Ok(given)
}

/// The source of a copy: `/bucket/object`, percent-encoded, with or without the first slash.
fn copy_source(value: &str) -> Result<ObjectName> {
    let decoded = percent_decode_str(value).decode_utf8_lossy();
    let (bucket, key) = decoded
        .trim_start_matches('/')
        .split_once('/')
        .ok_or_else(|| Failure::invalid("Invalid x-goog-copy-source"))?;
    Ok(ObjectName {
        bucket: bucket.to_owned(),
        key: key.to_owned(),
    })
}

/// The headers that tell of a version that was written.
fn describe_written(answer: &mut Answer, written: &Generation) {
    let google = written.google();
    let mut hash = format!("crc32c={}", google.crc32c);
    if let Some(md5) = &google.md5 {
        hash = format!("{hash},md5={md5}");
    }
    let size = written.object.meta.size.to_string();
    answer::set(answer, "x-goog-generation", &written.number.to_string());
    answer::set(
        answer,
        "x-goog-metageneration",
        &google.metageneration.to_string(),
    );
    answer::set(answer, "x-goog-stored-content-length", &size);
    answer::set(answer, "x-goog-hash", &hash);
    answer::set(answer, ETAG.as_str(), &header_etag(written));
}

impl Frontend {
    pub(super) async fn xml_put(
        &self,
        context: &Context,
        name: &ObjectName,
        body: Body,
    ) -> Result<Answer> {
        let headers = &context.headers;
        let given = given(headers)?;
        if let Some(source) = header(headers, "x-goog-copy-source") {
            return self.xml_put_copy(context, name, source, &given).await;
        }
        let conditions = Conditions::of_headers(headers, "x-goog-if-")?;
        self.check_target(name, &conditions)?;
        let ingested = self.receive(body).await?;
        let hashes = given.hashes.clone();
        let draft = Draft::verified(given, ingested.content, &ingested.digests, &hashes)?;
        let published = self.publish(context, name, draft, conditions).await?;
        let mut answer = answer::empty(StatusCode::OK);
        describe_written(&mut answer, &published);
        Ok(answer)
    }

    async fn xml_put_copy(
        &self,
        context: &Context,
        name: &ObjectName,
        source: &str,
        given: &Given,
    ) -> Result<Answer> {
        let headers = &context.headers;
        let from = copy_source(source)?;
        let generation = number(
            "x-goog-copy-source-generation",
            header(headers, "x-goog-copy-source-generation"),
        )?;
        let mut resource = match header(headers, "x-goog-metadata-directive") {
            None | Some("COPY") => json!({}),
            Some("REPLACE") => {
                let attributes = &given.attributes;
                json!({
                    "contentType": attributes.content_type,
                    "contentEncoding": attributes.content_encoding,
                    "contentLanguage": attributes.content_language,
                    "contentDisposition": attributes.content_disposition,
                    "cacheControl": attributes.cache_control,
                    "customTime": given.custom_time,
                    "metadata": attributes.user,
                })
            }
            Some(_) => return Err(Failure::invalid("Invalid x-goog-metadata-directive")),
        };
        if let Some(class) = &given.attributes.storage_class {
            resource["storageClass"] = Value::from(class.as_str());
        }
        let copied = self
            .xml_copy(context, &from, generation, name, &resource)
            .await?;
        let inner = format!(
            "{}{}",
            element("LastModified", &copied.created.to_string()),
            element("ETag", &header_etag(&copied))
        );
        let mut answer = super::document("CopyObjectResult", super::LISTING_NAMESPACE, &inner);
        describe_written(&mut answer, &copied);
        Ok(answer)
    }

    /// `x-goog-resumable: start`: the session is then resumed as in the JSON API.
    pub(super) fn xml_begin_resumable(
        &self,
        context: &Context,
        name: &ObjectName,
    ) -> Result<Answer> {
        let headers = &context.headers;
        if header(headers, "x-goog-resumable") != Some("start") {
            return Err(Failure::invalid("Form uploads are not served."));
        }
        let mut given = given(headers)?;
        if given.attributes.content_type.is_none() {
            given.attributes.content_type =
                header(headers, "x-upload-content-type").map(str::to_owned);
        }
        let conditions = Conditions::of_headers(headers, "x-goog-if-")?;
        let mut answer = self.start_session(context, name.clone(), given, conditions, None)?;
        *answer.status_mut() = StatusCode::CREATED;
        Ok(answer)
    }

    pub(super) fn xml_get(&self, context: &Context, name: &ObjectName) -> Result<Answer> {
        let conditions = Conditions::of_headers(&context.headers, "x-goog-if-")?;
        let generation = number("generation", context.query.get("generation"))?;
        let found = self.find(name, generation, &conditions)?;
        check_http_conditions(&context.headers, &found)?;
        media(context, &found)
    }

    pub(super) async fn xml_delete(&self, context: &Context, name: &ObjectName) -> Result<Answer> {
        let conditions = Conditions::of_headers(&context.headers, "x-goog-if-")?;
        let generation = number("generation", context.query.get("generation"))?;
        self.remove(context, name, generation, conditions).await?;
        Ok(answer::empty(StatusCode::NO_CONTENT))
    }
}

/// HTTP's own conditions: the entity tags go before the dates (RFC 9110 section 13.2.2).
fn check_http_conditions(headers: &HeaderMap, found: &Generation) -> Result<()> {
    let etag = header_etag(found);
    let names = |value: &str| {
        value
            .split(',')
            .any(|part| part.trim() == "*" || part.trim() == etag)
    };
    // HTTP dates have a resolution of one second.
    let modified_s = found.created.unix_ms() / 1000;
    let date_s = |name: &http::HeaderName| {
        let time = httpdate::parse_http_date(header(headers, name.as_str())?).ok()?;
        let since = time
            .duration_since(std::time::SystemTime::UNIX_EPOCH)
            .ok()?;
        Some(Timestamp::ZERO.after(since).unix_ms() / 1000)
    };
    match header(headers, IF_MATCH.as_str()) {
        Some(value) if !names(value) => return Err(Failure::precondition()),
        None if date_s(&IF_UNMODIFIED_SINCE).is_some_and(|limit_s| modified_s > limit_s) => {
            return Err(Failure::precondition());
        }
        _ => {}
    }
    let not_modified = match header(headers, IF_NONE_MATCH.as_str()) {
        Some(value) => names(value),
        None => date_s(&IF_MODIFIED_SINCE).is_some_and(|since_s| modified_s <= since_s),
    };
    if not_modified {
        return Err(Failure::not_modified().with_header(ETAG, &etag));
    }
    Ok(())
}
