//! Many deletes by one request: what each key's answer means, and when conditions in it are believed.

mod s3_support;

use s3_support::scripted::{Received, Reply, Scripted};
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Rng, SystemClock};
use skyfresh_store::s3::S3Store;
use skyfresh_store::{ConditionSupport, Deletion, ObjectStore, Precondition, Result};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const OBJECTS: usize = 20;

fn store(server: &Scripted) -> S3Store {
    let location = s3_support::place(&server.address, "b", "p/");
    let config = s3_support::config();
    S3Store::new(location, config, Arc::new(SystemClock), Rng::seeded(1)).expect("a store")
}

fn deletions(precondition: &Precondition) -> Vec<Deletion> {
    (0..OBJECTS)
        .map(|index| Deletion {
            key: ObjectKey::new(format!("k{index:02}")).unwrap(),
            precondition: precondition.clone(),
        })
        .collect()
}

/// The keys that a request to delete many names.
fn keys(request: &Received) -> Vec<String> {
    let body = String::from_utf8(request.body.clone()).unwrap();
    body.split("<Key>")
        .skip(1)
        .map(|rest| rest.split("</Key>").next().unwrap().to_owned())
        .collect()
}

fn answer(lines: &str) -> Reply {
    let body = format!(
        "<DeleteResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">{lines}</DeleteResult>"
    );
    Reply::new("200 OK", "", &body)
}

fn deleted(key: &str) -> String {
    format!("<Deleted><Key>{key}</Key></Deleted>")
}

fn refused(key: &str, code: &str) -> String {
    format!("<Error><Key>{key}</Key><Code>{code}</Code><Message>scripted</Message></Error>")
}

fn batches(server: &Scripted) -> Vec<Vec<String>> {
    let batch = |request: &Received| request.line.starts_with("POST /b?delete");
    server
        .received()
        .iter()
        .filter(|request| batch(request))
        .map(keys)
        .collect()
}

#[tokio::test]
async fn each_key_has_its_own_fate() {
    let tries = AtomicUsize::new(0);
    let server = Scripted::deciding(move |request| {
        assert!(request.header("content-md5").is_some(), "S3 wants a digest");
        let first = tries.fetch_add(1, Ordering::Relaxed) == 0;
        let line = |key: &String| match key.as_str() {
            "p/k03" => refused(key, "AccessDenied"),
            "p/k05" if first => refused(key, "InternalError"),
            "p/k06" => refused(key, "SlowDown"),
            // Nothing is said of it.
            "p/k07" => String::new(),
            _ => deleted(key),
        };
        answer(&keys(request).iter().map(line).collect::<String>())
    })
    .await;
    let results = store(&server)
        .delete_many(&deletions(&Precondition::None))
        .await;
    assert_eq!(results.len(), OBJECTS);
    for (index, result) in results.iter().enumerate() {
        let expected = match index {
            3 => Some(Kind::Denied),
            6 | 7 => Some(Kind::RetryAfter),
            _ => None,
        };
        let kind = result.as_ref().err().map(|error| error.kind);
        assert_eq!(kind, expected, "{index}: {result:?}");
    }
    let silent = results[7].as_ref().unwrap_err().to_string();
    assert!(silent.contains("does not say"), "{silent}");
    let sent = batches(&server);
    assert_eq!(sent[0].len(), OBJECTS);
    assert_eq!(sent[1], ["p/k05", "p/k06", "p/k07"], "only these again");
    assert_eq!(sent[2], ["p/k06", "p/k07"]);
    assert_eq!(sent.len(), 3, "and not for ever");
}

#[tokio::test]
async fn a_request_that_fails_is_the_fate_of_all() {
    let server = Scripted::start([Reply::error("403 Forbidden", "", "AccessDenied")]).await;
    let results = store(&server)
        .delete_many(&deletions(&Precondition::None))
        .await;
    assert_eq!(results.len(), OBJECTS);
    assert!(results.iter().all(|result| {
        result
            .as_ref()
            .is_err_and(|error| error.kind == Kind::Denied)
    }));
}

/// A store of objects whose entity tag is `e`, all but one, which is `other` by now.
#[derive(Clone, Default)]
struct Objects {
    gone: Arc<Mutex<BTreeSet<String>>>,
}

impl Objects {
    fn tag(key: &str) -> &'static str {
        match key {
            "p/k09" => "other",
            _ => "e",
        }
    }

    /// Serves HEAD, conditional DELETE and batches, the latter with conditions or without.
    async fn serve(&self, heeds: bool) -> Scripted {
        let objects = self.clone();
        Scripted::deciding(move |request| {
            let path = request.line.split([' ', '?']).nth(1).unwrap();
            let key = path.trim_start_matches("/b/").to_owned();
            let mut gone = objects.gone.lock().unwrap();
            let tag = Objects::tag(&key);
            if request.line.starts_with("HEAD") {
                return match gone.contains(&key) {
                    true => Reply::new("404 Not Found", "", ""),
                    false => Reply::Send(format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"{tag}\"\r\n\
                         Last-Modified: Tue, 14 Nov 2023 22:13:20 GMT\r\n\r\n"
                    )),
                };
            }
            if request.line.starts_with("DELETE") {
                if request.header("if-match") != Some(&*format!("\"{tag}\"")) {
                    return Reply::error("412 Precondition Failed", "", "PreconditionFailed");
                }
                gone.insert(key);
                return Reply::new("204 No Content", "", "");
            }
            let body = String::from_utf8(request.body.clone()).unwrap();
            let asked = body
                .split("<ETag>")
                .skip(1)
                .map(|rest| rest.split("</ETag>").next());
            let mut lines = String::new();
            for (key, asked) in keys(request).iter().zip(asked) {
                let matches =
                    asked.unwrap().contains(Objects::tag(key)) && asked.unwrap().len() < 20;
                if heeds && !matches {
                    lines.push_str(&refused(key, "PreconditionFailed"));
                } else {
                    gone.insert(key.clone());
                    lines.push_str(&deleted(key));
                }
            }
            answer(&lines)
        })
        .await
    }
}

fn listed() -> Vec<Deletion> {
    deletions(&Precondition::Version(ObjectVersion::from_etag("e")))
}

fn all_but_the_changed_one(results: &[Result<()>], objects: &Objects) {
    for (index, result) in results.iter().enumerate() {
        match index {
            9 => assert_eq!(result.as_ref().unwrap_err().kind, Kind::Precondition),
            _ => assert!(result.is_ok(), "{index}: {result:?}"),
        }
    }
    let gone = objects.gone.lock().unwrap();
    assert_eq!(gone.len(), OBJECTS - 1);
    assert!(
        !gone.contains("p/k09"),
        "it was changed since it was listed"
    );
}

#[tokio::test]
async fn conditions_in_a_batch_are_tried_once_and_then_believed() {
    let objects = Objects::default();
    let server = objects.serve(true).await;
    let store = store(&server);
    all_but_the_changed_one(&store.delete_many(&listed()).await, &objects);
    let sent = batches(&server);
    assert_eq!(sent[0], ["p/k00"], "one key under a false condition");
    assert_eq!(sent[1].len(), OBJECTS);
    assert_eq!(sent.len(), 2);
    objects.gone.lock().unwrap().clear();
    all_but_the_changed_one(&store.delete_many(&listed()).await, &objects);
    assert_eq!(batches(&server).len(), 3, "it is known now");
}

#[tokio::test]
async fn a_store_that_ignores_conditions_in_a_batch_gets_none() {
    let objects = Objects::default();
    let server = objects.serve(false).await;
    let store = store(&server);
    all_but_the_changed_one(&store.delete_many(&listed()).await, &objects);
    assert_eq!(batches(&server), [["p/k00"]], "after a look at it");
    let known = store.capabilities().batch_delete.unwrap();
    assert_eq!(known.if_version, ConditionSupport::Ignored);
    assert_eq!(store.capabilities().deletes_a_request(true), 1);
    assert_eq!(store.capabilities().deletes_a_request(false), 1000);
}
