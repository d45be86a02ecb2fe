//! What kind of request this is, told from its method, path and query. Pure.

use super::blob::Marker;
use super::error::StorageError;
use crate::faults::OperationClass;
use crate::meter::RequestClass;
use crate::net::{Classified, Refusal, query_value};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};

/// Billing classes as the pricing page has them (azure.microsoft.com/pricing/details/storage/blobs): writes, and lists
/// like writes; everything else but deletes as reads.
pub(crate) fn classify(method: &Method, uri: &Uri) -> Classified {
    let comp = query_value(uri, "comp").unwrap_or_default();
    // Whatever is read of an account or a container names `comp` or `restype`; so it holds in host style, too.
    let names_blob = comp.is_empty() && query_value(uri, "restype").is_none();
    let plain = |billed_as, operations| Classified {
        billed_as,
        operations,
        has_object_body: false,
        list_page: None,
    };
    match *method {
        Method::GET if comp == "list" => Classified {
            list_page: Some(list_page(uri)),
            ..plain(RequestClass::Write, OperationClass::List)
        },
        Method::GET => Classified {
            has_object_body: names_blob,
            ..plain(RequestClass::Read, OperationClass::Read)
        },
        Method::PUT | Method::POST => plain(RequestClass::Write, OperationClass::Write),
        Method::DELETE => plain(RequestClass::Delete, OperationClass::Write),
        _ => plain(RequestClass::Read, OperationClass::Read),
    }
}

fn list_page(uri: &Uri) -> u32 {
    match query_value(uri, "marker").filter(|marker| !marker.is_empty()) {
        None => 1,
        // The marker's alphabet needs no percent-encoding.
        Some(marker) => Marker::decode(marker).map_or(2, |marker| marker.page),
    }
}

fn refusal(status: StatusCode, code: &'static str, message: &str) -> Refusal {
    let mut headers = HeaderMap::new();
    headers.insert("x-ms-error-code", HeaderValue::from_static(code));
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    Refusal {
        status,
        headers,
        body: StorageError::new(status, code, message).document(),
    }
}

/// The store throttles.
pub(crate) fn slow_down() -> Refusal {
    refusal(
        StatusCode::SERVICE_UNAVAILABLE,
        "ServerBusy",
        "The server is currently unable to receive requests. Please retry your request.",
    )
}

/// The store failed.
pub(crate) fn internal_error() -> Refusal {
    refusal(
        StatusCode::INTERNAL_SERVER_ERROR,
        "InternalError",
        "The server encountered an internal error. Please retry the request.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, uri: &str) -> Classified {
        classify(&method, &uri.parse().unwrap())
    }

    #[test]
    fn requests_are_billed_and_grouped_as_documented() {
        let get = of(Method::GET, "/a/c/b");
        assert_eq!(
            (get.billed_as, get.has_object_body),
            (RequestClass::Read, true)
        );
        assert!(!of(Method::GET, "/a/c/b?comp=metadata").has_object_body);
        assert!(!of(Method::GET, "/a/c?restype=container").has_object_body);
        assert_eq!(
            of(Method::PUT, "/a/c/b?comp=block&blockid=x").billed_as,
            RequestClass::Write
        );
        assert_eq!(of(Method::DELETE, "/a/c/b").billed_as, RequestClass::Delete);
        let list = of(Method::GET, "/a/c?restype=container&comp=list");
        assert_eq!(
            (list.billed_as, list.list_page),
            (RequestClass::Write, Some(1))
        );
        assert_eq!(
            of(Method::GET, "/a/c?comp=list&marker=x").list_page,
            Some(2)
        );
    }
}
