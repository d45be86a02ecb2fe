//! What a store tells of the parts that an object was uploaded in.

use crate::checksum::Crc64;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
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

    /// The CRC64NVME, where that is what the store states: in hexadecimal digits, or as S3 does in base64 of its bytes.
    pub fn known_crc64(&self) -> Option<Crc64> {
        let text = self.checksum.strip_prefix("CRC64NVME:")?;
        if text.len() == 16 {
            return u64::from_str_radix(text, 16).map(Crc64).ok();
        }
        let bytes = STANDARD.decode(text).ok()?;
        Some(Crc64(u64::from_be_bytes(bytes.try_into().ok()?)))
    }

    /// Whether the checksum has more than 32 bits: of a thousand changed parts, one in four million would else pass for
    /// unchanged.
    pub fn is_strong(&self) -> bool {
        !self.checksum.starts_with("CRC32")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crc64_is_read_in_both_ways_that_it_is_written() {
        let crc64 = Crc64(0x0102_0304_0506_0708);
        let base64 = PartSum {
            size: 1,
            checksum: "CRC64NVME:AQIDBAUGBwg=".into(),
        };
        assert_eq!(PartSum::crc64(1, crc64).known_crc64(), Some(crc64));
        assert_eq!(base64.known_crc64(), Some(crc64));
        for other in [
            "CRC64NVME:AQID",
            "CRC64NVME:zzzzzzzzzzzzzzzz",
            "SHA256:AQIDBAUGBwg=",
        ] {
            let other = PartSum {
                size: 1,
                checksum: other.into(),
            };
            assert_eq!(other.known_crc64(), None, "{}", other.checksum);
        }
    }
}
