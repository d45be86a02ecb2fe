//! Where requests go: host and path of one container, and how names look on the wire.

use super::config::{AzureConfig, AzureCredentialSource, ConnectionString, from_environment};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use skyfresh_sky::{Invalid, Location};

/// Unreserved characters (RFC 3986) are left alone.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The same within a name, where `/` separates path segments.
const IN_PATH: &AsciiSet = &UNRESERVED.remove(b'/');

/// A value as it stands in a query.
pub(super) fn encode_query(value: &str) -> impl std::fmt::Display {
    utf8_percent_encode(value, UNRESERVED)
}

/// Where one container's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) https: bool,
    pub(super) account: String,
    host: String,
    /// What stands before the container, without a trailing slash: empty, or `/account`.
    base_path: String,
}

impl Endpoint {
    /// From the settings, overridden by the location's options.
    pub(super) fn resolve(location: &Location, config: &AzureConfig) -> Result<Self, Invalid> {
        let Some((account, _)) = location.azure_container() else {
            return Err(Invalid::new(
                "location",
                location.to_string(),
                "expected az://account/container/prefix",
            ));
        };
        let account_in_path = match location.option("addressing") {
            Some("path") => Some(true),
            Some("virtual") => Some(false),
            Some(other) => {
                return Err(Invalid::new("addressing", other, "use `path` or `virtual`"));
            }
            None => config.account_in_path,
        };
        let connected = connection_endpoint(&config.credentials, account)?;
        let given = location
            .option("endpoint")
            .or(config.endpoint.as_deref())
            .or(connected.as_deref());
        match given {
            Some(endpoint) => Self::custom(endpoint, account, account_in_path),
            None => Ok(Endpoint {
                https: true,
                account: account.to_owned(),
                // Microsoft's public cloud (<https://learn.microsoft.com/azure/storage/common/storage-account-overview>).
                host: format!("{account}.blob.core.windows.net"),
                base_path: String::new(),
            }),
        }
    }

    fn custom(
        endpoint: &str,
        account: &str,
        account_in_path: Option<bool>,
    ) -> Result<Self, Invalid> {
        let bad = |why: &str| {
            // Whatever stands before an `@` may be a password, and a query a signature.
            let shown = if endpoint.contains(['@', '?']) {
                "…"
            } else {
                endpoint
            };
            Invalid::new("endpoint", shown, why)
        };
        let expected = "expected http://host:port or https://host";
        let uri: http::Uri = endpoint.parse().map_err(|_| bad(expected))?;
        let https = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(bad(expected)),
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
            return Err(bad(
                "must not hold a query: a shared access signature is set separately",
            ));
        }
        let mut base_path = uri.path().trim_end_matches('/').to_owned();
        let in_host = host
            .strip_prefix(account)
            .is_some_and(|rest| rest.starts_with('.'));
        let already = base_path.rsplit('/').next() == Some(account);
        if account_in_path.unwrap_or(!in_host) && !already {
            base_path = format!("{base_path}/{account}");
        }
        Ok(Endpoint {
            https,
            account: account.to_owned(),
            host: host.to_owned(),
            base_path,
        })
    }

    /// The address of a blob, or of the container itself.
    pub(super) fn url(&self, container: &str, full_key: Option<&str>, query: &str) -> String {
        use std::fmt::Write;
        let scheme = if self.https { "https" } else { "http" };
        let mut url = format!("{scheme}://{}{}/{container}", self.host, self.base_path);
        // Writing to a String cannot fail.
        if let Some(key) = full_key {
            let _ = write!(url, "/{}", utf8_percent_encode(key, IN_PATH));
        }
        if !query.is_empty() {
            let _ = write!(url, "?{query}");
        }
        url
    }
}

/// The blob endpoint of a connection string, where credentials are one.
fn connection_endpoint(
    source: &AzureCredentialSource,
    account: &str,
) -> Result<Option<String>, Invalid> {
    match source {
        AzureCredentialSource::ConnectionString(text) => {
            let parsed = ConnectionString::parse(text)?;
            match &parsed.account {
                Some(named) if named != account => Err(Invalid::new(
                    "connection string",
                    "…",
                    format!("is for the account {named}, but the location names {account}"),
                )),
                _ => Ok(parsed.blob_endpoint),
            }
        }
        AzureCredentialSource::Environment(env) => match from_environment(env, account) {
            found @ AzureCredentialSource::ConnectionString(_) => {
                connection_endpoint(&found, account)
            }
            _ => Ok(None),
        },
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(location: &str) -> Result<Endpoint, Invalid> {
        Endpoint::resolve(&location.parse().unwrap(), &AzureConfig::default())
    }

    #[test]
    fn addresses_follow_the_settings() {
        for (location, expected) in [
            ("az://acme/c/", "https://acme.blob.core.windows.net/c/k"),
            (
                "az://acme/c/?endpoint=http://127.0.0.1:10000",
                "http://127.0.0.1:10000/acme/c/k",
            ),
            (
                "az://acme/c/?endpoint=http://127.0.0.1:10000/acme",
                "http://127.0.0.1:10000/acme/c/k",
            ),
            (
                "az://acme/c/?endpoint=https://acme.blob.core.chinacloudapi.cn",
                "https://acme.blob.core.chinacloudapi.cn/c/k",
            ),
            (
                "az://acme/c/?endpoint=https://blobs.example.com&addressing=virtual",
                "https://blobs.example.com/c/k",
            ),
            (
                "az://acme/$web/",
                "https://acme.blob.core.windows.net/$web/k",
            ),
        ] {
            let location: Location = location.parse().unwrap();
            let endpoint = Endpoint::resolve(&location, &AzureConfig::default()).unwrap();
            let (_, container) = location.azure_container().unwrap();
            assert_eq!(endpoint.url(container, Some("k"), ""), expected);
        }
    }

    #[test]
    fn names_are_encoded_once_and_never_normalised() {
        let endpoint = resolve("az://acme/c/?endpoint=http://h").unwrap();
        for (key, expected) in [
            ("a//b", "/acme/c/a//b"),
            ("/", "/acme/c//"),
            ("a b+c", "/acme/c/a%20b%2Bc"),
            ("100%/é?#", "/acme/c/100%25/%C3%A9%3F%23"),
        ] {
            let uri: http::Uri = endpoint.url("c", Some(key), "").parse().unwrap();
            assert_eq!(uri.path(), expected, "the address survives parsing");
        }
    }

    #[test]
    fn a_connection_string_says_where_and_for_whom() {
        let config = |text: &str| AzureConfig {
            credentials: AzureCredentialSource::ConnectionString(text.into()),
            ..AzureConfig::default()
        };
        let location: Location = "az://acme/c/".parse().unwrap();
        let local =
            config("AccountName=acme;AccountKey=hunter2;BlobEndpoint=http://127.0.0.1:10000/acme");
        let endpoint = Endpoint::resolve(&location, &local).unwrap();
        assert_eq!(
            endpoint.url("c", None, "x=1"),
            "http://127.0.0.1:10000/acme/c?x=1"
        );
        let other = Endpoint::resolve(&location, &config("AccountName=other;AccountKey=hunter2"))
            .unwrap_err();
        assert!(other.to_string().contains("is for the account other"));
        assert!(!other.to_string().contains("hunter2"));
    }

    #[test]
    fn says_what_is_wrong() {
        for (location, expected) in [
            ("az://a/c/?endpoint=localhost:9000", "expected http://"),
            (
                "az://a/c/?endpoint=http://user:hunter2@h",
                "credentials are set separately",
            ),
            (
                "az://a/c/?endpoint=http://h&addressing=dns",
                "use `path` or `virtual`",
            ),
            ("s3://b/", "expected az://"),
        ] {
            let error = resolve(location).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains("hunter2"));
        }
    }
}
