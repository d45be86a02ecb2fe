//! What the binary decides about the server.

use crate::push::{EventGridRules, Fetch, TokenRules};
use futures::future::BoxFuture;
use skyfresh_engine::{Applied, Result};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Reads the rules again and applies them: what `POST /v1/reload` runs.
pub type Reload = Arc<dyn Fn() -> BoxFuture<'static, Result<Applied>> + Send + Sync>;

/// How the server runs. Its `Debug` form has no secret.
#[derive(Clone)]
pub struct ServerOptions {
    /// What clients of the API must send as `Authorization: Bearer TOKEN`. `None`: everyone who reaches the port may ask
    /// and change everything but notifications.
    pub api_token: Option<String>,
    /// What senders of notifications must send, or sign with. `None`: notifications are refused.
    pub webhook_secret: Option<String>,
    /// Takes notifications from anyone where no secret is set. They can only make the engine look at a key again, so the
    /// harm is work, not wrong data.
    pub allow_unauthenticated_notifications: bool,
    /// Who may post as Pub/Sub. `None`: nobody.
    pub pubsub: Option<TokenRules>,
    /// Who may post as Event Grid. `None`: nobody.
    pub event_grid: Option<EventGridRules>,
    /// Fetches the keys that tokens are checked with. `None`: tokens are refused.
    pub fetch_keys: Option<Fetch>,
    /// Reads the rules again. `None`: `POST /v1/reload` answers 501.
    pub reload: Option<Reload>,
    /// How long requests under way may take to finish after the stop.
    pub shutdown_limit: Duration,
}

impl Default for ServerOptions {
    /// Nothing secret, notifications refused, no reload, 10 s to finish.
    fn default() -> Self {
        ServerOptions {
            api_token: None,
            webhook_secret: None,
            allow_unauthenticated_notifications: false,
            pubsub: None,
            event_grid: None,
            fetch_keys: None,
            reload: None,
            shutdown_limit: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for ServerOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hidden = |secret: &Option<String>| secret.as_ref().map(|_| "[redacted]");
        f.debug_struct("ServerOptions")
            .field("api_token", &hidden(&self.api_token))
            .field("webhook_secret", &hidden(&self.webhook_secret))
            .field(
                "allow_unauthenticated_notifications",
                &self.allow_unauthenticated_notifications,
            )
            .field("pubsub", &self.pubsub)
            .field("event_grid", &self.event_grid)
            .field("fetch_keys", &self.fetch_keys.is_some())
            .field("reload", &self.reload.is_some())
            .field("shutdown_limit", &self.shutdown_limit)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let options = ServerOptions {
            api_token: Some("token-1".into()),
            webhook_secret: Some("secret-2".into()),
            event_grid: Some(EventGridRules {
                secret: Some("secret-3".into()),
                token: None,
            }),
            ..ServerOptions::default()
        };
        let shown = format!("{options:?}");
        assert!(
            !shown.contains("token-1") && !shown.contains("secret-"),
            "{shown}"
        );
        assert!(shown.contains("[redacted]"), "{shown}");
    }
}
