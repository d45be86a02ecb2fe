//! What the commands that ask a running daemon share.

use crate::client::ApiClient;
use crate::config::Secret;
use crate::context::Context;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Where the daemon listens by default.
const DEFAULT_SERVER: &str = "http://127.0.0.1:7070";
/// RFC 3986's unreserved characters stand for themselves.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Which daemon to ask.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct ServerArgs {
    /// The daemon's address [default: SKYFRESH_SERVER, or http://127.0.0.1:7070]; its api_token is read from
    /// SKYFRESH_TOKEN
    #[arg(long, value_name = "URL")]
    server: Option<String>,
}

impl ServerArgs {
    /// A client of that daemon.
    pub(crate) fn client(&self, context: &Context) -> anyhow::Result<ApiClient> {
        let environment = &context.environment;
        let server = self
            .server
            .as_deref()
            .or(environment.get("SKYFRESH_SERVER"))
            .unwrap_or(DEFAULT_SERVER);
        let token = environment.get("SKYFRESH_TOKEN").map(Secret::new);
        Ok(ApiClient::new(server, token, context.clock.clone())?)
    }
}

/// Text as a path segment or query value.
pub(crate) fn encode(text: &str) -> String {
    utf8_percent_encode(text, UNRESERVED).to_string()
}
