//! The listener: bounded connections, bounded patience, a shutdown that ends.
//!
//! `axum::serve` would be shorter, but it has no limit on connections, no timeout on headers, and leaves connections
//! running behind when its graceful shutdown is given up.

use crate::api::Api;
use crate::{ServerOptions, routes};
use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use skyfresh_engine::{Engine, Error, Result};
use skyfresh_sky::{Clock, Kind, timeout};
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections open at once.
const MAX_CONNECTIONS: usize = 1_024;
/// How long a client may take to send a request's headers; also how long a kept-alive connection may be idle.
const HEADER_LIMIT: Duration = Duration::from_secs(30);
/// The pause after an `accept` that failed for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the engine on `listener` until `stop` is cancelled; then stops accepting, lets requests under way finish within
/// [`ServerOptions::shutdown_limit`], and returns. The engine runs on: the caller shuts it down afterwards.
///
/// # Errors
/// [`Kind::Internal`]: the listener is broken. Lack of file descriptors or memory is waited out instead.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    clock: Arc<dyn Clock>,
    options: ServerOptions,
    stop: CancellationToken,
) -> Result<()> {
    let shutdown_limit = options.shutdown_limit;
    let router = routes::router(Api::new(engine, Arc::clone(&clock), options, stop.clone()));
    let (connections, slots) = (
        TaskTracker::new(),
        Arc::new(Semaphore::new(MAX_CONNECTIONS)),
    );
    // Dropped when this future is, so that no connection outlives it.
    let give_up = CancellationToken::new();
    let _give_up_at_the_end = give_up.clone().drop_guard();
    let result = loop {
        let slot = tokio::select! {
            () = stop.cancelled() => break Ok(()),
            slot = Arc::clone(&slots).acquire_owned() => slot,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break Ok(()),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (router, stop, give_up) = (router.clone(), stop.clone(), give_up.clone());
                connections.spawn(async move {
                    tokio::select! {
                        () = give_up.cancelled() => {}
                        () = connection(stream, router, stop) => {}
                    }
                    drop(slot);
                });
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                break Err(broken(&listener, error));
            }
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed; pausing");
                clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    };
    drop(listener);
    connections.close();
    if timeout(clock.as_ref(), shutdown_limit, connections.wait())
        .await
        .is_none()
    {
        tracing::warn!(
            open = connections.len(),
            "requests did not finish in time; dropping them"
        );
        give_up.cancel();
        connections.wait().await;
    }
    result
}

async fn connection(stream: TcpStream, router: Router, stop: CancellationToken) {
    // Answers are written whole: waiting to fill a packet would only delay them.
    let _ = stream.set_nodelay(true);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The peer went away between its handshake and our accept.
fn of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}

fn broken(listener: &TcpListener, error: io::Error) -> Error {
    let address = listener.local_addr().map_or_else(
        |_| "unknown address".to_owned(),
        |address| address.to_string(),
    );
    let mut broken = Error::new(
        Kind::Internal,
        "accept connections",
        address,
        error.to_string(),
    );
    broken.source = Some(Box::new(error));
    broken
}
