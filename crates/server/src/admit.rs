//! Who may ask: the check in front of every route, and the headers behind it.

use crate::api::Api;
use crate::error::ApiError;
use crate::routes::{Access, Route};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use skyfresh_engine::intake::authenticate::{self, Credentials};
use skyfresh_sky::Kind;
use std::sync::Arc;

/// Lets a request through to its route, or answers it.
pub(crate) async fn admit(
    State((api, route)): State<(Arc<Api>, &'static Route)>,
    request: Request,
    next: Next,
) -> Response {
    let under_way = api.counters.begin(route);
    let response = match check(&api, route, request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => refused.into_response(),
    };
    under_way.answered(response.status());
    response
}

fn check(api: &Api, route: &Route, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if route.access != Access::Token {
        return Ok(());
    }
    if let Some(token) = &api.options.api_token {
        let authorization = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let credentials = Credentials {
            authorization,
            signature: None,
        };
        authenticate::check(token, credentials, b"", api.clock.now()).map_err(|refusal| {
            ApiError::new(Kind::Denied, "authenticate", route.path, refusal.as_str())
                .hint("send the api_token of the configuration: Authorization: Bearer TOKEN")
                .unauthorized()
        })?;
    }
    if *method != Method::GET && *method != Method::HEAD && cross_origin(headers) {
        return Err(ApiError::new(
            Kind::Denied,
            "authenticate",
            route.path,
            "the request comes from a page of another origin",
        ));
    }
    Ok(())
}

/// Whether a browser sent this for a page that is not ours: such a page can make any visitor's browser post here, and on
/// a loopback port without a token nothing else would stop it. Programs send no `Origin`.
fn cross_origin(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else {
        return false;
    };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.split_once("://"))
        .map(|(_, authority)| authority);
    authority.is_none()
        || authority
            != headers
                .get(header::HOST)
                .and_then(|host| host.to_str().ok())
}

/// Adds the headers every answer has.
pub(crate) async fn harden(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static(
            "default-src 'none'; frame-ancestors 'none'",
        ));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_may_change_things() {
        let foreign = |origin: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
            origin.map(|origin| headers.insert(header::ORIGIN, HeaderValue::from_static(origin)));
            cross_origin(&headers)
        };
        assert!(!foreign(None) && !foreign(Some("http://127.0.0.1:8080")));
        assert!(
            foreign(Some("http://evil.example"))
                && foreign(Some("null"))
                && foreign(Some("http://127.0.0.1:80"))
        );
    }
}
