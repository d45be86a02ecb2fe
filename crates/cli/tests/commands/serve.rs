use crate::support::{Daemon, Place, RULE, eventually, snapshot, with_directory};

#[test]
fn it_says_when_it_is_ready_and_stops_when_asked() {
    let place = Place::new();
    place.write("skyfresh.toml", "[server]\nlisten = \"127.0.0.1:0\"\n");
    let running = place.start(&["serve", "-q"]);
    snapshot("serve_ready", &running.first_line);
    let ran = running.end("-TERM");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        place.path("skyfresh.ledger").exists(),
        "relative to the configuration"
    );
}

#[test]
fn a_wrong_configuration_is_shown_where_it_is_wrong() {
    let place = Place::new();
    snapshot("serve_no_file", &place.run(&["serve"]).exits(2));
    let rule = with_directory(RULE, place.path("").as_path());
    place.write("typo.toml", rule.replace("delete = true", "deletes = true"));
    snapshot(
        "serve_unknown_field",
        &place.run(&["serve", "-c", "typo.toml"]).exits(2),
    );
    place.write("inside.toml", rule.replace("/dst\"", "/src/below\""));
    snapshot(
        "serve_destination_inside",
        &place.run(&["serve", "-c", "inside.toml"]).exits(2),
    );
}

#[test]
fn one_ledger_one_process() {
    let daemon = Daemon::start();
    let second = daemon.place.run(&["serve", "-q"]);
    snapshot("serve_locked_ledger", &second.exits(3));
}

#[test]
fn one_port_one_process() {
    let daemon = Daemon::start();
    let address = daemon.url.strip_prefix("http://").unwrap();
    daemon.place.write(
        "other.toml",
        format!("[server]\nlisten = \"{address}\"\n[ledger]\npath = \"other.ledger\"\n"),
    );
    snapshot(
        "serve_port_in_use",
        &daemon
            .place
            .run(&["serve", "-q", "-c", "other.toml"])
            .exits(2),
    );
}

#[test]
fn hangup_and_reload_read_the_rules_again() {
    let daemon = Daemon::start();
    let config = daemon.place.read("skyfresh.toml");
    std::fs::create_dir(daemon.place.path("other")).unwrap();
    let second = config
        .replace("\"files\"", "\"second\"")
        .replace("/dst\"", "/other\"");
    let second = &second[second.find("[[rule]]").unwrap()..];
    daemon
        .place
        .write("skyfresh.toml", format!("{config}{second}"));
    snapshot("reload_started", &daemon.told(&["reload"]));
    snapshot("reload_nothing", &daemon.told(&["reload"]));
    daemon.place.write(
        "skyfresh.toml",
        config.replace("delete = true", "delete = false"),
    );
    daemon.running.signal("-HUP");
    eventually("the hangup", || !daemon.told(&["rules"]).contains("second"));
    daemon.place.write("skyfresh.toml", "[[rule]]\nname = 1\n");
    let refused = daemon.ask(&["reload"]);
    snapshot("reload_refused", &refused.exits(2));
    assert!(
        daemon.told(&["rules"]).contains("files"),
        "the rules that run go on"
    );
}

#[test]
fn it_goes_on_where_it_stopped() {
    let daemon = Daemon::start();
    daemon.place.write("src/a", "1");
    daemon.told(&["wait", "files", "--until", "now", "--timeout", "60s"]);
    let Daemon { place, running, .. } = daemon;
    assert_eq!(running.end("-TERM").code, Some(0));
    place.write("src/while-down", "2");
    let daemon = Daemon::start_in(place);
    daemon.told(&["wait", "files", "--until", "now", "--timeout", "60s"]);
    assert_eq!(daemon.place.read("dst/while-down"), "2");
    assert!(
        daemon.told(&["explain", "files", "a"]).contains("copied"),
        "receipts are remembered"
    );
}
