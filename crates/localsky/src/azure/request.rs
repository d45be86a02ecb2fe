//! The head of a request, taken apart: account, path below it, query, headers.

use super::error::{self, Result, StorageError};
use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;
use skyfresh_sky::Timestamp;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The version that requests without `x-ms-version` are answered in.
const DEFAULT_VERSION: &str = "2021-12-02";

/// A request without its body.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) method: Method,
    /// As it came, percent-encoded: what signatures cover.
    pub(crate) raw_path: String,
    /// The first path segment, or of the host's name where that is `ACCOUNT.blob.…` or `ACCOUNT.queue.…`.
    pub(crate) account: String,
    /// The path below the account, decoded, without its leading slash.
    pub(crate) path: String,
    /// Decoded, in the order they came.
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
    /// The version of the protocol that the client speaks, `YYYY-MM-DD`.
    pub(crate) version: String,
}

impl Head {
    pub(crate) fn new(method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<Self> {
        let raw_path = uri.path().to_owned();
        let below_root = raw_path.strip_prefix('/').unwrap_or_default();
        let (account, path) = match host_account(headers) {
            Some(account) => (account, below_root),
            None => below_root.split_once('/').unwrap_or((below_root, "")),
        };
        let decode = |text: &str| {
            percent_decode_str(text)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| error::invalid_resource_name())
        };
        let (account, path) = (decode(account)?, decode(path)?);
        let query = parse_query(uri.query().unwrap_or_default());
        let mut head = Head {
            method: method.clone(),
            raw_path,
            account,
            path,
            query,
            headers: headers.clone(),
            version: String::new(),
        };
        head.version = head.protocol_version()?;
        Ok(head)
    }

    fn protocol_version(&self) -> Result<String> {
        let given = self
            .header("x-ms-version")
            .map(|value| ("x-ms-version", value));
        let named = given.or_else(|| {
            ["api-version", "sv"]
                .into_iter()
                .find_map(|name| Some((name, self.query(name)?)))
        });
        match named {
            None => Ok(DEFAULT_VERSION.to_owned()),
            Some((_, version)) if is_date(version) => Ok(version.to_owned()),
            // A preview of the management API.
            Some(("api-version", version)) => Ok(version.to_owned()),
            Some((name, version)) => Err(error::invalid_header(name, version)),
        }
    }

    /// A header's text; `None` where it is absent, empty or not text.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .get(name)
            .and_then(|value| std::str::from_utf8(value.as_bytes()).ok())
            .filter(|value| !value.is_empty())
    }

    pub(crate) fn required_header(&self, name: &str) -> Result<&str> {
        self.header(name).ok_or_else(|| error::missing_header(name))
    }

    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn required_query(&self, name: &str) -> Result<&str> {
        self.query(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| error::missing_query(name))
    }

    /// The value of `comp`, which names a sub-resource; empty where there is none.
    pub(crate) fn comp(&self) -> &str {
        self.query("comp").unwrap_or_default()
    }

    /// A whole number in the query.
    pub(crate) fn query_number(
        &self,
        name: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>> {
        let Some(value) = self.query(name) else {
            return Ok(None);
        };
        match value.parse::<u64>() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(_) => Err(StorageError::new(
                http::StatusCode::BAD_REQUEST,
                "OutOfRangeQueryParameterValue",
                "One of the query parameters specified in the request URI is outside the permissible range.",
            )
            .with_detail("QueryParameterName", name)
            .with_detail("QueryParameterValue", value)
            .with_detail("MinimumAllowed", range.start().to_string())
            .with_detail("MaximumAllowed", range.end().to_string())),
            Err(_) => Err(error::invalid_query(name, value, "not a number")),
        }
    }

    /// True or false in a header; false where it is absent.
    pub(crate) fn flag(&self, name: &str) -> Result<bool> {
        match self.header(name) {
            None => Ok(false),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(error::invalid_header(name, value)),
        }
    }

    pub(crate) fn content_length(&self) -> Result<Option<u64>> {
        let Some(value) = self.header("content-length") else {
            return Ok(None);
        };
        value
            .parse()
            .map(Some)
            .map_err(|_| error::invalid_header("Content-Length", value))
    }
}

/// The account that the host's name names, in host style.
fn host_account(headers: &HeaderMap) -> Option<&str> {
    let host = headers.get(http::header::HOST)?.to_str().ok()?;
    let (account, rest) = host.split_once('.')?;
    ["blob.", "queue."]
        .iter()
        .any(|service| rest.starts_with(service))
        .then_some(account)
}

/// Pairs of a query, decoded; `+` is a space, as in forms.
fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| {
        percent_decode_str(&text.replace('+', " "))
            .decode_utf8_lossy()
            .into_owned()
    };
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(key), decode(value))
        })
        .collect()
}

/// Tells a protocol version from other text.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, byte)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// An HTTP date as a time; milliseconds are always zero.
pub(crate) fn parse_http_date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::ZERO.after(since))
}

/// A time as HTTP shows it, to the second.
pub(crate) fn http_date(time: Timestamp) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(time.unix_ms() / 1000));
    httpdate::fmt_http_date(time.unwrap_or(SystemTime::UNIX_EPOCH))
}

/// A time as shared access signatures write it: `YYYY-MM-DD`, with `Thh:mmZ`, `Thh:mm:ssZ` or fractions of a second.
pub(crate) fn parse_iso_date(text: &str) -> Option<Timestamp> {
    let full = match text.len() {
        10 => format!("{text}T00:00:00Z"),
        17 => format!("{}:00Z", text.strip_suffix('Z')?),
        _ => text.to_owned(),
    };
    Timestamp::parse(&full).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(uri: &str) -> Result<Head> {
        Head::new(&Method::GET, &uri.parse().unwrap(), &HeaderMap::new())
    }

    #[test]
    fn a_path_is_taken_apart_once_and_decoded_once() {
        let found = head("/acc/con/a%2Fb%2520c//d?comp=a%20b&X=1+2&flag").unwrap();
        assert_eq!(
            (found.account.as_str(), found.path.as_str()),
            ("acc", "con/a/b%20c//d")
        );
        assert_eq!(found.comp(), "a b");
        assert_eq!(found.query("x"), Some("1 2"));
        assert_eq!(found.query("flag"), Some(""));
        assert_eq!(head("/acc").unwrap().path, "");
        assert_eq!(head("/acc/%ff").unwrap_err().code, "InvalidResourceName");
        assert_eq!(head("/acc?sv=soon").unwrap_err().code, "InvalidHeaderValue");
        assert_eq!(head("/acc?sv=2021-08-06").unwrap().version, "2021-08-06");
    }

    #[test]
    fn times_of_all_forms_are_read() {
        for text in [
            "2026-11-21",
            "2026-11-21T00:00Z",
            "2026-11-21T00:00:00Z",
            "2026-11-21T00:00:00.000Z",
        ] {
            assert_eq!(
                parse_iso_date(text).unwrap().to_string(),
                "2026-11-21T00:00:00.000Z",
                "{text}"
            );
        }
        assert_eq!(parse_iso_date("tomorrow"), None);
        let time = Timestamp::from_unix_ms(1_700_000_000_987);
        assert_eq!(http_date(time), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(
            parse_http_date(&http_date(time)),
            Some(Timestamp::from_unix_ms(1_700_000_000_000))
        );
    }
}
