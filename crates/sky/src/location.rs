//! Where objects live, as people write it.

use crate::{Invalid, ObjectKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::str::FromStr;

/// The kind of store behind a location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scheme {
    /// Amazon S3 and everything that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Gcs,
    /// Azure Blob Storage.
    Azure,
    /// A directory.
    File,
    /// A named store in this process's memory, for trials and tests.
    Memory,
}

impl Scheme {
    /// The URI scheme.
    pub fn as_str(self) -> &'static str {
        match self {
            Scheme::S3 => "s3",
            Scheme::Gcs => "gs",
            Scheme::Azure => "az",
            Scheme::File => "file",
            Scheme::Memory => "mem",
        }
    }
}

/// `s3://bucket/prefix?endpoint=…&region=…`, `gs://bucket/prefix`, `az://account/container/prefix`, `file:///directory`,
/// `mem://name/prefix`. `https://ACCOUNT.blob.core.windows.net/CONTAINER/prefix` is read as `az://ACCOUNT/CONTAINER/prefix`.
///
/// The prefix is a plain string prefix of keys (no `/` is added or removed). Options belong to this side alone:
/// `endpoint`, `region` (provider:name or the bare S3 name), `profile`, `addressing` (`path` or `virtual`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    /// Which kind of store.
    pub scheme: Scheme,
    /// Bucket or memory-store name; for `az` `account/container`; for `file` the absolute directory.
    pub bucket: String,
    /// Keys in scope start with this. Always empty for `file`.
    pub prefix: String,
    /// The options after `?`, by name.
    pub options: BTreeMap<String, String>,
}

const OPTIONS: [&str; 4] = ["endpoint", "region", "profile", "addressing"];
/// The host of a storage account in Azure's public cloud, behind the account's name.
const AZURE_HOST: &str = ".blob.core.windows.net";

impl Location {
    /// An option's value.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// Account and container of an `az` location.
    pub fn azure_container(&self) -> Option<(&str, &str)> {
        match self.scheme {
            Scheme::Azure => self.bucket.split_once('/'),
            _ => None,
        }
    }

    /// The full key in the bucket of a key below this location.
    pub fn full_key(&self, key: &ObjectKey) -> String {
        format!("{}{key}", self.prefix)
    }

    /// The key below this location of a full key, or `None` where it lies outside (or cannot be a key).
    pub fn relative_key(&self, full: &str) -> Option<ObjectKey> {
        full.strip_prefix(&self.prefix)
            .and_then(|rest| ObjectKey::new(rest).ok())
    }
}

impl FromStr for Location {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let bad = |why: String| Invalid::new("location", text, why);
        let (scheme, rest) = text.split_once("://").ok_or_else(|| {
            bad("expected s3://bucket/prefix, gs://bucket/prefix, az://account/container/prefix, file:///directory or mem://name".into())
        })?;
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut options = BTreeMap::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or_else(|| bad(format!("option {pair:?} needs a value: name=value")))?;
            if !OPTIONS.contains(&name) {
                return Err(bad(format!(
                    "unknown option {name:?}; known: {}",
                    OPTIONS.join(", ")
                )));
            }
            options.insert(name.to_owned(), value.to_owned());
        }
        let as_azure;
        let (scheme, path) = match scheme {
            "s3" => (Scheme::S3, path),
            "gs" => (Scheme::Gcs, path),
            "az" => (Scheme::Azure, path),
            "https" => {
                as_azure = azure_path(path).ok_or_else(|| {
                    bad(format!("only https://ACCOUNT{AZURE_HOST}/CONTAINER/… is a location; for an S3 endpoint write s3://bucket/prefix?endpoint=https://…"))
                })?;
                (Scheme::Azure, as_azure.as_str())
            }
            "file" => (Scheme::File, path),
            "mem" => (Scheme::Memory, path),
            other => {
                return Err(bad(format!(
                    "unknown scheme {other:?}; known: s3, gs, az, file, mem"
                )));
            }
        };
        let (bucket, prefix) = match scheme {
            Scheme::File => {
                if !path.starts_with('/') {
                    return Err(bad("a directory is absolute: file:///data/models".into()));
                }
                let trimmed = path.trim_end_matches('/');
                let directory = if trimmed.is_empty() { "/" } else { trimmed };
                (directory.to_owned(), String::new())
            }
            Scheme::S3 | Scheme::Gcs | Scheme::Memory => {
                let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
                if !is_bucket_name(bucket) {
                    return Err(bad(
                        "the bucket's name may have letters, digits, '-', '.' and '_' only".into(),
                    ));
                }
                (bucket.to_owned(), prefix.to_owned())
            }
            Scheme::Azure => {
                let mut names = path.splitn(3, '/');
                let (account, container) = (
                    names.next().unwrap_or_default(),
                    names.next().unwrap_or_default(),
                );
                // `$root` and `$web` are containers too.
                if !is_bucket_name(account)
                    || !is_bucket_name(container.strip_prefix('$').unwrap_or(container))
                {
                    return Err(bad("expected az://account/container/prefix".into()));
                }
                (
                    format!("{account}/{container}"),
                    names.next().unwrap_or_default().to_owned(),
                )
            }
        };
        Ok(Location {
            scheme,
            bucket,
            prefix,
            options,
        })
    }
}

fn is_bucket_name(name: &str) -> bool {
    (1..=255).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
}

/// `ACCOUNT.blob.core.windows.net/CONTAINER/prefix` as `ACCOUNT/CONTAINER/prefix`.
fn azure_path(path: &str) -> Option<String> {
    let (host, rest) = path.split_once('/')?;
    Some(format!("{}/{rest}", host.strip_suffix(AZURE_HOST)?))
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.bucket)?;
        if self.scheme != Scheme::File {
            write!(f, "/{}", self.prefix)?;
        }
        for (index, (name, value)) in self.options.iter().enumerate() {
            write!(f, "{}{name}={value}", if index == 0 { '?' } else { '&' })?;
        }
        Ok(())
    }
}

impl TryFrom<String> for Location {
    type Error = Invalid;
    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Location> for String {
    fn from(location: Location) -> String {
        location.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_what_it_writes() {
        for text in [
            "s3://bucket/",
            "s3://bucket/a/b?endpoint=http://127.0.0.1:9000&region=us-east-1",
            "file:///data/models",
            "mem://x/p",
            "gs://bucket/a/",
            "az://account/container/a/b",
            "az://account/$web/?endpoint=http://127.0.0.1:10000",
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
        }
        assert_eq!("s3://bucket".parse::<Location>().unwrap().prefix, "");
        let url: Location = "https://acme.blob.core.windows.net/models/a/b"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "az://acme/models/a/b");
        assert_eq!(url.azure_container(), Some(("acme", "models")));
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, expected) in [
            ("bucket/key", "expected s3://"),
            ("ftp://x/", "unknown scheme"),
            ("s3:///x", "bucket's name"),
            ("file://data", "absolute"),
            ("s3://b/?endpont=x", "unknown option"),
            ("az://account", "az://account/container"),
            ("https://example.com/x", "only https://ACCOUNT"),
        ] {
            let error = text.parse::<Location>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn keys_are_relative_to_the_prefix() {
        let location: Location = "s3://bucket/models/".parse().unwrap();
        let key = location.relative_key("models/a//b").unwrap();
        assert_eq!(key.as_str(), "a//b");
        assert_eq!(location.full_key(&key), "models/a//b");
        assert_eq!(location.relative_key("other/a"), None);
        assert_eq!(location.relative_key("models/"), None);
    }
}
