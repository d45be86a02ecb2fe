//! Relays of one job on machines of two clouds, with logins that are a script.

use crate::{azure, gce};
use skyfresh_relay::crypto::Authority;
use skyfresh_relay::executor::{Executor, Ssh};
use skyfresh_relay::node::{Boot, PROTOCOL, Timing};
use skyfresh_relay::topology::{Node, Security};
use skyfresh_relay::{JobId, NodeId};
use skyfresh_rent::{Cloud, Clouds, Rented, Terms};
use skyfresh_sky::{Clock, Kind, Provider, Region, Rng, SystemClock};
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

/// An `ssh` that is a relay and writes down who was logged in to.
fn client(folder: &std::path::Path) -> std::path::PathBuf {
    let path = folder.join("ssh");
    let logins = folder.join("logins").display().to_string();
    let script = format!(
        "#!/bin/sh\n\
         echo \"$*\" >> '{logins}'\n\
         read -r boot\n\
         echo '{{\"address\":\"0.0.0.0:7400\"}}'\n\
         exec cat > /dev/null\n"
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn node(region: &Region) -> (Node, Boot) {
    let id = NodeId::new(region.to_string().replace(':', "-")).unwrap();
    let life = Duration::from_secs(3_600);
    let authority = Authority::new(JobId(7), SystemClock.now(), life).unwrap();
    let boot = Boot {
        protocol: PROTOCOL,
        identity: authority.identity(&id).unwrap(),
        listen: "127.0.0.1:0".into(),
        security: Security::Plain,
        timing: Timing::default(),
    };
    let node = Node {
        id,
        region: region.to_string(),
        address: None,
    };
    (node, boot)
}

#[tokio::test]
async fn relays_of_one_job_begin_in_two_clouds_and_none_is_left() {
    let (google, _google_service, machines) = gce::cloud(gce::Table::default());
    let (azure, _azure_service, group) = azure::cloud(azure::Table::default());
    let clouds = Clouds::default()
        .with(Provider::Gcp, Arc::new(google))
        .with(Provider::Azure, Arc::new(azure));
    let nowhere: Region = "aws:us-east-1".parse().unwrap();
    let none = clouds.find(&nowhere).await.unwrap_err();
    assert_eq!(none.kind, Kind::Invalid, "{none}");

    let folder = tempfile::tempdir().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut ssh = Ssh::new(vec!["skyfresh".into(), "relay".into()], Arc::clone(&clock));
    ssh.client = client(folder.path());
    let offers = [gce::offer(), azure::offer(&[])];
    let terms = Terms {
        offers: offers
            .into_iter()
            .map(|offer| (offer.region.clone(), offer))
            .collect(),
        program: None,
        owner: "test".into(),
        longest_life: Duration::from_secs(3_600),
        boot_limit: Duration::from_secs(60),
        pause: Duration::from_millis(20),
    };
    let executor = Rented::new(Arc::new(clouds), ssh, terms, clock, Rng::seeded(1));
    let mut handles = Vec::new();
    for region in [gce::region(), azure::region()] {
        let (node, boot) = node(&region);
        handles.push(executor.start(&node, boot).await.unwrap());
    }
    assert!(
        handles
            .iter()
            .all(|handle| handle.address() == "192.0.2.7:7400")
    );
    let logins = std::fs::read_to_string(folder.path().join("logins")).unwrap();
    assert_eq!(logins.matches("ubuntu@192.0.2.7").count(), 2, "{logins}");
    assert_eq!(machines.lock().unwrap().machines.len(), 1);
    assert_eq!(group.lock().unwrap().names("/virtualMachines/").len(), 1);
    // Each was told how to give itself back to its own provider.
    let script = machines.lock().unwrap().machines.values().next().unwrap()["metadata"].to_string();
    assert!(
        script.contains("computeMetadata") && !script.contains("azure"),
        "{script}"
    );
    // One is stopped, the other dropped.
    handles.pop().unwrap().stop().await;
    handles.clear();
    executor.settle().await;
    assert!(machines.lock().unwrap().machines.is_empty());
    assert!(group.lock().unwrap().names("Microsoft").is_empty());
}
