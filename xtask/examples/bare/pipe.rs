//! Every object by one GET whose body becomes the body of one PUT, with CRC64NVME computed over the bytes that pass and
//! compared with what the destination says it stored, where it says so.

use crate::connection::{Ask, BoxBody, Connection, Endpoint, drain, nothing};
use crate::list;
use anyhow::{Context as _, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Method, Response};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

pub(crate) async fn run(
    from: Endpoint,
    to: Endpoint,
    bucket: String,
    key: Option<String>,
    connections: usize,
) -> Result<()> {
    let listing = async {
        match key {
            Some(key) => Ok(vec![key]),
            None => list::keys(&from, &bucket).await,
        }
    };
    // The handshakes take their time on a long way: they do not wait for the listing.
    let (keys, sources, destinations) = tokio::join!(
        listing,
        from.connect_all(connections),
        to.connect_all(connections)
    );
    let paths: Arc<[String]> = keys?.iter().map(|key| format!("/{bucket}/{key}")).collect();
    let next = Arc::new(AtomicUsize::new(0));
    let workers: Vec<_> = sources?
        .into_iter()
        .zip(destinations?)
        .map(|(mut source, mut destination)| {
            let (paths, next) = (paths.clone(), next.clone());
            tokio::spawn(async move {
                while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
                    copy(&mut source, &mut destination, path).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for worker in workers {
        worker.await??;
    }
    Ok(())
}

async fn copy(source: &mut Connection, destination: &mut Connection, path: &str) -> Result<()> {
    let get = Ask {
        method: Method::GET,
        path,
        query: "",
        headers: &[],
    };
    let found = source.send(&get, nothing()).await?;
    let (body, length, sum) = passing(found)?;
    let put = Ask {
        method: Method::PUT,
        path,
        query: "",
        headers: &[("content-length", length.to_string())],
    };
    let stored = destination.send(&put, body).await?;
    check(&stored, &sum).with_context(|| format!("PUT {path}"))?;
    drain(stored).await
}

/// The body of an answer as the body of a request, its length, and where its checksum will be.
pub(crate) fn passing(found: Response<Incoming>) -> Result<(BoxBody, u64, Arc<AtomicU64>)> {
    let inner = found.into_body();
    let length = inner
        .size_hint()
        .exact()
        .context("the source did not say how long the object is")?;
    let sum = Arc::new(AtomicU64::new(0));
    let body = Passing {
        inner,
        left: length,
        digest: Digest::new(CrcAlgorithm::Crc64Nvme),
        sum: sum.clone(),
    };
    Ok((Box::pin(body), length, sum))
}

fn check(stored: &Response<Incoming>, sum: &AtomicU64) -> Result<()> {
    let Some(said) = stored.headers().get("x-amz-checksum-crc64nvme") else {
        return Ok(());
    };
    let computed = BASE64.encode(sum.load(Ordering::Relaxed).to_be_bytes());
    if said != computed.as_str() {
        bail!("the destination stored {said:?}, not {computed}");
    }
    Ok(())
}

/// Bytes on their way, summed as they pass.
struct Passing {
    inner: Incoming,
    left: u64,
    digest: Digest,
    sum: Arc<AtomicU64>,
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.digest.update(data);
            self.left -= data.len() as u64;
            if self.left == 0 {
                self.sum.store(self.digest.finalize(), Ordering::Relaxed);
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
