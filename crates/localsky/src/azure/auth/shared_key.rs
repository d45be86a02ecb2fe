//! What Shared Key and Shared Key Lite sign.
//!
//! Source: learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key ("Constructing the signature string",
//! version 2009-09-19 and later for the Blob and Queue services; an empty body counts as no length since 2015-02-21).

use crate::azure::request::Head;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The first version in which a length of zero is left out.
const EMPTY_LENGTH_SINCE: &str = "2015-02-21";

pub(super) fn string_to_sign(head: &Head, account: &str) -> String {
    let header = |name: &str| head.header(name).unwrap_or_default();
    let length = match header("content-length") {
        "0" if head.version.as_str() >= EMPTY_LENGTH_SINCE => "",
        length => length,
    };
    let date = if head.header("x-ms-date").is_some() {
        ""
    } else {
        header("date")
    };
    let lines = [
        head.method.as_str(),
        header("content-encoding"),
        header("content-language"),
        length,
        header("content-md5"),
        header("content-type"),
        date,
        header("if-modified-since"),
        header("if-match"),
        header("if-none-match"),
        header("if-unmodified-since"),
        header("range"),
    ];
    let (headers, resource) = (canonical_headers(head), canonical_resource(head, account));
    format!("{}\n{headers}{resource}", lines.join("\n"))
}

pub(super) fn lite_string_to_sign(head: &Head, account: &str) -> String {
    let header = |name: &str| head.header(name).unwrap_or_default();
    let date = if head.header("x-ms-date").is_some() {
        ""
    } else {
        header("date")
    };
    let resource = match head.query("comp") {
        Some(comp) => format!("/{account}{}?comp={comp}", head.raw_path),
        None => format!("/{account}{}", head.raw_path),
    };
    format!(
        "{}\n{}\n{}\n{date}\n{}{resource}",
        head.method,
        header("content-md5"),
        header("content-type"),
        canonical_headers(head)
    )
}

/// `x-ms-*` in the service's order of names, each on a line.
fn canonical_headers(head: &Head) -> String {
    let mut headers: Vec<(&str, String)> = Vec::new();
    for name in head.headers.keys() {
        if name.as_str().starts_with("x-ms-") {
            let values = head.headers.get_all(name).iter();
            let values: Vec<String> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).trim().to_owned())
                .collect();
            headers.push((name.as_str(), values.join(",")));
        }
    }
    headers.sort_by(|(a, _), (b, _)| collate(a, b));
    headers
        .into_iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect()
}

/// Compares header names as the service does: by .NET's culture-aware comparison, in which hyphens count for nothing unless
/// all else is equal, and `_` and other signs come before digits, digits before letters (`_storage_header_sort` in the
/// Azure SDK for Python, `SharedKeyComparator` in the one for JavaScript). Byte order would put `a1` before `a_`.
fn collate(a: &str, b: &str) -> Ordering {
    fn weights(name: &str) -> impl Iterator<Item = (u8, u8)> + '_ {
        let weight = |byte: u8| {
            let class = u8::from(byte.is_ascii_digit()) + 2 * u8::from(byte.is_ascii_lowercase());
            (class, byte)
        };
        name.bytes().filter(|byte| *byte != b'-').map(weight)
    }
    weights(a).cmp(weights(b)).then_with(|| a.cmp(b))
}

/// Account and path, then the query in the order of its names, the values of one name sorted and joined.
fn canonical_resource(head: &Head, account: &str) -> String {
    let mut query = BTreeMap::<String, Vec<&str>>::new();
    for (name, value) in &head.query {
        query.entry(name.to_lowercase()).or_default().push(value);
    }
    let mut resource = format!("/{account}{}", head.raw_path);
    for (name, mut values) in query {
        values.sort_unstable();
        resource.push_str(&format!("\n{name}:{}", values.join(",")));
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, HeaderName, HeaderValue, Method};

    fn head(method: Method, uri: &str, headers: &[(&str, &str)]) -> Head {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        Head::new(&method, &uri.parse().unwrap(), &map).unwrap()
    }

    /// The example of the page named above: Get Container Metadata with a timeout.
    #[test]
    fn the_published_example_of_a_whole_string() {
        let date = "Fri, 26 Jun 2015 23:39:12 GMT";
        let head = head(
            Method::GET,
            "/mycontainer?comp=metadata&restype=container&timeout=20",
            &[
                ("x-ms-date", date),
                ("x-ms-version", "2015-02-21"),
                ("content-length", "0"),
            ],
        );
        assert_eq!(
            string_to_sign(&head, "myaccount"),
            format!(
                "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:{date}\nx-ms-version:2015-02-21\n\
                 /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
            )
        );
    }

    /// The same page's examples of canonicalised resources.
    #[test]
    fn the_published_examples_of_resources() {
        let list = "/mycontainer?restype=container&comp=list&include=snapshots&include=metadata&include=uncommittedblobs";
        assert_eq!(
            canonical_resource(&head(Method::GET, list, &[]), "myaccount"),
            "/myaccount/mycontainer\ncomp:list\ninclude:metadata,snapshots,uncommittedblobs\nrestype:container"
        );
        let blob = head(Method::GET, "/mycontainer/myblob", &[]);
        assert_eq!(
            canonical_resource(&blob, "myaccount"),
            "/myaccount/mycontainer/myblob"
        );
    }

    #[test]
    fn names_of_headers_have_the_services_order() {
        let mut names = ["m-ab", "m-a1", "m-a", "m-a_", "date", "m-_a", "m-1"];
        names.sort_by(|a, b| collate(a, b));
        assert_eq!(
            names,
            ["date", "m-_a", "m-1", "m-a", "m-a_", "m-a1", "m-ab"]
        );
    }

    #[test]
    fn standard_headers_stand_in_their_order_and_dates_give_way() {
        let head = head(
            Method::PUT,
            "/a/c/b%20c",
            &[
                ("content-length", "11"),
                ("content-type", "text/plain"),
                ("content-md5", "md5"),
                ("date", "Sun, 11 Oct 2009 21:49:13 GMT"),
                ("x-ms-blob-type", "BlockBlob"),
                ("x-ms-meta-b", " two "),
                ("x-ms-meta-a", "one"),
                ("if-none-match", "*"),
                ("range", "bytes=0-1"),
            ],
        );
        assert_eq!(
            string_to_sign(&head, "a"),
            "PUT\n\n\n11\nmd5\ntext/plain\nSun, 11 Oct 2009 21:49:13 GMT\n\n\n*\n\nbytes=0-1\n\
             x-ms-blob-type:BlockBlob\nx-ms-meta-a:one\nx-ms-meta-b:two\n/a/a/c/b%20c"
        );
        assert_eq!(
            lite_string_to_sign(&head, "a"),
            "PUT\nmd5\ntext/plain\nSun, 11 Oct 2009 21:49:13 GMT\n\
             x-ms-blob-type:BlockBlob\nx-ms-meta-a:one\nx-ms-meta-b:two\n/a/a/c/b%20c"
        );
    }
}
