//! How the endpoint lets bytes be proved: right and wrong checksums are sent, in a header and in a trailer.

use super::{PAYLOAD, Probe, accepted};
use crate::http::{ChunkedFraming, TrailerChecksum};
use crate::s3::attributes::{self, set};
use crate::s3::verify::Proof;
use crate::{Result, Verification};
use bytes::Bytes;
use http::HeaderMap;
use skyfresh_sky::{Kind, ObjectVersion};
use std::collections::VecDeque;

impl Probe<'_> {
    pub(super) async fn verification(
        &self,
        first: &ObjectVersion,
        etag_is_md5: bool,
    ) -> Result<Verification> {
        for (checksum, verification) in [
            (TrailerChecksum::Crc64Nvme, Verification::Crc64Nvme),
            (TrailerChecksum::Crc32c, Verification::Crc32c),
        ] {
            let (right_header, right_trailer, wrong_header, wrong_trailer) = futures::try_join!(
                self.accepts_header(checksum, 0),
                self.accepts_trailer(checksum, 0, first),
                self.accepts_header(checksum, 1),
                self.accepts_trailer(checksum, 1, first),
            )?;
            if right_header && right_trailer && !wrong_header && !wrong_trailer {
                return Ok(verification);
            }
        }
        if etag_is_md5 {
            return Ok(Verification::EtagMd5);
        }
        let why = "the store checks neither CRC64NVME nor CRC32C, and its ETag is not the MD5 of the bytes: nothing would \
                   show that it holds what was sent";
        Err(self.error(Kind::Unsupported, why))
    }

    /// Whether the object is taken with a checksum in a header that is off by `fault`.
    async fn accepts_header(&self, checksum: TrailerChecksum, fault: u64) -> Result<bool> {
        let mut headers = HeaderMap::new();
        let value = checksum.encode(checksum.of(&self.sums()) ^ fault);
        self.internal(set(&mut headers, checksum.header(), &value))?;
        accepted(self.send(headers, Bytes::from_static(PAYLOAD)).await)
    }

    /// The same in a trailer. Taken means that the coding around the payload is understood, too.
    async fn accepts_trailer(
        &self,
        checksum: TrailerChecksum,
        fault: u64,
        first: &ObjectVersion,
    ) -> Result<bool> {
        let mut headers = HeaderMap::new();
        let proof = Proof::trusting(checksum);
        self.internal(proof.head_of_stream(&mut headers, PAYLOAD.len() as u64))?;
        let mut framing = ChunkedFraming::new(checksum, PAYLOAD.len() as u64);
        let mut body = VecDeque::new();
        framing.push(Bytes::from_static(PAYLOAD), &mut body);
        body.push_back(framing.finish(checksum.of(&self.sums()) ^ fault));
        let body: Vec<u8> = body.into_iter().flatten().collect();
        match self.send(headers, body.into()).await {
            Ok(answer) => Ok(attributes::version(&answer).is_some_and(|version| {
                // Encrypting stores give every write an ETag of its own; they understood the coding if they state the sum.
                version.etag == first.etag || answer.contains_key(checksum.header())
            })),
            Err(error) => accepted(Err::<(), _>(error)),
        }
    }
}
