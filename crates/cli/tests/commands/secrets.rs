//! No secret is ever printed, however much is asked for.

use crate::support::{Place, Ran, Running, SECRET_KEY, Sky};

const TOKEN: &str = "t0ken-that-nobody-may-see";
const WEBHOOK: &str = "webh00k-that-nobody-may-see";

fn assert_silent(ran: &Ran) {
    for secret in [SECRET_KEY, TOKEN, WEBHOOK] {
        assert!(
            !ran.stdout.contains(secret) && !ran.stderr.contains(secret),
            "{secret} in {ran:?}"
        );
    }
}

#[test]
fn at_any_verbosity() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "1");
    let (data, copy) = (sky.location("data/"), sky.location("copy/"));
    for args in [
        &["replicate", "./src", &data, "--once", "-vvv"][..],
        &["replicate", &data, &copy, "--once", "-vvv"],
        &["verify", &data, &copy, "-vvv", "--deep"],
        &["doctor", &data, &copy, "-vvv"],
        &["verify", &data, &sky.location("nobucket/"), "-vvv"],
    ] {
        let ran = Ran::new(
            place
                .command(args)
                .env("SKYFRESH_TOKEN", TOKEN)
                .output()
                .unwrap(),
        );
        assert!(
            args[0] != "replicate" || ran.stderr.contains("DEBUG"),
            "-vvv says something: {ran:?}"
        );
        assert_silent(&ran);
    }
    place.write(
        "skyfresh.toml",
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\napi_token = \"{TOKEN}\"\nwebhook_secret = \"${{WEBHOOK}}\"\n\
             [endpoint.near]\nurl = \"{}\"\naccess_key_id = \"skyfresh\"\nsecret_access_key = \"{SECRET_KEY}\"\n\
             [[rule]]\nname = \"r\"\nsource = \"s3://data/?endpoint=near\"\n\
             [[rule.destination]]\nname = \"d\"\nlocation = \"s3://copy/?endpoint=near\"\n",
            sky.url
        ),
    );
    let mut serve = place.command(&["serve", "-vvv"]);
    let serve = Running::start({
        serve
            .env("WEBHOOK", WEBHOOK)
            .env_remove("AWS_SECRET_ACCESS_KEY");
        serve
    });
    let url = serve
        .first_line
        .split_whitespace()
        .nth(2)
        .unwrap()
        .to_owned();
    for args in [
        &["rules", "-vvv"][..],
        &["wait", "r", "--until", "now", "-vvv"],
        &["status", "-vvv", "--json"],
    ] {
        let mut command = place.command(args);
        let ran = Ran::new(
            command
                .env("SKYFRESH_SERVER", &url)
                .env("SKYFRESH_TOKEN", TOKEN)
                .output()
                .unwrap(),
        );
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert_silent(&ran);
        let refused = Ran::new(
            command
                .env("SKYFRESH_TOKEN", "wr0ng-token")
                .output()
                .unwrap(),
        );
        assert_eq!(refused.code, Some(4));
        assert!(!refused.stderr.contains("wr0ng-token"), "{refused:?}");
    }
    let served = serve.end("-TERM");
    assert_eq!(served.code, Some(0));
    assert!(served.stderr.contains("stopping"), "{served:?}");
    assert_silent(&served);
}
