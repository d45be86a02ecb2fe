//! A listening port and its connections.

use super::service::Port;
use super::shaped::SharedLink;
use crate::{Error, Result};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use skyfresh_sky::{Clock, Rng};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pause after a failed accept: it fails at once again where file descriptors are short.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Binds a loopback port; 0 takes any free one.
pub(crate) async fn bind(port: u16) -> Result<(TcpListener, SocketAddr)> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let fail = |source| Error::io("listen", wanted, source);
    let listener = TcpListener::bind(wanted).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    Ok((listener, address))
}

/// Accepts connections to one port until it is told to stop.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) port: Arc<Port>,
    /// `None`: not shaped.
    pub(crate) link: Option<Arc<SharedLink>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rng: Rng,
    pub(crate) tasks: TaskTracker,
    /// No more requests; those begun are finished.
    pub(crate) stop: CancellationToken,
    /// Everything is dropped as it is.
    pub(crate) abort: CancellationToken,
}

impl Listener {
    pub(crate) async fn run(self) {
        while let Some(accepted) = self.stop.run_until_cancelled(self.socket.accept()).await {
            match accepted {
                Ok((stream, _)) => self.serve(stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    self.clock.sleep(ACCEPT_RETRY).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        // Small answers must not wait for an acknowledgement of the ones before them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let reset = Arc::new(AtomicBool::new(false));
        let (port, stop) = (self.port.clone(), self.stop.clone());
        let served = match &self.link {
            None => {
                let io = Resettable {
                    stream,
                    reset: reset.clone(),
                };
                futures::future::Either::Left(converse(io, port, reset, stop))
            }
            Some(link) => {
                let io = link.connect(stream, reset.clone(), self.clock.clone(), self.rng.fork());
                futures::future::Either::Right(converse(io, port, reset, stop))
            }
        };
        let abort = self.abort.clone();
        self.tasks.spawn(async move {
            abort.run_until_cancelled(served).await;
        });
    }
}

async fn converse(
    io: impl AsyncRead + AsyncWrite + Unpin + Send,
    port: Arc<Port>,
    reset: Arc<AtomicBool>,
    stop: CancellationToken,
) {
    let service = service_fn(move |request| {
        let (port, reset) = (port.clone(), reset.clone());
        async move { port.answer(request, &reset).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection broke off");
    }
}

/// A socket that can be told to end with a TCP reset instead of an orderly close.
struct Resettable {
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if self.reset.load(Ordering::Acquire)
            && let Err(error) = self.stream.set_zero_linger()
        {
            tracing::debug!(%error, "a connection could not be reset");
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.reset.load(Ordering::Acquire) {
            // An orderly close first would turn the reset into nothing.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
