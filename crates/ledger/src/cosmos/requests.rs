//! One attempt at one request.

use super::CosmosDocuments;
use super::client::Ask;
use super::errors::{failure, lacks_container};
use super::item::{Item, hex, item_id};
use super::signing::Resource;
use crate::Error;
use crate::remote::{Attempted, Failure, name};
use crate::shared::{Condition, DocumentId, Stamp, Written};
use bytes::Bytes;
use hyper::Method;
use hyper::header::HeaderValue;
use serde::Deserialize;
use serde_json::json;
use skyfresh_sky::Kind;

/// Most items in a page: the service counts bytes, up to 4 MB, on its own.
const PAGE_ITEMS: usize = 1000;

/// A query of one partition.
#[derive(Debug)]
pub(super) struct Query {
    partition: String,
    body: Bytes,
}

impl Query {
    /// Items with `from <= sort < to`.
    pub(super) fn new(partition: &str, from: &[u8], to: &[u8], reverse: bool) -> Self {
        let order = if reverse { "DESC" } else { "ASC" };
        let body = json!({
            "query": format!(
                "SELECT * FROM c WHERE c.p = @p AND c.s >= @from AND c.s < @to ORDER BY c.s {order}"
            ),
            "parameters": [
                {"name": "@p", "value": partition},
                {"name": "@from", "value": hex(from)},
                {"name": "@to", "value": hex(to)},
            ],
        });
        Query {
            partition: partition.to_owned(),
            body: body.to_string().into(),
        }
    }
}

/// A part of a query's result.
#[derive(Debug)]
pub(super) struct Page {
    /// In the order asked for.
    pub(super) items: Vec<Item>,
    /// To be sent with the request for the next page, where there is one.
    pub(super) continuation: Option<String>,
}

/// The body of a page.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "Documents")]
    documents: Vec<Item>,
}

impl CosmosDocuments {
    /// One point read.
    pub(super) async fn get_once(&self, id: &DocumentId) -> Attempted<Option<Item>> {
        let target = name(id);
        let link = self.item_link(id);
        let mut headers = vec![partition_key(&id.partition)?];
        if self.client.is_emulator() {
            // Without it, `@vercel/cosmosdb-server` 1.0.1 answers 500 where there is no such item.
            let yes = HeaderValue::from_static("True");
            headers.push(("x-ms-documentdb-query-enablecrosspartition", yes));
        }
        let answer = self
            .client
            .send(Ask {
                operation: "get",
                target: &target,
                method: Method::GET,
                resource: docs(&link),
                path: &link,
                headers,
                body: Bytes::new(),
            })
            .await?;
        match answer.status {
            200 => {
                let item: Item = parse("get", &target, &answer.body)?;
                item.check_is("get", id).map_err(Failure::Final)?;
                Ok(Some(item))
            }
            404 if !lacks_container(&answer) => Ok(None),
            _ => Err(failure("get", &target, &answer)),
        }
    }

    /// One write of a whole item.
    pub(super) async fn put_once(
        &self,
        id: &DocumentId,
        item: &Item,
        condition: &Condition,
    ) -> Attempted<Written> {
        let target = name(id);
        let (container, own) = (self.container_link(), self.item_link(id));
        let documents = format!("{container}/docs");
        let mut headers = vec![
            partition_key(&id.partition)?,
            // The item need not come back: its new `_etag` is in a header.
            ("prefer", HeaderValue::from_static("return=minimal")),
        ];
        let (method, link, path) = match condition {
            Condition::Any => {
                let yes = HeaderValue::from_static("True");
                headers.push(("x-ms-documentdb-is-upsert", yes));
                (Method::POST, &container, &documents)
            }
            Condition::Absent => (Method::POST, &container, &documents),
            Condition::Unchanged(stamp) => {
                headers.push(if_match("put", &target, stamp)?);
                (Method::PUT, &own, &own)
            }
        };
        let answer = self
            .client
            .send(Ask {
                operation: "put",
                target: &target,
                method,
                resource: docs(link),
                path,
                headers,
                body: serde_json::to_vec(item)
                    .map_err(|error| internal("put", &target, error))?
                    .into(),
            })
            .await?;
        match (answer.status, condition) {
            (200 | 201, _) => match answer.etag.filter(|etag| !etag.is_empty()) {
                Some(etag) => Ok(Written::Done(Some(Stamp(etag)))),
                None => Err(Failure::Lost(Error::new(
                    Kind::RetryAfter,
                    "put",
                    target,
                    "it was written, but the answer does not say in which state",
                ))),
            },
            (409, Condition::Absent) | (412, Condition::Unchanged(_)) => Ok(Written::Refused),
            (404, Condition::Unchanged(_)) if !lacks_container(&answer) => Ok(Written::Refused),
            _ => Err(failure("put", &target, &answer)),
        }
    }

    /// One removal.
    pub(super) async fn delete_once(
        &self,
        id: &DocumentId,
        condition: &Condition,
    ) -> Attempted<Written> {
        let target = name(id);
        let link = self.item_link(id);
        let mut headers = vec![partition_key(&id.partition)?];
        if let Condition::Unchanged(stamp) = condition {
            headers.push(if_match("delete", &target, stamp)?);
        }
        let answer = self
            .client
            .send(Ask {
                operation: "delete",
                target: &target,
                method: Method::DELETE,
                resource: docs(&link),
                path: &link,
                headers,
                body: Bytes::new(),
            })
            .await?;
        match (answer.status, condition) {
            (200 | 204, _) => Ok(Written::Done(None)),
            (404, _) if lacks_container(&answer) => Err(failure("delete", &target, &answer)),
            (404, Condition::Any) => Ok(Written::Done(None)),
            (404 | 412, Condition::Unchanged(_)) => Ok(Written::Refused),
            _ => Err(failure("delete", &target, &answer)),
        }
    }

    /// One page of a query.
    pub(super) async fn query_once(
        &self,
        query: &Query,
        limit: usize,
        continuation: Option<&str>,
    ) -> Attempted<Page> {
        let target = &query.partition;
        let link = self.container_link();
        let mut headers = vec![
            partition_key(&query.partition)?,
            (
                "content-type",
                HeaderValue::from_static("application/query+json"),
            ),
            ("x-ms-documentdb-isquery", HeaderValue::from_static("True")),
            (
                "x-ms-max-item-count",
                HeaderValue::from(limit.min(PAGE_ITEMS)),
            ),
        ];
        if let Some(continuation) = continuation {
            let value = HeaderValue::from_str(continuation)
                .map_err(|error| internal("scan", target, error))?;
            headers.push(("x-ms-continuation", value));
        }
        let answer = self
            .client
            .send(Ask {
                operation: "scan",
                target,
                method: Method::POST,
                resource: docs(&link),
                path: &format!("{link}/docs"),
                headers,
                body: query.body.clone(),
            })
            .await?;
        if answer.status != 200 {
            return Err(failure("scan", target, &answer));
        }
        let found: Found = parse("scan", target, &answer.body)?;
        Ok(Page {
            items: found.documents,
            continuation: answer.continuation,
        })
    }

    /// `dbs/DATABASE/colls/CONTAINER`
    pub(super) fn container_link(&self) -> String {
        format!("dbs/{}/colls/{}", self.database, self.container)
    }

    fn item_link(&self, id: &DocumentId) -> String {
        format!("{}/docs/{}", self.container_link(), item_id(&id.sort))
    }
}

fn docs(link: &str) -> Resource<'_> {
    Resource { kind: "docs", link }
}

/// The partition as JSON in a header, where anything but ASCII is escaped.
fn partition_key(partition: &str) -> Attempted<(&'static str, HeaderValue)> {
    let mut text = String::new();
    for character in json!([partition]).to_string().chars() {
        if character.is_ascii() && character != '\u{7f}' {
            text.push(character);
        } else {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                text.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    let value = HeaderValue::from_str(&text).map_err(|error| internal("ask", partition, error))?;
    Ok(("x-ms-documentdb-partitionkey", value))
}

fn if_match(
    operation: &'static str,
    target: &str,
    stamp: &Stamp,
) -> Attempted<(&'static str, HeaderValue)> {
    let value =
        HeaderValue::from_str(&stamp.0).map_err(|error| internal(operation, target, error))?;
    Ok(("if-match", value))
}

/// Reads an answer that said it was a success.
fn parse<'a, T: Deserialize<'a>>(
    operation: &'static str,
    target: &str,
    body: &'a [u8],
) -> Attempted<T> {
    serde_json::from_slice(body).map_err(|error| {
        let why = format!("the answer cannot be read: {error}");
        Failure::Final(Error::new(Kind::Corrupt, operation, target, why))
    })
}

fn internal(operation: &'static str, target: &str, error: impl std::fmt::Display) -> Failure {
    Failure::Final(Error::new(
        Kind::Internal,
        operation,
        target,
        error.to_string(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_partition_fits_a_header() {
        let (_, value) = partition_key("a\"ü\u{1f600}\n\u{7f}").unwrap();
        let text = value.to_str().unwrap();
        assert_eq!(text, r#"["a\"\u00fc\ud83d\ude00\n\u007f"]"#);
        let back: Vec<String> = serde_json::from_str(text).unwrap();
        assert_eq!(back, ["a\"ü\u{1f600}\n\u{7f}"]);
    }
}
