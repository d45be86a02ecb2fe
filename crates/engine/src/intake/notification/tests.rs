//! Every format as its cloud documents it, and garbage of every kind.

use super::*;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use serde_json::{Value, json};

const TIME: &str = "2026-01-02T03:04:05.678Z";

fn s3(name: &str, key: &str) -> String {
    format!(
        r#"{{"Records":[{{"eventVersion":"2.1","eventName":"{name}","eventTime":"{TIME}",
        "s3":{{"bucket":{{"name":"b"}},"object":{{"key":"{key}","size":12,"eTag":"x","sequencer":"00"}}}}}}]}}"#
    )
}

fn eventbridge(kind: &str) -> Value {
    json!({"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":kind,"source":"aws.s3",
        "account":"111122223333","time":"2026-01-02T03:04:05Z","region":"ca-central-1",
        "resources":["arn:aws:s3:::b"],
        "detail":{"version":"0","bucket":{"name":"b"},
            "object":{"key":"a b+%20ü","size":5,"etag":"x","version-id":"v","sequencer":"00617F08299329D189"},
            "request-id":"N4N7GDK58NMKJ12R","requester":"1","source-ip-address":"1.2.3.4","reason":"PutObject"}})
}

fn gcs_attributes(kind: &str, payload: &str) -> BTreeMap<String, String> {
    let pairs = [
        ("eventType", kind),
        ("bucketId", "b"),
        ("objectId", "a b+%20ü"),
        ("objectGeneration", "1"),
        ("eventTime", "2026-01-02T03:04:05.678901Z"),
        ("payloadFormat", payload),
        (
            "notificationConfig",
            "projects/_/buckets/b/notificationConfigs/1",
        ),
    ];
    pairs
        .map(|(name, value)| (name.into(), value.into()))
        .into()
}

fn gcs_resource() -> Value {
    json!({"kind":"storage#object","bucket":"b","name":"a b+%20ü","size":"12","updated":TIME,"generation":"1"})
}

fn gcs_push(data: &[u8], attributes: BTreeMap<String, String>) -> Value {
    json!({"message":{"data":STANDARD.encode(data),"attributes":attributes,"messageId":"7","message_id":"7",
        "publishTime":TIME,"publish_time":TIME},"subscription":"projects/p/subscriptions/s"})
}

fn grid(kind: &str) -> Value {
    json!({"topic":"/subscriptions/1/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/acme",
        "subject":"/blobServices/default/containers/models/blobs/dir/a b+ü.bin",
        "eventType":format!("Microsoft.Storage.{kind}"),"id":"831e1650","dataVersion":"","metadataVersion":"1",
        "eventTime":TIME,
        "data":{"api":"PutBlob","eTag":"x","contentLength":12,"blobType":"BlockBlob",
            "url":"https://acme.blob.core.windows.net/models/dir/a%20b+%C3%BC.bin","sequencer":"00",
            "sourceUrl":"https://acme.dfs.core.windows.net/models/old","destinationUrl":"https://acme.dfs.core.windows.net/models/new",
            "storageDiagnostics":{"batchId":"1"}}})
}

fn cloud(kind: &str) -> Value {
    let Value::Object(mut event) = grid(kind) else {
        unreachable!()
    };
    for (old, new) in [
        ("eventType", "type"),
        ("eventTime", "time"),
        ("topic", "source"),
    ] {
        let value = event.remove(old).unwrap();
        event.insert(new.into(), value);
    }
    event.insert("specversion".into(), "1.0".into());
    Value::Object(event)
}

fn sns(message: &str) -> String {
    json!({"Type":"Notification","MessageId":"1","TopicArn":"arn:aws:sns:us-east-1:1:t","Message":message,
        "Timestamp":TIME,"SignatureVersion":"1","Signature":"x"})
    .to_string()
}

fn keys(body: &str) -> Vec<String> {
    let events = parse(body.as_bytes()).unwrap_or_else(|error| panic!("{error}: {body}"));
    events.into_iter().map(|event| event.full_key).collect()
}

#[test]
fn s3_keys_are_decoded_as_s3_encodes_them() {
    for (encoded, key) in [
        ("a%2Fb+c", "a/b c"),
        ("%C3%BC%2B1", "ü+1"),
        ("a//b", "a//b"),
        ("..%2F..", "../.."),
    ] {
        let expected = BucketEvent {
            scheme: Scheme::S3,
            bucket: "b".into(),
            full_key: key.into(),
            changed: Some(Timestamp::parse(TIME).unwrap()),
            size: Some(12),
        };
        let body = s3("ObjectCreated:Put", encoded);
        assert_eq!(
            parse(body.as_bytes()).unwrap(),
            std::slice::from_ref(&expected)
        );
        assert_eq!(
            parse(sns(&body).as_bytes()).unwrap(),
            [expected],
            "through SNS"
        );
    }
}

#[test]
fn eventbridge_keys_are_not_encoded() {
    for kind in ["Object Created", "Object Deleted"] {
        let events = parse(eventbridge(kind).to_string().as_bytes()).unwrap();
        assert_eq!(
            (
                events[0].bucket.as_str(),
                events[0].full_key.as_str(),
                events[0].size
            ),
            ("b", "a b+%20ü", Some(5))
        );
        assert!(events[0].changed.is_some());
    }
    assert_eq!(
        keys(&sns(&eventbridge("Object Created").to_string())),
        ["a b+%20ü"]
    );
}

#[test]
fn cloud_storage_tells_by_attributes_and_adds_by_payload() {
    let resource = gcs_resource().to_string();
    for (payload, data, size) in [
        ("JSON_API_V1", resource.as_bytes(), Some(12)),
        ("NONE", b"", None),
    ] {
        for kind in ["OBJECT_FINALIZE", "OBJECT_DELETE", "OBJECT_METADATA_UPDATE"] {
            let expected = BucketEvent {
                scheme: Scheme::Gcs,
                bucket: "b".into(),
                full_key: "a b+%20ü".into(),
                changed: Some(Timestamp::parse(TIME).unwrap()),
                size,
            };
            let attributes = gcs_attributes(kind, payload);
            assert_eq!(
                parse_with(data, &attributes).unwrap(),
                std::slice::from_ref(&expected)
            );
            let push = gcs_push(data, attributes).to_string();
            let pushed = gcs::parse_push(push.as_bytes()).unwrap();
            assert_eq!(
                (pushed.message_id.as_str(), pushed.events.as_slice()),
                ("7", [expected].as_slice())
            );
            assert_eq!(parse(push.as_bytes()).unwrap(), pushed.events);
        }
    }
    // Without attributes the object's own metadata says which it is.
    assert_eq!(keys(&resource), ["a b+%20ü"]);
    assert_eq!(
        keys(&gcs_push(resource.as_bytes(), BTreeMap::new()).to_string()),
        ["a b+%20ü"]
    );
}

#[test]
fn blob_storage_tells_the_same_in_both_schemas() {
    for schema in [grid, cloud] {
        for kind in ["BlobCreated", "BlobDeleted"] {
            let expected = BucketEvent {
                scheme: Scheme::Azure,
                bucket: "acme/models".into(),
                full_key: "dir/a b+ü.bin".into(),
                changed: Some(Timestamp::parse(TIME).unwrap()),
                size: Some(12),
            };
            for body in [schema(kind), json!([schema(kind)])] {
                assert_eq!(
                    parse(body.to_string().as_bytes()).unwrap(),
                    std::slice::from_ref(&expected)
                );
            }
        }
        assert_eq!(keys(&schema("BlobRenamed").to_string()), ["old", "new"]);
        assert_eq!(
            keys(&schema("DirectoryCreated").to_string()),
            Vec::<String>::new()
        );
    }
}

#[test]
fn where_subject_and_url_differ_both_keys_are_looked_at() {
    let mut event = grid("BlobCreated");
    event["subject"] =
        "/blobServices/default/containers/models/blobs/tasklog_14\u{fffd}.log".into();
    event["data"]["url"] =
        "https://acme.blob.core.windows.net/models/tasklog_14%F0%9F%92%8E.log".into();
    assert_eq!(
        keys(&event.to_string()),
        ["tasklog_14💎.log", "tasklog_14\u{fffd}.log"]
    );
    // An account under a name of its own is known by the topic alone.
    event["data"]["url"] = "https://data.example.com".into();
    let events = parse(event.to_string().as_bytes()).unwrap();
    assert_eq!(
        (events.len(), events[0].bucket.as_str()),
        (1, "acme/models")
    );
}

#[test]
fn emulators_and_the_root_container_are_understood() {
    for (url, place) in [
        (
            "http://127.0.0.1:10000/devstoreaccount1/c/a%2Fb",
            ("devstoreaccount1/c", "a/b"),
        ),
        (
            "https://acme.blob.core.windows.net/top.bin",
            ("acme/$root", "top.bin"),
        ),
    ] {
        let mut event = grid("BlobCreated");
        event["topic"] = "".into();
        event["subject"] = "".into();
        event["data"]["url"] = url.into();
        let events = parse(event.to_string().as_bytes()).unwrap();
        assert_eq!(
            (events[0].bucket.as_str(), events[0].full_key.as_str()),
            place
        );
    }
}

#[test]
fn what_changes_nothing_and_test_messages_are_nothing() {
    let validation = json!([{"id":"1","topic":"/subscriptions/1","subject":"",
        "eventType":"Microsoft.EventGrid.SubscriptionValidationEvent","eventTime":TIME,"dataVersion":"1",
        "data":{"validationCode":"512d38b6","validationUrl":"https://example.com"}}]);
    let body = validation.to_string();
    for nothing in [
        s3("ObjectRestore:Completed", "k"),
        r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#.to_owned(),
        sns(r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}"#),
        json!({"Type":"SubscriptionConfirmation","TopicArn":"t","Message":"You have chosen","SubscribeURL":"https://x"}).to_string(),
        eventbridge("Object Restore Completed").to_string(),
        body.clone(),
    ] {
        assert_eq!(keys(&nothing), Vec::<String>::new(), "{nothing}");
    }
    let delivered = event_grid::parse_delivery(body.as_bytes()).unwrap();
    assert_eq!(delivered.validation_code.as_deref(), Some("512d38b6"));
    assert_eq!(
        parse_with(b"", &gcs_attributes("OBJECT_UNKNOWN", "NONE")).unwrap(),
        []
    );
}

#[test]
fn malformed_notifications_are_refused_whole() {
    let half =
        s3("ObjectCreated:Put", "good").replace("}]}", r#"},{"eventName":"ObjectCreated:Put"}]}"#);
    let mut other_service = grid("BlobCreated");
    other_service["eventType"] = "Microsoft.Resources.ResourceWriteSuccess".into();
    let mut no_place = grid("BlobCreated");
    no_place["data"]["url"] = "nonsense".into();
    no_place["subject"] = "nonsense".into();
    let deep = (0..4).fold(s3("ObjectCreated:Put", "k"), |inner, _| sns(&inner));
    for bad in [
        "",
        "{}",
        "[]x",
        "[{}]",
        "null",
        "7",
        "\"text\"",
        r#"{"Records":[{}]}"#,
        r#"{"Records":7}"#,
        r#"{"Event":"other"}"#,
        r#"{"message":{"data":"%%%","messageId":"1"},"subscription":"s"}"#,
        r#"{"message":{"data":"","messageId":"1"},"subscription":"s"}"#,
        r#"{"kind":"storage#bucket","bucket":"b","name":"n"}"#,
        r#"{"detail-type":"Object Created","source":"other","detail":{}}"#,
        r#"{"detail-type":"Object Created","source":"aws.s3"}"#,
        &s3("ObjectCreated:Put", "%ff"),
        &half,
        &deep,
        &json!([grid("BlobCreated"), other_service]).to_string(),
        &no_place.to_string(),
    ] {
        let refused = parse(bad.as_bytes());
        assert!(
            matches!(&refused, Err(error) if error.kind == Kind::Invalid),
            "{bad}: {refused:?}"
        );
    }
    assert!(parse(b"\xff\xfe").is_err());
    assert!(parse(&vec![b' '; LIMIT_BYTES + 1]).is_err());
    // Nesting beyond what a parser should follow, in every place that is not looked at.
    let nested = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(parse(nested.as_bytes()).is_err());
}

#[test]
fn an_event_concerns_the_rules_whose_source_it_lies_in() {
    let event = |scheme, bucket: &str, key: &str| BucketEvent {
        scheme,
        bucket: bucket.into(),
        full_key: key.into(),
        changed: None,
        size: None,
    };
    let key = |source: &str, event: &BucketEvent| {
        for_source(&source.parse().unwrap(), event).map(|event| event.key.to_string())
    };
    let s3 = event(Scheme::S3, "b", "models/a");
    assert_eq!(key("s3://b/models/", &s3).as_deref(), Some("a"));
    assert_eq!(
        key("mem://b/models/", &s3).as_deref(),
        Some("a"),
        "memory stands for any cloud"
    );
    for elsewhere in [
        "s3://b/other/",
        "s3://c/models/",
        "gs://b/models/",
        "file:///b",
    ] {
        assert_eq!(key(elsewhere, &s3), None, "{elsewhere}");
    }
    let gcs = event(Scheme::Gcs, "b", "models/a");
    assert_eq!(key("gs://b/", &gcs).as_deref(), Some("models/a"));
    assert_eq!(key("s3://b/", &gcs), None);
    let azure = event(Scheme::Azure, "acme/models", "a");
    assert_eq!(key("az://acme/models/", &azure).as_deref(), Some("a"));
    assert_eq!(key("az://other/models/", &azure), None);
    assert_eq!(key("az://acme/other/", &azure), None);
}

/// One valid body of each format.
fn valid() -> Vec<String> {
    let resource = gcs_resource().to_string();
    vec![
        s3("ObjectCreated:Put", "a%2Fb+c"),
        sns(&s3("ObjectCreated:Put", "k")),
        eventbridge("Object Created").to_string(),
        gcs_push(
            resource.as_bytes(),
            gcs_attributes("OBJECT_FINALIZE", "JSON_API_V1"),
        )
        .to_string(),
        json!([grid("BlobCreated")]).to_string(),
        cloud("BlobRenamed").to_string(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn garbage_never_panics(body in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&body);
        let _ = parse_with(&body, &gcs_attributes("OBJECT_FINALIZE", "JSON_API_V1"));
        let _ = gcs::parse_push(&body);
        let _ = event_grid::parse_delivery(&body);
    }

    #[test]
    fn damaged_messages_never_panic_and_never_give_more_than_was_in_them(
        which in 0usize..6, at in 0usize..2000, byte in any::<u8>(), cut in 0usize..2000,
    ) {
        let mut body = valid()[which].clone().into_bytes();
        let at = at % body.len();
        body[at] = byte;
        let cut = cut % (body.len() + 1);
        for body in [&body[..], &body[..cut]] {
            if let Ok(events) = parse(body) {
                prop_assert!(events.len() <= 2);
                prop_assert!(events.iter().all(|event| event.full_key.len() <= body.len()));
            }
        }
    }

    #[test]
    fn any_structure_of_known_names_never_panics(value in structure()) {
        let body = value.to_string();
        let _ = parse(body.as_bytes());
        let _ = event_grid::parse_delivery(body.as_bytes());
    }
}

/// JSON made of the names the formats use, in places where they do not belong.
fn structure() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec![
        "Records",
        "s3",
        "bucket",
        "object",
        "key",
        "name",
        "eventName",
        "Type",
        "TopicArn",
        "Message",
        "detail-type",
        "detail",
        "source",
        "message",
        "data",
        "attributes",
        "messageId",
        "subscription",
        "eventType",
        "type",
        "subject",
        "url",
        "kind",
        "specversion",
        "Event",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(vec![
            "aws.s3",
            "Object Created",
            "Notification",
            "Microsoft.Storage.BlobCreated",
            "ObjectCreated:Put",
            "storage#object",
            "https://a.blob.core.windows.net/c/k",
            "e30=",
            "{}",
            "",
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone(), inner, 0..6).prop_map(|map| map
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()),
        ]
    })
}
