//! A body in two: the first bytes as a stream, and what follows them.

use crate::ByteStream;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use std::sync::{Arc, Mutex, PoisonError};

/// What follows the first bytes, once those have been read.
pub(super) struct Rest(Arc<Mutex<Option<ByteStream>>>);

impl Rest {
    /// The rest; `None` before the first part has ended well. Taken once.
    pub(super) fn take(self) -> Option<ByteStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The first `size` bytes of `body`, and the rest of it. A body that ends before that ends the first stream early.
pub(super) fn split(body: ByteStream, size: u64) -> (ByteStream, Rest) {
    let slot: Arc<Mutex<Option<ByteStream>>> = Arc::default();
    let rest = Rest(slot.clone());
    let head = stream::unfold(Some((body, size)), move |state| {
        let slot = slot.clone();
        async move {
            let (mut body, left) = state?;
            if left == 0 {
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
                return None;
            }
            match body.next().await {
                None => {
                    *slot.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some(stream::empty().boxed());
                    None
                }
                Some(Err(error)) => Some((Err(error), None)),
                Some(Ok(mut chunk)) => {
                    if chunk.len() as u64 <= left {
                        let left = left - chunk.len() as u64;
                        return Some((Ok(chunk), Some((body, left))));
                    }
                    // `left` is below the length of a chunk in memory.
                    let first: Bytes = chunk.split_to(left as usize);
                    let body = crate::single_chunk(chunk).chain(body).boxed();
                    Some((Ok(first), Some((body, 0))))
                }
            }
        }
    })
    .boxed();
    (head, rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use futures::TryStreamExt;
    use skyfresh_sky::Kind;

    async fn read(body: ByteStream) -> Vec<u8> {
        let chunks: Vec<Bytes> = body.try_collect().await.unwrap();
        chunks.concat()
    }

    #[tokio::test]
    async fn both_parts_are_the_whole_wherever_it_is_cut() {
        for size in 0..=9u64 {
            let chunks = ["123", "", "45", "6789"].map(|part| Ok(Bytes::from(part)));
            let (head, rest) = split(stream::iter(chunks).boxed(), size);
            let head = read(head).await;
            assert_eq!(head.len() as u64, size);
            let rest = read(rest.take().unwrap()).await;
            assert_eq!([head, rest].concat(), b"123456789");
        }
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_has_no_rest() {
        let broken = stream::iter([
            Ok(Bytes::from("12")),
            Err(Error::new(Kind::RetryAfter, "get", "s", "reset")),
        ]);
        let (head, rest) = split(broken.boxed(), 4);
        assert!(head.try_collect::<Vec<_>>().await.is_err());
        assert!(rest.take().is_none());
        let (head, rest) = split(crate::single_chunk("12"), 4);
        assert_eq!(read(head).await, b"12");
        assert_eq!(read(rest.take().unwrap()).await, b"");
    }
}
