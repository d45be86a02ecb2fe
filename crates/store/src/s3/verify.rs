//! Proof that the store holds the bytes we sent.
//!
//! The CRC64NVME of what leaves is always computed, for the receipt. How the store confirms it depends on what it was probed to
//! do: by refusing a wrong CRC64NVME or CRC32C sent with the body, or by an ETag that is the MD5 of the bytes. Before a probe
//! the answer itself must show one of them: the checksum, which every store that checks one repeats, else an MD5. MD5 is the
//! dearest by far (0.7 GB/s a core, CRC64NVME 60), so it is computed only once a store was seen to repeat nothing.

use super::Knowledge;
use super::attributes::{set, text};
use crate::Verification;
use crate::http::{Sums, TrailerChecksum, Wanted};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, header};
use skyfresh_sky::Kind;

/// How one body is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The checksum that goes with the body.
    pub(super) checksum: Option<TrailerChecksum>,
    /// The ETag may have to be compared.
    etag: bool,
    /// An MD5 must be computed as the body goes: the store repeats no checksum.
    md5: bool,
    /// The store was seen to refuse a wrong `checksum`, so an answer that does not repeat it is proof enough.
    trusted: bool,
}

impl Proof {
    pub(super) fn of(knowledge: &Knowledge) -> Self {
        let checksum = match knowledge.capabilities.verification {
            Verification::Crc64Nvme => Some(TrailerChecksum::Crc64Nvme),
            Verification::Crc32c => Some(TrailerChecksum::Crc32c),
            Verification::EtagMd5
            | Verification::Staged
            | Verification::Returned
            | Verification::Crc64Answered => None,
        };
        let trusted = knowledge.probed && checksum.is_some();
        Proof {
            checksum,
            etag: !trusted,
            md5: !trusted && (checksum.is_none() || knowledge.silent),
            trusted,
        }
    }

    /// For a store that is known to refuse a wrong `checksum`.
    pub(super) fn trusting(checksum: TrailerChecksum) -> Self {
        Proof {
            checksum: Some(checksum),
            etag: false,
            md5: false,
            trusted: true,
        }
    }

    /// What must be computed beside the CRC64NVME.
    pub(super) fn wanted(self) -> Wanted {
        Wanted {
            crc32c: self.checksum == Some(TrailerChecksum::Crc32c),
            md5: self.md5,
        }
    }

    /// Whether this answer can be judged by an MD5 only.
    pub(super) fn needs_md5(self, answer: &HeaderMap) -> bool {
        let repeated = self
            .checksum
            .is_some_and(|checksum| answer.contains_key(checksum.header()));
        self.etag && !repeated
    }

    /// Headers for a body in memory.
    pub(super) fn head_of_whole(self, headers: &mut HeaderMap, sums: &Sums) -> Result<(), String> {
        set(headers, "x-amz-content-sha256", "UNSIGNED-PAYLOAD")?;
        match (self.checksum, sums.md5) {
            (Some(checksum), _) => set(
                headers,
                checksum.header(),
                &checksum.encode(checksum.of(sums)),
            ),
            (None, Some(md5)) => set(headers, "content-md5", &BASE64.encode(md5)),
            (None, None) => Ok(()),
        }
    }

    /// Headers for a streamed body of `size` bytes (S3 user guide, "Using trailing checksums").
    pub(super) fn head_of_stream(self, headers: &mut HeaderMap, size: u64) -> Result<(), String> {
        let Some(checksum) = self.checksum else {
            return set(headers, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        };
        let coding = match text(headers, header::CONTENT_ENCODING.as_str()) {
            Some(of_the_object) => format!("aws-chunked,{of_the_object}"),
            None => "aws-chunked".to_owned(),
        };
        set(headers, "content-encoding", &coding)?;
        set(
            headers,
            "x-amz-content-sha256",
            "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        )?;
        set(headers, "x-amz-decoded-content-length", &size.to_string())?;
        set(headers, "x-amz-trailer", checksum.header())
    }

    /// Compares what the store says it holds with what was sent.
    ///
    /// # Errors
    /// [`Kind::Corrupt`] where they differ; [`Kind::Unsupported`] where the answer proves nothing.
    pub(super) fn check(
        self,
        answer: &HeaderMap,
        etag: Option<&str>,
        sums: &Sums,
    ) -> Result<(), (Kind, String)> {
        if let Some(checksum) = self.checksum
            && let Some(theirs) = text(answer, checksum.header())
        {
            let ours = checksum.encode(checksum.of(sums));
            if theirs == ours {
                return Ok(());
            }
            let name = checksum.header();
            return Err((
                Kind::Corrupt,
                format!("the store holds {name} {theirs}, but {ours} was sent"),
            ));
        }
        if self.trusted {
            return Ok(());
        }
        match (etag, sums.md5.map(hex::encode)) {
            (Some(etag), Some(md5)) if etag.eq_ignore_ascii_case(&md5) => Ok(()),
            (Some(etag), Some(md5)) if self.checksum.is_none() => Err((
                Kind::Corrupt,
                format!("the store holds bytes with ETag {etag}, but bytes with MD5 {md5} were sent"),
            )),
            _ => Err((
                Kind::Unsupported,
                "the store confirmed neither a checksum nor an MD5, so nothing shows that it holds what was sent; \
                 probe it first"
                    .into(),
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::AMAZON;

    fn proof(verification: Verification, probed: bool) -> Proof {
        let capabilities = crate::Capabilities {
            verification,
            ..AMAZON
        };
        Proof::of(&Knowledge {
            capabilities,
            probed,
            silent: true,
            checksum_on_complete: true,
            batch_tried: false,
        })
    }

    fn check(proof: Proof, answer: &[(&'static str, &str)], etag: &str) -> Result<(), Kind> {
        let mut headers = HeaderMap::new();
        for (name, value) in answer {
            set(&mut headers, name, value).unwrap();
        }
        let sums = Sums::of(b"123456789", proof.wanted());
        proof
            .check(&headers, Some(etag), &sums)
            .map_err(|(kind, _)| kind)
    }

    const MD5: &str = "25f9e794323b453885f5181f1b624d0b";
    const CRC64: (&str, &str) = ("x-amz-checksum-crc64nvme", "rosUhgp5mIg=");
    const WRONG_CRC64: (&str, &str) = ("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");

    #[test]
    fn a_wrong_answer_is_corruption_and_no_answer_no_proof() {
        for probed in [false, true] {
            let crc64 = proof(Verification::Crc64Nvme, probed);
            assert_eq!(check(crc64, &[CRC64], "x"), Ok(()));
            assert_eq!(check(crc64, &[WRONG_CRC64], MD5), Err(Kind::Corrupt));
            let md5 = proof(Verification::EtagMd5, probed);
            assert_eq!(check(md5, &[], MD5), Ok(()));
            assert_eq!(
                check(md5, &[], "d41d8cd98f00b204e9800998ecf8427e"),
                Err(Kind::Corrupt)
            );
        }
        let assumed = proof(Verification::Crc64Nvme, false);
        assert_eq!(check(assumed, &[], MD5), Ok(()));
        assert_eq!(check(assumed, &[], "x"), Err(Kind::Unsupported));
        assert_eq!(
            check(proof(Verification::Crc64Nvme, true), &[], "x"),
            Ok(())
        );
        assert_eq!(
            check(
                proof(Verification::Crc32c, true),
                &[("x-amz-checksum-crc32c", "4waSgw==")],
                "x"
            ),
            Ok(())
        );
    }

    #[test]
    fn an_md5_is_computed_only_for_a_store_that_repeats_no_checksum() {
        let knowledge = |silent| Knowledge {
            capabilities: AMAZON,
            probed: false,
            silent,
            checksum_on_complete: true,
            batch_tried: false,
        };
        let hopeful = Proof::of(&knowledge(false));
        assert!(!hopeful.wanted().md5);
        assert!(Proof::of(&knowledge(true)).wanted().md5);
        let mut answer = HeaderMap::new();
        assert!(hopeful.needs_md5(&answer));
        set(&mut answer, CRC64.0, CRC64.1).unwrap();
        assert!(!hopeful.needs_md5(&answer));
        assert!(!proof(Verification::Crc64Nvme, true).needs_md5(&HeaderMap::new()));
    }

    #[test]
    fn a_stream_is_announced_with_the_coding_of_the_object() {
        let mut headers = HeaderMap::new();
        set(&mut headers, "content-encoding", "gzip").unwrap();
        proof(Verification::Crc64Nvme, true)
            .head_of_stream(&mut headers, 7)
            .unwrap();
        for (name, value) in [
            ("content-encoding", "aws-chunked,gzip"),
            ("x-amz-decoded-content-length", "7"),
            ("x-amz-trailer", "x-amz-checksum-crc64nvme"),
            ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ] {
            assert_eq!(text(&headers, name).as_deref(), Some(value));
        }
    }
}
