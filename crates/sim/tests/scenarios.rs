//! The scenarios in the repository can be read, and each says what it shows.

use skyfresh_sim::scenario::Scenario;
use std::path::Path;

#[test]
fn every_scenario_can_be_read_and_says_what_it_shows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scenarios");
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("scenarios are there") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file");
        let name = path.display();
        Scenario::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let shows = text
            .lines()
            .any(|line| line.starts_with("# What it shows: "));
        assert!(shows, "{name}");
        found += 1;
    }
    assert!(found >= 5);
}
