//! Uploads in one request: the bytes alone, or a resource and the bytes.
//!
//! Source: <https://cloud.google.com/storage/docs/json_api/v1/objects/insert>.

use super::answer::Answer;
use super::change::Draft;
use super::conditions::Conditions;
use super::error::{Failure, Result};
use super::request::{ObjectName, header};
use super::resource::Given;
use super::{Context, Frontend, parse_json, related};
use crate::store::{Algorithm, Expected, Ingested, ingest};
use bytes::Bytes;
use futures::Stream;
use http::Method;
use http::header::CONTENT_TYPE;
use s3s::{Body, StdError};

impl Frontend {
    pub(crate) async fn upload(
        &self,
        context: &Context,
        bucket: &str,
        body: Body,
    ) -> Result<Answer> {
        let query = &context.query;
        if let Some(id) = query.get("upload_id") {
            return match context.method {
                Method::PUT => self.resume(context, id, body).await,
                Method::DELETE => self.cancel(id).await,
                _ => Err(Failure::method_not_allowed()),
            };
        }
        match (&context.method, query.get("uploadType")) {
            (&Method::POST, Some("media")) => self.upload_media(context, bucket, body).await,
            (&Method::POST, Some("multipart")) => self.upload_related(context, bucket, body).await,
            (&Method::POST | &Method::PUT, Some("resumable")) => {
                self.begin(context, bucket, body).await
            }
            (&Method::POST, _) => Err(Failure::invalid("Invalid value for uploadType")),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    /// The target of an upload: the query's name goes before the resource's.
    pub(crate) fn target(
        &self,
        context: &Context,
        bucket: &str,
        given: &mut Given,
    ) -> Result<ObjectName> {
        let query = &context.query;
        if let Some(encoding) = query.get("contentEncoding") {
            given.attributes.content_encoding = Some(encoding.to_owned());
        }
        let named = query.get("name").map(str::to_owned).or(given.name.take());
        Ok(ObjectName {
            bucket: bucket.to_owned(),
            key: named.ok_or_else(|| Failure::required("Required parameter: name"))?,
        })
    }

    async fn upload_media(&self, context: &Context, bucket: &str, body: Body) -> Result<Answer> {
        let mut given = Given::default();
        let name = self.target(context, bucket, &mut given)?;
        given.attributes.content_type =
            header(&context.headers, CONTENT_TYPE.as_str()).map(str::to_owned);
        self.insert(context, name, given, body).await
    }

    async fn upload_related(&self, context: &Context, bucket: &str, body: Body) -> Result<Answer> {
        let content_type = header(&context.headers, CONTENT_TYPE.as_str()).unwrap_or_default();
        let (resource, media_type, media) = related::split(body, content_type).await?;
        let mut given = Given::parse(&parse_json(&resource)?)?;
        let name = self.target(context, bucket, &mut given)?;
        if given.attributes.content_type.is_none() {
            given.attributes.content_type = media_type;
        }
        self.insert(context, name, given, media).await
    }

    async fn insert(
        &self,
        context: &Context,
        name: ObjectName,
        mut given: Given,
        body: impl Stream<Item = Result<Bytes, StdError>>,
    ) -> Result<Answer> {
        let conditions = Conditions::of_query(&context.query)?;
        self.check_target(&name, &conditions)?;
        given.hashes.add_headers(&context.headers);
        let ingested = self.receive(body).await?;
        let hashes = given.hashes.clone();
        let draft = Draft::verified(given, ingested.content, &ingested.digests, &hashes)?;
        let published = self.publish(context, &name, draft, conditions).await?;
        Ok(self.shown(context, &name, &published))
    }

    /// Reads a body to its end.
    pub(crate) async fn receive(
        &self,
        body: impl Stream<Item = Result<Bytes, StdError>>,
    ) -> Result<Ingested> {
        let expected = Expected::default();
        Ok(ingest(&self.store.storage, body, &expected, &[Algorithm::Crc32c]).await?)
    }
}
