//! One HTTP/1.1 client per store: kept connections, no Nagle delay, verified TLS, and no wait without a limit.

use super::body::{RequestBody, Watch};
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use skyfresh_sky::Clock;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Idle connections are closed before the store closes them (S3 after about 20 s), which would cost a failed request.
const IDLE_LIMIT: Duration = Duration::from_secs(15);
/// As many as the concurrency limiter ever lets through.
const IDLE_PER_HOST: usize = 1024;

/// The TLS settings of the process: reading the system's root certificates takes a hundred milliseconds.
static TLS: LazyLock<Result<rustls::ClientConfig, String>> = LazyLock::new(|| {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_native_roots()
        .map_err(|error| error.to_string())?
        .with_no_client_auth();
    Ok(config)
});

/// Why no response head came.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No byte in either direction for this long.
    Stalled(Duration),
    /// No connection, or it broke.
    Transport(hyper_util::client::legacy::Error),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Stalled(limit) => write!(f, "no byte moved for {} s", limit.as_secs_f32()),
            Failure::Transport(error) => f.write_str(&super::describe(error)),
        }
    }
}

/// Sends requests over kept connections.
#[derive(Clone, Debug)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, RequestBody>,
    clock: Arc<dyn Clock>,
}

impl HttpClient {
    /// A client with its own pool of connections.
    ///
    /// # Errors
    /// `https` is asked for and the system's root certificates cannot be read: why.
    pub(crate) fn new(
        https: bool,
        connect_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        let tls = match &*TLS {
            Ok(tls) => tls.clone(),
            Err(error) if https => return Err(error.clone()),
            // Only plain connections will be made; should one want TLS all the same, it finds no root to trust.
            Err(_) => without_roots()?,
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(connect_timeout));
        connector.set_keepalive(Some(Duration::from_secs(30)));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(IDLE_PER_HOST)
            .build(connector);
        Ok(HttpClient { client, clock })
    }

    /// Sends a request and waits for the head of the response, at most `stall` without a byte of the body leaving.
    /// `watch` is the body's, where it is a stream.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        watch: Option<&Watch>,
        stall: Duration,
    ) -> Result<Response<Incoming>, Failure> {
        let mut response = self.client.request(request);
        let mut progress = 0;
        loop {
            match skyfresh_sky::timeout(&*self.clock, stall, &mut response).await {
                Some(answer) => return answer.map_err(Failure::Transport),
                None => {
                    let now = watch.map_or(0, Watch::progress);
                    if now == progress {
                        return Err(Failure::Stalled(stall));
                    }
                    progress = now;
                }
            }
        }
    }
}

fn without_roots() -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth())
}
