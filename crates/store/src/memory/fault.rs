//! Failures on demand, so that what an engine does about them can be tested to the byte.

use super::MemorySky;
use crate::{ByteStream, Error};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use std::ops::Range;
use std::time::Duration;

/// Which operation of [`ObjectStore`](crate::ObjectStore).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "named as the operations are")]
pub enum OperationKind {
    Probe,
    CheckReadable,
    Head,
    Get,
    Parts,
    Put,
    CreateUpload,
    UploadPart,
    CopyPart,
    CompleteUpload,
    AbortUpload,
    ListParts,
    ListUploads,
    Copy,
    List,
    Delete,
    Tags,
    SetTags,
}

impl OperationKind {
    /// The name errors carry, e.g. `upload part`.
    pub fn as_str(self) -> &'static str {
        match self {
            OperationKind::Probe => "probe",
            OperationKind::CheckReadable => "check readable",
            OperationKind::Head => "head",
            OperationKind::Get => "get",
            OperationKind::Parts => "parts",
            OperationKind::Put => "put",
            OperationKind::CreateUpload => "create upload",
            OperationKind::UploadPart => "upload part",
            OperationKind::CopyPart => "copy part",
            OperationKind::CompleteUpload => "complete upload",
            OperationKind::AbortUpload => "abort upload",
            OperationKind::ListParts => "list parts",
            OperationKind::ListUploads => "list uploads",
            OperationKind::Copy => "copy",
            OperationKind::List => "list",
            OperationKind::Delete => "delete",
            OperationKind::Tags => "tags",
            OperationKind::SetTags => "set tags",
        }
    }
}

/// An operation about to happen.
#[derive(Clone, Debug)]
pub struct Operation<'a> {
    /// Which.
    pub kind: OperationKind,
    /// In which bucket.
    pub bucket: &'a str,
    /// On which whole key; `None` for operations on the bucket.
    pub full_key: Option<&'a str>,
    /// In which upload.
    pub upload: Option<&'a str>,
    /// On which part.
    pub part_number: Option<u32>,
    /// Of which bytes of the object read.
    pub range: Option<Range<u64>>,
    /// How many operations this sky has seen before this one.
    pub sequence: u64,
}

/// How an operation shall fail.
#[derive(Debug)]
pub enum Fault {
    /// It fails and changes nothing.
    Refuse(Error),
    /// It takes effect, but the caller gets this error: the answer was lost on the way.
    LoseAnswer(Error),
    /// It happens after this long on the sky's clock.
    Delay(Duration),
    /// Its body fails: the one that a get returns, or that a put or an uploaded part receives.
    Body(BodyFault),
}

/// How a body shall fail once `at` bytes of it have passed (at its end where it is shorter).
#[derive(Debug)]
pub enum BodyFault {
    /// It ends with this error.
    Fail {
        /// Bytes passed before.
        at: u64,
        /// The error.
        error: Error,
    },
    /// The byte at `at` arrives with its lowest bit flipped. A put or part whose body arrives so is refused as corrupt.
    Corrupt {
        /// Which byte.
        at: u64,
    },
    /// Another writer replaces the object with `bytes`. The body goes on with the old content, as S3's does.
    Overwrite {
        /// Bytes passed before.
        at: u64,
        /// The new content.
        bytes: Bytes,
    },
    /// It stalls.
    Stall {
        /// Bytes passed before.
        at: u64,
        /// For how long on the sky's clock.
        delay: Duration,
    },
}

impl BodyFault {
    fn at(&self) -> u64 {
        match self {
            BodyFault::Fail { at, .. }
            | BodyFault::Corrupt { at }
            | BodyFault::Overwrite { at, .. }
            | BodyFault::Stall { at, .. } => *at,
        }
    }
}

/// Which object a faulty body belongs to.
pub(super) struct Place {
    pub(super) sky: MemorySky,
    pub(super) bucket: String,
    pub(super) full_key: String,
}

struct Faulty {
    body: ByteStream,
    /// The rest of a chunk that was split where the fault strikes.
    rest: Option<Bytes>,
    passed: u64,
    fault: Option<BodyFault>,
    place: Place,
}

/// `body`, but failing as `fault` says.
pub(super) fn faulty(body: ByteStream, fault: BodyFault, place: Place) -> ByteStream {
    let start = Faulty {
        body,
        rest: None,
        passed: 0,
        fault: Some(fault),
        place,
    };
    stream::unfold(start, |mut state| async move {
        let next = match state.rest.take() {
            Some(rest) => Some(Ok(rest)),
            None => state.body.next().await,
        };
        let mut chunk = match next {
            Some(Ok(chunk)) => Some(chunk),
            Some(Err(error)) => return Some((Err(error), state)),
            None => None,
        };
        if let Some(fault) = state.fault.take() {
            let left = fault.at().saturating_sub(state.passed);
            match &mut chunk {
                Some(chunk) if left > 0 => {
                    if (chunk.len() as u64) > left {
                        state.rest = Some(chunk.split_off(left as usize));
                    }
                    state.fault = Some(fault);
                }
                _ => match strike(fault, chunk.take(), &state.place).await {
                    Ok(struck) => chunk = struck,
                    Err(error) => {
                        state.body = stream::empty().boxed();
                        return Some((Err(error), state));
                    }
                },
            }
        }
        let chunk = chunk?;
        state.passed += chunk.len() as u64;
        Some((Ok(chunk), state))
    })
    .boxed()
}

async fn strike(
    fault: BodyFault,
    chunk: Option<Bytes>,
    place: &Place,
) -> Result<Option<Bytes>, Error> {
    match fault {
        BodyFault::Fail { error, .. } => Err(error),
        BodyFault::Corrupt { .. } => Ok(chunk.map(|chunk| {
            let mut bytes = chunk.to_vec();
            if let Some(first) = bytes.first_mut() {
                *first ^= 1;
            }
            Bytes::from(bytes)
        })),
        BodyFault::Overwrite { bytes, .. } => {
            let target = format!("mem://{}/{}", place.bucket, place.full_key);
            place
                .sky
                .overwrite(&place.bucket, &place.full_key, bytes)
                .map_err(|refusal| refusal.into_error("put", target))?;
            Ok(chunk)
        }
        BodyFault::Stall { delay, .. } => {
            place.sky.clock.sleep(delay).await;
            Ok(chunk)
        }
    }
}
