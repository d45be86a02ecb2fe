//! What owner and node say to each other.

use crate::crypto::PayloadKey;
use crate::frame::{Acknowledgement, Failure, Frame, MAX_CONTROL_BYTES};
use crate::program::Program;
use crate::{Chunk, DestinationSet, Error, NodeId, Result, TreeId};
use serde::{Deserialize, Serialize};
use skyfresh_sky::Kind;

/// A chunk that a source node must read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assignment {
    pub(crate) tree: TreeId,
    pub(crate) chunk: Chunk,
    pub(crate) attempt: u32,
    pub(crate) wanted: DestinationSet,
}

/// From the owner.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Routes that are not in the program end, new ones begin, the others go on. The key comes where the program needs it.
    Configure {
        #[serde(with = "as_json")]
        program: Program,
        key: Option<PayloadKey>,
    },
    Assign(Vec<Assignment>),
    Ping,
    Stop,
}

/// From the node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    Configured,
    /// The program cannot be carried out. `destination`: the one whose sink cannot be opened.
    Refused {
        destination: Option<u8>,
        kind: Kind,
        why: String,
    },
    Written(Acknowledgement),
    Failed(Failure),
    LinkDown {
        tree: TreeId,
        to: NodeId,
        why: String,
    },
    Pong(Usage),
}

/// What a node has done so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// Payload held now, and at most so far.
    pub(crate) held_bytes: u64,
    pub(crate) peak_bytes: u64,
    pub(crate) read_bytes: u64,
    pub(crate) read_chunks: u64,
    /// Payload that next hops have taken.
    pub(crate) sent_bytes: Vec<(NodeId, u64)>,
    /// Chunks that were sent again over a hop, after damage or a broken connection.
    pub(crate) hop_resends: u64,
    pub(crate) duplicates: u64,
}

pub(crate) fn encode(message: &impl Serialize) -> Result<Vec<u8>> {
    let bytes = postcard::to_extend(message, Vec::new()).map_err(|error| {
        Error::new(Kind::Internal, "write message", error.to_string()).with_source(error)
    })?;
    if bytes.len() > MAX_CONTROL_BYTES as usize {
        return Err(Error::invalid(
            "write message",
            format!(
                "{} bytes: a program is too large; use fewer trees",
                bytes.len()
            ),
        ));
    }
    Frame::Control(bytes).encode()
}

pub(crate) fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    postcard::from_bytes(bytes).map_err(|error| {
        Error::new(Kind::Corrupt, "read message", error.to_string()).with_source(error)
    })
}

/// A program describes itself, which the format of these messages does not carry: it travels as JSON text.
mod as_json {
    use crate::program::Program;
    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub(super) fn serialize<S: Serializer>(
        program: &Program,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let text = serde_json::to_string(program).map_err(ser::Error::custom)?;
        serializer.serialize_str(&text)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Program, D::Error> {
        let text = <&str>::deserialize(deserializer)?;
        serde_json::from_str(text).map_err(de::Error::custom)
    }
}
