use super::*;
use std::time::Duration;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(
        "skyfresh.toml",
        text,
        &Environment::of(&[("SECRET", "hunter2"), ("EMPTY", "")]),
    )
}

fn message(text: &str) -> String {
    parse(text).unwrap_err().message
}

#[test]
fn the_example_is_a_configuration() {
    let environment = Environment::of(&[
        ("SKYFRESH_TOKEN", "t"),
        ("SKYFRESH_WEBHOOK_SECRET", "w"),
        ("MINIO_ACCESS_KEY", "a"),
        ("MINIO_SECRET_KEY", "s"),
    ]);
    let text = include_str!("../../../../skyfresh.example.toml");
    let config = Config::parse("skyfresh.example.toml", text, &environment).unwrap();
    assert_eq!(config.rules.len(), 2);
    assert_eq!(config.server.webhook_secret, Some(Secret::new("w")));
    let defaults = EngineSection::default();
    assert_eq!(config.engine, defaults, "the example shows the defaults");
    assert!(config.channels.is_empty());
    // What it shows as a comment (no space behind the #) can be used, too.
    let shown = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    let text: String = text.lines().map(shown).collect();
    let config = Config::parse("skyfresh.example.toml", &text, &environment).unwrap();
    assert_eq!(config.channels.len(), 3, "one of each cloud");
    assert_eq!(config.catalog.as_deref(), Some(Path::new("prices.csv")));
}

#[test]
fn nothing_at_all_is_a_configuration() {
    let config = parse("").unwrap();
    assert_eq!(config.server.listen.to_string(), "127.0.0.1:7070");
    assert!(config.rules.is_empty() && config.endpoints.is_empty());
    assert_eq!(config.engine, EngineSection::default());
}

#[test]
fn references_to_the_environment_are_resolved() {
    let config =
        parse("[server]\napi_token = \"a-${SECRET}-z\"\n[ledger]\npath = \"/x/${SECRET}\"")
            .unwrap();
    assert_eq!(config.server.api_token, Some(Secret::new("a-hunter2-z")));
    assert_eq!(config.ledger.path, Path::new("/x/hunter2"));
    let unset = parse("[server]\napi_token = \"${NO_SUCH}\"").unwrap_err();
    assert!(
        unset
            .message
            .contains("skyfresh.toml:2:13: the environment variable NO_SUCH is not set"),
        "{unset}"
    );
    assert!(message("[server]\napi_token = \"${EMPTY}\"").contains("EMPTY is not set"));
    assert!(message("[server]\napi_token = \"${SECRET\"").contains("written ${NAME}"));
}

#[test]
fn unknown_fields_are_named_with_their_line_and_what_is_known() {
    insta::assert_snapshot!(
        "unknown_field",
        message("[server]\nlisten = \"127.0.0.1:1\"\nlisen = \"x\"\n")
    );
    insta::assert_snapshot!(
        "unknown_rule_field",
        message("[[rule]]\nname = \"r\"\nsource = \"s3://a/\"\ndestinations = []\n")
    );
    insta::assert_snapshot!("unknown_section", message("[serve]\n"));
}

#[test]
fn bad_values_are_shown_where_they_stand() {
    insta::assert_snapshot!("small_part", message("[engine]\n  part_size = \"1MiB\"\n"));
    insta::assert_snapshot!("zero_lease", message("[engine]\nlease = \"0s\"\n"));
    insta::assert_snapshot!("no_workers", message("[engine]\nworkers = 0\n"));
    insta::assert_snapshot!("workers_as_text", message("[engine]\nworkers = \"four\"\n"));
    insta::assert_snapshot!("syntax", message("[server\n"));
}

#[test]
fn bad_rules_are_shown_where_they_stand() {
    let rule = |source: &str, destination: &str| {
        format!(
            "[endpoint.near]\nurl = \"http://h:1\"\n\n[[rule]]\nname = \"r\"\nsource = \"{source}\"\n\
             [[rule.destination]]\nname = \"d\"\nlocation = \"{destination}\"\n"
        )
    };
    insta::assert_snapshot!(
        "destination_inside_source",
        message(&rule("s3://a/", "s3://a/copy/"))
    );
    insta::assert_snapshot!("bad_location", message(&rule("s3:/a/", "s3://b/")));
    insta::assert_snapshot!(
        "unknown_endpoint",
        message(&rule("s3://a/?endpoint=far", "s3://b/"))
    );
    let same = message(&rule(
        "s3://a/?endpoint=near",
        "s3://a/x?endpoint=http://h:1",
    ));
    assert!(
        same.contains("it would copy its own copies"),
        "one place under two names: {same}"
    );
    let twice = rule("s3://a/", "s3://b/").repeat(2).replacen(
        "[endpoint.near]\nurl = \"http://h:1\"",
        "",
        1,
    );
    assert!(message(&twice).contains("two rules are named \"r\""));
}

#[test]
fn a_secret_is_shown_by_no_error_and_no_debug() {
    for text in [
        "[endpoint.x]\nsecret_acess_key = \"hunter2\"\n",
        "[endpoint]\nx = { url = \"http://h\", secret_access_key = \"hunter2\", nonsense = 1 }\n",
        "[server]\napi_token = \"hunter2\n",
        "[endpoint.x]\naccess_key_id = \"id\"\nsecret_access_key = \"hunter2\"\nprofile = \"p\"\n",
        "[endpoint.x]\nsecret_access_key = \"hunter2\"\n",
        "[endpoint.x]\nazure_account_key = \"hunter2\"\nazure_sas_token = \"hunter2\"\n",
        "[endpoint.x]\nazure_conection_string = \"hunter2\"\n",
        "[endpoint.x]\nazure_connection_strin = \"hunter2\"\n",
    ] {
        let shown = message(text);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    let config =
        parse("[endpoint.x]\naccess_key_id = \"id\"\nsecret_access_key = \"${SECRET}\"\n").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
    let config = parse("[endpoint.x]\nazure_connection_string = \"${SECRET}\"\n").unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[test]
fn keys_come_whole_or_not_at_all() {
    let alone = message("[endpoint.x]\naccess_key_id = \"id\"\n");
    assert!(alone.contains("go together"), "{alone}");
    let both = "[endpoint.x]\naccess_key_id = \"id\"\nsecret_access_key = \"s\"\nprofile = \"p\"\n";
    assert!(message(both).contains("not both"));
    assert_eq!(
        parse("[engine]\nretention = \"2d\"")
            .unwrap()
            .engine
            .retention,
        Duration::from_secs(172_800)
    );
}

#[test]
fn every_field_is_documented() {
    let document = include_str!("../../../../docs/configuration.md");
    let mut documented = 0;
    for section in [
        "",
        "[server]",
        "[server.pubsub]",
        "[server.event_grid]",
        "[ledger]",
        "[engine]",
        "[endpoint.x]",
        "[[rule]]",
        "[[rule]]\n[[rule.destination]]",
        "[[channel]]",
    ] {
        let error = message(&format!("{section}\nno_such_field = 1\n"));
        let first_line = error.lines().next().unwrap();
        let (_, known) = first_line
            .split_once("expected")
            .unwrap_or_else(|| panic!("{error}"));
        for field in known.split('`').skip(1).step_by(2) {
            let shown = document.contains(&format!("`{field}`"))
                || document.contains(&format!("`[{field}"));
            assert!(
                shown || document.contains(&format!("`[[{field}")) || field == "destination",
                "{section}: {field}"
            );
            documented += 1;
        }
    }
    assert!(documented > 35, "{documented} fields");
    let engine = EngineSection::default();
    for (field, default) in [
        ("lane_concurrency", engine.lane_concurrency.to_string()),
        (
            "part_size",
            format!("\"{}MiB\"", engine.part_size_bytes >> 20),
        ),
        ("workers", engine.workers.to_string()),
        ("parts_in_flight", engine.parts_in_flight.to_string()),
        (
            "max_parts_in_flight",
            engine.max_parts_in_flight.to_string(),
        ),
        (
            "lease",
            format!("\"{}\"", skyfresh_sky::format_delay(engine.lease)),
        ),
        (
            "janitor_period",
            format!("\"{}\"", skyfresh_sky::format_delay(engine.janitor_period)),
        ),
        (
            "retention",
            format!("\"{}\"", skyfresh_sky::format_delay(engine.retention)),
        ),
        (
            "notification_grace",
            format!(
                "\"{}\"",
                skyfresh_sky::format_delay(engine.notification_grace)
            ),
        ),
    ] {
        let row = format!("| `{field}` | `{default}` |");
        assert!(document.contains(&row), "docs/configuration.md lacks {row}");
    }
}

#[test]
fn a_ledger_is_in_a_file_or_shared() {
    let shared =
        |text: &str| parse(&format!("[ledger]\n{text}")).map(|config| config.ledger.shared);
    assert_eq!(shared("path = \"a\"").unwrap(), None);
    let section = shared("url = \"postgres://u@h/d\"\npassword = \"${SECRET}\"\ncreate = false")
        .unwrap()
        .expect("shared");
    assert!(!section.create);
    assert!(!format!("{section:?}").contains("hunter2"));
    for (text, told) in [
        ("path = \"a\"\nurl = \"postgres://u@h/d\"", "not both"),
        ("key = \"${SECRET}\"", "belong to a url"),
        ("url = \"cosmos://a/d/c\"", "key = "),
        (
            "url = \"dynamodb://t?region=r\"\npassword = \"p\"",
            "postgres:// only",
        ),
    ] {
        let error = shared(text).unwrap_err();
        assert!(error.message.contains(told), "{error}");
    }
}

#[test]
fn an_address_with_a_password_is_not_shown() {
    let text = "[ledger]\nurl = \"postgres://u:hunter3@h/d\"\nkey = \"${SECRET}\"";
    let error = parse(text).unwrap_err();
    assert!(error.message.contains("cosmos:// only"), "{error}");
    assert!(!error.message.contains("hunter"), "{error}");
}
