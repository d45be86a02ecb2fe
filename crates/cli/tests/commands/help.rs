use crate::support::{Place, snapshot};

#[test]
fn the_first_page() {
    let place = Place::new();
    let help = place.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    snapshot("help", &help.stdout);
    assert_eq!(
        place.run(&[]).code,
        Some(2),
        "nothing to do is a usage error"
    );
    let version = place.run(&["--version"]);
    assert_eq!(
        version.stdout,
        format!("skyfresh {}\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn a_mistyped_command_or_flag_is_a_usage_error() {
    let place = Place::new();
    snapshot("mistyped_command", &place.run(&["replicat"]).exits(2));
    snapshot(
        "mistyped_flag",
        &place.run(&["verify", "./src", "./dst", "--dep"]).exits(2),
    );
    snapshot(
        "mistyped_location",
        &place.run(&["verify", "s3:/a", "./dst"]).exits(2),
    );
}
