use crate::support::{Place, RULE, snapshot, with_directory};

const PRICES: &str = "src,dst,usd_per_gb,throughput_gbps,rtt_ms\naws:us-east-1,aws:eu-west-1,0.011,,\naws:us-east-1,aws:mars-1,0.5,,\n\
                      region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read\naws:us-east-1,210000000,40000,3000\n";

#[test]
fn regions_are_listed_with_their_places() {
    let place = Place::new();
    let gcp = place.run(&["catalog", "regions", "--provider", "cloudflare"]);
    snapshot("catalog_regions", &gcp.exits(0));
    let all = place.run(&["catalog", "regions", "--json"]);
    assert_eq!(all.stdout.lines().count(), 85, "{all:?}");
    let last = all.json();
    assert_eq!(last["region"], "gcp:us-west4");
    assert_eq!(last["coordinates"]["latitude"], 36.17);
    snapshot(
        "catalog_bad_provider",
        &place
            .run(&["catalog", "regions", "--provider", "mars"])
            .exits(2),
    );
}

#[test]
fn a_price_says_where_it_comes_from() {
    let place = Place::new();
    place.write("prices.csv", PRICES);
    let price = |args: &[&str]| place.run(&[&["catalog", "price"], args].concat());
    snapshot(
        "catalog_price",
        &price(&["aws:us-east-1", "azure:brazilsouth"]).exits(0),
    );
    snapshot(
        "catalog_price_estimated",
        &price(&["gcp:asia-northeast1", "cloudflare:auto"]).exits(0),
    );
    snapshot(
        "catalog_price_same",
        &price(&["gcp:asia-northeast1", "gcp:asia-northeast1"]).exits(0),
    );
    let own = [
        "aws:us-east-1",
        "aws:eu-west-1",
        "--overrides",
        "prices.csv",
    ];
    snapshot("catalog_price_override", &price(&own).exits(0));
    let json = price(&[&own[..], &["--json"]].concat()).json();
    assert_eq!(json["egress_usd_per_gb"]["value"], 0.011);
    assert_eq!(json["egress_usd_per_gb"]["origin"], "override");
    assert_eq!(json["source_prices"]["usd_per_gb_month"], 0.021);
    assert_eq!(json["destination_prices"]["scope"], "region");
}

#[test]
fn a_link_says_where_its_figures_come_from() {
    let place = Place::new();
    place.write("prices.csv", PRICES);
    let link = |args: &[&str]| place.run(&[&["catalog", "link"], args].concat());
    snapshot(
        "catalog_link",
        &link(&["aws:us-east-1", "gcp:us-central1"]).exits(0),
    );
    snapshot(
        "catalog_link_estimated",
        &link(&["azure:westus3", "aws:eu-south-2"]).exits(0),
    );
    snapshot(
        "catalog_link_doubted",
        &link(&["gcp:asia-southeast1", "aws:eu-west-3"]).exits(0),
    );
    snapshot(
        "catalog_link_nowhere",
        &link(&["aws:us-east-1", "cloudflare:auto"]).exits(0),
    );
    let mars = link(&[
        "aws:us-east-1",
        "aws:mars-1",
        "--overrides",
        "prices.csv",
        "--json",
    ])
    .json();
    assert_eq!(mars["egress_usd_per_gb"]["value"], 0.5);
    assert!(
        mars["rtt_ms"].is_null() && mars["distance_km"].is_null(),
        "{mars}"
    );
    let json = link(&["azure:westus3", "aws:eu-south-2", "--json"]).json();
    assert_eq!(json["rtt_ms"]["origin"], "estimated");
    snapshot(
        "catalog_link_itself",
        &link(&["aws:us-east-1", "aws:us-east-1"]).exits(2),
    );
}

#[test]
fn a_mistyped_region_is_met_with_names_like_it() {
    let place = Place::new();
    snapshot(
        "catalog_unknown_region",
        &place
            .run(&["catalog", "price", "aws:us-eest-1", "aws:eu-west-1"])
            .exits(2),
    );
    snapshot(
        "catalog_no_provider",
        &place
            .run(&["catalog", "link", "aws:us-east-1", "westeurope"])
            .exits(2),
    );
}

#[test]
fn functions_are_listed() {
    let place = Place::new();
    snapshot(
        "catalog_functions",
        &place.run(&["catalog", "functions"]).exits(0),
    );
    let last = place.run(&["catalog", "functions", "--json"]).json();
    assert_eq!(last["platform"], "gcp-functions");
    assert!(
        last["start_cold_s"]["p99"].as_f64() > last["start_cold_s"]["p50"].as_f64(),
        "{last}"
    );
}

#[test]
fn what_is_imported_can_be_used() {
    let place = Place::new();
    place.write(
        "first/throughput.csv",
        "src,dst,gbps\naws:us-east-1,gcp:us-central1-a,9.5\n",
    );
    place.write(
        "first/throughput_received.csv",
        "src,dst,gbps\naws:us-east-1,gcp:us-central1-a,4.5\n",
    );
    place.write(
        "first/vm.csv",
        "cloud,instance,egress_gbps,ingress_gbps,usd_per_hour\naws,m5.8xlarge,5,10,0.54\n",
    );
    place.write(
        "second/egress_price.csv",
        "src,dst,usd_per_gb\naws:us-east-1,gcp:us-central1-a,0.07\n",
    );
    place.write(
        "second/rtt.csv",
        "src,dst,avg_ms\naws:us-east-1,gcp:us-central1-a,28.125\n",
    );
    let from = [
        "catalog",
        "import",
        "--skyplane",
        "first",
        "--skyplane",
        "second",
    ];
    snapshot("catalog_import", &place.run(&from).exits(0));
    let told = place
        .run(&[&from[..], &["--output", "own.csv"]].concat())
        .exits(0);
    assert!(told.contains("1 pairs"), "{told}");
    let link = [
        "catalog",
        "link",
        "aws:us-east-1",
        "gcp:us-central1",
        "--json",
        "--overrides",
        "own.csv",
    ];
    let link = place.run(&link).json();
    for (figure, value) in [
        ("egress_usd_per_gb", 0.07),
        ("throughput_gbps", 4.5),
        ("rtt_ms", 28.125),
    ] {
        assert_eq!(link[figure]["value"], value);
        assert_eq!(link[figure]["origin"], "override");
    }
    place.write(
        "pie/network_cost_v2.csv",
        "src_vendor,src_region,dest_vendor,dest_region,cost\naws,us-east-1,aws,eu-west-1,0.02\n",
    );
    let json = place
        .run(&["catalog", "import", "--skypie", "pie", "--json"])
        .json();
    assert_eq!(
        (&json["pairs"], &json["regions_with_prices"]),
        (&1.into(), &0.into())
    );
    assert!(
        json["csv"]
            .as_str()
            .unwrap()
            .ends_with("aws:us-east-1,aws:eu-west-1,0.02,,\n"),
        "{json}"
    );
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_line() {
    let place = Place::new();
    place.write(
        "profiles/rtt.csv",
        "src,dst,avg_ms\naws:us-east-1,aws:eu-west-1,80\naws:us-east-1,aws:eu-west-1,-80\n",
    );
    snapshot(
        "catalog_import_bad_line",
        &place
            .run(&["catalog", "import", "--skyplane", "profiles"])
            .exits(2),
    );
    snapshot(
        "catalog_import_nothing",
        &place
            .run(&["catalog", "import", "--skypie", "profiles"])
            .exits(2),
    );
    place.write(
        "own.csv",
        "src,dst,usd_per_gb,throughput_gbps,rtt_ms\naws:us-east-1,aws:eu-west-1,cheap,,\n",
    );
    let own = [
        "catalog",
        "price",
        "aws:us-east-1",
        "aws:eu-west-1",
        "--overrides",
    ];
    snapshot(
        "catalog_bad_override",
        &place.run(&[&own[..], &["own.csv"]].concat()).exits(2),
    );
    snapshot(
        "catalog_no_override",
        &place.run(&[&own[..], &["nowhere.csv"]].concat()).exits(2),
    );
    // The daemon does not start with prices that it cannot read.
    place.write(
        "skyfresh.toml",
        "catalog = \"own.csv\"\n[server]\nlisten = \"127.0.0.1:0\"\n",
    );
    snapshot("serve_bad_catalog", &place.run(&["serve"]).exits(2));
}

#[test]
fn the_daemons_spend_is_priced_by_ones_own_figures() {
    let place = Place::new();
    place.write(
        "own.csv",
        "src,dst,usd_per_gb,throughput_gbps,rtt_ms\naws:us-east-1,aws:mars-1,1000,,\n",
    );
    place.write("src/a", vec![b'x'; 1_000_000]);
    let rule = with_directory(RULE, &place.path("").canonicalize().unwrap());
    let rule = rule
        .replace("delete = true", "source_region = \"aws:us-east-1\"")
        .replace(
            "name = \"copy\"",
            "name = \"copy\"\nregion = \"aws:mars-1\"",
        );
    let config = format!("catalog = \"own.csv\"\n[server]\nlisten = \"127.0.0.1:0\"\n{rule}");
    place.write("skyfresh.toml", config);
    let running = place.start(&["serve", "--json"]);
    let ready: serde_json::Value = serde_json::from_str(&running.first_line).unwrap();
    let server = ["--server", ready["url"].as_str().unwrap()];
    let wait = ["wait", "files", "--until", "now", "--timeout", "60s"];
    place.run(&[&wait[..], &server].concat()).exits(0);
    let status = place
        .run(&[&["status", "--json"][..], &server].concat())
        .json();
    let destination = &status[0]["destinations"][0];
    assert_eq!(destination["egress_priced"], true, "{status}");
    // A megabyte at $1,000 a GB, and some requests.
    let spend = destination["totals"]["spend"].as_f64().unwrap();
    assert!((1.0..1.01).contains(&spend), "{status}");
}
