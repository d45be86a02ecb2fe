//! **copy**: bytes from the source to the destination, pinned, counted, checksummed, in bounded memory.
//!
//! In: a plan. Out: a published object (inline), or all parts of an upload (workers over the part pool).
//! Never: reads anything but the planned version, holds a whole object, touches a disk.

mod executor;
mod inline;
mod worker;

pub(crate) use executor::WorkerContext;
pub use executor::{Executor, InProcess, WorkOrder};
pub(crate) use inline::copy_inline;

use crate::throttle::Throttle;
use futures::{StreamExt, stream};
use skyfresh_sky::Kind;
use skyfresh_store::checksum::{Crc64, Tally, tee};
use skyfresh_store::{ByteStream, Error as StoreError};
use std::sync::Arc;

/// Limits and tallies a body, and turns its end into an error where the bytes are not the ones the source promised: the
/// destination then sees an incomplete body and publishes nothing.
fn guarded(
    body: ByteStream,
    throttle: Option<&Arc<Throttle>>,
    expected: Option<Crc64>,
    target: &str,
) -> (ByteStream, Tally) {
    let body = match throttle {
        Some(throttle) => throttle.limit(body),
        None => body,
    };
    let (body, tally) = tee(body);
    let Some(expected) = expected else {
        return (body, tally);
    };
    let (at_end, target) = (tally.clone(), target.to_owned());
    // The last chunk is held back until the checksum over everything is known to be right.
    let checked = stream::unfold((body, None, false), move |(mut body, held, ended)| {
        let (at_end, target) = (at_end.clone(), target.clone());
        async move {
            if ended {
                return None;
            }
            let mut held: Option<bytes::Bytes> = held;
            loop {
                match body.next().await {
                    Some(Ok(chunk)) => match held.replace(chunk) {
                        Some(previous) => return Some((Ok(previous), (body, held, false))),
                        None => continue,
                    },
                    Some(Err(error)) => return Some((Err(error), (body, None, true))),
                    None => {
                        let (actual, _) = at_end.read();
                        if actual != expected {
                            let why = format!(
                                "the bytes read have CRC64NVME {actual}, the source states {expected}"
                            );
                            return Some((
                                Err(StoreError::new(Kind::Corrupt, "get", target, why)),
                                (body, None, true),
                            ));
                        }
                        return held.map(|last| (Ok(last), (body, None, true)));
                    }
                }
            }
        }
    });
    (checked.boxed(), tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn collect(body: ByteStream) -> Result<Vec<u8>, Kind> {
        let mut all = Vec::new();
        let mut body = body;
        while let Some(chunk) = body.next().await {
            all.extend_from_slice(&chunk.map_err(|error| error.kind)?);
        }
        Ok(all)
    }

    fn chunks() -> ByteStream {
        stream::iter(["ab", "cd", "e"].map(|text| Ok(bytes::Bytes::from(text)))).boxed()
    }

    #[tokio::test]
    async fn right_bytes_pass_and_wrong_bytes_never_end_well() {
        let (right, tally) = guarded(chunks(), None, Some(Crc64::of(b"abcde")), "x");
        assert_eq!(collect(right).await, Ok(b"abcde".to_vec()));
        assert_eq!(tally.read(), (Crc64::of(b"abcde"), 5));
        let (wrong, _) = guarded(chunks(), None, Some(Crc64::of(b"abcdX")), "x");
        assert_eq!(collect(wrong).await, Err(Kind::Corrupt));
        let (unknown, _) = guarded(chunks(), None, None, "x");
        assert_eq!(collect(unknown).await, Ok(b"abcde".to_vec()));
    }
}
