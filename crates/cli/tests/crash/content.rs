//! Content that says which version of which key it is, and that no mixture of versions or of parts can imitate.

use bytes::Bytes;

/// Every block of this many bytes names the key, the version, the size and its own place.
const BLOCK_BYTES: usize = 1024;

/// The smallest content: its first line must fit.
pub(crate) const LEAST_BYTES: usize = 128;

/// The content of a version. `run` keeps the contents of two runs apart.
pub(crate) fn content(run: &str, key: &str, version: u64, size: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(size + BLOCK_BYTES);
    for index in 0..size.div_ceil(BLOCK_BYTES) {
        let line = format!("{run} {key} {version} {size} {index};");
        let end = bytes.len() + BLOCK_BYTES;
        bytes.extend_from_slice(line.repeat(BLOCK_BYTES.div_ceil(line.len())).as_bytes());
        bytes.truncate(end);
    }
    bytes.truncate(size);
    bytes.into()
}

/// The version of a whole object, or why it is torn.
pub(crate) fn version_of(run: &str, key: &str, bytes: &[u8]) -> Result<u64, String> {
    let first = bytes.split(|byte| *byte == b';').next().unwrap_or_default();
    let line = String::from_utf8_lossy(&first[..first.len().min(LEAST_BYTES)]).into_owned();
    let fields: Vec<&str> = line.split(' ').collect();
    let torn = |why: &str| format!("{} bytes that begin {line:?}: {why}", bytes.len());
    let [held_run, held_key, version, size, "0"] = fields[..] else {
        return Err(torn("no first line"));
    };
    let version: u64 = version.parse().map_err(|_| torn("no version"))?;
    if (held_run, held_key) != (run, key) {
        return Err(torn("not of this run and key"));
    }
    if size.parse() != Ok(bytes.len()) {
        return Err(torn("not of the size it had at the source"));
    }
    let whole = content(run, key, version, bytes.len());
    if whole == bytes {
        return Ok(version);
    }
    let at = whole
        .iter()
        .zip(bytes)
        .position(|(expected, found)| expected != found);
    Err(torn(&format!(
        "another version's, or another part's, bytes at {at:?}"
    )))
}

#[test]
fn torn_is_told_from_whole() {
    let (run, size) = ("run", 5_000);
    let whole = content(run, "k", 3, size);
    assert_eq!(version_of(run, "k", &whole), Ok(3));
    assert_eq!(
        version_of(run, "k", &content(run, "k", 7, LEAST_BYTES)),
        Ok(7)
    );
    let mixed = [&whole[..2_500], &content(run, "k", 4, size)[2_500..]].concat();
    let swapped = [
        &whole[..1_024],
        &whole[2_048..3_072],
        &whole[1_024..2_048],
        &whole[3_072..],
    ]
    .concat();
    for (torn, why) in [
        (&mixed[..], "two versions"),
        (&swapped, "parts out of order"),
        (&whole[..4_999], "cut off"),
        (b"", "empty"),
    ] {
        assert!(version_of(run, "k", torn).is_err(), "{why}");
    }
    assert!(version_of(run, "other", &whole).is_err() && version_of("other", "k", &whole).is_err());
}
