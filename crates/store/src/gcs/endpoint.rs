//! Where requests go, and how names look on the wire.

use super::config::GcsConfig;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use skyfresh_sky::{Invalid, Location};

/// Google's own (Cloud Storage documentation, "Request endpoints").
const GOOGLE: &str = "https://storage.googleapis.com";
/// What stays as it is in a query or in one path segment: the unreserved characters of RFC 3986.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same for the XML API, where a name's slashes stand in the path.
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A value in a query, or a name in one segment of a path of the JSON API.
pub(super) fn encode(value: &str) -> impl std::fmt::Display {
    utf8_percent_encode(value, UNRESERVED)
}

/// Adds a parameter to a query.
pub(super) fn add(query: &mut String, name: &str, value: &str) {
    use std::fmt::Write;
    let separator = if query.is_empty() { "" } else { "&" };
    // Writing to a String cannot fail.
    let _ = write!(query, "{separator}{name}={}", encode(value));
}

/// The addresses of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) https: bool,
    /// `https://host`, without a path.
    origin: String,
    /// A path in front of everything, without a trailing slash; mostly empty.
    base_path: String,
    bucket: String,
}

impl Endpoint {
    /// From the settings, overridden by the location's options.
    pub(super) fn resolve(location: &Location, config: &GcsConfig) -> Result<Self, Invalid> {
        let given = location
            .option("endpoint")
            .or(config.endpoint.as_deref())
            .unwrap_or(GOOGLE);
        let bad = |why: &str| {
            // Whatever stands before an `@` may be a password.
            let shown = if given.contains('@') { "…" } else { given };
            Invalid::new("endpoint", shown, why)
        };
        let form = "expected http://host:port or https://host";
        let uri: http::Uri = given.parse().map_err(|_| bad(form))?;
        let (Some(scheme @ ("http" | "https")), Some(authority)) =
            (uri.scheme_str(), uri.authority())
        else {
            return Err(bad(form));
        };
        if authority.as_str().contains('@') {
            return Err(bad(
                "must not hold a user or password: credentials are set separately",
            ));
        }
        if uri.query().is_some() {
            return Err(bad("must not hold a query"));
        }
        Ok(Endpoint {
            https: scheme == "https",
            origin: format!("{scheme}://{authority}"),
            base_path: uri.path().trim_end_matches('/').to_owned(),
            bucket: location.bucket.clone(),
        })
    }

    fn address(&self, path: &str, query: &str) -> String {
        let separator = if query.is_empty() { "" } else { "?" };
        format!("{}{}{path}{separator}{query}", self.origin, self.base_path)
    }

    /// The bucket's objects, to list them.
    pub(super) fn objects(&self, query: &str) -> String {
        self.address(&format!("/storage/v1/b/{}/o", self.bucket), query)
    }

    /// An object: its metadata, or with `alt=media` its bytes.
    pub(super) fn object(&self, full_key: &str, query: &str) -> String {
        let path = format!("/storage/v1/b/{}/o/{}", self.bucket, encode(full_key));
        self.address(&path, query)
    }

    /// Where bytes are uploaded.
    pub(super) fn upload(&self, query: &str) -> String {
        self.address(&format!("/upload/storage/v1/b/{}/o", self.bucket), query)
    }

    /// A copy within Google's storage into this bucket.
    pub(super) fn rewrite(
        &self,
        source_bucket: &str,
        source_key: &str,
        full_key: &str,
        query: &str,
    ) -> String {
        let path = format!(
            "/storage/v1/b/{}/o/{}/rewriteTo/b/{}/o/{}",
            encode(source_bucket),
            encode(source_key),
            self.bucket,
            encode(full_key)
        );
        self.address(&path, query)
    }

    /// The concatenation of objects of this bucket.
    pub(super) fn compose(&self, full_key: &str, query: &str) -> String {
        let path = format!(
            "/storage/v1/b/{}/o/{}/compose",
            self.bucket,
            encode(full_key)
        );
        self.address(&path, query)
    }

    /// An object, or the bucket, in the XML API.
    pub(super) fn xml(&self, full_key: Option<&str>, query: &str) -> String {
        let path = match full_key {
            Some(key) => format!("/{}/{}", self.bucket, utf8_percent_encode(key, IN_PATH)),
            None => format!("/{}", self.bucket),
        };
        self.address(&path, query)
    }

    /// The address of an upload session, on this endpoint whatever host the answer names: credentials go nowhere else.
    pub(super) fn session(&self, location: &str) -> Option<String> {
        let uri: http::Uri = location.parse().ok()?;
        Some(format!("{}{}", self.origin, uri.path_and_query()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(location: &str) -> Result<Endpoint, Invalid> {
        let location: Location = location.parse().unwrap();
        Endpoint::resolve(&location, &GcsConfig::default())
    }

    #[test]
    fn addresses() {
        let google = resolve("gs://b/p/").unwrap();
        assert!(google.https);
        assert_eq!(
            google.object("a/./é b", "alt=media"),
            "https://storage.googleapis.com/storage/v1/b/b/o/a%2F.%2F%C3%A9%20b?alt=media"
        );
        assert_eq!(
            google.xml(Some("a/ +"), "uploads"),
            "https://storage.googleapis.com/b/a/%20%2B?uploads"
        );
        let own = resolve("gs://b/?endpoint=http://127.0.0.1:4443/base/").unwrap();
        assert!(!own.https);
        assert_eq!(
            own.objects(""),
            "http://127.0.0.1:4443/base/storage/v1/b/b/o"
        );
        assert_eq!(
            own.rewrite("o", "s/1", "d", "x=y"),
            "http://127.0.0.1:4443/base/storage/v1/b/o/o/s%2F1/rewriteTo/b/b/o/d?x=y"
        );
        for text in ["a/./é b", "../x", "%2F"] {
            let uri: http::Uri = google.object(text, "").parse().unwrap();
            assert!(uri.path().starts_with("/storage/v1/b/b/o/"));
        }
    }

    #[test]
    fn a_session_stays_on_the_endpoint() {
        let own = resolve("gs://b/?endpoint=http://127.0.0.1:4443").unwrap();
        let address = own.session("https://evil.example/upload/storage/v1/b/b/o?upload_id=1");
        assert_eq!(
            address.unwrap(),
            "http://127.0.0.1:4443/upload/storage/v1/b/b/o?upload_id=1"
        );
        assert_eq!(own.session("no address at all"), None);
    }

    #[test]
    fn says_what_is_wrong() {
        for (location, expected) in [
            ("gs://b/?endpoint=localhost:9000", "expected http://"),
            ("gs://b/?endpoint=ftp://h", "expected http://"),
            (
                "gs://b/?endpoint=http://user:hunter2@h",
                "credentials are set separately",
            ),
        ] {
            let error = resolve(location).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }
}
