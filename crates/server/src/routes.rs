//! Every route, once: the router, the admission, the metrics and the test against `docs/openapi.json` are all made from
//! [`ROUTES`].

use crate::api::Api;
use crate::error::ApiError;
use crate::push::{event_grid, pubsub};
use crate::{
    admit, changelog, channels, dashboard, health, metrics, notifications, rules, weights,
};
use axum::Router;
use axum::http::{StatusCode, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{MethodRouter, get, options, post, put};
use skyfresh_sky::Kind;
use std::sync::Arc;

/// Who may use a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anyone: it tells nothing about the data.
    Open,
    /// Whoever has the API token, where one is set.
    Token,
    /// Whoever has the webhook secret; the handler checks, since signatures cover the body.
    Secret,
    /// Whoever has a token that Google signed for our push subscription; the handler checks.
    Pubsub,
    /// Whoever has Event Grid's secret or a token of its tenant; the handler checks.
    EventGrid,
}

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    /// `GET`, `POST`, `PUT` or `OPTIONS`.
    pub(crate) method: &'static str,
    /// The path, with parameters as OpenAPI writes them.
    pub(crate) path: &'static str,
    /// Who may use it.
    pub(crate) access: Access,
    handler: fn() -> MethodRouter<Arc<Api>>,
}

const fn route(
    method: &'static str,
    path: &'static str,
    access: Access,
    handler: fn() -> MethodRouter<Arc<Api>>,
) -> Route {
    Route {
        method,
        path,
        access,
        handler,
    }
}

/// Everything that is served.
pub(crate) static ROUTES: &[Route] = &[
    route("GET", "/", Access::Open, || get(dashboard::page)),
    route("GET", "/openapi.json", Access::Token, || {
        get(dashboard::openapi)
    }),
    route("GET", "/healthz", Access::Open, || get(health::healthz)),
    route("GET", "/readyz", Access::Open, || get(health::readyz)),
    route("GET", "/metrics", Access::Token, || get(metrics::page)),
    route("POST", "/v1/notifications", Access::Secret, || {
        post(notifications::for_all)
    }),
    route("POST", "/v1/notifications/{rule}", Access::Secret, || {
        post(notifications::for_rule)
    }),
    route("POST", "/v1/notify/pubsub", Access::Pubsub, || {
        post(pubsub::notify)
    }),
    route("POST", "/v1/notify/eventgrid", Access::EventGrid, || {
        post(event_grid::notify)
    }),
    route("OPTIONS", "/v1/notify/eventgrid", Access::EventGrid, || {
        options(event_grid::handshake)
    }),
    route("GET", "/v1/channels", Access::Token, || {
        get(channels::channels)
    }),
    route("GET", "/v1/rules", Access::Token, || get(rules::rules)),
    route("GET", "/v1/status", Access::Token, || get(rules::status)),
    route("GET", "/v1/status/{rule}", Access::Token, || {
        get(rules::status_of_rule)
    }),
    route("POST", "/v1/rules/{rule}/pause", Access::Token, || {
        post(rules::pause)
    }),
    route("POST", "/v1/rules/{rule}/resume", Access::Token, || {
        post(rules::resume)
    }),
    route("POST", "/v1/rules/{rule}/sweep", Access::Token, || {
        post(rules::sweep)
    }),
    route("POST", "/v1/rules/{rule}/changelog", Access::Token, || {
        post(changelog::add)
    }),
    route("GET", "/v1/rules/{rule}/explain", Access::Token, || {
        get(rules::explain)
    }),
    route("GET", "/v1/rules/{rule}/weights", Access::Token, || {
        get(weights::weights)
    }),
    route("PUT", "/v1/rules/{rule}/weights", Access::Token, || {
        put(weights::set_weights)
    }),
    route("POST", "/v1/rules/{rule}/wait", Access::Token, || {
        post(rules::wait)
    }),
    route("POST", "/v1/reload", Access::Token, || post(rules::reload)),
];

/// The router over [`ROUTES`].
pub(crate) fn router(api: Arc<Api>) -> Router {
    let mut router = Router::new();
    for route in ROUTES {
        let admission = from_fn_with_state((Arc::clone(&api), route), admit::admit);
        router = router.route(route.path, (route.handler)().route_layer(admission));
    }
    router
        .fallback(|uri: Uri| async move {
            ApiError::new(
                Kind::Missing,
                "find route",
                uri.path(),
                "there is nothing at this path",
            )
            .hint("GET /openapi.json describes every route")
        })
        .method_not_allowed_fallback(|uri: Uri| async move {
            ApiError::invalid(
                "find route",
                uri.path(),
                "this path does not take this method; see Allow",
            )
            .status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(from_fn(admit::harden))
        .with_state(api)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_openapi_document_has_every_route_and_no_other() {
        let document: serde_json::Value = serde_json::from_str(crate::OPENAPI).unwrap();
        let described: BTreeSet<String> = document["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                let methods = item
                    .as_object()
                    .unwrap()
                    .keys()
                    .filter(|name| *name != "parameters");
                methods.map(move |method| format!("{} {path}", method.to_uppercase()))
            })
            .collect();
        let served: BTreeSet<String> = ROUTES
            .iter()
            .map(|route| format!("{} {}", route.method, route.path))
            .collect();
        assert_eq!(described, served);
    }

    #[test]
    fn the_openapi_document_says_who_may_use_a_route() {
        let document: serde_json::Value = serde_json::from_str(crate::OPENAPI).unwrap();
        for route in ROUTES {
            let operation = &document["paths"][route.path][route.method.to_lowercase()];
            let schemes: Option<Vec<&str>> = operation["security"].as_array().map(|all| {
                all.iter()
                    .flat_map(|scheme| scheme.as_object().unwrap().keys())
                    .map(String::as_str)
                    .collect()
            });
            let expected = match route.access {
                Access::Open => Some(vec![]),
                Access::Token => None,
                Access::Secret => Some(vec!["webhookSecret", "webhookSignature"]),
                Access::Pubsub => Some(vec!["pubsubToken"]),
                Access::EventGrid => Some(vec!["eventGridSecret", "eventGridToken"]),
            };
            assert_eq!(schemes, expected, "{} {}", route.method, route.path);
        }
        assert_eq!(
            document["security"],
            serde_json::json!([{ "apiToken": [] }])
        );
    }
}
