//! Signatures with the account's key: of requests, and of one blob for reading.
//!
//! Source: <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>,
//! <https://learn.microsoft.com/rest/api/storageservices/create-service-sas>. Own code rather than a library's because the order
//! of header names matters: the service sorts them by its own collation, in which `_` comes before digits, so that byte order
//! refuses metadata such as `a_` beside `a1`.

use super::endpoint::encode_query;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::request::Parts;
use percent_encoding::percent_decode_str;
use skyfresh_sky::Timestamp;
use std::cmp::Ordering;

/// The version of the service that a signature of [`sign_read`] is made for.
const SAS_VERSION: &str = "2020-12-06";

/// The key of a storage account.
#[derive(Clone)]
pub(super) struct AccountKey {
    account: String,
    key: Vec<u8>,
}

impl AccountKey {
    /// `None` where the key is not Base64.
    pub(super) fn new(account: &str, key: &str) -> Option<Self> {
        let key = BASE64
            .decode(key.trim())
            .ok()
            .filter(|key| !key.is_empty())?;
        Some(AccountKey {
            account: account.to_owned(),
            key,
        })
    }

    fn hmac(&self, text: &str) -> String {
        reqsign_core::hash::base64_hmac_sha256(&self.key, text.as_bytes())
    }

    /// The `Authorization` header of a request whose other headers are set, `x-ms-date` included.
    pub(super) fn authorization(&self, request: &Parts) -> String {
        let signature = self.hmac(&string_to_sign(request, &self.account));
        format!("SharedKey {}:{signature}", self.account)
    }

    /// A query that lets its holder read one blob until `expiry`.
    pub(super) fn sign_read(&self, container: &str, full_key: &str, expiry: Timestamp) -> String {
        // Whole seconds are all that the format has.
        let expiry = format!(
            "{}Z",
            expiry.to_string().split('.').next().unwrap_or_default()
        );
        let resource = format!("/blob/{}/{container}/{full_key}", self.account);
        // Permissions, start, expiry, resource, identifier, addresses, protocol, version, kind (blob), snapshot, encryption
        // scope, and five response headers.
        let fields = [
            "r",
            "",
            &expiry,
            &resource,
            "",
            "",
            "",
            SAS_VERSION,
            "b",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
        ];
        let signature = self.hmac(&fields.join("\n"));
        format!(
            "sv={SAS_VERSION}&se={}&sp=r&sr=b&sig={}",
            encode_query(&expiry),
            encode_query(&signature)
        )
    }
}

fn string_to_sign(request: &Parts, account: &str) -> String {
    let header = |name: &str| {
        let value = request
            .headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        match value {
            // Since 2015-02-21.
            Some(value) if name == "content-length" && value == "0" => String::new(),
            value => value.unwrap_or_default(),
        }
    };
    let mut text = request.method.as_str().to_owned();
    for name in [
        "content-encoding",
        "content-language",
        "content-length",
        "content-md5",
        "content-type",
        "date",
        "if-modified-since",
        "if-match",
        "if-none-match",
        "if-unmodified-since",
        "range",
    ] {
        text.push('\n');
        text.push_str(&header(name));
    }
    text.push('\n');
    let mut extensions: Vec<(&str, String)> = request
        .headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with("x-ms-"))
        .map(|(name, value)| {
            (
                name.as_str(),
                String::from_utf8_lossy(value.as_bytes()).into_owned(),
            )
        })
        .collect();
    extensions.sort_by(|a, b| collate(a.0, b.0));
    for (name, value) in extensions {
        text.push_str(name);
        text.push(':');
        text.push_str(value.trim());
        text.push('\n');
    }
    text.push('/');
    text.push_str(account);
    text.push_str(request.uri.path());
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let mut query: Vec<(String, String)> = request
        .uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name).to_lowercase(), decode(value))
        })
        .collect();
    query.sort();
    for (name, value) in query {
        text.push('\n');
        text.push_str(&name);
        text.push(':');
        text.push_str(&value);
    }
    text
}

/// The service's order of header names, which is that of .NET's culture-aware comparison: hyphens count for nothing, then `_`,
/// digits, letters (Azure SDK for JavaScript, `SharedKeyComparator`; Azure SDK for .NET, `HeaderComparer`).
fn collate(a: &str, b: &str) -> Ordering {
    fn weights(name: &str) -> impl Iterator<Item = (u8, u8)> + '_ {
        name.bytes()
            .filter(|byte| *byte != b'-')
            .map(|byte| match byte {
                b'a'..=b'z' => (2, byte),
                b'0'..=b'9' => (1, byte),
                other => (0, other),
            })
    }
    weights(a).cmp(weights(b)).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(method: &str, uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_text_is_that_of_microsofts_example() {
        // "Authorize with Shared Key", the example of Get Container Metadata in version 2009-09-19 and later.
        let request = parts(
            "GET",
            "http://myaccount.blob.core.windows.net/mycontainer?comp=metadata&restype=container&timeout=20",
            &[
                ("x-ms-version", "2014-02-14"),
                ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT"),
            ],
        );
        assert_eq!(
            string_to_sign(&request, "myaccount"),
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2014-02-14\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn every_field_has_its_line() {
        let request = parts(
            "PUT",
            "http://127.0.0.1:10000/acme/c/a%20b?comp=block&blockid=AA%2B%3D",
            &[
                ("content-length", "11"),
                ("content-md5", "md5"),
                ("if-match", "\"e\""),
                ("if-none-match", "*"),
                ("range", "bytes=0-1"),
                ("x-ms-meta-a", " padded "),
            ],
        );
        assert_eq!(
            string_to_sign(&request, "acme"),
            "PUT\n\n\n11\nmd5\n\n\n\n\"e\"\n*\n\nbytes=0-1\nx-ms-meta-a:padded\n/acme/acme/c/a%20b\nblockid:AA+=\ncomp:block"
        );
        let empty = parts("PUT", "http://h/c", &[("content-length", "0")]);
        assert!(string_to_sign(&empty, "acme").starts_with("PUT\n\n\n\n"));
    }

    #[test]
    fn header_names_have_the_services_order() {
        let mut names = [
            "x-ms-meta-a1",
            "x-ms-meta-a_",
            "x-ms-meta-ab",
            "x-ms-meta-a",
            "x-ms-date",
            "x-ms-meta-_",
        ];
        names.sort_by(|a, b| collate(a, b));
        assert_eq!(
            names,
            [
                "x-ms-date",
                "x-ms-meta-_",
                "x-ms-meta-a",
                "x-ms-meta-a_",
                "x-ms-meta-a1",
                "x-ms-meta-ab"
            ]
        );
    }

    #[test]
    fn a_signature_for_reading_holds_no_key() {
        let key = AccountKey::new("acme", &BASE64.encode("hunter2")).unwrap();
        let query = key.sign_read("c", "a b", Timestamp::from_unix_ms(1_700_000_000_123));
        assert!(
            query.starts_with("sv=2020-12-06&se=2023-11-14T22%3A13%3A20Z&sp=r&sr=b&sig="),
            "{query}"
        );
        assert!(!query.contains("hunter2"));
        assert!(AccountKey::new("acme", "no base64!").is_none());
        assert!(AccountKey::new("acme", "").is_none());
    }
}
