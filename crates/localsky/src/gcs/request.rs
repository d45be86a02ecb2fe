//! What a request asks for, told from its method, path and query. Pure.

use crate::faults::OperationClass;
use crate::meter::RequestClass;
use crate::net::Classified;
use http::{HeaderMap, Method, Uri};
use percent_encoding::percent_decode_str;

/// A request's query, decoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

fn decoded(text: &str, plus_is_space: bool) -> String {
    let text = if plus_is_space {
        text.replace('+', " ")
    } else {
        text.to_owned()
    };
    percent_decode_str(&text).decode_utf8_lossy().into_owned()
}

impl Query {
    pub(crate) fn of(uri: &Uri) -> Self {
        Self::parse(uri.query().unwrap_or_default())
    }

    pub(crate) fn parse(text: &str) -> Self {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decoded(name, true), decoded(value, true))
                })
                .collect(),
        )
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(crate) fn is_true(&self, name: &str) -> bool {
        // Google's Python library says `True`.
        self.get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// An object by bucket and name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectName {
    pub(crate) bucket: String,
    pub(crate) key: String,
}

/// What a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/storage/v1/b`.
    Buckets,
    Bucket(String),
    Objects(String),
    Object(ObjectName),
    /// `/upload/storage/v1/b/BUCKET/o`.
    Upload(String),
    Compose(ObjectName),
    CopyTo(ObjectName, ObjectName),
    RewriteTo(ObjectName, ObjectName),
    NotificationConfigs(String),
    NotificationConfig(String, String),
    /// `/storage/v1/projects/PROJECT/serviceAccount`.
    ServiceAccount(String),
    /// `/v1/projects/…`: the decoded segments after `projects`.
    PubSub(Vec<String>),
    /// The OAuth token endpoint.
    Token,
    /// The keys that sign pushes.
    Certificates,
    /// `/`: the XML API's list of buckets.
    XmlService,
    XmlBucket(String),
    XmlObject(ObjectName),
    /// Below `/storage/v1`, but no such method.
    Unknown,
}

impl Route {
    pub(crate) fn of(path: &str) -> Route {
        let raw: Vec<&str> = path.strip_prefix('/').unwrap_or(path).split('/').collect();
        let raw = match raw.as_slice() {
            ["download", "storage", "v1", rest @ ..] => [&["storage", "v1"], rest].concat(),
            _ => raw,
        };
        let name = |bucket: &str, key: &str| ObjectName {
            bucket: decoded(bucket, false),
            key: decoded(key, false),
        };
        match raw.as_slice() {
            ["token"] => Route::Token,
            ["oauth2", "v3", "certs"] => Route::Certificates,
            ["v1", "projects", rest @ ..] if !rest.is_empty() => {
                Route::PubSub(rest.iter().map(|part| decoded(part, false)).collect())
            }
            ["upload", "storage", "v1", "b", bucket, "o"] => Route::Upload(decoded(bucket, false)),
            ["storage", "v1", "projects", project, "serviceAccount"] => {
                Route::ServiceAccount(decoded(project, false))
            }
            ["storage", "v1", "b"] => Route::Buckets,
            ["storage", "v1", "b", bucket] => Route::Bucket(decoded(bucket, false)),
            ["storage", "v1", "b", bucket, "o"] => Route::Objects(decoded(bucket, false)),
            ["storage", "v1", "b", bucket, "o", key] if !key.is_empty() => {
                Route::Object(name(bucket, key))
            }
            ["storage", "v1", "b", bucket, "o", key, "compose"] => {
                Route::Compose(name(bucket, key))
            }
            [
                "storage",
                "v1",
                "b",
                from,
                "o",
                key,
                verb,
                "b",
                to,
                "o",
                target,
            ] => {
                let (from, to) = (name(from, key), name(to, target));
                match *verb {
                    "copyTo" => Route::CopyTo(from, to),
                    "rewriteTo" => Route::RewriteTo(from, to),
                    _ => Route::Unknown,
                }
            }
            ["storage", "v1", "b", bucket, "notificationConfigs"] => {
                Route::NotificationConfigs(decoded(bucket, false))
            }
            ["storage", "v1", "b", bucket, "notificationConfigs", id] => {
                Route::NotificationConfig(decoded(bucket, false), decoded(id, false))
            }
            ["storage" | "upload", ..] => Route::Unknown,
            [""] => Route::XmlService,
            [bucket] | [bucket, ""] => Route::XmlBucket(decoded(bucket, false)),
            [bucket, ..] => {
                // Slashes belong to the key, also several in a row.
                let key = &path[1 + bucket.len() + 1..];
                Route::XmlObject(name(bucket, key))
            }
            [] => Route::XmlService,
        }
    }

    /// Whether the XML API answers.
    pub(crate) fn is_xml(&self) -> bool {
        matches!(
            self,
            Route::XmlService | Route::XmlBucket(_) | Route::XmlObject(_)
        )
    }
}

/// How a request is billed and which faults hit it (<https://cloud.google.com/storage/pricing#operations-pricing>:
/// inserts, copies and lists are class A, reads class B, deletes free).
pub(crate) fn classify(method: &Method, uri: &Uri) -> Classified {
    let query = Query::of(uri);
    let plain = |billed_as, operations| Classified {
        billed_as,
        operations,
        has_object_body: false,
        list_page: None,
    };
    let read = plain(RequestClass::Read, OperationClass::Read);
    let write = plain(RequestClass::Write, OperationClass::Write);
    let list = |token: Option<&str>| Classified {
        list_page: Some(token.map_or(1, |token| super::list::PageToken::decode(token).page())),
        ..plain(RequestClass::Write, OperationClass::List)
    };
    match (Route::of(uri.path()), method) {
        (Route::Token | Route::Certificates | Route::PubSub(_), _) => {
            plain(RequestClass::Unbilled, OperationClass::Any)
        }
        // Taken as one operation, however many chunks it has: the request that began it was counted.
        (Route::Upload(_), &Method::PUT) if query.has("upload_id") => {
            plain(RequestClass::Unbilled, OperationClass::Write)
        }
        (_, &Method::DELETE) => plain(RequestClass::Delete, OperationClass::Write),
        (Route::Object(_), &Method::GET) => Classified {
            has_object_body: query.get("alt") == Some("media"),
            ..read
        },
        (Route::XmlObject(_), &Method::GET) => Classified {
            has_object_body: !query.has("uploadId"),
            ..read
        },
        (Route::Objects(_) | Route::Buckets, &Method::GET) => list(query.get("pageToken")),
        (Route::XmlBucket(_), &Method::GET) if query.has("uploads") => list(None),
        (Route::XmlBucket(_), &Method::GET) => {
            list(query.get("continuation-token").or(query.get("marker")))
        }
        (_, &Method::GET | &Method::HEAD) => read,
        _ => write,
    }
}

/// A header's text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(bucket: &str, key: &str) -> ObjectName {
        ObjectName {
            bucket: bucket.into(),
            key: key.into(),
        }
    }

    #[test]
    fn paths_name_what_is_documented() {
        let routes = [
            (
                "/storage/v1/b/bu/o/a%2Fb%20c",
                Route::Object(object("bu", "a/b c")),
            ),
            (
                "/download/storage/v1/b/bu/o/a",
                Route::Object(object("bu", "a")),
            ),
            (
                "/storage/v1/b/bu/o/a/compose",
                Route::Compose(object("bu", "a")),
            ),
            (
                "/storage/v1/b/bu/o/a/rewriteTo/b/c/o/d",
                Route::RewriteTo(object("bu", "a"), object("c", "d")),
            ),
            ("/upload/storage/v1/b/bu/o", Route::Upload("bu".into())),
            (
                "/bucket//a/%2Fb/",
                Route::XmlObject(object("bucket", "/a//b/")),
            ),
            ("/bucket/", Route::XmlBucket("bucket".into())),
            ("/", Route::XmlService),
            ("/storage/v1/nothing", Route::Unknown),
        ];
        for (path, route) in routes {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn requests_are_billed_by_class() {
        let of = |method: Method, uri: &str| classify(&method, &uri.parse().unwrap());
        assert_eq!(
            of(Method::GET, "/storage/v1/b/b/o").operations,
            OperationClass::List
        );
        assert!(of(Method::GET, "/storage/v1/b/b/o/k?alt=media").has_object_body);
        assert!(!of(Method::GET, "/storage/v1/b/b/o/k").has_object_body);
        let chunk = of(Method::PUT, "/upload/storage/v1/b/b/o?upload_id=1");
        assert_eq!(chunk.billed_as, RequestClass::Unbilled);
        assert_eq!(of(Method::DELETE, "/b/k").billed_as, RequestClass::Delete);
    }
}
