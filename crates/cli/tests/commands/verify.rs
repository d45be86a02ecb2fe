use crate::support::{Place, Sky, snapshot};

fn different() -> Place {
    let place = Place::new();
    place.write("src/equal", "1");
    place.write("dst/equal", "1");
    place.write("src/only-src/with\nnewline", "1");
    place.write("dst/only-dst", "1");
    place.write("src/size", "1");
    place.write("dst/size", "12");
    place.write("src/bytes", "1");
    place.write("dst/bytes", "2");
    place
}

#[test]
fn differences_are_listed_by_sign() {
    let place = different();
    snapshot(
        "verify_different",
        &sorted(&place.run(&["verify", "./src", "./dst"]).exits(1)),
    );
    snapshot(
        "verify_all_filtered",
        &sorted(
            &place
                .run(&["verify", "./src", "./dst", "--all", "--exclude", "only-*"])
                .exits(1),
        ),
    );
    let included = place.run(&["verify", "./src", "./dst", "--include", "equal"]);
    assert_eq!(included.code, Some(0), "{included:?}");
}

/// Verdicts come in no particular order.
fn sorted(text: &str) -> String {
    let (mut lines, rest): (Vec<&str>, Vec<&str>) = text
        .lines()
        .partition(|line| line.as_bytes().get(1) == Some(&b' '));
    lines.sort_unstable();
    [lines, rest].concat().join("\n")
}

#[test]
fn a_report_has_every_verdict_and_the_summary() {
    let place = different();
    let ran = place.run(&[
        "verify",
        "./src",
        "./dst",
        "--report",
        "report.jsonl",
        "--json",
        "--deep",
    ]);
    assert_eq!(ran.code, Some(1));
    let summary = ran.json();
    assert_eq!(
        (&summary["equal"], &summary["different"]),
        (&1.into(), &2.into())
    );
    assert_eq!(
        ran.stdout.lines().count(),
        5,
        "four differences and the summary"
    );
    let report = place.read("report.jsonl");
    let lines: Vec<serde_json::Value> = report
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 6);
    assert_eq!(lines[5], summary);
}

#[test]
fn two_empty_sides_are_equal_and_said_to_be_empty() {
    let place = Place::new();
    snapshot(
        "verify_empty",
        &place.run(&["verify", "./src", "./dst"]).exits(0),
    );
}

#[test]
fn a_side_that_cannot_be_read_is_no_empty_side() {
    let place = Place::new();
    snapshot(
        "verify_no_directory",
        &place.run(&["verify", "./src", "./missing"]).exits(4),
    );
    let sky = Sky::start(&place);
    snapshot(
        "verify_no_bucket",
        &place
            .run(&["verify", "./src", &sky.location("nobucket/")])
            .exits(4),
    );
    let mut wrong = place.command(&["verify", &sky.location("data/"), "./dst"]);
    wrong.env("AWS_SECRET_ACCESS_KEY", "wrong");
    snapshot(
        "verify_wrong_secret",
        &crate::support::Ran::new(wrong.output().unwrap()).exits(4),
    );
    let mut unknown = place.command(&["verify", &sky.location("data/"), "./dst"]);
    unknown.env("AWS_ACCESS_KEY_ID", "nobody");
    snapshot(
        "verify_unknown_key",
        &crate::support::Ran::new(unknown.output().unwrap()).exits(4),
    );
    let nobody = place.run(&[
        "verify",
        "./src",
        "s3://data/?endpoint=http://127.0.0.1:1&region=x",
    ]);
    snapshot("verify_nobody_there", &nobody.exits(4));
    let mut none = place.command(&["verify", "./src", &sky.location("data/")]);
    none.env_remove("AWS_ACCESS_KEY_ID")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    snapshot(
        "verify_no_credentials",
        &crate::support::Ran::new(none.output().unwrap()).exits(4),
    );
}

#[test]
fn colour_is_used_where_asked_for() {
    let place = different();
    let args = ["verify", "./src", "./dst", "--color", "always"];
    assert!(place.run(&args).stdout.contains("\x1b[31mnot equal"));
    assert!(
        !place.run(&args[..3]).stdout.contains('\x1b'),
        "no terminal, no colour"
    );
}
