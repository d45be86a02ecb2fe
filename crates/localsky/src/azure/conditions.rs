//! The conditions a request can set, decided against what is there. Pure: the caller holds the lock.
//!
//! Source: learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations.

use super::error::{self, Result};
use super::request::{Head, parse_http_date};
use skyfresh_sky::Timestamp;

/// An entity tag in a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Tag {
    Any,
    /// Without quotes.
    Is(String),
}

/// The four standard conditions. Dates count in whole seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    if_match: Option<Tag>,
    if_none_match: Option<Tag>,
    if_modified_since: Option<u64>,
    if_unmodified_since: Option<u64>,
}

/// What a condition is decided against: entity tag without quotes, and time of the last change.
pub(crate) type Current<'a> = (&'a str, Timestamp);

impl Conditions {
    /// The conditions on what the URL names.
    pub(crate) fn of(head: &Head) -> Result<Self> {
        if head.header("x-ms-if-tags").is_some() {
            return Err(error::not_implemented("conditions on tags (x-ms-if-tags)"));
        }
        Self::read(
            head,
            [
                "if-match",
                "if-none-match",
                "if-modified-since",
                "if-unmodified-since",
            ],
        )
    }

    fn read(head: &Head, names: [&str; 4]) -> Result<Self> {
        let tag = |name: &str| {
            let Some(value) = head.header(name) else {
                return Ok(None);
            };
            let value = value.trim();
            if value == "*" {
                return Ok(Some(Tag::Any));
            }
            let bare = value.trim_matches('"');
            if bare.contains(',') {
                return Err(error::multiple_conditions());
            }
            Ok(Some(Tag::Is(bare.to_owned())))
        };
        let date = |name: &str| -> Result<Option<u64>> {
            let Some(value) = head.header(name) else {
                return Ok(None);
            };
            let time = parse_http_date(value).ok_or_else(|| error::invalid_header(name, value))?;
            Ok(Some(time.unix_ms() / 1000))
        };
        Ok(Conditions {
            if_match: tag(names[0])?,
            if_none_match: tag(names[1])?,
            if_modified_since: date(names[2])?,
            if_unmodified_since: date(names[3])?,
        })
    }

    /// The conditions on the source of a copy, as the headers of a read that sets them.
    pub(crate) fn source_headers(head: &Head) -> Vec<(&'static str, String)> {
        [
            ("x-ms-source-if-match", "if-match"),
            ("x-ms-source-if-none-match", "if-none-match"),
            ("x-ms-source-if-modified-since", "if-modified-since"),
            ("x-ms-source-if-unmodified-since", "if-unmodified-since"),
        ]
        .into_iter()
        .filter_map(|(given, sent)| Some((sent, head.header(given)?.to_owned())))
        .collect()
    }

    /// Before a write. `creates`: the operation makes the blob where there is none (Put Blob, Put Block List, copies);
    /// for these If-None-Match: * fails with 409, so that a lost race looks like one.
    pub(crate) fn check_write(&self, current: Option<Current<'_>>, creates: bool) -> Result<()> {
        let given = [
            self.if_match.is_some(),
            self.if_none_match.is_some(),
            self.if_modified_since.is_some(),
            self.if_unmodified_since.is_some(),
        ];
        // Allowed together: If-Match with If-Unmodified-Since, If-None-Match with If-Modified-Since.
        if (given[0] || given[3]) && (given[1] || given[2]) {
            return Err(error::multiple_conditions());
        }
        let Some((etag, modified)) = current else {
            return match self.if_match {
                Some(_) => Err(error::condition_not_met()),
                None => Ok(()),
            };
        };
        let modified_s = modified.unix_ms() / 1000;
        let holds = match (&self.if_match, &self.if_none_match) {
            (Some(tag), _) => is(tag, etag),
            (None, Some(Tag::Any)) if creates => return Err(error::blob_already_exists()),
            (None, Some(tag)) => !is(tag, etag),
            (None, None) => {
                self.if_modified_since
                    .is_none_or(|since| modified_s > since)
                    && self
                        .if_unmodified_since
                        .is_none_or(|limit| modified_s <= limit)
            }
        };
        if holds {
            Ok(())
        } else {
            Err(error::condition_not_met())
        }
    }

    /// Before a read of something that is there.
    pub(crate) fn check_read(&self, (etag, modified): Current<'_>) -> Result<()> {
        if self.if_none_match == Some(Tag::Any) {
            return Err(error::unsatisfiable_condition());
        }
        let modified_s = modified.unix_ms() / 1000;
        if self.if_match.as_ref().is_some_and(|tag| !is(tag, etag))
            || self
                .if_unmodified_since
                .is_some_and(|limit| modified_s > limit)
        {
            return Err(error::condition_not_met());
        }
        let same = self.if_none_match.as_ref().map(|tag| is(tag, etag));
        let unchanged = self.if_modified_since.map(|since| modified_s <= since);
        // Either of the two is enough to be sent the blob.
        let not_modified = match (same, unchanged) {
            (None, None) => false,
            (same, unchanged) => same.unwrap_or(true) && unchanged.unwrap_or(true),
        };
        if not_modified {
            let quoted = format!("\"{etag}\"");
            return Err(error::not_modified().with_header(http::header::ETAG, &quoted));
        }
        Ok(())
    }
}

fn is(tag: &Tag, etag: &str) -> bool {
    match tag {
        Tag::Any => true,
        Tag::Is(value) => value == etag,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderValue, Method};

    const AT: Timestamp = Timestamp::from_unix_ms(1_700_000_000_900);
    const SAME: &str = "Tue, 14 Nov 2023 22:13:20 GMT";
    const EARLIER: &str = "Tue, 14 Nov 2023 22:13:19 GMT";

    fn conditions(headers: &[(&'static str, &str)]) -> Conditions {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, HeaderValue::from_str(value).unwrap());
        }
        Conditions::of(&Head::new(&Method::GET, &"/a/c/b".parse().unwrap(), &map).unwrap()).unwrap()
    }

    fn write(headers: &[(&'static str, &str)], exists: bool) -> Option<&'static str> {
        let current = exists.then_some(("0x1", AT));
        let result = conditions(headers).check_write(current, true);
        result.err().map(|error| error.code)
    }

    fn read(headers: &[(&'static str, &str)]) -> Option<u16> {
        let result = conditions(headers).check_read(("0x1", AT));
        result.err().map(|error| error.status.as_u16())
    }

    #[test]
    fn writes() {
        for exists in [true, false] {
            assert_eq!(write(&[], exists), None);
        }
        assert_eq!(write(&[("if-none-match", "*")], false), None);
        assert_eq!(
            write(&[("if-none-match", "*")], true),
            Some("BlobAlreadyExists")
        );
        assert_eq!(
            write(&[("if-none-match", "\"0x1\"")], true),
            Some("ConditionNotMet")
        );
        assert_eq!(write(&[("if-none-match", "\"0x2\"")], true), None);
        for tag in ["\"0x1\"", "0x1", "*"] {
            assert_eq!(write(&[("if-match", tag)], true), None, "{tag}");
            assert_eq!(
                write(&[("if-match", tag)], false),
                Some("ConditionNotMet"),
                "{tag}"
            );
        }
        assert_eq!(write(&[("if-match", "0x2")], true), Some("ConditionNotMet"));
        assert_eq!(
            write(&[("if-modified-since", SAME)], true),
            Some("ConditionNotMet")
        );
        assert_eq!(write(&[("if-modified-since", EARLIER)], true), None);
        assert_eq!(write(&[("if-unmodified-since", SAME)], true), None);
        assert_eq!(
            write(&[("if-unmodified-since", EARLIER)], true),
            Some("ConditionNotMet")
        );
        let both = [("if-match", "0x1"), ("if-none-match", "0x2")];
        assert_eq!(
            write(&both, true),
            Some("MultipleConditionHeadersNotSupported")
        );
        // Where nothing is made, * is a condition like others.
        let error = conditions(&[("if-none-match", "*")]).check_write(Some(("0x1", AT)), false);
        assert_eq!(error.unwrap_err().code, "ConditionNotMet");
    }

    #[test]
    fn reads() {
        assert_eq!(read(&[("if-match", "0x1")]), None);
        assert_eq!(read(&[("if-match", "0x2")]), Some(412));
        assert_eq!(read(&[("if-none-match", "0x1")]), Some(304));
        assert_eq!(read(&[("if-none-match", "0x2")]), None);
        assert_eq!(read(&[("if-none-match", "*")]), Some(400));
        assert_eq!(read(&[("if-modified-since", SAME)]), Some(304));
        assert_eq!(read(&[("if-modified-since", EARLIER)]), None);
        assert_eq!(read(&[("if-unmodified-since", EARLIER)]), Some(412));
        let either = [("if-none-match", "0x2"), ("if-modified-since", SAME)];
        assert_eq!(read(&either), None);
        let both = [("if-match", "0x2"), ("if-none-match", "0x1")];
        assert_eq!(read(&both), Some(412));
    }
}
