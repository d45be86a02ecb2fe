//! Request bodies: nothing, bytes in memory, or a stream that is counted and checksummed as it leaves.

use super::framing::{ChunkedFraming, TrailerChecksum};
use crate::checksum::{Running, Sums, Wanted};
use crate::{ByteStream, Error};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

/// Why a body broke off.
#[derive(Debug)]
pub(crate) enum BodyEnd {
    /// It is longer or shorter than it should be: how.
    WrongLength(String),
    /// It ended with this error.
    Failed(Error),
}

/// What the sender can see of a streamed body while and after it is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<WatchState>);

#[derive(Debug, Default)]
struct WatchState {
    /// Bytes handed to the connection so far: stands still when the connection stalls.
    handed_over: AtomicU64,
    end: Mutex<Option<Result<Sums, BodyEnd>>>,
}

impl Watch {
    /// Bytes handed to the connection so far.
    pub(crate) fn progress(&self) -> u64 {
        self.0.handed_over.load(Ordering::Relaxed)
    }

    /// How the body ended: its checksums, or the error that broke it off; `None` where it has not ended. Taken once.
    pub(crate) fn take_end(&self) -> Option<Result<Sums, BodyEnd>> {
        self.0
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn end(&self, end: Result<Sums, BodyEnd>) {
        *self.0.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }
}

/// A payload of known length on its way out.
///
/// The bytes that complete it leave only once the stream has ended, so that a payload longer than it should be never
/// looks complete to the store; a shorter one breaks the request off.
pub(crate) struct UploadBody {
    payload: ByteStream,
    size: u64,
    seen: u64,
    sums: Running,
    framing: Option<(TrailerChecksum, ChunkedFraming)>,
    held: Option<Bytes>,
    ready: VecDeque<Bytes>,
    ended: bool,
    watch: Watch,
}

impl UploadBody {
    /// A payload of exactly `size` bytes, as `aws-chunked` with a trailing checksum where one is named.
    pub(crate) fn new(
        payload: ByteStream,
        size: u64,
        trailer: Option<TrailerChecksum>,
        mut wanted: Wanted,
    ) -> (Self, Watch) {
        wanted.crc32c |= trailer == Some(TrailerChecksum::Crc32c);
        let watch = Watch::default();
        let body = UploadBody {
            payload,
            size,
            seen: 0,
            sums: Running::new(wanted),
            framing: trailer.map(|checksum| (checksum, ChunkedFraming::new(checksum, size))),
            held: None,
            ready: VecDeque::new(),
            ended: false,
            watch: watch.clone(),
        };
        (body, watch)
    }

    fn encoded_len(&self) -> u64 {
        match &self.framing {
            Some((checksum, _)) => ChunkedFraming::encoded_len(*checksum, self.size),
            None => self.size,
        }
    }

    fn emit(&mut self, payload: Bytes) {
        match &mut self.framing {
            Some((_, framing)) => framing.push(payload, &mut self.ready),
            None => self.ready.push_back(payload),
        }
    }

    fn take_in(&mut self, payload: Bytes) -> Result<(), BodyEnd> {
        self.seen += payload.len() as u64;
        if self.seen > self.size {
            return Err(wrong_length(self.size, "more"));
        }
        self.sums.update(&payload);
        if self.seen < self.size {
            self.emit(payload);
        } else {
            self.held = Some(payload);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), BodyEnd> {
        if self.seen < self.size {
            return Err(wrong_length(
                self.size,
                &format!("{} bytes only", self.seen),
            ));
        }
        if let Some(last) = self.held.take() {
            self.emit(last);
        }
        let sums = self.sums.finish();
        if let Some((checksum, framing)) = &self.framing {
            self.ready.push_back(framing.finish(checksum.of(&sums)));
        }
        self.ended = true;
        self.watch.end(Ok(sums));
        Ok(())
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<Option<Bytes>, BodyEnd>> {
        loop {
            if let Some(next) = self.ready.pop_front() {
                self.watch
                    .0
                    .handed_over
                    .fetch_add(next.len() as u64, Ordering::Relaxed);
                return Poll::Ready(Ok(Some(next)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            match ready!(self.payload.as_mut().poll_next(context)) {
                Some(Ok(payload)) if payload.is_empty() => {}
                Some(Ok(payload)) => self.take_in(payload)?,
                Some(Err(error)) => return Poll::Ready(Err(BodyEnd::Failed(error))),
                None => self.finish()?,
            }
        }
    }
}

fn wrong_length(size: u64, found: &str) -> BodyEnd {
    BodyEnd::WrongLength(format!("the body should have {size} bytes but has {found}"))
}

/// The reason a body broke off is read from its [`Watch`]; the connection only needs to know that it did.
#[derive(Debug, thiserror::Error)]
#[error("the body broke off")]
pub(crate) struct BrokenOff;

/// The body of a request.
pub(crate) enum RequestBody {
    /// No body.
    Empty,
    /// Bytes in memory.
    Whole(Option<Bytes>),
    /// A stream.
    Upload(Box<UploadBody>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            RequestBody::Empty => Poll::Ready(None),
            RequestBody::Whole(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            RequestBody::Upload(upload) => match ready!(upload.poll(context)) {
                Ok(next) => Poll::Ready(next.map(|bytes| Ok(Frame::data(bytes)))),
                Err(error) => {
                    upload.ended = true;
                    upload.watch.end(Err(error));
                    Poll::Ready(Some(Err(BrokenOff)))
                }
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            RequestBody::Empty | RequestBody::Whole(None) => true,
            RequestBody::Whole(Some(_)) => false,
            RequestBody::Upload(upload) => upload.ended && upload.ready.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            RequestBody::Empty | RequestBody::Whole(None) => SizeHint::with_exact(0),
            RequestBody::Whole(Some(bytes)) => SizeHint::with_exact(bytes.len() as u64),
            // Asked once, before anything has left.
            RequestBody::Upload(upload) => SizeHint::with_exact(upload.encoded_len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use http_body_util::BodyExt;
    use skyfresh_sky::Kind;

    fn chunks(parts: &[&'static str]) -> ByteStream {
        futures::stream::iter(
            parts
                .iter()
                .map(|part| Ok(Bytes::from(*part)))
                .collect::<Vec<_>>(),
        )
        .boxed()
    }

    async fn send(
        payload: ByteStream,
        size: u64,
        trailer: Option<TrailerChecksum>,
    ) -> (Result<Bytes, BrokenOff>, Result<Sums, BodyEnd>, u64) {
        let (upload, watch) = UploadBody::new(
            payload,
            size,
            trailer,
            Wanted {
                crc32c: false,
                md5: true,
            },
        );
        let body = RequestBody::Upload(Box::new(upload));
        let length = body.size_hint().exact().unwrap();
        let sent = body
            .collect()
            .await
            .map(http_body_util::Collected::to_bytes);
        (sent, watch.take_end().unwrap(), length)
    }

    #[tokio::test]
    async fn passes_the_payload_on_and_sums_it() {
        let (sent, sums, length) = send(chunks(&["1234", "", "56789"]), 9, None).await;
        assert_eq!((sent.unwrap(), length), (Bytes::from("123456789"), 9));
        let sums = sums.unwrap();
        assert_eq!(sums.crc64, crate::checksum::Crc64::of(b"123456789"));
        assert_eq!(sums.crc32c, None);
        // RFC 1321 does not list "123456789"; this is `printf 123456789 | md5sum`.
        assert_eq!(hex(&sums.md5.unwrap()), "25f9e794323b453885f5181f1b624d0b");
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[tokio::test]
    async fn a_trailer_follows_and_the_length_is_exact() {
        // The check value of CRC-32/ISCSI (CRC-32C) is 0xe3069283.
        let (sent, sums, length) =
            send(chunks(&["123", "456789"]), 9, Some(TrailerChecksum::Crc32c)).await;
        let sent = sent.unwrap();
        assert_eq!(
            sent,
            "9\r\n123456789\r\n0\r\nx-amz-checksum-crc32c:4waSgw==\r\n\r\n"
        );
        assert_eq!(sent.len() as u64, length);
        assert_eq!(sums.unwrap().crc32c, Some(0xe306_9283));
    }

    #[tokio::test]
    async fn a_payload_of_another_length_never_looks_complete() {
        for (parts, size) in [
            (&["1234", "5"][..], 4),
            (&["12"][..], 4),
            (&["12345"][..], 4),
            (&[][..], 1),
        ] {
            let (upload, watch) = UploadBody::new(chunks(parts), size, None, Wanted::default());
            let mut body = RequestBody::Upload(Box::new(upload));
            let mut sent = 0;
            while let Some(Ok(frame)) = body.frame().await {
                sent += frame.into_data().unwrap().len() as u64;
            }
            assert!(sent < size, "{sent} of {size} bytes left");
            assert!(matches!(
                watch.take_end(),
                Some(Err(BodyEnd::WrongLength(_)))
            ));
        }
    }

    #[tokio::test]
    async fn an_error_in_the_payload_is_kept_for_the_sender() {
        let broken = futures::stream::iter([
            Ok(Bytes::from("12")),
            Err(Error::new(Kind::Precondition, "get", "s3://b/k", "changed")),
        ])
        .boxed();
        let (sent, end, _) = send(broken, 4, Some(TrailerChecksum::Crc64Nvme)).await;
        assert!(sent.is_err());
        let Err(BodyEnd::Failed(error)) = end else {
            panic!("{end:?}")
        };
        assert_eq!(error.kind, Kind::Precondition);
    }
}
