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
            Scheme::File => "file",
            Scheme::Memory => "mem",
        }
    }
}

/// `s3://bucket/prefix?endpoint=…&region=…`, `file:///directory`, `mem://name/prefix`.
///
/// The prefix is a plain string prefix of keys (no `/` is added or removed). Options belong to this side alone:
/// `endpoint`, `region` (provider:name or the bare S3 name), `profile`, `addressing` (`path` or `virtual`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Location {
    /// Which kind of store.
    pub scheme: Scheme,
    /// Bucket or memory-store name; for `file` the absolute directory.
    pub bucket: String,
    /// Keys in scope start with this. Always empty for `file`.
    pub prefix: String,
    /// The options after `?`, by name.
    pub options: BTreeMap<String, String>,
}

const OPTIONS: [&str; 4] = ["endpoint", "region", "profile", "addressing"];

impl Location {
    /// An option's value.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
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
            bad("expected s3://bucket/prefix, file:///directory or mem://name".into())
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
        let scheme = match scheme {
            "s3" => Scheme::S3,
            "file" => Scheme::File,
            "mem" => Scheme::Memory,
            other => {
                return Err(bad(format!(
                    "unknown scheme {other:?}; known: s3, file, mem"
                )));
            }
        };
        let (bucket, prefix) = match scheme {
            Scheme::File => {
                if !path.starts_with('/') {
                    return Err(bad("a directory is absolute: file:///data/models".into()));
                }
                let trimmed = path.trim_end_matches('/');
                (
                    if trimmed.is_empty() { "/" } else { trimmed }.to_owned(),
                    String::new(),
                )
            }
            Scheme::S3 | Scheme::Memory => {
                let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
                let fits = (1..=255).contains(&bucket.len())
                    && bucket
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
                if !fits {
                    return Err(bad(
                        "the bucket's name may have letters, digits, '-', '.' and '_' only".into(),
                    ));
                }
                (bucket.to_owned(), prefix.to_owned())
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
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
        }
        assert_eq!("s3://bucket".parse::<Location>().unwrap().prefix, "");
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, expected) in [
            ("bucket/key", "expected s3://"),
            ("ftp://x/", "unknown scheme"),
            ("s3:///x", "bucket's name"),
            ("file://data", "absolute"),
            ("s3://b/?endpont=x", "unknown option"),
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
