//! Header values: set, read, and encoded where a header cannot hold them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::{HeaderMap, HeaderName, HeaderValue};
use skyfresh_sky::Timestamp;

/// Sets a header.
///
/// # Errors
/// The value cannot stand in a header.
pub(crate) fn set(headers: &mut HeaderMap, name: &'static str, value: &str) -> Result<(), String> {
    // Signatures are defined over visible ASCII; other bytes would be read differently by different servers.
    if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) {
        return Err(format!(
            "{name} may hold visible ASCII characters only, not {value:?}"
        ));
    }
    let value = HeaderValue::from_str(value).map_err(|_| format!("{name} cannot be {value:?}"))?;
    headers.insert(HeaderName::from_static(name), value);
    Ok(())
}

/// A header's value as text.
pub(crate) fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(lossy)
}

/// A header's value as text, whatever its bytes.
pub(crate) fn lossy(value: &HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

/// An entity tag without quotes.
pub(crate) fn unquote(etag: &str) -> String {
    let etag = etag.trim();
    etag.strip_prefix("W/")
        .unwrap_or(etag)
        .trim_matches('"')
        .to_owned()
}

/// An entity tag as conditions name it.
pub(crate) fn quote(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Parses an HTTP date (`Sun, 06 Nov 1994 08:49:37 GMT`).
pub(crate) fn http_date(text: &str) -> Option<Timestamp> {
    let time = httpdate::parse_http_date(text).ok()?;
    let since_epoch = time.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Timestamp::ZERO.after(since_epoch))
}

/// Text that a header cannot hold as S3 itself returns it: an encoded word (RFC 2047). So is text that would be read as one,
/// so that every value comes back as it was.
pub(crate) fn encode_word(value: &str) -> String {
    let visible = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if visible && value.trim_matches(' ') == value && decode_word(value) == value {
        value.to_owned()
    } else {
        format!("=?UTF-8?B?{}?=", BASE64.encode(value))
    }
}

/// Reads [`encode_word`].
pub(crate) fn decode_word(value: &str) -> String {
    let decoded = || {
        let inner = value.strip_prefix("=?")?.strip_suffix("?=")?;
        let mut fields = inner.splitn(3, '?');
        let (charset, encoding, text) = (fields.next()?, fields.next()?, fields.next()?);
        if !charset.eq_ignore_ascii_case("utf-8") {
            return None;
        }
        let bytes = match encoding {
            "B" | "b" => BASE64.decode(text).ok()?,
            "Q" | "q" => percent_encoding::percent_decode_str(
                &text.replace('%', "%25").replace('=', "%").replace('_', " "),
            )
            .collect(),
            _ => return None,
        };
        String::from_utf8(bytes).ok()
    };
    decoded().unwrap_or_else(|| value.to_owned())
}
