//! The conditions a request can set, decided against what is there. Pure: the caller holds the lock.
//!
//! Sources: Amazon S3 API reference (PutObject, CompleteMultipartUpload, CopyObject, GetObject, DeleteObject) and user
//! guide, "Conditional requests".

use s3s::dto::{ETag, ETagCondition};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};
use skyfresh_sky::Timestamp;

/// On publishing: PUT, CompleteMultipartUpload, CopyObject.
#[derive(Clone, Debug, Default)]
pub(crate) struct WriteCondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
}

impl WriteCondition {
    /// What can be refused before a body is read.
    pub(crate) fn check_form(&self) -> S3Result<()> {
        if matches!(self.if_none_match, Some(ETagCondition::ETag(_))) {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented: If-None-Match takes * on writes"
            ));
        }
        if self.if_match.is_some() && self.if_none_match.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "A header you provided implies functionality that is not implemented: If-Match with If-None-Match"
            ));
        }
        Ok(())
    }

    /// `current` is the key's current ETag; `None` where there is no object (or a delete marker).
    pub(crate) fn check(&self, current: Option<&str>) -> S3Result<()> {
        if self.if_none_match.is_some() && current.is_some() {
            return Err(failed("If-None-Match"));
        }
        match (&self.if_match, current) {
            (None, _) | (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(_), None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(ETagCondition::ETag(etag)), Some(current)) if strong(etag, current) => Ok(()),
            (Some(_), Some(_)) => Err(failed("If-Match")),
        }
    }
}

/// On DeleteObject and the entries of DeleteObjects.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeleteCondition {
    pub(crate) if_match: Option<ETagCondition>,
}

impl DeleteCondition {
    /// A missing object satisfies an ETag (there is nothing left to protect) but not `*`, which asks for existence.
    pub(crate) fn check(&self, current: Option<&str>) -> S3Result<()> {
        match (&self.if_match, current) {
            (None, _)
            | (Some(ETagCondition::Any), Some(_))
            | (Some(ETagCondition::ETag(_)), None) => Ok(()),
            (Some(ETagCondition::ETag(etag)), Some(current)) if strong(etag, current) => Ok(()),
            _ => Err(failed("If-Match")),
        }
    }
}

/// On GET, HEAD and the source of a copy.
#[derive(Clone, Debug, Default)]
pub(crate) struct ReadCondition {
    pub(crate) if_match: Option<ETagCondition>,
    pub(crate) if_none_match: Option<ETagCondition>,
    pub(crate) if_modified_since: Option<Timestamp>,
    pub(crate) if_unmodified_since: Option<Timestamp>,
}

impl ReadCondition {
    /// RFC 9110 section 13.2.2: the ETag conditions take precedence over the dates.
    pub(crate) fn check(&self, etag: &str, modified: Timestamp) -> S3Result<()> {
        // HTTP dates have a resolution of one second.
        let modified_s = modified.unix_ms() / 1000;
        match (&self.if_match, self.if_unmodified_since) {
            (Some(ETagCondition::ETag(wanted)), _) if !strong(wanted, etag) => {
                return Err(failed("If-Match"));
            }
            (None, Some(limit)) if modified_s > limit.unix_ms() / 1000 => {
                return Err(failed("If-Unmodified-Since"));
            }
            _ => {}
        }
        let not_modified = match (&self.if_none_match, self.if_modified_since) {
            (Some(ETagCondition::Any), _) => true,
            (Some(ETagCondition::ETag(seen)), _) => seen.value() == etag,
            (None, Some(since)) => modified_s <= since.unix_ms() / 1000,
            (None, None) => false,
        };
        if not_modified {
            Err(S3Error::new(S3ErrorCode::NotModified))
        } else {
            Ok(())
        }
    }

    /// As on the source of a copy, where every failed condition is 412.
    pub(crate) fn check_copy_source(&self, etag: &str, modified: Timestamp) -> S3Result<()> {
        self.check(etag, modified)
            .map_err(|_| failed("x-amz-copy-source-If-*"))
    }
}

fn strong(condition: &ETag, current: &str) -> bool {
    condition.as_strong() == Some(current)
}

fn failed(condition: &str) -> S3Error {
    s3_error!(
        PreconditionFailed,
        "At least one of the pre-conditions you specified did not hold: {condition}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn etag(value: &str) -> Option<ETagCondition> {
        Some(ETagCondition::ETag(ETag::Strong(value.into())))
    }

    fn code(result: S3Result<()>) -> Option<S3ErrorCode> {
        result.err().map(|error| error.code().clone())
    }

    #[test]
    fn writes() {
        let absent = WriteCondition {
            if_none_match: Some(ETagCondition::Any),
            ..Default::default()
        };
        assert_eq!(code(absent.check(None)), None);
        assert_eq!(
            code(absent.check(Some("a"))),
            Some(S3ErrorCode::PreconditionFailed)
        );
        let same = WriteCondition {
            if_match: etag("a"),
            ..Default::default()
        };
        assert_eq!(code(same.check(Some("a"))), None);
        assert_eq!(
            code(same.check(Some("b"))),
            Some(S3ErrorCode::PreconditionFailed)
        );
        assert_eq!(code(same.check(None)), Some(S3ErrorCode::NoSuchKey));
        let none_match_etag = WriteCondition {
            if_none_match: etag("a"),
            ..Default::default()
        };
        assert_eq!(
            code(none_match_etag.check_form()),
            Some(S3ErrorCode::NotImplemented)
        );
    }

    #[test]
    fn deletes() {
        let same = DeleteCondition {
            if_match: etag("a"),
        };
        assert_eq!(code(same.check(Some("a"))), None);
        assert_eq!(code(same.check(None)), None);
        assert_eq!(
            code(same.check(Some("b"))),
            Some(S3ErrorCode::PreconditionFailed)
        );
        let exists = DeleteCondition {
            if_match: Some(ETagCondition::Any),
        };
        assert_eq!(
            code(exists.check(None)),
            Some(S3ErrorCode::PreconditionFailed)
        );
    }

    #[test]
    fn reads() {
        let at = Timestamp::from_unix_ms;
        let condition = ReadCondition {
            if_none_match: etag("a"),
            ..Default::default()
        };
        assert_eq!(
            code(condition.check("a", at(0))),
            Some(S3ErrorCode::NotModified)
        );
        assert_eq!(
            code(condition.check_copy_source("a", at(0))),
            Some(S3ErrorCode::PreconditionFailed)
        );
        assert_eq!(code(condition.check("b", at(0))), None);
        // A true If-Match makes a false If-Unmodified-Since irrelevant.
        let both = ReadCondition {
            if_match: etag("a"),
            if_unmodified_since: Some(at(1_000)),
            ..Default::default()
        };
        assert_eq!(code(both.check("a", at(5_000))), None);
        let since = ReadCondition {
            if_modified_since: Some(at(5_000)),
            ..Default::default()
        };
        assert_eq!(
            code(since.check("a", at(5_999))),
            Some(S3ErrorCode::NotModified)
        );
        assert_eq!(code(since.check("a", at(6_000))), None);
    }
}
