//! Where requests go: host, path and signing region of one bucket, and how keys look on the wire.

use super::config::{Addressing, Credentials, S3Config};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use skyfresh_sky::{Invalid, Location};

/// What the signature documentation leaves unencoded ("Signature calculations: URI encode"): unreserved characters.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same within a key, where `/` separates path segments.
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A value as it stands in a query: space is `%20`, `+` is `%2B`, `/` is `%2F`.
pub(super) fn encode_query(value: &str) -> impl std::fmt::Display {
    utf8_percent_encode(value, UNRESERVED)
}

/// A key as it stands in a path. Every `/` is kept, `.` and `..` too: nothing may normalise it.
pub(super) fn encode_path(key: &str) -> impl std::fmt::Display {
    utf8_percent_encode(key, IN_PATH)
}

/// Where one bucket's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) https: bool,
    /// The region that signatures name.
    pub(super) region: String,
    host: String,
    /// What stands before the key, without a trailing slash: empty, or `/bucket` with path addressing.
    base_path: String,
    /// AWS itself, where the region decides the host.
    aws: bool,
    addressing: Addressing,
}

impl Endpoint {
    /// From the settings, overridden by the location's options.
    pub(super) fn resolve(location: &Location, config: &S3Config) -> Result<Self, Invalid> {
        let region = region(location, config)?;
        let addressing = match location.option("addressing") {
            Some("path") => Some(Addressing::Path),
            Some("virtual") => Some(Addressing::Virtual),
            Some(other) => {
                return Err(Invalid::new("addressing", other, "use `path` or `virtual`"));
            }
            None => config.addressing,
        };
        match location.option("endpoint").or(config.endpoint.as_deref()) {
            Some(endpoint) => {
                let region = region.unwrap_or_else(|| "us-east-1".into());
                Self::custom(
                    endpoint,
                    region,
                    &location.bucket,
                    addressing.unwrap_or(Addressing::Path),
                )
            }
            None => {
                let region = region.ok_or_else(|| {
                    Invalid::new(
                        "region",
                        "",
                        "AWS needs one: add ?region=eu-west-1 to the location, or set AWS_REGION",
                    )
                })?;
                let addressing = addressing.unwrap_or(match fits_a_host_name(&location.bucket) {
                    true => Addressing::Virtual,
                    // A dot in the bucket's name would leave the host outside the wildcard certificate.
                    false => Addressing::Path,
                });
                Ok(Self::aws(region, &location.bucket, addressing))
            }
        }
    }

    fn aws(region: String, bucket: &str, addressing: Addressing) -> Self {
        // AWS general reference, "Amazon S3 endpoints and quotas"; one DNS suffix per partition.
        let suffix = match region.split('-').next() {
            Some("cn") => "amazonaws.com.cn",
            Some("eusc") => "amazonaws.eu",
            _ => "amazonaws.com",
        };
        let host = format!("s3.{region}.{suffix}");
        let (host, base_path) = address(host, String::new(), bucket, addressing);
        Endpoint {
            https: true,
            region,
            host,
            base_path,
            aws: true,
            addressing,
        }
    }

    fn custom(
        endpoint: &str,
        region: String,
        bucket: &str,
        addressing: Addressing,
    ) -> Result<Self, Invalid> {
        let bad = |why: &str| {
            // Whatever stands before an `@` may be a password.
            let shown = if endpoint.contains('@') {
                "…"
            } else {
                endpoint
            };
            Invalid::new("endpoint", shown, why)
        };
        let uri: http::Uri = endpoint
            .parse()
            .map_err(|_| bad("expected http://host:port or https://host"))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad("expected http://host:port or https://host")),
        };
        let host = uri
            .authority()
            .map(|authority| authority.as_str())
            .unwrap_or_default();
        if host.is_empty() {
            return Err(bad("has no host"));
        }
        if host.contains('@') {
            return Err(bad(
                "must not hold a user or password: credentials are set separately",
            ));
        }
        if uri.query().is_some() {
            return Err(bad("must not hold a query"));
        }
        let base_path = uri.path().trim_end_matches('/').to_owned();
        let (host, base_path) = address(host.to_owned(), base_path, bucket, addressing);
        Ok(Endpoint {
            https,
            region,
            host,
            base_path,
            aws: false,
            addressing,
        })
    }

    /// The bucket's region, where the host is AWS's.
    pub(super) fn aws_region(&self) -> Option<&str> {
        self.aws.then_some(self.region.as_str())
    }

    /// The same bucket in another region.
    pub(super) fn in_region(&self, region: &str, bucket: &str) -> Self {
        if self.aws {
            Self::aws(region.to_owned(), bucket, self.addressing)
        } else {
            Endpoint {
                region: region.to_owned(),
                ..self.clone()
            }
        }
    }

    /// The address of a key, or of the bucket itself.
    pub(super) fn url(&self, full_key: Option<&str>, query: &str) -> String {
        use std::fmt::Write;
        let scheme = if self.https { "https" } else { "http" };
        let mut url = String::with_capacity(
            64 + self.host.len() + query.len() + full_key.map_or(0, str::len),
        );
        // Writing to a String cannot fail.
        let _ = write!(url, "{scheme}://{}{}", self.host, self.base_path);
        match full_key {
            Some(key) => {
                let _ = write!(url, "/{}", encode_path(key));
            }
            None if self.base_path.is_empty() => url.push('/'),
            None => {}
        }
        if !query.is_empty() {
            let _ = write!(url, "?{query}");
        }
        url
    }
}

fn address(
    host: String,
    base_path: String,
    bucket: &str,
    addressing: Addressing,
) -> (String, String) {
    match addressing {
        Addressing::Virtual => (format!("{bucket}.{host}"), base_path),
        Addressing::Path => (host, format!("{base_path}/{bucket}")),
    }
}

fn fits_a_host_name(bucket: &str) -> bool {
    bucket
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn region(location: &Location, config: &S3Config) -> Result<Option<String>, Invalid> {
    let from_env = match &config.credentials {
        Credentials::Chain { env, .. } => env
            .get("AWS_REGION")
            .or_else(|| env.get("AWS_DEFAULT_REGION")),
        Credentials::Static { .. } => None,
    };
    let given = location
        .option("region")
        .or(config.region.as_deref())
        .or(from_env.map(String::as_str));
    let Some(given) = given else { return Ok(None) };
    let name = match given.split_once(':') {
        // R2 takes no other region: where a bucket lies was said when it was created (Cloudflare, S3 API compatibility).
        Some(("cloudflare", _)) => "auto",
        Some((_, name)) => name,
        None => given,
    };
    if name.is_empty()
        || !name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    {
        return Err(Invalid::new(
            "region",
            given,
            "expected a name such as eu-west-1 or aws:eu-west-1",
        ));
    }
    Ok(Some(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(location: &str) -> Result<Endpoint, Invalid> {
        Endpoint::resolve(&location.parse().unwrap(), &S3Config::default())
    }

    #[test]
    fn addresses_follow_the_settings() {
        for (location, key, expected) in [
            (
                "s3://b/?region=eu-west-1",
                Some("k"),
                "https://b.s3.eu-west-1.amazonaws.com/k",
            ),
            (
                "s3://b/?region=aws:cn-north-1",
                None,
                "https://b.s3.cn-north-1.amazonaws.com.cn/",
            ),
            (
                "s3://b.c/?region=eu-west-1",
                Some("k"),
                "https://s3.eu-west-1.amazonaws.com/b.c/k",
            ),
            (
                "s3://b/?endpoint=http://127.0.0.1:9000",
                Some("k"),
                "http://127.0.0.1:9000/b/k",
            ),
            (
                "s3://b/?endpoint=http://127.0.0.1:9000",
                None,
                "http://127.0.0.1:9000/b",
            ),
            (
                "s3://b/?endpoint=https://h/base/",
                Some("/k"),
                "https://h/base/b//k",
            ),
            (
                "s3://b/?endpoint=https://h&addressing=virtual",
                Some("k"),
                "https://b.h/k",
            ),
        ] {
            assert_eq!(resolve(location).unwrap().url(key, ""), expected);
        }
    }

    #[test]
    fn r2_is_signed_for_auto_wherever_the_bucket_lies() {
        let signed = |region: &str| {
            let endpoint = "https://account.r2.cloudflarestorage.com";
            let location = format!("s3://b/?endpoint={endpoint}&region={region}");
            resolve(&location).unwrap().region
        };
        assert_eq!(signed("cloudflare:weur"), "auto");
        assert_eq!(signed("cloudflare:auto"), "auto");
        assert_eq!(signed("auto"), "auto");
    }

    #[test]
    fn keys_are_encoded_once_and_never_normalised() {
        let endpoint = resolve("s3://b/?endpoint=http://h").unwrap();
        for (key, expected) in [
            ("a//b", "/b/a//b"),
            ("./..", "/b/./.."),
            ("/", "/b//"),
            ("a b+c", "/b/a%20b%2Bc"),
            ("é", "/b/%C3%A9"),
            ("100%", "/b/100%25"),
            ("a?b#c&d=e", "/b/a%3Fb%23c%26d%3De"),
            ("~-._", "/b/~-._"),
        ] {
            let url = endpoint.url(Some(key), "");
            assert_eq!(url, format!("http://h{expected}"));
            let uri: http::Uri = url.parse().unwrap();
            assert_eq!(uri.path(), expected, "the address survives parsing");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for (location, expected) in [
            ("s3://b/", "AWS needs one"),
            ("s3://b/?endpoint=localhost:9000", "expected http://"),
            (
                "s3://b/?endpoint=http://user:hunter2@h",
                "credentials are set separately",
            ),
            (
                "s3://b/?endpoint=http://h&addressing=dns",
                "use `path` or `virtual`",
            ),
            ("s3://b/?region=eu/west", "expected a name"),
        ] {
            let error = resolve(location).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }

    #[test]
    fn another_region_moves_the_host_on_aws_only() {
        let aws = resolve("s3://b/?region=eu-west-1")
            .unwrap()
            .in_region("us-west-2", "b");
        assert_eq!(aws.aws_region(), Some("us-west-2"));
        assert_eq!(
            (aws.url(None, ""), aws.region.as_str()),
            ("https://b.s3.us-west-2.amazonaws.com/".into(), "us-west-2")
        );
        let custom = resolve("s3://b/?endpoint=http://h")
            .unwrap()
            .in_region("us-west-2", "b");
        assert_eq!(
            (custom.url(None, ""), custom.region.as_str()),
            ("http://h/b".into(), "us-west-2")
        );
    }
}
