//! How many bytes an answer to a read brings, of how many.

use super::headers::text;
use http::{HeaderMap, StatusCode};
use std::ops::Range;

/// How many bytes an answer brings, of how many.
pub(crate) struct Extent {
    /// The whole object's.
    pub(crate) object_size: u64,
    /// The body's.
    pub(crate) body_size: u64,
}

impl Extent {
    /// Reads it from an answer to a GET of `asked` (`None`: the whole object).
    ///
    /// # Errors
    /// The answer brings other bytes than those asked for, or does not say how many.
    pub(crate) fn read(
        status: StatusCode,
        headers: &HeaderMap,
        asked: Option<&Range<u64>>,
    ) -> Result<Self, String> {
        let length = content_length(headers);
        match (status, asked) {
            (StatusCode::PARTIAL_CONTENT, Some(asked)) => {
                let text = text(headers, "content-range").ok_or("no Content-Range")?;
                let (range, object_size) = content_range(&text)
                    .ok_or_else(|| format!("cannot read Content-Range {text:?}"))?;
                if range != *asked {
                    return Err(format!(
                        "asked for bytes {asked:?} of the object, got {text:?}"
                    ));
                }
                Ok(Extent {
                    object_size,
                    body_size: asked.end - asked.start,
                })
            }
            (StatusCode::OK, asked) => {
                let size = length.ok_or("the answer has no Content-Length")?;
                match asked {
                    Some(asked) if *asked != (0..size) => Err(format!(
                        "asked for bytes {asked:?}, got the whole object of {size}"
                    )),
                    _ => Ok(Extent {
                        object_size: size,
                        body_size: size,
                    }),
                }
            }
            (status, _) => Err(format!("unexpected status {status}")),
        }
    }
}

/// The length that an answer states.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, "content-length")?.parse().ok()
}

/// `bytes 0-9/100` as an exclusive range and the whole size (RFC 9110, section 14.4).
fn content_range(text: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let last: u64 = last.parse().ok()?;
    Some((
        first.parse().ok()?..last.checked_add(1)?,
        size.parse().ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(
        status: u16,
        headers: &[(&'static str, &'static str)],
        asked: Option<Range<u64>>,
    ) -> Option<(u64, u64)> {
        let headers = headers
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect();
        Extent::read(
            StatusCode::from_u16(status).unwrap(),
            &headers,
            asked.as_ref(),
        )
        .ok()
        .map(|extent| (extent.object_size, extent.body_size))
    }

    #[test]
    fn only_the_bytes_asked_for_are_taken() {
        let length = ("content-length", "10");
        assert_eq!(extent(200, &[length], None), Some((10, 10)));
        assert_eq!(extent(200, &[length], Some(0..10)), Some((10, 10)));
        assert_eq!(extent(200, &[length], Some(0..5)), None);
        assert_eq!(extent(200, &[], None), None);
        let range = ("content-range", "bytes 5-9/100");
        assert_eq!(extent(206, &[range], Some(5..10)), Some((100, 5)));
        assert_eq!(extent(206, &[range], Some(5..11)), None);
        assert_eq!(extent(206, &[range], None), None);
        for bad in [
            "bytes 5-9/*",
            "bytes */100",
            "5-9/100",
            "bytes 5-18446744073709551615/1",
        ] {
            assert_eq!(content_range(bad), None, "{bad}");
        }
    }
}
