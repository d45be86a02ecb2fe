//! The wire between relays: every frame is `magic, version, kind, length`, then a body of at most [`MAX_BODY_BYTES`]; a chunk's
//! payload follows its frame and is at most what the node's program allows.
//!
//! ```text
//!  0    2        3     4            8                          8 + length
//!  ┌────┬────────┬─────┬────────────┬──────────────────────────┬───────────────────────────────┐
//!  │ SR │ version│ kind│ length, BE │ body (postcard)          │ payload (chunk frames only)   │
//!  └────┴────────┴─────┴────────────┴──────────────────────────┴───────────────────────────────┘
//! ```
//!
//! Frames from outside are never trusted: lengths are checked before anything is allocated, and trailing bytes are an error.

mod header;

pub use header::{ChunkHeader, Codec, Manifest, PAYLOAD_TAG_BYTES};

use crate::chunk::MAX_RECEIPT_BYTES;
use crate::{DestinationSet, Error, JobId, NodeId, Receipt, Result, TreeId};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;
use std::fmt;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The version that this build speaks, and the only one that it accepts.
pub const WIRE_VERSION: u8 = 1;
/// Most bytes of a body between relays.
pub const MAX_BODY_BYTES: u32 = 16 << 10;
/// Most bytes of a body between an owner and a relay: programs, and what sinks are opened with.
pub const MAX_CONTROL_BYTES: u32 = 8 << 20;
/// Bytes before every body.
pub const PREFIX_BYTES: usize = 8;
/// Most bytes of a reason.
const MAX_REASON_BYTES: usize = 1024;
const MAGIC: [u8; 2] = *b"SR";

/// A secret that every greeting carries: who does not know it is refused, on plain connections too.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(pub [u8; 16]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// What a connection is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Purpose {
    /// The owner's orders and the node's reports.
    Control,
    /// Chunks of one tree.
    Hop {
        /// The sending node.
        from: NodeId,
        /// The tree. Each has its own connections, so that a full queue of one cannot stop another's chunks.
        tree: TreeId,
        /// How many connections share this hop: the receiver divides its queue among them.
        connections: u16,
    },
}

/// The first frame of every connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The job.
    pub job: JobId,
    /// The job's secret.
    pub token: Token,
    /// Who must be at the other end.
    pub to: NodeId,
    /// What for.
    pub purpose: Purpose,
}

/// A destination holds a chunk. Goes up the tree to the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// The chunk.
    pub chunk: u64,
    /// The try that was written.
    pub attempt: u32,
    /// Where.
    pub destination: u8,
    /// What the sink said.
    pub receipt: Receipt,
}

/// Where a chunk failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Reading or sealing at the source.
    Source,
    /// Sending over a hop.
    Hop,
    /// Opening or writing at a destination.
    Destination,
}

/// A chunk could not be read, opened or written. Goes up the tree to the source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The chunk.
    pub chunk: u64,
    /// The try that failed.
    pub attempt: u32,
    /// Where.
    pub stage: Stage,
    /// For whom.
    pub destinations: DestinationSet,
    /// Whether another try may help.
    pub kind: Kind,
    /// Why, for people.
    pub why: String,
}

/// What relays say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Who calls, and what for.
    Hello(Hello),
    /// The call is taken; this many bytes may be sent before the first credit.
    Welcome {
        /// Bytes of payload.
        window_bytes: u64,
    },
    /// A chunk; its payload follows.
    Chunk {
        /// Counts the chunks of one connection, from 0.
        sequence: u64,
        /// What it is.
        header: ChunkHeader,
    },
    /// A chunk came over whole: the sender may forget it.
    Taken {
        /// Which one.
        sequence: u64,
    },
    /// A chunk came over damaged: the sender must send it again.
    Damaged {
        /// Which one.
        sequence: u64,
    },
    /// The receiver's queue has room again.
    Credit {
        /// Bytes of payload.
        bytes: u64,
    },
    /// A destination holds a chunk.
    Written(Acknowledgement),
    /// A chunk failed.
    Failed(Failure),
    /// The connection is refused, or broken by what was said on it.
    Error {
        /// What the caller does next.
        kind: Kind,
        /// Why, for people.
        why: String,
    },
    /// Nothing to say, and still here.
    Alive,
    /// A message between owner and node.
    Control(Vec<u8>),
}

impl Frame {
    fn kind(&self) -> u8 {
        match self {
            Frame::Hello(_) => 1,
            Frame::Welcome { .. } => 2,
            Frame::Chunk { .. } => 3,
            Frame::Taken { .. } => 4,
            Frame::Damaged { .. } => 5,
            Frame::Credit { .. } => 6,
            Frame::Written(_) => 7,
            Frame::Failed(_) => 8,
            Frame::Error { .. } => 9,
            Frame::Alive => 10,
            Frame::Control(_) => 11,
        }
    }

    /// The frame's bytes, without a payload.
    ///
    /// # Errors
    /// `Invalid` where it would be longer than a reader accepts.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend(MAGIC);
        bytes.extend([WIRE_VERSION, self.kind()]);
        bytes.extend([0; 4]);
        let bytes = match self {
            Frame::Hello(hello) => postcard::to_extend(hello, bytes),
            Frame::Welcome { window_bytes } => postcard::to_extend(window_bytes, bytes),
            Frame::Chunk { sequence, header } => postcard::to_extend(&(sequence, header), bytes),
            Frame::Taken { sequence } | Frame::Damaged { sequence } => {
                postcard::to_extend(sequence, bytes)
            }
            Frame::Credit { bytes: more } => postcard::to_extend(more, bytes),
            Frame::Written(written) => postcard::to_extend(written, bytes),
            Frame::Failed(failed) => postcard::to_extend(failed, bytes),
            Frame::Error { kind, why } => postcard::to_extend(&(kind, why), bytes),
            Frame::Alive => Ok(bytes),
            Frame::Control(message) => {
                bytes.extend(message);
                Ok(bytes)
            }
        };
        let mut bytes = bytes.map_err(|error| {
            Error::new(Kind::Internal, "write frame", error.to_string()).with_source(error)
        })?;
        let length = (bytes.len() - PREFIX_BYTES) as u32;
        if length > limit(self.kind()) {
            return Err(Error::invalid(
                "write frame",
                format!("{length} bytes, above {}", limit(self.kind())),
            ));
        }
        bytes[4..8].copy_from_slice(&length.to_be_bytes());
        Ok(bytes)
    }

    /// A frame from its kind and body.
    ///
    /// # Errors
    /// `Corrupt` for anything that [`Frame::encode`] does not write.
    pub fn decode(kind: u8, body: &[u8]) -> Result<Frame> {
        let frame = match kind {
            1 => Frame::Hello(whole(body)?),
            2 => Frame::Welcome {
                window_bytes: whole(body)?,
            },
            3 => {
                let (sequence, header): (u64, ChunkHeader) = whole(body)?;
                header.validate()?;
                Frame::Chunk { sequence, header }
            }
            4 => Frame::Taken {
                sequence: whole(body)?,
            },
            5 => Frame::Damaged {
                sequence: whole(body)?,
            },
            6 => Frame::Credit {
                bytes: whole(body)?,
            },
            7 => Frame::Written(whole(body)?),
            8 => Frame::Failed(whole(body)?),
            9 => {
                let (kind, why) = whole(body)?;
                Frame::Error { kind, why }
            }
            10 if body.is_empty() => Frame::Alive,
            11 => Frame::Control(body.to_vec()),
            _ => {
                return Err(corrupt(format!(
                    "frame of kind {kind} with {} bytes",
                    body.len()
                )));
            }
        };
        let text = match &frame {
            Frame::Written(written) => written.receipt.0.len(),
            Frame::Failed(Failure { why, .. }) | Frame::Error { why, .. } => why.len(),
            _ => 0,
        };
        if text > MAX_RECEIPT_BYTES.max(MAX_REASON_BYTES) {
            return Err(corrupt(format!("a text of {text} bytes in a frame")));
        }
        Ok(frame)
    }
}

/// Reads one frame. `control`: whether messages of an owner, which may be longer, are expected here.
///
/// # Errors
/// `RetryAfter` where the connection ends or breaks; `Corrupt` for bytes that are no frame; `Unsupported` for another version.
pub async fn read_frame(
    reader: &mut (impl AsyncRead + Unpin + ?Sized),
    control: bool,
) -> Result<Frame> {
    let mut prefix = [0; PREFIX_BYTES];
    let io = |error| Error::io("read frame", "connection", error);
    reader.read_exact(&mut prefix).await.map_err(io)?;
    let (kind, length) = parse_prefix(prefix, control)?;
    let mut body = vec![0; length as usize];
    reader.read_exact(&mut body).await.map_err(io)?;
    Frame::decode(kind, &body)
}

/// The kind and the body's length, checked against the limits.
pub(crate) fn parse_prefix(prefix: [u8; PREFIX_BYTES], control: bool) -> Result<(u8, u32)> {
    let [m0, m1, version, kind, length @ ..] = prefix;
    if [m0, m1] != MAGIC {
        return Err(corrupt("these bytes are no frame of a relay".into()));
    }
    if version != WIRE_VERSION {
        return Err(Error::new(
            Kind::Unsupported,
            "read frame",
            format!(
                "wire version {version}, this relay speaks {WIRE_VERSION}: run one release on all nodes"
            ),
        ));
    }
    let length = u32::from_be_bytes(length);
    if length > limit(kind) || (kind == 11 && !control) {
        return Err(corrupt(format!(
            "a frame of kind {kind} with {length} bytes"
        )));
    }
    Ok((kind, length))
}

fn limit(kind: u8) -> u32 {
    if kind == 11 {
        MAX_CONTROL_BYTES
    } else {
        MAX_BODY_BYTES
    }
}

fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => Err(corrupt(format!(
            "{} bytes behind a frame's end",
            rest.len()
        ))),
        Err(error) => Err(corrupt(format!("a frame's body: {error}"))),
    }
}

fn corrupt(context: String) -> Error {
    Error::new(Kind::Corrupt, "read frame", context)
}

/// A reason that fits a frame.
pub(crate) fn reason(text: &impl fmt::Display) -> String {
    let mut text = text.to_string();
    let mut end = MAX_REASON_BYTES.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests;
