use crate::support::{AWKWARD, Place, Sky, snapshot};

#[test]
fn prefixes_are_summed_and_priced() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &AWKWARD);
    let du = |args: &[&str]| place.run(&[&["du"], args].concat());
    let priced = format!("s3://data/?endpoint={}&region=aws:us-east-1", sky.url);
    snapshot("du_depth", &du(&["--depth", "1", &priced]).exits(0));
    snapshot(
        "du_unknown_region",
        &du(&["--human", &sky.location("data/models")]).exits(0),
    );
    snapshot(
        "du_directory",
        &du(&["./src", "--include", "*.bin"]).exits(0),
    );
    place.write("own.csv", "region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read\naws:us-east-1,10000000000000,0,0\n");
    place.write("skyfresh.toml", "catalog = \"own.csv\"\n");
    let own = du(&["-c", "skyfresh.toml", "--json", &priced]).json();
    // $1,000 for a GB and month.
    let bytes = own["bytes"].as_f64().unwrap();
    assert_eq!(own["usd_per_month"].as_f64().unwrap(), bytes / 1e6);
    assert!(own["prefix"].is_null() && own["objects"] == 5, "{own}");
}

#[test]
fn nothing_is_no_bytes_but_no_bucket_is_an_error() {
    let place = Place::new();
    let sky = Sky::start(&place);
    let empty = place.run(&["du", "--json", &sky.location("data/")]).json();
    assert_eq!((&empty["objects"], &empty["bytes"]), (&0.into(), &0.into()));
    snapshot(
        "du_no_bucket",
        &place.run(&["du", &sky.location("nowhere/")]).exits(4),
    );
}
