//! What a port serves: the protocol of its store, and how that protocol says no before the store is asked.

use super::request::{Classified, classify};
use crate::azure;
use crate::gcs;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use s3s::service::S3Service;
use s3s::{Body, HttpError};
use skyfresh_sky::Region;

/// A store behind its protocol. Clones are the same.
#[derive(Clone)]
pub(crate) enum Service {
    S3(S3Service),
    Gcs(gcs::Frontend),
    Azure(azure::Frontend),
}

impl Service {
    pub(crate) async fn call(&self, request: Request<Body>) -> Result<Response<Body>, HttpError> {
        match self {
            Service::S3(service) => service.call(request).await,
            Service::Gcs(frontend) => Ok(frontend.call(request).await),
            Service::Azure(frontend) => Ok(frontend.call(request).await),
        }
    }

    pub(crate) fn classify(&self, method: &Method, uri: &Uri) -> Classified {
        match self {
            Service::S3(_) => classify(method, uri),
            Service::Gcs(_) => gcs::classify(method, uri),
            Service::Azure(_) => azure::classify(method, uri),
        }
    }

    /// The store throttles.
    pub(crate) fn slow_down(&self) -> Refusal {
        match self {
            Service::S3(_) => Refusal::s3(
                StatusCode::SERVICE_UNAVAILABLE,
                "SlowDown",
                "Please reduce your request rate.",
                None,
            ),
            Service::Gcs(_) => gcs::slow_down(),
            Service::Azure(_) => azure::slow_down(),
        }
    }

    /// The store failed.
    pub(crate) fn internal_error(&self) -> Refusal {
        match self {
            Service::S3(_) => Refusal::s3(
                StatusCode::INTERNAL_SERVER_ERROR,
                "InternalError",
                "We encountered an internal error. Please try again.",
                None,
            ),
            Service::Gcs(_) => gcs::internal_error(),
            Service::Azure(_) => azure::internal_error(),
        }
    }

    /// The header that names a request in the provider's logs.
    pub(crate) fn request_id_header(&self) -> &'static str {
        match self {
            Service::S3(_) => "x-amz-request-id",
            Service::Gcs(_) => "x-guploader-uploadid",
            Service::Azure(_) => "x-ms-request-id",
        }
    }
}

/// An answer that does not come from the store.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Refusal {
    /// S3's error document; with `region`, the region that the request belongs to.
    fn s3(status: StatusCode, code: &str, message: &str, region: Option<&Region>) -> Refusal {
        let mut headers = HeaderMap::new();
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/xml"),
        );
        let mut element = String::new();
        if let Some(region) = region {
            element = format!("<Region>{}</Region>", region.name);
            if let Ok(name) = HeaderValue::from_str(&region.name) {
                headers.insert("x-amz-bucket-region", name);
            }
        }
        let body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><Error><Code>{code}</Code><Message>{message}</Message>{element}</Error>"
        );
        Refusal {
            status,
            headers,
            body,
        }
    }

    /// S3's answer to a signature for another region than `region`.
    pub(crate) fn wrong_region(region: &Region) -> Refusal {
        Self::s3(
            StatusCode::BAD_REQUEST,
            "AuthorizationHeaderMalformed",
            "The authorization header is malformed; the region in its credential scope is wrong.",
            Some(region),
        )
    }

    /// S3's answer to a request for a bucket that lives in `region`.
    pub(crate) fn redirect(region: &Region) -> Refusal {
        Self::s3(
            StatusCode::MOVED_PERMANENTLY,
            "PermanentRedirect",
            "The bucket you are attempting to access must be addressed using the specified endpoint.",
            Some(region),
        )
    }
}
