//! What a store tells of the parts that an object was uploaded in.

use crate::checksum::Crc64;
use serde::{Deserialize, Serialize};

/// One part. Two parts of the same size and checksum have the same bytes, as far as the checksum's algorithm can tell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartSum {
    /// Bytes.
    pub size: u64,
    /// The algorithm, a colon, and the value as the store writes it: compared, never computed with.
    pub checksum: String,
}

impl PartSum {
    /// Of a part whose CRC64NVME is known.
    pub fn crc64(size: u64, crc64: Crc64) -> Self {
        PartSum {
            size,
            checksum: format!("CRC64NVME:{crc64}"),
        }
    }

    /// Whether the checksum has more than 32 bits: of a thousand changed parts, one in four million would else pass for
    /// unchanged.
    pub fn is_strong(&self) -> bool {
        !self.checksum.starts_with("CRC32")
    }
}
