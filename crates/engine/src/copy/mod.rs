//! **copy**: bytes from the source to the destination, pinned, counted, checksummed, in bounded memory.
//!
//! In: a plan. Out: a published object (inline), or all parts of an upload (workers over the part pool).
//! Never: reads anything but the planned version, holds a whole object, touches a disk.

mod executor;
mod inline;
mod line;
mod urgency;
mod worker;

pub(crate) use executor::WorkerContext;
pub use executor::{Executor, InProcess, WorkOrder};
pub(crate) use inline::{Inline, copy_inline};
pub use urgency::Urgency;

use crate::decide::Plan;
use crate::throttle::Throttle;
use futures::{StreamExt, stream};
use skyfresh_sky::{Kind, Mutant};
use skyfresh_store::checksum::{Crc32c, Crc64, Md5, Sums, Tally, Wanted, tee_wanting};
use skyfresh_store::{ByteStream, Error as StoreError, ObjectHead};
use std::sync::Arc;

/// What a source states about the bytes of a whole object. The strongest of them is checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stated {
    crc64: Option<Crc64>,
    crc32c: Option<Crc32c>,
    md5: Option<Md5>,
}

impl Stated {
    /// About the object of a plan.
    fn by(plan: &Plan) -> Self {
        Stated {
            crc64: plan.crc64,
            crc32c: plan.crc32c,
            md5: plan.md5,
        }
    }

    /// About an object as its head has it.
    pub(crate) fn of(head: &ObjectHead) -> Self {
        Stated {
            crc64: head.crc64,
            crc32c: head.crc32c,
            md5: head.md5,
        }
    }

    /// What must be summed to check it; the CRC64NVME always is.
    pub(crate) fn wanted(&self) -> Wanted {
        let crc32c = self.crc64.is_none() && self.crc32c.is_some();
        Wanted {
            crc32c,
            md5: self.crc64.is_none() && !crc32c && self.md5.is_some(),
        }
    }

    fn is_nothing(&self) -> bool {
        *self == Stated::default()
    }

    /// Whether bytes with these sums are the ones meant; else why not.
    pub(crate) fn check(&self, sums: &Sums) -> Result<(), String> {
        let differ = |name: &str, read: String, stated: String| {
            format!("the bytes read have {name} {read}, the source states {stated}")
        };
        match (self.crc64, self.crc32c, sums.crc32c, self.md5, sums.md5) {
            (Some(stated), ..) if sums.crc64 != stated => Err(differ(
                "CRC64NVME",
                sums.crc64.to_string(),
                stated.to_string(),
            )),
            (None, Some(stated), Some(read), ..) if Crc32c(read) != stated => Err(differ(
                "CRC32C",
                Crc32c(read).to_string(),
                stated.to_string(),
            )),
            (None, None, _, Some(stated), Some(read)) if Md5(read) != stated => {
                Err(differ("MD5", Md5(read).to_string(), stated.to_string()))
            }
            _ => Ok(()),
        }
    }
}

/// Limits and tallies a body, and turns its end into an error where the bytes are not the ones the source promised: the
/// destination then sees an incomplete body and publishes nothing.
pub(crate) fn guarded(
    body: ByteStream,
    throttle: Option<&Arc<Throttle>>,
    stated: Stated,
    target: &str,
) -> (ByteStream, Tally) {
    let (body, tally) = limited(body, throttle, stated.wanted());
    if stated.is_nothing() || Mutant::VerificationSkipped.is_on() {
        return (body, tally);
    }
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
                        if let Err(why) = stated.check(&at_end.sums()) {
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

/// Limits and tallies a body.
pub(crate) fn limited(
    body: ByteStream,
    throttle: Option<&Arc<Throttle>>,
    wanted: Wanted,
) -> (ByteStream, Tally) {
    let body = match throttle {
        Some(throttle) => throttle.limit(body),
        None => body,
    };
    tee_wanting(body, wanted)
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
        let stated: [fn(&[u8]) -> Stated; 3] = [
            |bytes| Stated {
                crc64: Some(Crc64::of(bytes)),
                // Not looked at where there is something stronger.
                md5: Some(Md5([0; 16])),
                ..Stated::default()
            },
            |bytes| Stated {
                crc32c: Some(Crc32c::of(bytes)),
                md5: Some(Md5([0; 16])),
                ..Stated::default()
            },
            |bytes| Stated {
                md5: Some(Md5::of(bytes)),
                ..Stated::default()
            },
        ];
        for stated in stated {
            let (right, tally) = guarded(chunks(), None, stated(b"abcde"), "x");
            assert_eq!(collect(right).await, Ok(b"abcde".to_vec()));
            assert_eq!(tally.read(), (Crc64::of(b"abcde"), 5));
            let (wrong, _) = guarded(chunks(), None, stated(b"abcdX"), "x");
            assert_eq!(collect(wrong).await, Err(Kind::Corrupt));
        }
        let (unknown, _) = guarded(chunks(), None, Stated::default(), "x");
        assert_eq!(collect(unknown).await, Ok(b"abcde".to_vec()));
    }
}
