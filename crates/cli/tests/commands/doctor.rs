use crate::support::{Place, Ran, Sky, snapshot};

#[test]
fn it_names_identity_abilities_and_policy() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "1");
    let ran = place.run(&["doctor", "./src", &sky.location("data/models/"), "--delete"]);
    snapshot("doctor", &ran.exits(0));
    let after = place.run(&["verify", "./dst", &sky.location("data/")]);
    assert_eq!(after.code, Some(0), "no probe object is left: {after:?}");
}

#[test]
fn it_says_what_does_not_work() {
    let place = Place::new();
    let sky = Sky::start(&place);
    let mut command = place.command(&["doctor", "./src", &sky.location("data/"), "--json"]);
    let ran = Ran::new(
        command
            .env("AWS_SECRET_ACCESS_KEY", "wrong")
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(4));
    let told = ran.json();
    assert_eq!(
        (&told["works"], &told["sides"][0]["role"]),
        (&false.into(), &"source".into())
    );
    let checks = told["sides"][1]["checks"].as_array().unwrap();
    let failed = checks.iter().find(|check| check["works"] == false).unwrap();
    assert!(
        failed["detail"]
            .as_str()
            .unwrap()
            .contains("SignatureDoesNotMatch"),
        "{failed}"
    );
    snapshot(
        "doctor_no_directory",
        &place.run(&["doctor", "./src", "./missing"]).exits(4),
    );
    snapshot(
        "doctor_nobody_there",
        &place
            .run(&["doctor", "s3://data/?endpoint=http://127.0.0.1:1"])
            .exits(4),
    );
}

#[test]
fn it_checks_every_rule_of_a_configuration() {
    let place = Place::new();
    let rule = crate::support::with_directory(crate::support::RULE, place.path("").as_path());
    place.write("skyfresh.toml", rule);
    let ran = place.run(&["doctor", "-c", "skyfresh.toml", "--json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.json()["sides"].as_array().unwrap().len(), 2);
    place.write("none.toml", "");
    assert_eq!(place.run(&["doctor", "-c", "none.toml"]).code, Some(2));
    assert_eq!(place.run(&["doctor"]).code, Some(2));
}
