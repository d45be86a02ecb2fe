//! What kind of request this is, told from its method, path and headers. Pure.

use crate::faults::OperationClass;
use crate::meter::RequestClass;
use crate::s3::ContinuationToken;
use http::{HeaderMap, Method, Uri};

/// A request, classified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Classified {
    pub(crate) billed_as: RequestClass,
    pub(crate) operations: OperationClass,
    pub(crate) has_object_body: bool,
    pub(crate) list_page: Option<u32>,
}

/// The value of a query parameter, still percent-encoded; empty where it is named without a value.
pub(crate) fn query_value<'a>(uri: &'a Uri, name: &str) -> Option<&'a str> {
    uri.query()?.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == name).then_some(value)
    })
}

fn decoded(value: &str) -> String {
    percent_encoding::percent_decode_str(value)
        .decode_utf8_lossy()
        .into_owned()
}

/// Sub-resources of a bucket whose GET is not a listing.
const BUCKET_SUBRESOURCES: [&str; 12] = [
    "location",
    "versioning",
    "acl",
    "policy",
    "tagging",
    "notification",
    "lifecycle",
    "cors",
    "encryption",
    "logging",
    "website",
    "replication",
];

pub(crate) fn classify(method: &Method, uri: &Uri) -> Classified {
    let names_key = uri
        .path()
        .trim_start_matches('/')
        .split_once('/')
        .is_some_and(|(_, key)| !key.is_empty());
    let has = |name| query_value(uri, name).is_some();
    let plain = |billed_as, operations| Classified {
        billed_as,
        operations,
        has_object_body: false,
        list_page: None,
    };
    match *method {
        Method::GET if names_key => Classified {
            has_object_body: !has("uploadId") && !has("tagging") && !has("attributes"),
            ..plain(RequestClass::Read, OperationClass::Read)
        },
        Method::GET if BUCKET_SUBRESOURCES.iter().any(|name| has(name)) => {
            plain(RequestClass::Read, OperationClass::Read)
        }
        Method::GET => Classified {
            list_page: Some(list_page(uri)),
            ..plain(RequestClass::Write, OperationClass::List)
        },
        Method::PUT => plain(RequestClass::Write, OperationClass::Write),
        Method::POST if has("delete") => plain(RequestClass::Delete, OperationClass::Write),
        Method::POST => plain(RequestClass::Write, OperationClass::Write),
        Method::DELETE => plain(RequestClass::Delete, OperationClass::Write),
        _ => plain(RequestClass::Read, OperationClass::Read),
    }
}

/// ListObjectsV2's token says which page it asks for; the older listings only tell the first page from the others.
fn list_page(uri: &Uri) -> u32 {
    if let Some(token) = query_value(uri, "continuation-token") {
        return ContinuationToken::decode(&decoded(token)).map_or(2, |token| token.page);
    }
    let goes_on = ["marker", "key-marker"]
        .iter()
        .any(|name| query_value(uri, name).is_some_and(|value| !value.is_empty()));
    if goes_on { 2 } else { 1 }
}

/// The region a request was signed for: from the header, or from a presigned URL.
pub(crate) fn signed_region(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let header = headers
        .get(http::header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok());
    let credential = match header {
        Some(header) => header
            .split_once("Credential=")?
            .1
            .split([',', ' '])
            .next()?
            .to_owned(),
        None => decoded(query_value(uri, "X-Amz-Credential")?),
    };
    // access key / date / region / service / aws4_request, and an access key may hold slashes.
    credential.rsplit('/').nth(2).map(str::to_owned)
}

/// The bucket that a path names.
pub(crate) fn bucket_name(uri: &Uri) -> Option<String> {
    let name = uri.path().strip_prefix('/')?.split('/').next()?;
    (!name.is_empty()).then(|| decoded(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, uri: &str) -> Classified {
        classify(&method, &uri.parse().unwrap())
    }

    #[test]
    fn requests_are_billed_and_grouped_as_documented() {
        let get = of(Method::GET, "/b/k");
        assert_eq!(
            (get.billed_as, get.has_object_body),
            (RequestClass::Read, true)
        );
        assert_eq!(of(Method::HEAD, "/b/k").billed_as, RequestClass::Read);
        assert_eq!(of(Method::PUT, "/b/k").billed_as, RequestClass::Write);
        assert_eq!(
            of(Method::POST, "/b/k?uploads").billed_as,
            RequestClass::Write
        );
        assert_eq!(
            of(Method::DELETE, "/b/k?uploadId=1").billed_as,
            RequestClass::Delete
        );
        assert_eq!(
            of(Method::POST, "/b?delete").billed_as,
            RequestClass::Delete
        );
        let list = of(Method::GET, "/b?list-type=2");
        assert_eq!(
            (list.billed_as, list.operations),
            (RequestClass::Write, OperationClass::List)
        );
        assert_eq!(list.list_page, Some(1));
        assert_eq!(of(Method::GET, "/b/?marker=x").list_page, Some(2));
        assert_eq!(of(Method::GET, "/b?location").list_page, None);
    }

    #[test]
    fn the_signed_region_is_found() {
        let mut headers = HeaderMap::new();
        let value = "AWS4-HMAC-SHA256 Credential=key/20261121/eu-west-1/s3/aws4_request, SignedHeaders=host";
        headers.insert("authorization", value.parse().unwrap());
        assert_eq!(
            signed_region(&"/b".parse().unwrap(), &headers).as_deref(),
            Some("eu-west-1")
        );
        let uri = "/b/k?X-Amz-Credential=key%2F20261121%2Fus-east-1%2Fs3%2Faws4_request"
            .parse()
            .unwrap();
        assert_eq!(
            signed_region(&uri, &HeaderMap::new()).as_deref(),
            Some("us-east-1")
        );
    }
}
