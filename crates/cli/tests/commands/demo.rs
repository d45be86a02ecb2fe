use crate::support::Place;

#[test]
fn the_demo_proves_that_everything_is_equal() {
    let place = Place::new();
    place.write("a file", "loaded");
    let ran = place.run(&["demo", "--json", "--objects", "40", "--seconds", "4"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let summary = ran.json();
    let number = |name: &str| {
        summary[name]
            .as_f64()
            .unwrap_or_else(|| panic!("{name} in {summary}"))
    };
    assert_eq!(summary["equal"], true, "{summary}");
    assert_eq!(number("destinations"), 2.0);
    assert!(number("objects") >= 40.0, "{summary}");
    assert!(
        number("bytes") > 0.0 && number("spend_usd") > 0.0,
        "{summary}"
    );
    assert!(
        number("lag_p50_s") > 0.0 && number("lag_p99_s") >= number("lag_p50_s"),
        "{summary}"
    );
    assert_eq!(
        summary.as_object().map(serde_json::Map::len),
        Some(7),
        "{summary}"
    );
}

#[test]
fn a_demo_of_nothing_is_a_usage_error() {
    let place = Place::new();
    place.run(&["demo", "--objects", "0"]).exits(2);
    place.run(&["demo", "--seconds", "0"]).exits(2);
}
