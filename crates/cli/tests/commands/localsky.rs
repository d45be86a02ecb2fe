use crate::support::{Place, Sky, snapshot};

#[test]
fn it_tells_where_it_is_and_how_to_use_it() {
    let place = Place::new();
    let running = place.start(&[
        "localsky",
        "--regions",
        "aws:us-east-1,aws:eu-west-1",
        "--shaped",
        "0.1",
        "--bucket",
        "data",
    ]);
    let ran = running.end("-INT");
    snapshot("localsky", &ran.exits(0));
}

#[test]
fn the_line_to_copy_works() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "1");
    let ran = place.run(&[
        "replicate",
        "./src",
        &sky.location("data/"),
        "--slo",
        "10s",
        "--once",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn objects_below_a_root_outlive_it() {
    let place = Place::new();
    place.write("src/a", "1");
    let args = [
        "localsky",
        "--json",
        "--regions",
        "aws:us-east-1",
        "--bucket",
        "data",
        "--root",
        "root",
    ];
    for verified in ["replicate", "verify"] {
        let running = place.start(&args);
        let told: serde_json::Value = serde_json::from_str(&running.first_line).unwrap();
        let location = format!(
            "s3://data/?endpoint={}",
            told["endpoints"][0]["url"].as_str().unwrap()
        );
        let mut command = vec![verified, "./src", location.as_str()];
        command.extend((verified == "replicate").then_some("--once"));
        let ran = place.run(&command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        running.end("-TERM");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let place = Place::new();
    snapshot(
        "localsky_bad_bucket",
        &place.run(&["localsky", "--bucket", "B"]).exits(2),
    );
    assert_eq!(
        place.run(&["localsky", "--regions", "mars:north"]).code,
        Some(2)
    );
    assert_eq!(place.run(&["localsky", "--shaped", "0"]).code, Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    assert_eq!(place.run(&["localsky", "--port", &port]).code, Some(2));
}
