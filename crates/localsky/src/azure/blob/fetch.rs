//! Reading the source of a copy: by HTTP, from any store of this sky (or of this machine), over the distance between the
//! two regions and through the source's own checks. Put Block From URL and Put Blob From URL.

use super::blocks::{self, BLOCK_LIMIT_BYTES};
use super::put::{PUT_LIMIT_BYTES, new_properties};
use super::read::parse_range;
use super::{Call, Place};
use crate::azure::conditions::Conditions;
use crate::azure::error::{self, Result, StorageError};
use crate::azure::model::{Api, ContentHeaders};
use crate::azure::reply::{Claims, Received, Reply, store};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::Empty;
use hyper::body::Incoming;
use s3s::Body;

/// A source that was opened.
pub(super) struct Source {
    /// Without its signature, as the copy's state shows it.
    pub(super) shown_url: String,
    pub(super) headers: HeaderMap,
    pub(super) size: u64,
    body: Incoming,
}

impl Source {
    /// Opens what `x-ms-copy-source` names. `implied`: a source in the destination's own account needs no signature
    /// (Copy Blob, "Authorization"). `range`: only these bytes.
    pub(super) async fn open(call: &Call, range: Option<&str>, implied: bool) -> Result<Source> {
        let url = call.head.required_header("x-ms-copy-source")?;
        let refused = || error::invalid_header("x-ms-copy-source", without_query(url));
        let given: Uri = url.parse().map_err(|_| refused())?;
        let authority = given.authority().ok_or_else(refused)?;
        let local = matches!(authority.host(), "127.0.0.1" | "localhost");
        if given.scheme_str() != Some("http") || !local {
            // The sky calls nobody outside this machine.
            return Err(refused());
        }
        let neighbours = call.account.neighbours();
        let route = neighbours.routes.get(&authority.port_u16().unwrap_or(80));
        let own = route.is_some_and(|route| *route == neighbours.own_url);
        let target = given.path_and_query().map_or("/", |target| target.as_str());
        let base = route
            .cloned()
            .unwrap_or_else(|| format!("http://{authority}"));
        let mut request = Request::get(format!("{base}{target}"))
            // Signatures of some protocols cover the host that the client named.
            .header(http::header::HOST, authority.as_str())
            .header("x-ms-version", &call.head.version);
        if let Some(authorization) = call.head.header("x-ms-copy-source-authorization") {
            request = request.header(http::header::AUTHORIZATION, authorization);
        } else if implied && own && !target.contains("sig=") {
            let bearer = format!("Bearer {}", call.account.keys.bearer.expose());
            request = request.header(http::header::AUTHORIZATION, bearer);
        }
        for (name, value) in Conditions::source_headers(&call.head) {
            request = request.header(name, value);
        }
        if let Some(range) = range {
            request = request.header(http::header::RANGE, range);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|_| refused())?;
        let response = call
            .account
            .client
            .request(request)
            .await
            .map_err(|source| unreadable(StatusCode::INTERNAL_SERVER_ERROR, &source.to_string()))?;
        let expected = match range {
            None => StatusCode::OK,
            Some(_) => StatusCode::PARTIAL_CONTENT,
        };
        if response.status() != expected {
            return Err(source_error(&response, implied && own));
        }
        let (head, body) = response.into_parts();
        let size = head
            .headers
            .get(http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse().ok())
            .ok_or_else(|| {
                unreadable(
                    StatusCode::BAD_REQUEST,
                    "the source does not state its size",
                )
            })?;
        Ok(Source {
            shown_url: without_query(url).to_owned(),
            headers: head.headers,
            size,
            body,
        })
    }

    /// Stores the source's bytes.
    pub(super) async fn receive(self, call: &Call) -> Result<Received> {
        let received = store(&call.account, self.body, self.size).await?;
        if received.content.len() == self.size {
            Ok(received)
        } else {
            Err(unreadable(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the source ended early",
            ))
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = self.headers.get(name)?.to_str().ok()?;
        Some(value.to_owned())
    }

    /// The source's content headers.
    pub(super) fn content_headers(&self) -> ContentHeaders {
        ContentHeaders {
            content_type: self.text("content-type"),
            content_encoding: self.text("content-encoding"),
            content_language: self.text("content-language"),
            content_disposition: self.text("content-disposition"),
            cache_control: self.text("cache-control"),
            content_md5: self.text("content-md5"),
        }
    }
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(base, _)| base)
}

fn unreadable(status: StatusCode, detail: &str) -> StorageError {
    StorageError::new(
        status,
        "CannotVerifyCopySource",
        "Could not verify the copy source within the specified time.",
    )
    .with_detail("Detail", detail)
}

/// What the source's refusal means to the caller.
fn source_error(response: &Response<Incoming>, own: bool) -> StorageError {
    let status = response.status();
    let detail = response
        .headers()
        .get("x-ms-error-code")
        .and_then(|code| code.to_str().ok())
        .unwrap_or(status.as_str());
    match status {
        StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED => {
            error::source_condition_not_met()
        }
        StatusCode::RANGE_NOT_SATISFIABLE => error::invalid_range(),
        StatusCode::NOT_FOUND if own => error::blob_not_found(),
        StatusCode::UNAUTHORIZED => unreadable(StatusCode::FORBIDDEN, detail),
        status if status.is_client_error() => unreadable(status, detail),
        StatusCode::OK => unreadable(StatusCode::BAD_REQUEST, "the source does not serve ranges"),
        _ => unreadable(StatusCode::INTERNAL_SERVER_ERROR, detail),
    }
}

/// Operations that read from elsewhere have no body of their own.
fn refuse_body(call: &Call) -> Result<()> {
    match call.head.content_length()? {
        None | Some(0) => Ok(()),
        Some(length) => Err(error::invalid_header("Content-Length", &length.to_string())),
    }
}

fn source_claims(call: &Call) -> Result<Claims> {
    Claims::of(
        &call.head,
        "x-ms-source-content-md5",
        "x-ms-source-content-crc64",
    )
}

pub(super) async fn put_block_from_url(call: Call, place: Place) -> Result<Response<Body>> {
    refuse_body(&call)?;
    let id = blocks::given_id(&call)?;
    let claims = source_claims(&call)?;
    blocks::admit(&call, &place, &id)?;
    let range = call.head.header("x-ms-source-range");
    if let Some(range) = range.filter(|range| parse_range(range).is_none()) {
        return Err(error::invalid_header("x-ms-source-range", range));
    }
    let source = Source::open(&call, range, false).await?;
    if source.size > BLOCK_LIMIT_BYTES || source.size == 0 {
        return Err(error::request_body_too_large());
    }
    let received = source.receive(&call).await?;
    claims.check(&received.md5, &received.crc64)?;
    blocks::keep(call, place, id, received).await
}

pub(super) async fn put_blob_from_url(call: Call, place: Place) -> Result<Response<Body>> {
    match call.head.required_header("x-ms-blob-type")? {
        "BlockBlob" => {}
        other => return Err(error::invalid_header("x-ms-blob-type", other)),
    }
    refuse_body(&call)?;
    let terms = call.terms()?;
    let claims = source_claims(&call)?;
    let mut properties = new_properties(&call, false)?;
    {
        let state = place.container.lock()?;
        terms.admit_creation(&state, &place.name, place.container.now())?;
    }
    let source = Source::open(&call, None, false).await?;
    if source.size > PUT_LIMIT_BYTES {
        return Err(error::request_body_too_large());
    }
    // Headers that the request names go before the source's.
    let copies = call.head.header("x-ms-copy-source-blob-properties") != Some("false");
    if copies {
        let (from, to) = (source.content_headers(), &mut properties.headers);
        to.content_type = to.content_type.take().or(from.content_type);
        to.content_encoding = to.content_encoding.take().or(from.content_encoding);
        to.content_language = to.content_language.take().or(from.content_language);
        to.content_disposition = to.content_disposition.take().or(from.content_disposition);
        to.cache_control = to.cache_control.take().or(from.cache_control);
    }
    let received = source.receive(&call).await?;
    claims.check(&received.md5, &received.crc64)?;
    let (md5, crc64) = (received.md5_base64(), received.crc64_base64());
    properties.headers.content_md5.get_or_insert(md5.clone());
    let account = call.account.clone();
    let blob = account
        .blocking(move || {
            let (container, name) = (&place.container, &place.name);
            let mut state = container.lock()?;
            terms.admit_creation(&state, name, container.now())?;
            let api = Some(Api::PutBlob);
            container.publish(
                &mut state,
                name,
                properties,
                received.content,
                api,
                &call.origin,
            )
        })
        .await?;
    Ok(Reply::new(StatusCode::CREATED)
        .validators(&blob.properties.etag(), blob.properties.modified())
        .header("content-md5", md5)
        .header("x-ms-content-crc64", crc64)
        .header("x-ms-request-server-encrypted", "true")
        .empty())
}
