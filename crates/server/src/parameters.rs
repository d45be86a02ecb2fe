//! Query parameters, strictly: an unknown or repeated name, or a value that is no UTF-8, is refused rather than guessed at.
//! (Form decoders replace bad bytes, and would then explain another key than the one asked for.)

use crate::error::ApiError;
use percent_encoding::percent_decode_str;
use std::collections::BTreeMap;

/// The parameters of one request.
#[derive(Debug)]
pub(crate) struct Parameters {
    operation: &'static str,
    values: BTreeMap<String, String>,
}

impl Parameters {
    /// Parses a query; only `known` names may occur.
    pub(crate) fn parse(
        operation: &'static str,
        query: Option<&str>,
        known: &[&str],
    ) -> Result<Self, ApiError> {
        let bad = |why: String| {
            ApiError::invalid(operation, "query parameters", why)
                .hint(format!("known parameters: {}", known.join(", ")))
        };
        let mut values = BTreeMap::new();
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(bad("not percent-encoded UTF-8".into()));
            };
            if !known.contains(&name.as_str()) {
                return Err(bad(format!("{name:?} is not known")));
            }
            if values.contains_key(&name) {
                return Err(bad(format!("{name:?} is given twice")));
            }
            values.insert(name, value);
        }
        Ok(Parameters { operation, values })
    }

    /// A value, if given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// A value that must be given.
    pub(crate) fn need(&self, name: &str, example: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| {
            ApiError::invalid(
                self.operation,
                "query parameters",
                format!("{name:?} is missing"),
            )
            .hint(format!("for example ?{name}={example}"))
        })
    }
}

/// As forms are encoded: `+` is a space, `%2B` a plus sign.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    Some(percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(query: &str) -> Result<String, ApiError> {
        Parameters::parse("explain", Some(query), &["key"])?
            .need("key", "a/b")
            .map(str::to_owned)
    }

    #[test]
    fn any_key_can_be_asked_for() {
        for (query, expected) in [
            ("key=a/b", "a/b"),
            ("key=..%2F..%2F", "../../"),
            ("key=a%26b%3Dc%2Bd+e%20f", "a&b=c+d e f"),
            ("key=%C3%BC//%25", "ü//%"),
            ("key=a=b", "a=b"),
        ] {
            assert_eq!(key(query).unwrap(), expected);
        }
    }

    #[test]
    fn guessing_is_refused() {
        for query in ["", "key=%ff", "kye=a", "key=a&key=b"] {
            assert!(key(query).is_err(), "{query}");
        }
    }
}
