//! The rules for names and metadata. Pure.
//!
//! Sources: <https://cloud.google.com/storage/docs/objects#naming>, <https://cloud.google.com/storage/docs/buckets#naming>,
//! <https://cloud.google.com/storage/quotas#objects>.

use super::error::{Failure, Result};
use skyfresh_sky::Attributes;

/// Longest object name, in bytes of UTF-8.
const OBJECT_NAME_BYTES: usize = 1024;
/// Names and values of custom metadata together.
const METADATA_BYTES: usize = 8 * 1024;

pub(crate) fn check_object_name(key: &str) -> Result<()> {
    if key.is_empty() {
        return Err(Failure::required("Required"));
    }
    let forbidden = key == "."
        || key == ".."
        || key.starts_with(".well-known/acme-challenge/")
        || key.contains(['\r', '\n']);
    if key.len() > OBJECT_NAME_BYTES {
        return Err(Failure::new(
            http::StatusCode::BAD_REQUEST,
            "invalid",
            "KeyTooLongError",
            "The specified object name is too long: at most 1024 bytes of UTF-8.",
        ));
    }
    if forbidden {
        return Err(Failure::new(
            http::StatusCode::BAD_REQUEST,
            "invalid",
            "InvalidObjectName",
            format!("Disallowed object name: {key:?}"),
        ));
    }
    Ok(())
}

pub(crate) fn check_bucket_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let parts_fit = name.split('.').all(|part| (1..=63).contains(&part.len()));
    let longest = if name.contains('.') { 222 } else { 63 };
    let valid = (3..=longest).contains(&name.len())
        && parts_fit
        && name.chars().all(|c| good(c) || "-_.".contains(c))
        && name.starts_with(good)
        && name.ends_with(good)
        && !name.starts_with("goog")
        && !name.contains("google");
    if valid {
        return Ok(());
    }
    Err(Failure::new(
        http::StatusCode::BAD_REQUEST,
        "invalid",
        "InvalidBucketName",
        format!("Invalid bucket name: '{name}'"),
    ))
}

pub(crate) fn check_metadata(attributes: &Attributes) -> Result<()> {
    if attributes.user_bytes() <= METADATA_BYTES {
        return Ok(());
    }
    Err(Failure::new(
        http::StatusCode::BAD_REQUEST,
        "invalid",
        "MetadataTooLarge",
        "Your metadata headers exceed the maximum allowed metadata size.",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules() {
        for good in ["a", "a/b", "..a", "é", "a//"] {
            assert!(check_object_name(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a\nb", ".well-known/acme-challenge/x"] {
            assert!(check_object_name(bad).is_err(), "{bad}");
        }
        assert!(check_object_name(&"é".repeat(512)).is_ok());
        assert!(check_object_name(&"é".repeat(513)).is_err());
        for good in ["abc", "a-b_c.d9", "0bc"] {
            assert!(check_bucket_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(64);
        for bad in [
            "ab",
            "Abc",
            "-abc",
            "abc.",
            "a..b",
            "goog1",
            "my-google",
            &long,
        ] {
            assert!(check_bucket_name(bad).is_err(), "{bad}");
        }
    }
}
