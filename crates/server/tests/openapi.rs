//! `docs/openapi.json` against what is really answered: every field of an answer is described, and every described field
//! that is required is there.

mod common;

use common::{Answer, Running, models, notification, start_with};
use futures::FutureExt;
use serde_json::Value;
use skyfresh_engine::Applied;
use skyfresh_server::{OPENAPI, ServerOptions};
use std::sync::Arc;

/// The subset of JSON Schema 2020-12 that the document uses; a keyword outside it fails the test.
struct Schemas(Value);

impl Schemas {
    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                self.0
                    .pointer(pointer)
                    .unwrap_or_else(|| panic!("{reference} is not there"))
            }
            None => schema,
        }
    }

    fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        let schema = self.resolve(schema).as_object().unwrap();
        let wrong = |why: String| Err(format!("{at}: {why}: {value}"));
        for (keyword, rule) in schema {
            match keyword.as_str() {
                "description" | "default" | "properties" => {}
                "type" => {
                    let types: Vec<&str> = match rule {
                        Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
                        one => vec![one.as_str().unwrap()],
                    };
                    if !types.iter().any(|name| is_type(name, value)) {
                        return wrong(format!("is none of {types:?}"));
                    }
                }
                "const" if value != rule => return wrong(format!("is not {rule}")),
                "enum" if !rule.as_array().unwrap().contains(value) => {
                    return wrong(format!("is not in {rule}"));
                }
                "const" | "enum" => {}
                "minimum"
                    if value
                        .as_f64()
                        .is_some_and(|number| number < rule.as_f64().unwrap()) =>
                {
                    return wrong(format!("is below {rule}"));
                }
                "maximum"
                    if value
                        .as_f64()
                        .is_some_and(|number| number > rule.as_f64().unwrap()) =>
                {
                    return wrong(format!("is above {rule}"));
                }
                "minItems"
                    if value
                        .as_array()
                        .is_some_and(|all| (all.len() as u64) < rule.as_u64().unwrap()) =>
                {
                    return wrong(format!("has fewer than {rule}"));
                }
                "maxItems"
                    if value
                        .as_array()
                        .is_some_and(|all| all.len() as u64 > rule.as_u64().unwrap()) =>
                {
                    return wrong(format!("has more than {rule}"));
                }
                "minimum" | "maximum" | "minItems" | "maxItems" => {}
                "items" => {
                    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.check(rule, item, &format!("{at}/{index}"))?;
                    }
                }
                "prefixItems" => {
                    for (index, (rule, item)) in rule
                        .as_array()
                        .unwrap()
                        .iter()
                        .zip(value.as_array().into_iter().flatten())
                        .enumerate()
                    {
                        self.check(rule, item, &format!("{at}/{index}"))?;
                    }
                }
                "propertyNames" => {
                    for name in value.as_object().unwrap().keys() {
                        self.check(rule, &Value::from(name.as_str()), at)?;
                    }
                }
                "required" => {
                    for name in rule.as_array().unwrap() {
                        if value.get(name.as_str().unwrap()).is_none() {
                            return wrong(format!("lacks {name}"));
                        }
                    }
                }
                "additionalProperties" => {}
                "oneOf" => {
                    let results = rule
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|one| self.check(one, value, at));
                    let (fitting, errors): (Vec<_>, Vec<_>) = results.partition(Result::is_ok);
                    if fitting.len() != 1 {
                        return wrong(format!(
                            "fits {} of the alternatives: {errors:?}",
                            fitting.len()
                        ));
                    }
                }
                other => return wrong(format!("the test does not know the keyword {other}")),
            }
        }
        let (Some(object), true) = (
            value.as_object(),
            schema.contains_key("properties") || schema.contains_key("additionalProperties"),
        ) else {
            return Ok(());
        };
        for (name, field) in object {
            let described = schema
                .get("properties")
                .and_then(|all| all.get(name))
                .or(schema.get("additionalProperties"));
            match described {
                Some(described) => self.check(described, field, &format!("{at}/{name}"))?,
                None => return Err(format!("{at}: {name} is not described")),
            }
        }
        Ok(())
    }

    /// Checks an answer against what the document says of its operation and status.
    fn check_answer(&self, method: &str, path: &str, answer: &Answer) {
        let operation = &self.0["paths"][path][method.to_lowercase()];
        let response = self.resolve(&operation["responses"][answer.status.to_string()]);
        let schema = &response["content"]["application/json"]["schema"];
        assert!(
            schema.is_object(),
            "{method} {path}: {} is not described",
            answer.status
        );
        self.check(
            schema,
            &answer.json(),
            &format!("{method} {path} {}", answer.status),
        )
        .unwrap();
        for header in response["headers"]
            .as_object()
            .into_iter()
            .flat_map(|all| all.keys())
        {
            assert!(
                answer.header(header).is_some(),
                "{method} {path} {}: no {header}",
                answer.status
            );
        }
    }
}

fn is_type(name: &str, value: &Value) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        other => panic!("no type {other}"),
    }
}

#[test]
fn the_checker_finds_what_is_wrong() {
    let schemas = Schemas(serde_json::from_str(OPENAPI).unwrap());
    let check = |value: Value| {
        schemas.check(
            &serde_json::json!({ "$ref": "#/components/schemas/Lag" }),
            &value,
            "",
        )
    };
    let good = serde_json::json!({ "changes": 1, "p50_s": 0.5, "p99_s": null, "max_s": null, "slo_attainment": 1.0 });
    assert_eq!(check(good.clone()), Ok(()));
    for (field, bad) in [
        ("changes", "x".into()),
        ("slo_attainment", 1.5.into()),
        ("p50_s", (-1).into()),
        ("new", 1.into()),
    ] {
        let mut value = good.clone();
        value[field] = bad;
        assert!(check(value).is_err(), "{field}");
    }
    let mut lacking = good;
    lacking.as_object_mut().unwrap().remove("changes");
    assert!(check(lacking).is_err());
}

async fn with_a_failing_destination() -> Running {
    let mut rule = models();
    rule.delete = true;
    rule.max_deletes = 0;
    rule.bandwidth = Some("50MB".to_owned().try_into().unwrap());
    rule.exclude = vec!["*.tmp".into()];
    rule.destinations.push(skyfresh_engine::Destination {
        name: "elsewhere".into(),
        location: common::location("mem://second/"),
        region: None,
        storage_class: [("*".to_owned(), "STANDARD_IA".to_owned())].into(),
        server_copy: false,
    });
    let sky = common::memory_sky();
    sky.create_bucket("second");
    let options = ServerOptions {
        allow_unauthenticated_notifications: true,
        reload: Some(Arc::new(|| {
            async {
                Ok(Applied {
                    started: vec!["a".into()],
                    ..Applied::default()
                })
            }
            .boxed()
        })),
        ..ServerOptions::default()
    };
    let running = start_with(
        options,
        vec![rule],
        Arc::new(skyfresh_ledger::MemoryLedger::new()),
        sky,
    )
    .await;
    running.ready().await;
    let swept = |answer: &Answer| {
        answer.json()["destinations"]
            .as_array()
            .unwrap()
            .iter()
            .all(|lane| !lane["sweep"].is_null())
    };
    running.get_until("/v1/status/models", swept).await;
    running.put("k", b"12345").await;
    // From now on the second destination takes nothing more.
    running.sky.remove_bucket("second");
    running
        .send("POST", "/v1/notifications", &[], &notification("k"))
        .await;
    let told = |answer: &Answer| {
        let lanes = &answer.json()["destinations"];
        lanes[0]["totals"]["outcomes"]["copied"] == 1
            && !lanes[1]["failing"].as_array().unwrap().is_empty()
    };
    running.get_until("/v1/status/models", told).await;
    running
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_as_the_document_describes_them() {
    let schemas = Schemas(serde_json::from_str(OPENAPI).unwrap());
    let running = with_a_failing_destination().await;
    for (method, path, asked, status) in [
        ("GET", "/openapi.json", "/openapi.json", 200),
        ("GET", "/healthz", "/healthz", 200),
        ("GET", "/readyz", "/readyz", 200),
        ("GET", "/v1/rules", "/v1/rules", 200),
        ("GET", "/v1/status", "/v1/status", 200),
        ("GET", "/v1/status/{rule}", "/v1/status/models", 200),
        ("GET", "/v1/status/{rule}", "/v1/status/nosuch", 404),
        (
            "GET",
            "/v1/rules/{rule}/explain",
            "/v1/rules/models/explain?key=k",
            200,
        ),
        (
            "GET",
            "/v1/rules/{rule}/explain",
            "/v1/rules/models/explain",
            400,
        ),
        (
            "POST",
            "/v1/rules/{rule}/pause",
            "/v1/rules/models/pause",
            200,
        ),
        (
            "POST",
            "/v1/rules/{rule}/wait",
            "/v1/rules/models/wait?timeout=10ms",
            200,
        ),
        (
            "POST",
            "/v1/rules/{rule}/resume",
            "/v1/rules/models/resume",
            200,
        ),
        (
            "POST",
            "/v1/rules/{rule}/sweep",
            "/v1/rules/models/sweep",
            202,
        ),
        (
            "GET",
            "/v1/rules/{rule}/weights",
            "/v1/rules/nosuch/weights",
            404,
        ),
        (
            "PUT",
            "/v1/rules/{rule}/weights",
            "/v1/rules/models/weights",
            400,
        ),
        ("POST", "/v1/reload", "/v1/reload", 200),
        ("POST", "/v1/notifications", "/v1/notifications", 400),
        (
            "POST",
            "/v1/notifications/{rule}",
            "/v1/notifications/nosuch",
            400,
        ),
    ] {
        let answer = running.send(method, asked, &[], b"").await;
        assert_eq!(answer.status, status, "{method} {asked}: {answer:?}");
        schemas.check_answer(method, path, &answer);
    }
    let taken = running
        .send("POST", "/v1/notifications", &[], &notification("k"))
        .await;
    assert_eq!(taken.status, 200);
    schemas.check_answer("POST", "/v1/notifications", &taken);
    let path = "/v1/rules/{rule}/changelog";
    let made =
        br#"{"output": "l", "operation": "concat", "inputs": [{"key": "k"}, {"key": "none"}]}"#;
    for (asked, body, status) in [
        ("/v1/rules/models/changelog", made.as_slice(), 200),
        ("/v1/rules/nosuch/changelog", made, 404),
        ("/v1/rules/models/changelog", b"{}", 400),
        (
            "/v1/rules/models/changelog",
            br#"{"output": "k", "operation": "copy", "input": {"key": "k"}}"#,
            400,
        ),
    ] {
        let answer = running.send("POST", asked, &[], body).await;
        assert_eq!(answer.status, status, "{asked}: {answer:?}");
        schemas.check_answer("POST", path, &answer);
    }
    let unknown = running
        .send("POST", "/v1/notifications/nosuch", &[], &notification("k"))
        .await;
    assert_eq!(unknown.status, 404);
    schemas.check_answer("POST", "/v1/notifications/{rule}", &unknown);
    let (path, asked) = ("/v1/rules/{rule}/weights", "/v1/rules/models/weights");
    let weights = br#"[{"prefix": "b/", "regret_per_s": 2}, {"prefix": "", "regret_per_s": 0.5}]"#;
    for (method, body) in [("PUT", &weights[..]), ("GET", b"")] {
        let answer = running.send(method, asked, &[], body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        schemas.check_answer(method, path, &answer);
        assert_eq!(answer.json()[1]["regret_per_s"], 2.0);
    }
    running.finish().await;

    let guarded = common::start(ServerOptions {
        api_token: Some("t0ken".into()),
        ..ServerOptions::default()
    })
    .await;
    schemas.check_answer("GET", "/v1/rules", &guarded.get("/v1/rules").await);
    schemas.check_answer(
        "POST",
        "/v1/notifications",
        &guarded.post("/v1/notifications").await,
    );
    guarded.finish().await;
}
