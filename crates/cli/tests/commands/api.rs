//! The commands that ask a running daemon.

use crate::support::{Daemon, Place, Ran, eventually, snapshot};

fn fresh() -> Daemon {
    let daemon = Daemon::start();
    daemon.place.write("src/a", "1");
    let ran = daemon.ask(&["wait", "files", "--until", "now", "--timeout", "60s"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    daemon
}

#[test]
fn wait_then_status_rules_and_explain() {
    let daemon = fresh();
    assert_eq!(daemon.place.read("dst/a"), "1");
    snapshot("wait", &daemon.told(&["wait", "files", "--until", "now"]));
    snapshot("rules", &daemon.told(&["rules"]));
    let status: serde_json::Value =
        serde_json::from_str(&daemon.told(&["status", "files", "--json"])).unwrap();
    assert_eq!(status[0]["destinations"][0]["backlog"]["objects"], 0);
    let status = daemon.told(&["status"]);
    for part in ["files", "SLO 1m@p99", "copy", "fresh", "ago"] {
        assert!(status.contains(part), "{part}: {status}");
    }
    let story = daemon.told(&["explain", "files", "a"]);
    for part in ["copy", "nothing pending", "copied", "1 B", "lag"] {
        assert!(story.contains(part), "{part}: {story}");
    }
    snapshot(
        "explain_unknown",
        &daemon.told(&["explain", "files", "no such key"]),
    );
}

#[test]
fn pause_holds_and_resume_lets_go() {
    let daemon = fresh();
    snapshot("pause", &daemon.told(&["pause", "files"]));
    assert!(daemon.told(&["rules"]).contains("paused"));
    daemon.place.write("src/held", "1");
    let wait = daemon.ask(&["wait", "files", "--until", "now", "--timeout", "500ms"]);
    snapshot("wait_timed_out", &wait.exits(5));
    assert!(!daemon.place.path("dst/held").exists());
    snapshot("resume", &daemon.told(&["resume", "files"]));
    eventually("what was held", || daemon.place.path("dst/held").exists());
    snapshot("sweep", &daemon.told(&["sweep", "files"]));
}

#[test]
fn weights_are_set_shown_and_forgotten() {
    let daemon = Daemon::start();
    snapshot("weights_none", &daemon.told(&["weights", "files"]));
    let set = ["weights", "files", "a/=12.5", "day=1/=0", "=2"];
    snapshot("weights", &daemon.told(&set));
    let shown = daemon.told(&["weights", "files", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown[1]["prefix"], "a/");
    assert_eq!(shown[1]["regret_per_s"], 12.5);
    let twice = daemon.ask(&["weights", "files", "a=1", "a=2"]);
    snapshot("weights_twice", &twice.exits(2));
    daemon.told(&["weights", "files", "--clear"]);
    assert_eq!(daemon.told(&["weights", "files", "--json"]), "[]\n");
}

#[test]
fn a_changelog_entry_is_taken_and_the_object_arrives() {
    let daemon = fresh();
    daemon.place.write("src/b", "1");
    let add = ["changelog", "add", "files"];
    let told = daemon.told(&[&add[..], &["copy", "a", "b"]].concat());
    snapshot("changelog_add", &told);
    eventually("the copy", || daemon.place.path("dst/b").exists());
    let joined = daemon.told(&[&add[..], &["concat", "c", "a", "b", "--json"]].concat());
    let joined: serde_json::Value = serde_json::from_str(&joined).unwrap();
    let inputs = joined["entry"]["inputs"].as_array().unwrap();
    assert!(
        inputs
            .iter()
            .all(|input| input["version"]["etag"].is_string()),
        "pinned to what the source has: {joined}"
    );
    let itself = daemon.ask(&[&add[..], &["rename", "a", "a"]].concat());
    snapshot("changelog_add_itself", &itself.exits(2));
}

#[test]
fn a_rule_that_is_not_there_is_a_usage_error() {
    let daemon = Daemon::start();
    snapshot("unknown_rule", &daemon.ask(&["pause", "fils"]).exits(2));
    for command in [
        &["status", "fils"][..],
        &["resume", "fils"],
        &["sweep", "fils"],
        &["weights", "fils"],
        &["explain", "fils", "k"],
        &["changelog", "add", "fils", "copy", "a", "b"],
    ] {
        assert_eq!(daemon.ask(command).code, Some(2), "{command:?}");
    }
    assert_eq!(
        daemon.ask(&["wait", "files", "--until", "tomorrow"]).code,
        Some(2)
    );
}

#[test]
fn without_a_daemon_there_is_a_hint() {
    let place = Place::new();
    let nobody = ["status", "--server", "http://127.0.0.1:1"];
    snapshot("no_daemon", &place.run(&nobody).exits(4));
    snapshot(
        "bad_address",
        &place
            .run(&["status", "--server", "127.0.0.1:7070"])
            .exits(2),
    );
}

#[test]
fn the_token_is_asked_for() {
    let place = Place::new();
    place.write(
        "skyfresh.toml",
        "[server]\nlisten = \"127.0.0.1:0\"\napi_token = \"t0ken\"\n",
    );
    let running = place.start(&["serve", "--json", "-q"]);
    let ready: serde_json::Value = serde_json::from_str(&running.first_line).unwrap();
    let ask = |token: Option<&str>| {
        let mut command = place.command(&["rules"]);
        command.env("SKYFRESH_SERVER", ready["url"].as_str().unwrap());
        token.map(|token| command.env("SKYFRESH_TOKEN", token));
        Ran::new(command.output().unwrap())
    };
    snapshot("no_token", &ask(None).exits(4));
    assert_eq!(ask(Some("wrong")).code, Some(4));
    assert_eq!(ask(Some("t0ken")).exits(0), "no rules\n---\n");
}
