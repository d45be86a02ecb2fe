//! `relay ls`, `relay rm`, `--relays rented:FILE`: machines that are rented for relays.

use crate::support::{Place, Ran, Sky, server, snapshot};
use serde_json::Value;
use skyfresh_rent::{Cloud, Ec2, Gce, Offer, Reach, Tags, user_data};
use skyfresh_sky::{Clock, Provider, Region, SystemClock, Timestamp};
use skyfresh_store::gcs::{GoogleCredentialSource, GoogleCredentials};
use skyfresh_store::s3::{Credentials, S3Config};
use std::sync::Arc;
use std::time::Duration;

const REGION: &str = "aws:us-west-1";

/// What the file says of a region, and where EC2 answers.
fn machines(endpoint: &str) -> String {
    format!(
        "endpoint = {endpoint:?}\n\
         [program]\nurl = \"https://downloads.example.com/skyfresh\"\nsha256 = \"{}\"\n\
         [region.us-west-1]\nimage = \"ami-12c6146b\"\n",
        "0".repeat(64)
    )
}

fn lines(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let lines = ran.stdout.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn faults_of_the_file_are_named_and_a_plan_knows_what_it_offers() {
    let place = Place::new();
    let nowhere = "http://127.0.0.1:1";
    place.write(
        "machines.toml",
        machines(nowhere).replace("program", "programme"),
    );
    let bad = place.run(&["relay", "ls", "machines.toml"]);
    snapshot("relay_bad_machines", &bad.exits(2));
    place.write("machines.toml", machines(nowhere).replace("0000", "xyz0"));
    let bad = place.run(&["relay", "rm", "machines.toml", "--all"]);
    snapshot("relay_bad_program", &bad.exits(2));
    let which = place.run(&["relay", "rm", "machines.toml"]);
    assert_eq!(which.code, Some(2), "needs to be told which: {which:?}");

    let sky = Sky::start(&place);
    // Large enough for relays to carry it.
    sky.fill(&place, &[("a", &"1".repeat(6 << 20))]);
    place.write("machines.toml", machines(nowhere));
    let in_region = |path: &str, region: &str| {
        let location = sky.location(path);
        location.replace("region=us-east-1", &format!("region={region}"))
    };
    let from = in_region("data/a", "aws:us-east-1");
    let to = in_region("data/copies/", REGION);
    let args = ["cp", &from, &to, "--relays", "aws:machines.toml", "--json"];
    let told = lines(&place.run(&args));
    assert_eq!(told[0]["why"], "no machine is offered in aws:us-east-1");
    // One provider of a file alone.
    let args = ["cp", &from, &to, "--relays", "gcp:machines.toml"];
    let none = place.run(&args).exits(2);
    assert!(none.contains("no [gcp.region.NAME] is there"), "{none}");
    let unknown = place.run(&["cp", &from, &to, "--relays", "oracle:machines.toml"]);
    assert!(unknown.exits(2).contains("rented:FILE"));
}

/// Two machines that an owner left, one of them long ago.
async fn leave_two(address: &str) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let config = S3Config {
        credentials: Credentials::Static {
            access_key_id: "test".into(),
            secret_access_key: "testtest".into(),
            session_token: None,
        },
        ..S3Config::default()
    };
    let region: Region = REGION.parse().unwrap();
    let ec2 = Ec2::new([region.clone()], Some(address), &config, &clock).unwrap();
    let offer = Offer {
        region,
        instance: "m5.8xlarge".into(),
        image: "ami-12c6146b".into(),
        user: "ubuntu".into(),
        key_name: None,
        public_key: None,
        zones: Vec::new(),
        subnet: None,
        security_groups: Vec::new(),
        role: None,
        spot: false,
        reach: Reach::Public,
    };
    let script = user_data(Provider::Aws, Duration::from_secs(60), None);
    let late = clock.now().after(Duration::from_secs(3_600));
    for (job, expires) in [("old", Timestamp::from_unix_ms(1)), ("new", late)] {
        let tags = Tags {
            job: job.into(),
            node: "n-1".into(),
            owner: "gone".into(),
            expires,
        };
        ec2.launch(&offer, &tags, job, &script).await.unwrap();
    }
}

/// A machine in Google's project that shuts down late.
async fn leave_one(address: &str) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = GoogleCredentialSource::Anonymous;
    let credentials = GoogleCredentials::new(source, Arc::clone(&clock)).unwrap();
    let region: Region = "gcp:us-east1".parse().unwrap();
    let zones = vec!["us-east1-b".to_owned()];
    let all = [(region.clone(), zones.clone())].into();
    let gce = Gce::new("cli", all, Some(address), credentials, &clock).unwrap();
    let offer = Offer {
        region,
        zones,
        instance: "n2-standard-32".into(),
        image: "i".into(),
        user: "ubuntu".into(),
        key_name: None,
        public_key: None,
        subnet: None,
        security_groups: Vec::new(),
        role: None,
        spot: false,
        reach: Reach::Public,
    };
    let tags = Tags {
        job: "google".into(),
        node: "n-1".into(),
        owner: "gone".into(),
        expires: clock.now().after(Duration::from_secs(3_600)),
    };
    gce.launch(&offer, &tags, "00ff", "").await.unwrap();
}

#[test]
fn machines_of_several_clouds_are_seen_and_given_back_and_a_silent_one_keeps_no_other() {
    let test = "machines_of_several_clouds_are_seen_and_given_back_and_a_silent_one_keeps_no_other";
    let Some(address) = server("SKYFRESH_TEST_GCPLOCAL", test) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(leave_one(&address));
    let place = Place::new();
    let google = format!(
        "[gcp]\nproject = \"cli\"\nendpoint = {address:?}\n\
         [gcp.region.us-east1]\nimage = \"i\"\nzones = [\"us-east1-b\"]\n"
    );
    let azure = "[azure]\nsubscription = \"01\"\nresource_group = \"relays\"\nendpoint = \"http://127.0.0.1:1\"\n\
                 [azure.region.westus2]\nimage = \"a:b:c:d\"\nsubnet = \"/s\"\n";
    place.write("google.toml", &google);
    place.write("both.toml", google.clone() + azure);
    let both = place.run(&["relay", "ls", "both.toml", "--json"]);
    assert_eq!(both.code, Some(1), "one did not answer: {both:?}");
    assert!(both.stderr.contains("azure:westus2"), "{both:?}");
    let machine: Value = serde_json::from_str(both.stdout.trim()).unwrap();
    assert_eq!(
        (&machine["id"], &machine["region"], &machine["job"]),
        (
            &"us-east1-b/skyfresh-00ff".into(),
            &"gcp:us-east1".into(),
            &"google".into()
        )
    );
    let given = place.run(&["relay", "rm", "both.toml", "--job", "google"]);
    assert!(
        given
            .stdout
            .contains("skyfresh-00ff in gcp:us-east1: given back"),
        "{given:?}"
    );
    assert!(lines(&place.run(&["relay", "ls", "google.toml", "--json"])).is_empty());
}

#[test]
fn machines_that_were_left_are_seen_and_given_back() {
    let test = "machines_that_were_left_are_seen_and_given_back";
    let Some(address) = server("SKYFRESH_TEST_MOTO", test) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(leave_two(&address));
    let place = Place::new();
    place.write("machines.toml", machines(&address));
    let jobs = || {
        let machines = lines(&place.run(&["relay", "ls", "machines.toml", "--json"]));
        let jobs = machines.iter().map(|machine| {
            let expired = machine["expired"].as_bool().unwrap();
            (machine["job"].as_str().unwrap().to_owned(), expired)
        });
        let mut jobs: Vec<(String, bool)> = jobs.collect();
        jobs.sort();
        jobs
    };
    assert_eq!(
        jobs(),
        [("new".to_owned(), false), ("old".to_owned(), true)]
    );
    let table = place.run(&["relay", "ls", "machines.toml"]);
    assert!(table.stdout.contains("EXPIRED"), "{table:?}");
    let removed = lines(&place.run(&["relay", "rm", "machines.toml", "--expired", "--json"]));
    assert_eq!(removed[0]["job"], "old");
    assert_eq!(jobs(), [("new".to_owned(), false)]);
    let removed = place.run(&["relay", "rm", "machines.toml", "--job", "new"]);
    assert!(removed.stdout.contains("given back"), "{removed:?}");
    assert_eq!(jobs(), []);
    let nothing = place.run(&["relay", "rm", "machines.toml", "--all"]);
    assert!(
        nothing.stderr.contains("nothing to give back"),
        "{nothing:?}"
    );
}
