//! Compute Engine as gcplocal speaks it. It keeps what it is given: no addresses, no full zones, no request twice.

use crate::gce::{offer, region, tags};
use skyfresh_rent::{Cloud, Gce, Machine, State, user_data};
use skyfresh_sky::{Clock, Kind, Provider, Rng, SystemClock};
use skyfresh_store::gcs::{GoogleCredentialSource, GoogleCredentials};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

/// Where gcplocal is, or `None` with a line that says that the test is skipped.
fn address(test: &str) -> Option<String> {
    let variable = "SKYFRESH_TEST_GCPLOCAL";
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

#[tokio::test]
async fn gcplocal_rents_finds_and_takes_back() {
    let Some(address) = address("gcplocal_rents_finds_and_takes_back") else {
        return;
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = GoogleCredentialSource::Anonymous;
    let credentials = GoogleCredentials::new(source, Arc::clone(&clock)).unwrap();
    let zones = [(region(), offer().zones)].into();
    let gce = Gce::new("p", zones, Some(&address), credentials, &clock).unwrap();
    let there = || async { gce.find(&region()).await.unwrap() };
    assert_eq!(there().await, []);
    let token = Rng::from_entropy().token();
    let script = user_data(Provider::Gcp, Duration::from_secs(900), None);
    let rent = || async { gce.launch(&offer(), &tags("1f"), &token, &script).await };
    let machine: Machine = rent().await.unwrap();
    assert_eq!(rent().await.unwrap().id, machine.id);
    let seen = gce.look(&region(), &machine.id).await.unwrap().unwrap();
    assert_eq!(
        (seen.state, seen.instance.as_str(), seen.tags.job.as_str()),
        (State::Running, "n2-standard-32", "1f")
    );
    assert!(!seen.is_expired(SystemClock.now()));
    assert_eq!(there().await, [seen]);
    gce.terminate(&region(), &machine.id).await.unwrap();
    assert_eq!(there().await, []);
    let again = gce.terminate(&region(), &machine.id).await.unwrap_err();
    assert_eq!(again.kind, Kind::Missing, "{again}");
}
