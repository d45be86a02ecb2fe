//! EC2 as moto speaks it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "tests learn from the environment where the server is, and tell people what they skip"
)]

use skyfresh_rent::{Cloud, Ec2, Machine, Offer, Reach, State, Tags, user_data};
use skyfresh_sky::{Clock, Kind, Provider, Region, Rng, SystemClock};
use skyfresh_store::s3::{Credentials, S3Config};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Where moto is, or `None` with a line that says that the test is skipped.
fn address(test: &str) -> Option<String> {
    let variable = "SKYFRESH_TEST_MOTO";
    let address = std::env::var(variable)
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none() {
        let line = format!("skipped: {test}: {variable} is not set");
        println!("{line}");
        if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            log.and_then(|mut log| writeln!(log, "{line}"))
                .expect("the skip log can be written");
        }
    }
    address
}

/// A region of its own for each test: they share the server.
fn cloud(address: &str, region: &str) -> (Ec2, Region) {
    let region: Region = region.parse().unwrap();
    let config = S3Config {
        credentials: Credentials::Static {
            access_key_id: "test".into(),
            secret_access_key: "testtest".into(),
            session_token: None,
        },
        ..S3Config::default()
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ec2 = Ec2::new([region.clone()], Some(address), &config, &clock).unwrap();
    (ec2, region)
}

fn offer(region: &Region) -> Offer {
    Offer {
        region: region.clone(),
        instance: "m5.8xlarge".into(),
        // One of those that moto knows from the start.
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
    }
}

fn tags(node: &str) -> Tags {
    Tags {
        job: "00000000000000ff".into(),
        node: node.into(),
        owner: "test".into(),
        expires: SystemClock.now().after(Duration::from_secs(3_600)),
    }
}

async fn launch(ec2: &Ec2, region: &Region, node: &str, token: &str) -> Machine {
    let script = user_data(Provider::Aws, Duration::from_secs(3_600), None);
    ec2.launch(&offer(region), &tags(node), token, &script)
        .await
        .unwrap()
}

#[tokio::test]
async fn moto_rents_finds_and_takes_back() {
    let Some(address) = address("moto_rents_finds_and_takes_back") else {
        return;
    };
    let (ec2, region) = cloud(&address, "aws:us-east-2");
    // What earlier runs gave back is still shown.
    let there = || async {
        let mut machines = ec2.find(&region).await.unwrap();
        machines.retain(Machine::is_there);
        machines
    };
    assert_eq!(there().await, []);
    let rng = Rng::from_entropy();
    let machine = launch(&ec2, &region, "n-1", &rng.token()).await;
    let seen = ec2.look(&region, &machine.id).await.unwrap().unwrap();
    assert_eq!(seen.state, State::Running);
    assert!(seen.address(Reach::Public).is_some() && seen.address(Reach::Private).is_some());
    assert_eq!(
        (seen.tags.node.as_str(), seen.tags.job.as_str()),
        ("n-1", "00000000000000ff")
    );
    assert!(!seen.is_expired(SystemClock.now()));
    assert_eq!(there().await, [seen]);
    for _ in 0..2 {
        // Giving back twice is as good as once.
        ec2.terminate(&region, &machine.id).await.unwrap();
    }
    assert_eq!(there().await, []);
    assert_eq!(
        ec2.look(&region, "i-0123456789abcdef0").await.unwrap(),
        None
    );
    let unknown = ec2.terminate(&region, "i-0123456789abcdef0").await;
    assert_eq!(
        unknown.unwrap_err().kind,
        Kind::Missing,
        "it may be too new"
    );
}

#[tokio::test]
async fn moto_refuses_what_is_wrong_in_words() {
    let Some(address) = address("moto_refuses_what_is_wrong_in_words") else {
        return;
    };
    let (ec2, region) = cloud(&address, "aws:eu-west-1");
    let mut wrong = offer(&region);
    wrong.subnet = Some("subnet-0123456789abcdef0".into());
    let error = ec2
        .launch(&wrong, &tags("n-1"), "t-1", "")
        .await
        .unwrap_err();
    assert!(
        error.context.contains("InvalidSubnetID.NotFound"),
        "{error}"
    );
    assert_eq!(ec2.find(&region).await.unwrap(), []);
}
