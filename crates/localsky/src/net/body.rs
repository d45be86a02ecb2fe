//! Bodies that are counted as they pass, and that can break off on purpose.

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use s3s::StdError;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// A request's body on loan: what was not read of it comes back to the port, which must not leave it on the connection.
pub(crate) struct LentBody {
    inner: Option<Incoming>,
    back: Arc<Mutex<Option<Incoming>>>,
}

impl LentBody {
    /// The body, and where it will lie after use.
    pub(crate) fn new(body: Incoming) -> (Self, Arc<Mutex<Option<Incoming>>>) {
        let back = Arc::new(Mutex::new(None));
        (
            LentBody {
                inner: Some(body),
                back: back.clone(),
            },
            back,
        )
    }
}

impl Drop for LentBody {
    fn drop(&mut self) {
        *self.back.lock().unwrap_or_else(PoisonError::into_inner) = self.inner.take();
    }
}

impl Body for LentBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.inner {
            Some(inner) => Pin::new(inner).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// Which of a port's counters a body adds to.
pub(crate) type ByteCounter = fn(&crate::meter::PortCounters) -> &AtomicU64;

/// Counts the bytes of `inner`, and ends in an error after `cut_after` of them.
pub(crate) struct CountedBody<B> {
    inner: B,
    counters: Arc<crate::meter::PortCounters>,
    counter: ByteCounter,
    cut_after: Option<u64>,
}

impl<B> CountedBody<B> {
    pub(crate) fn new(
        inner: B,
        counters: Arc<crate::meter::PortCounters>,
        counter: ByteCounter,
    ) -> Self {
        CountedBody {
            inner,
            counters,
            counter,
            cut_after: None,
        }
    }

    pub(crate) fn cut_after(mut self, bytes: Option<u64>) -> Self {
        self.cut_after = bytes;
        self
    }
}

impl<B: Body<Data = Bytes, Error: Into<StdError>> + Unpin> Body for CountedBody<B> {
    type Data = Bytes;
    type Error = StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StdError>>> {
        if self.cut_after == Some(0) {
            return Poll::Ready(Some(Err("the body was cut on purpose".into())));
        }
        let frame = std::task::ready!(Pin::new(&mut self.inner).poll_frame(context));
        let Some(frame) = frame else {
            return Poll::Ready(None);
        };
        let mut frame = frame.map_err(Into::into)?;
        if let (Some(left), Some(data)) = (self.cut_after, frame.data_ref()) {
            let passed = left.min(data.len() as u64);
            frame = Frame::data(data.slice(..passed as usize));
            self.cut_after = Some(left - passed);
        }
        if let Some(data) = frame.data_ref() {
            (self.counter)(&self.counters).fetch_add(data.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.cut_after.is_none() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
