//! Names for versions of features, to which feedback refers.

use crate::{Error, Result};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use std::fmt::Write as _;

/// RFC 3986's unreserved characters stand for themselves.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A version of a key's features: what feedback refers to. As text `view/version/key`, the key percent-encoded, so that ids can stand in
/// a header, separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureId {
    /// The view.
    pub view: String,
    /// The version.
    pub version: u32,
    /// The key.
    pub key: String,
}

impl FeatureId {
    /// Writes the text of an id, without making one.
    pub(super) fn push(text: &mut String, view: &str, version: u32, key: &str) {
        text.push_str(view);
        text.push('/');
        // Writing to a text does not fail.
        let _ = write!(text, "{version}");
        text.push('/');
        text.extend(utf8_percent_encode(key, UNRESERVED));
    }
}

impl std::fmt::Display for FeatureId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        Self::push(&mut text, &self.view, self.version, &self.key);
        f.write_str(&text)
    }
}

impl std::str::FromStr for FeatureId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = || Error::invalid("read feature id", text, "expected view/version/key");
        let mut parts = text.splitn(3, '/');
        let mut part = || parts.next().ok_or_else(bad);
        let (view, version, key) = (part()?, part()?, part()?);
        Ok(FeatureId {
            view: view.to_owned(),
            version: version.parse().map_err(|_| bad())?,
            key: percent_decode_str(key)
                .decode_utf8()
                .map_err(|_| bad())?
                .into_owned(),
        })
    }
}
