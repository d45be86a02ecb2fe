//! The XML API: objects, listings and multipart uploads, as S3 clients know them, with Google's headers.
//!
//! **In:** requests to `/BUCKET/OBJECT`. **Out:** XML documents and bytes.
//! **Never:** takes a precondition on completing a multipart upload: the XML API has none.
//!
//! Source: <https://cloud.google.com/storage/docs/xml-api/reference-methods>.

mod list;
mod objects;
mod uploads;

use super::answer::{self, Answer};
use super::error::{Failure, Result};
use super::request::ObjectName;
use super::{Context, Frontend};
use http::{Method, StatusCode};
use s3s::Body;
use skyfresh_sky::Timestamp;
use std::time::{Duration, SystemTime};

/// The name space of listings.
const LISTING_NAMESPACE: &str = "http://doc.s3.amazonaws.com/2006-03-01";
/// The name space of multipart uploads.
const UPLOAD_NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Text as it stands in an element.
pub(crate) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).into_owned()
}

/// As in `Last-Modified`.
pub(crate) fn http_date(time: Timestamp) -> String {
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + Duration::from_millis(time.unix_ms()))
}

fn element(name: &str, text: &str) -> String {
    format!("<{name}>{}</{name}>", escape(text))
}

fn document(name: &str, namespace: &str, inner: &str) -> Answer {
    answer::xml(format!("<{name} xmlns='{namespace}'>{inner}</{name}>"))
}

impl Frontend {
    pub(crate) fn xml_buckets(&self) -> Answer {
        let buckets: String = self
            .store
            .buckets()
            .iter()
            .map(|bucket| {
                let created = bucket.created.to_string();
                format!(
                    "<Bucket>{}{}</Bucket>",
                    element("Name", &bucket.name),
                    element("CreationDate", &created)
                )
            })
            .collect();
        document(
            "ListAllMyBucketsResult",
            LISTING_NAMESPACE,
            &format!("<Buckets>{buckets}</Buckets>"),
        )
    }

    pub(crate) async fn xml_bucket(
        &self,
        context: &Context,
        name: &str,
        _body: Body,
    ) -> Result<Answer> {
        let bucket = self.bucket(name)?;
        match context.method {
            Method::HEAD => Ok(answer::empty(StatusCode::OK)),
            Method::GET if context.query.has("uploads") => self.xml_list_uploads(context, &bucket),
            Method::GET => self.xml_list(context, &bucket),
            _ => Err(Failure::method_not_allowed()),
        }
    }

    pub(crate) async fn xml_object(
        &self,
        context: &Context,
        name: &ObjectName,
        body: Body,
    ) -> Result<Answer> {
        let query = &context.query;
        match (&context.method, query.get("uploadId")) {
            (&Method::POST, None) if query.has("uploads") => {
                self.xml_begin_upload(context, name).await
            }
            (&Method::PUT, Some(id)) => self.xml_put_part(context, name, id, body).await,
            (&Method::GET, Some(id)) => self.xml_list_parts(context, name, id),
            (&Method::POST, Some(id)) => self.xml_complete(context, name, id, body).await,
            (&Method::DELETE, Some(id)) => self.xml_abort(name, id).await,
            (&Method::PUT, None) => self.xml_put(context, name, body).await,
            (&Method::POST, None) => self.xml_begin_resumable(context, name),
            (&Method::GET | &Method::HEAD, None) => self.xml_get(context, name),
            (&Method::DELETE, None) => self.xml_delete(context, name).await,
            _ => Err(Failure::method_not_allowed()),
        }
    }
}
