//! Connections, on threads that do nothing else.
//!
//! Each thread waits for its own connections, and answers queries that need no waiting where their bytes came in: a request crosses no
//! queue and wakes no other thread. Everything else (queries of rows that are not in memory or are many, data, feedback, status) is
//! done on the caller's runtime, so that nothing slow stands before a query.

use super::http::{ONLINE_PATH, online, router, told};
use super::refused::Refused;
use super::views::Service;
use crate::{Error, Result};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{Method, Request, Response};
use axum::response::IntoResponse;
use http_body_util::{BodyExt, Either, Full};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use skyfresh_sky::Kind;
use std::io::ErrorKind;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Larger bodies are read elsewhere.
const MOST_BYTES_AT_ONCE: u64 = 64 << 10;
/// The pause after an `accept` that failed for lack of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);

/// Serves until `stop` is cancelled and requests under way are done, on as many threads of its own as the runtime has. Where this is
/// dropped before, connections are closed.
///
/// # Errors
/// A thread cannot be started, or ended early.
pub async fn serve(
    listener: TcpListener,
    service: Arc<Service>,
    stop: CancellationToken,
) -> Result<()> {
    let failed = |why: String| Error::new(Kind::Internal, "serve", "listener", why);
    let give_up = CancellationToken::new();
    let _give_up_at_the_end = give_up.clone().drop_guard();
    let runtime = Handle::current();
    let front = Front {
        router: TowerToHyperService::new(router(Arc::clone(&service))),
        service: Arc::clone(&service),
        runtime: runtime.clone(),
    };
    // Each has what it answers with to itself: counting references to shared things would take turns with the others.
    let threads = (0..runtime.metrics().num_workers())
        .map(|number| ConnectionThread::start(number, Arc::new(front.clone()), &stop, &give_up));
    let threads = threads.collect::<std::io::Result<Vec<ConnectionThread>>>();
    let threads = threads.map_err(|error| failed(error.to_string()).with_source(error))?;
    drop(front);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let least = threads
                    .iter()
                    .min_by_key(|thread| thread.open.load(Ordering::Relaxed));
                if let Some(thread) = least {
                    thread.give(stream);
                }
            }
            Err(error) if of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed; pausing");
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = service.clock.sleep(ACCEPT_PAUSE) => {}
                }
            }
        }
    }
    drop(listener);
    for ConnectionThread { streams, ended, .. } in threads {
        drop(streams);
        let early = |_| failed("a thread that serves ended early".to_owned());
        ended.await.map_err(early)?;
    }
    Ok(())
}

/// A thread that serves, seen from outside.
struct ConnectionThread {
    streams: mpsc::UnboundedSender<std::net::TcpStream>,
    /// Connections that it has.
    open: Arc<AtomicUsize>,
    ended: oneshot::Receiver<()>,
}

impl ConnectionThread {
    fn start(
        number: usize,
        front: Arc<Front>,
        stop: &CancellationToken,
        give_up: &CancellationToken,
    ) -> std::io::Result<Self> {
        let (stop, give_up) = (stop.clone(), give_up.clone());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()?;
        let (streams, given) = mpsc::unbounded_channel();
        let (end, ended) = oneshot::channel();
        let open = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&open);
        std::thread::Builder::new()
            .name(format!("serve-{number}"))
            .spawn(move || {
                runtime.block_on(async {
                    tokio::select! {
                        () = give_up.cancelled() => {}
                        () = connections(given, &front, &counted, &stop) => {}
                    }
                });
                // What is left of connections ends here; whoever waits for the end may open the store again.
                drop((runtime, front));
                let _ = end.send(());
            })?;
        Ok(ConnectionThread {
            streams,
            open,
            ended,
        })
    }

    /// Hands a connection over.
    fn give(&self, stream: TcpStream) {
        // Answers are written whole: waiting for more would only delay them.
        let moved = stream.set_nodelay(true).and_then(|()| stream.into_std());
        match moved {
            Ok(stream) => {
                self.open.fetch_add(1, Ordering::Relaxed);
                // A thread that ended is noticed when all end.
                let _ = self.streams.send(stream);
            }
            Err(error) => tracing::debug!(%error, "a connection ended early"),
        }
    }
}

/// All connections of a thread, until no more are given and all have ended.
async fn connections(
    mut given: mpsc::UnboundedReceiver<std::net::TcpStream>,
    front: &Arc<Front>,
    open: &Arc<AtomicUsize>,
    stop: &CancellationToken,
) {
    let tasks = TaskTracker::new();
    while let Some(stream) = given.recv().await {
        // A token of its own: all wait for it with each request.
        let (front, stop) = (Arc::clone(front), stop.child_token());
        let left = Left(Arc::clone(open));
        tasks.spawn(async move {
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(stream, front, stop).await,
                Err(error) => tracing::debug!(%error, "a connection ended early"),
            }
            drop(left);
        });
    }
    tasks.close();
    tasks.wait().await;
}

/// Counts a connection that ends, however it does.
struct Left(Arc<AtomicUsize>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn connection(stream: TcpStream, front: Arc<Front>, stop: CancellationToken) {
    let answering = service_fn(|request| front.answer(request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(stream), answering);
    let mut served = pin!(served);
    let ended = tokio::select! {
        biased;
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

/// Who answers: this thread at once, or the router on the caller's runtime.
#[derive(Clone)]
struct Front {
    service: Arc<Service>,
    router: TowerToHyperService<Router>,
    runtime: Handle,
}

type Answered = std::result::Result<Response<Either<Full<Bytes>, Body>>, JoinError>;

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Answered {
        let small = |bytes| bytes <= MOST_BYTES_AT_ONCE;
        let at_once = request.method() == Method::POST
            && request.uri().path() == ONLINE_PATH
            && request.body().size_hint().exact().is_some_and(small);
        if !at_once {
            let request = request.map(Body::new);
            let answering = hyper::service::Service::call(&self.router, request);
            let answered = self.elsewhere(answering).await?;
            return Ok(answered
                .unwrap_or_else(|never| match never {})
                .map(Either::Right));
        }
        let body = match whole(request.into_body()).await {
            Ok(body) => body,
            // The connection broke off: nobody reads this.
            Err(error) => {
                let refused = Refused::detail(400, &error.to_string());
                return Ok(refused.into_response().map(Either::Right));
            }
        };
        match self.service.online_at_once(&body) {
            Ok(Some(answer)) => Ok(told(answer).map(|body| Either::Left(Full::new(body)))),
            Ok(None) => {
                let answering = online(State(Arc::clone(&self.service)), body);
                let answered = self.elsewhere(answering).await?;
                Ok(answered.into_response().map(Either::Right))
            }
            Err(refused) => Ok(refused.into_response().map(Either::Right)),
        }
    }

    /// Does something on the caller's runtime; it ends when the connection does.
    async fn elsewhere<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> std::result::Result<T, JoinError> {
        AbortOnDropHandle::new(self.runtime.spawn(work)).await
    }
}

/// A small body, which mostly comes in one piece.
async fn whole(mut body: Incoming) -> hyper::Result<Bytes> {
    let mut whole = Bytes::new();
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame?.into_data() {
            whole = match whole.is_empty() {
                true => piece,
                false => Bytes::from([whole, piece].concat()),
            };
        }
    }
    Ok(whole)
}

/// The peer went away between its handshake and our accept.
fn of_one_connection(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused | ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset
    )
}
