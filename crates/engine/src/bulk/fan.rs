//! One body for several readers: the source is read once, whatever the number of targets.
//!
//! In: a body. Out: as many bodies, each of the same chunks. Never: more than a few chunks between the fastest reader and the
//! slowest; a reader that goes away holds nothing up.

use futures::StreamExt;
use futures::stream;
use skyfresh_store::{ByteStream, Error as StoreError};
use tokio::sync::mpsc;

/// Chunks that a reader may be behind.
const BEHIND: usize = 8;

/// The readers' bodies, and what must run for anything to come out of them.
pub(super) fn fan_out(
    body: ByteStream,
    readers: usize,
) -> (Vec<ByteStream>, impl Future<Output = ()>) {
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..readers).map(|_| mpsc::channel(BEHIND)).unzip();
    let bodies = receivers
        .into_iter()
        .map(|receiver| {
            let next = |mut receiver: mpsc::Receiver<_>| async move {
                receiver.recv().await.map(|chunk| (chunk, receiver))
            };
            stream::unfold(receiver, next).boxed()
        })
        .collect();
    (bodies, pass_on(body, senders))
}

type Chunk = skyfresh_store::Result<bytes::Bytes>;

async fn pass_on(mut body: ByteStream, mut readers: Vec<mpsc::Sender<Chunk>>) {
    while let Some(chunk) = body.next().await {
        let mut index = 0;
        while index < readers.len() {
            let copy = match &chunk {
                Ok(chunk) => Ok(chunk.clone()),
                Err(error) => Err(again(error)),
            };
            match readers[index].send(copy).await {
                Ok(()) => index += 1,
                // Nobody reads there any more.
                Err(_) => drop(readers.swap_remove(index)),
            }
        }
        if readers.is_empty() || chunk.is_err() {
            return;
        }
    }
}

/// The same error for another reader; causes below it cannot be shared.
pub(super) fn again(error: &StoreError) -> StoreError {
    StoreError::new(
        error.kind,
        error.operation,
        error.target.clone(),
        error.context.clone(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::Kind;

    fn body(chunks: usize, fails: bool) -> ByteStream {
        let failure = StoreError::new(Kind::RetryAfter, "get", "mem://b/k", "broke off");
        let end = fails.then_some(Err(failure));
        let chunks = (0..chunks).map(|number| Ok(bytes::Bytes::from(vec![number as u8; 10])));
        stream::iter(chunks.chain(end)).boxed()
    }

    async fn read(mut body: ByteStream) -> (usize, bool) {
        let mut bytes = 0;
        while let Some(chunk) = body.next().await {
            match chunk {
                Ok(chunk) => bytes += chunk.len(),
                Err(_) => return (bytes, true),
            }
        }
        (bytes, false)
    }

    #[tokio::test]
    async fn every_reader_gets_everything() {
        for fails in [false, true] {
            let (bodies, running) = fan_out(body(100, fails), 3);
            let (_, read) = tokio::join!(
                running,
                futures::future::join_all(bodies.into_iter().map(read))
            );
            assert_eq!(read, vec![(1_000, fails); 3]);
        }
    }

    #[tokio::test]
    async fn a_reader_that_goes_away_holds_nothing_up() {
        let (mut bodies, running) = fan_out(body(100, false), 2);
        drop(bodies.pop());
        let (_, read) = tokio::join!(running, read(bodies.remove(0)));
        assert_eq!(read, (1_000, false));
    }
}
