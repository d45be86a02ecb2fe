//! What both servers are asked, in this order: what is written by one case is read by later ones.

use serde_json::{Value, json};

/// One request.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) body: String,
}

fn case(name: &'static str, path: &'static str, body: Value) -> Case {
    Case {
        name,
        method: "POST",
        path,
        body: body.to_string(),
    }
}

/// A quarter of an hour ago, to the second: within the hour for which `recent` holds.
fn lately() -> String {
    let now = skyfresh_sky::Clock::now(&skyfresh_sky::SystemClock).unix_ms() as i64;
    let at = jiff::Timestamp::from_second(now / 1_000 - 900).unwrap();
    at.to_string()
}

pub(crate) fn cases() -> Vec<Case> {
    let lately = lately();
    let mut cases = vec![Case {
        name: "health",
        method: "GET",
        path: "/health",
        body: String::new(),
    }];
    cases.extend(writes(&lately));
    cases.extend(reads());
    cases.extend(wrong(&lately));
    cases
}

fn writes(lately: &str) -> Vec<Case> {
    vec![
        case(
            "push of every type",
            "/push",
            json!({"push_source_name": "profile_push", "df": {
            "user_id": [1, 2],
            "event_timestamp": ["2026-11-20T10:00:00", "2026-11-20T10:00:30"],
            "age": [30, 41],
            "small": [-7, 2_147_483_647],
            "score": [4.428571428571429, 1e22],
            "rough": [0.1, 3.0],
            "city": ["Bern", "Zürich \"\u{1f6d2}\" \\ / \u{7}"],
            "active": [true, false],
            "visits": [[1, 2, 3], [9_007_199_254_740_993i64]],
            "tags": [["a", "b"], ["ü"]],
            "vector": [[0.5, -0.0, 1e-7], [123456789.123456]],
            "flags": [[true, false], [false]],
        }, "to": "online"}),
        ),
        case(
            "write of nulls and floats",
            "/write-to-online-store",
            json!({"feature_view_name": "profile", "df": {
                "user_id": [3, 4],
                "event_timestamp": ["2026-11-20T11:00:00Z", "2026-11-20T11:00:00Z"],
                "age": [null, 5],
                "small": [1, 1],
                "score": [null, 5e-324],
                "rough": [16777217.0, 1e-5],
                "city": [null, ""],
                "active": [null, true],
                "visits": [[7], [8]],
                "tags": [["x"], ["y"]],
                "vector": [[1.0], [2.0]],
                "flags": [[true], [true]],
            }}),
        ),
        case(
            "push of what is recent",
            "/push",
            json!({"push_source_name": "recent_push", "df": {
                "user_id": [1, 2],
                "event_timestamp": [lately, "2026-11-20T10:00:00Z"],
                "clicks": [5, 6],
                "age": [31, 42],
            }}),
        ),
        case(
            "push to another entity",
            "/push",
            json!({"push_source_name": "shops_push", "df": {
            "shop": ["corner", "7"],
            "event_timestamp": ["2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"],
            "rating": [4.5, 3.25],
        }, "to": "online", "allow_registry_cache": true, "transform_on_write": true}),
        ),
    ]
}

fn reads() -> Vec<Case> {
    let path = "/get-online-features";
    let all: Vec<String> = [
        "age", "small", "score", "rough", "city", "active", "visits", "tags", "vector", "flags",
    ]
    .map(|name| format!("profile:{name}"))
    .to_vec();
    vec![
        case(
            "every type, present and absent",
            path,
            json!({"features": all, "entities": {"user_id": [1, 2, 3, 4, 99]}}),
        ),
        case(
            "one row",
            path,
            json!({"features": ["profile:score"], "entities": {"user_id": [1]}}),
        ),
        case(
            "the same entity twice, out of order",
            path,
            json!({"features": ["profile:age"], "entities": {"user_id": [2, 1, 2, 99, 1]}}),
        ),
        case(
            "features out of order",
            path,
            json!({"features": ["profile:city", "profile:age", "profile:score"], "entities": {"user_id": [1]}}),
        ),
        case(
            "views in turn",
            path,
            json!({"features": ["recent:clicks", "profile:city", "recent:age"], "entities": {"user_id": [1, 7]}}),
        ),
        case(
            "full names",
            path,
            json!({"features": ["profile:age", "recent:age"], "entities": {"user_id": [1, 5]}, "full_feature_names": true}),
        ),
        case(
            "within the time to live, and unknown",
            path,
            json!({"features": ["recent:clicks"], "entities": {"user_id": [1, 3]}}),
        ),
        case(
            "a service",
            path,
            json!({"feature_service": "model", "entities": {"user_id": [1, 9]}}),
        ),
        case(
            "a service with full names",
            path,
            json!({"feature_service": "model", "entities": {"user_id": [1]}, "full_feature_names": true}),
        ),
        case(
            "two entities",
            path,
            json!({"features": ["profile:age", "shops:rating"], "entities": {"user_id": [1, 2], "shop": ["corner", "none"]}}),
        ),
        case(
            "two entities, the other way round",
            path,
            json!({"features": ["profile:age", "shops:rating"], "entities": {"shop": ["7", "corner"], "user_id": [1, 2]}}),
        ),
        case(
            "an entity that is not needed",
            path,
            json!({"features": ["profile:age"], "entities": {"user_id": [1], "shop": ["corner"]}}),
        ),
        case(
            "a text that looks like a number",
            path,
            json!({"features": ["shops:rating"], "entities": {"shop": ["7"]}}),
        ),
        case(
            "a number's text",
            path,
            json!({"features": ["profile:age"], "entities": {"user_id": ["1"]}}),
        ),
        case(
            "fields that nobody knows",
            path,
            json!({"features": ["profile:age"], "entities": {"user_id": [1]}, "odd": 1}),
        ),
    ]
}

/// What the servers answer differently on purpose: the request, and what is in Feast's answer and in ours.
pub(crate) fn differing() -> Vec<(Case, &'static str, &'static str)> {
    let asked =
        |feature: &str, user: u32| json!({"features": [feature], "entities": {"user_id": [user]}});
    let write = |at: &str, city: &str| {
        let df = json!({"user_id": [77], "event_timestamp": [at], "city": [city], "age": [1], "small": [1], "score": [0.5],
            "rough": [0.5], "active": [true], "visits": [[1]], "tags": [["x"]], "vector": [[0.5]], "flags": [[true]]});
        json!({"feature_view_name": "profile", "df": df})
    };
    let (get, put) = ("/get-online-features", "/write-to-online-store");
    vec![
        // feast-dev/feast#6821: its server knows of no time to live.
        (
            case("past its time to live", get, asked("recent:clicks", 2)),
            "{\"values\":[6],\"statuses\":[\"PRESENT\"]",
            "{\"values\":[null],\"statuses\":[\"OUTSIDE_MAX_AGE\"]",
        ),
        // It cuts times to seconds.
        (
            case(
                "to the millisecond",
                put,
                write("2026-11-20T10:00:00.250", "new"),
            ),
            "null",
            "null",
        ),
        (
            case("fractions of seconds", get, asked("profile:city", 77)),
            "2026-11-20T10:00:00Z",
            "2026-11-20T10:00:00.250Z",
        ),
        // feast-dev/feast#5163: with SQLite, what is written last replaces what is newer.
        (
            case("an older row", put, write("2026-11-19T10:00:00", "old")),
            "null",
            "null",
        ),
        (
            case("after an older row", get, asked("profile:city", 77)),
            "[\"old\"]",
            "[\"new\"]",
        ),
        // What is wrong with a request is the client's fault, not the server's.
        (
            case(
                "no number",
                "/push",
                json!({"push_source_name": "shops_push", "df": {"shop": ["x"], "event_timestamp": ["2026-11-20T10:00:00"], "rating": ["a"]}}),
            ),
            "Type `<class 'str'>` not in",
            "\"a\\\" is no Float64",
        ),
    ]
}

fn wrong(lately: &str) -> Vec<Case> {
    let path = "/get-online-features";
    let one = json!({"user_id": [1]});
    vec![
        case(
            "an unknown view",
            path,
            json!({"features": ["none:x"], "entities": one}),
        ),
        case(
            "an unknown feature",
            path,
            json!({"features": ["profile:none"], "entities": one}),
        ),
        case(
            "an unknown service",
            path,
            json!({"feature_service": "none", "entities": one}),
        ),
        case(
            "no colon",
            path,
            json!({"features": ["age"], "entities": one}),
        ),
        case("no features", path, json!({"entities": one})),
        case(
            "an empty list",
            path,
            json!({"features": [], "entities": one}),
        ),
        case(
            "names that collide",
            path,
            json!({"features": ["profile:age", "recent:age"], "entities": one}),
        ),
        case(
            "without the entity",
            path,
            json!({"features": ["profile:age"], "entities": {"shop": ["corner"]}}),
        ),
        case(
            "an unknown entity",
            path,
            json!({"features": ["profile:age"], "entities": {"user": [1]}}),
        ),
        case(
            "columns of different lengths",
            path,
            json!({"features": ["profile:age", "shops:rating"], "entities": {"user_id": [1, 2], "shop": ["corner"]}}),
        ),
        case(
            "no rows",
            path,
            json!({"features": ["profile:age"], "entities": {"user_id": []}}),
        ),
        case(
            "one name twice",
            path,
            json!({"features": ["profile:age", "profile:age"], "entities": one, "full_feature_names": true}),
        ),
        case(
            "nowhere",
            "/push",
            json!({"push_source_name": "shops_push", "to": "nowhere", "df": {"shop": ["x"]}}),
        ),
        case("nothing to push", "/push", json!({})),
        case(
            "nothing to write",
            "/write-to-online-store",
            json!({"df": {}}),
        ),
        case(
            "without entities",
            path,
            json!({"features": ["profile:age"]}),
        ),
        case(
            "an unknown push source",
            "/push",
            json!({"push_source_name": "none", "df": {"user_id": [1], "event_timestamp": [lately]}}),
        ),
        case(
            "an unknown view to write to",
            "/write-to-online-store",
            json!({"feature_view_name": "none", "df": {"user_id": [1], "event_timestamp": [lately]}}),
        ),
        case("an unknown path", "/nothing", json!({})),
        Case {
            name: "a wrong method",
            method: "GET",
            path,
            body: String::new(),
        },
    ]
}
