//! The page at `/`, and the description of the API.

use crate::OPENAPI;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::sync::LazyLock;

const PAGE: &str = include_str!("../assets/dashboard.html");

/// Only the page's own script and style, by their hashes; it may talk to nobody but us, and nobody may frame it.
static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        hash("script"),
        hash("style")
    )
});

/// The policy's source expression for the content of the page's one element of this name (CSP level 3, section 2.3.1).
fn hash(element: &str) -> String {
    let content = PAGE
        .split_once(&format!("<{element}>"))
        .and_then(|(_, rest)| rest.split_once(&format!("</{element}>")))
        .map_or("", |(content, _)| content);
    format!("sha256-{}", STANDARD.encode(Sha256::digest(content)))
}

/// `GET /`: needs no token, for it has no data; its script asks for the token and sends it.
pub(crate) async fn page() -> impl IntoResponse {
    (
        [(header::CONTENT_SECURITY_POLICY, POLICY.as_str())],
        Html(PAGE),
    )
}

/// `GET /openapi.json`
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_one_file_that_asks_for_no_other() {
        for element in ["script", "style"] {
            assert_eq!(
                PAGE.matches(&format!("<{element}")).count(),
                1,
                "one {element}, for one hash"
            );
            assert_ne!(hash(element), hash("no such element"));
        }
        for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
            let mentioned = PAGE.replace("http://www.w3.org/2000/svg", "");
            assert!(!mentioned.contains(outside), "{outside}");
        }
        for unescaped in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!PAGE.contains(unescaped), "{unescaped}");
        }
    }
}
