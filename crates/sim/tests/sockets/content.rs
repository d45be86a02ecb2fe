//! What users write: content that says which version of which key it is, so that no mixture of two is a third.

use bytes::Bytes;

/// `bytes` bytes of this version of this key, telling so every few bytes.
pub(crate) fn content(key: &str, version: u64, bytes: usize) -> Bytes {
    let line = format!("{key}#{version};");
    let mut text = line.repeat(bytes / line.len() + 1);
    text.truncate(bytes);
    text.into()
}

/// Which version of a key these bytes are.
///
/// # Panics
/// They are none, whole.
pub(crate) fn version_of(key: &str, bytes: &[u8]) -> u64 {
    let first = bytes.split(|byte| *byte == b';').next().unwrap_or_default();
    let version = std::str::from_utf8(first).ok().and_then(|line| {
        let (name, version) = line.split_once('#')?;
        version.parse().ok().filter(|_| name == key)
    });
    let version = version.unwrap_or_else(|| panic!("{} bytes that are no {key}", bytes.len()));
    assert!(
        content(key, version, bytes.len()) == bytes,
        "{} bytes that begin as version {version} of {key} and go on as something else",
        bytes.len()
    );
    version
}
