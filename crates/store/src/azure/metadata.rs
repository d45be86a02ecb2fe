//! Names of user metadata: any text as a C# identifier, and back.
//!
//! Azure takes C# identifiers only (<https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>)
//! and compares them without case. Other stores allow more: a hyphen above all. So every byte (of UTF-8) that no identifier may
//! hold is written `_xHH_`, two digits of lower-case hexadecimal; a name that is an identifier in lower case stays as it is,
//! unless it would be read as such an escape, where its underscore is escaped in turn (`_x5f_`). `skyfresh-source` is
//! `skyfresh_x2d_source`.

/// A name as Azure takes it.
pub(super) fn encode_name(name: &str) -> String {
    use std::fmt::Write;
    let bytes = name.as_bytes();
    let mut encoded = String::with_capacity(name.len());
    for (at, byte) in bytes.iter().enumerate() {
        let first_digit = at == 0 && byte.is_ascii_digit();
        let underscore = *byte == b'_';
        if (is_plain(*byte) && !first_digit) || (underscore && !looks_escaped(&bytes[at..])) {
            encoded.push(char::from(*byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "_x{byte:02x}_");
        }
    }
    encoded
}

/// Reads [`encode_name`]. A name that is no such encoding is returned as it is.
pub(super) fn decode_name(encoded: &str) -> String {
    let bytes = encoded.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if let Some(byte) = escape(&bytes[at..]) {
            decoded.push(byte);
            at += ESCAPE_BYTES;
        } else {
            decoded.push(bytes[at]);
            at += 1;
        }
    }
    String::from_utf8(decoded).unwrap_or_else(|_| encoded.to_owned())
}

const ESCAPE_BYTES: usize = 5;

/// Lower-case letters and digits: HTTP does not keep the case of a header's name.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// The byte that an escape at the start of `rest` stands for.
fn escape(rest: &[u8]) -> Option<u8> {
    match rest {
        [b'_', b'x', high, low, b'_', ..] if is_hex(*high) && is_hex(*low) => {
            let digits = [*high, *low];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        }
        _ => None,
    }
}

/// Whether the underscore in front would be read as the start of an escape, given that what follows is written as it is, or
/// begins with an underscore where it must be escaped itself.
fn looks_escaped(rest: &[u8]) -> bool {
    match rest {
        [b'_', b'x', high, low, next, ..] => is_hex(*high) && is_hex(*low) && !is_plain(*next),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_have_one_known_form() {
        for (name, encoded) in [
            ("skyfresh-source", "skyfresh_x2d_source"),
            ("owner", "owner"),
            ("a_b1", "a_b1"),
            ("_", "_"),
            ("1st", "_x31_st"),
            ("x.y", "x_x2e_y"),
            ("_x2d_", "_x5f_x2d_"),
            ("_xab-", "_x5f_xab_x2d_"),
            ("A", "_x41_"),
            ("ü", "_xc3__xbc_"),
        ] {
            assert_eq!(encode_name(name), encoded);
            assert_eq!(decode_name(encoded), name);
        }
        // Written by others.
        for foreign in ["plain", "_xff_", "a_xZZ_"] {
            assert_eq!(decode_name(foreign), foreign);
        }
    }

    proptest! {
        #[test]
        fn every_name_is_an_identifier_and_comes_back(name in "[_xa-f0-9.-]{0,12}|\\PC{1,8}") {
            let encoded = encode_name(&name);
            prop_assert_eq!(decode_name(&encoded), name.clone());
            prop_assert!(encoded.bytes().all(|b| is_plain(b) || b == b'_'));
            prop_assert!(!encoded.starts_with(|c: char| c.is_ascii_digit()));
        }
    }
}
