//! Compute Engine's calls, as its reference describes them, answered by a table.

use crate::support::{Answer, Request, Service};
use serde_json::{Value, json};
use skyfresh_rent::{Cloud, Gce, Machine, Offer, Reach, State, Tags, user_data};
use skyfresh_sky::{Clock, Kind, Provider, Region, SystemClock};
use skyfresh_store::gcs::{GoogleCredentialSource, GoogleCredentials};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PROJECT: &str = "/compute/v1/projects/p/zones";

/// What stands in the project, and what goes wrong.
#[derive(Default)]
pub(crate) struct Table {
    /// By zone and name.
    pub(crate) machines: BTreeMap<String, Value>,
    /// Requests that were carried out, by id, with their operation.
    done: BTreeMap<String, Value>,
    /// Zones without room.
    full: Vec<&'static str>,
    /// Zones whose next answer to `instances.insert` is lost on its way.
    lost: Vec<&'static str>,
    /// Looks at an operation before it is done.
    slow: usize,
}

fn refused(status: u16, reason: &str) -> Answer {
    let one = json!({ "message": "no", "domain": "global", "reason": reason });
    let error = json!({ "error": { "code": status, "message": "no", "errors": [one] } });
    Some((status, error.to_string()))
}

fn operation(status: &str) -> Value {
    json!({ "kind": "compute#operation", "name": "operation-1", "status": status })
}

impl Table {
    fn answer(&mut self, request: &Request) -> Answer {
        let (method, rest) = request.line.split_once(' ').unwrap();
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = path.strip_prefix(PROJECT).unwrap().trim_start_matches('/');
        let parts: Vec<&str> = path.split('/').collect();
        match (method, &parts[..]) {
            ("POST", [zone, "instances"]) => self.insert(zone, query, &request.body),
            ("GET", [zone, "instances"]) => {
                let begin = format!("{zone}/");
                let all = self.machines.iter();
                let here: Vec<&Value> = all
                    .filter(|(key, _)| key.starts_with(&begin))
                    .map(|(_, machine)| machine)
                    .collect();
                // A page each.
                let at = query.split("pageToken=").nth(1).unwrap_or("0");
                let at: usize = at.parse().unwrap();
                let mut page = json!({ "kind": "compute#instanceList" });
                if let Some(machine) = here.get(at) {
                    page["items"] = json!([machine]);
                }
                if at + 1 < here.len() {
                    page["nextPageToken"] = (at + 1).to_string().into();
                }
                Some((200, page.to_string()))
            }
            ("GET", [zone, "instances", name]) => {
                match self.machines.get(&format!("{zone}/{name}")) {
                    Some(machine) => Some((200, machine.to_string())),
                    None => refused(404, "notFound"),
                }
            }
            ("GET", [_, "operations", _]) => {
                let status = match self.slow {
                    0 => "DONE",
                    _ => "RUNNING",
                };
                self.slow = self.slow.saturating_sub(1);
                Some((200, operation(status).to_string()))
            }
            ("DELETE", [zone, "instances", name]) => {
                match self.machines.remove(&format!("{zone}/{name}")) {
                    Some(_) => Some((200, operation("PENDING").to_string())),
                    None => refused(404, "notFound"),
                }
            }
            _ => refused(400, "invalid"),
        }
    }

    fn insert(&mut self, zone: &str, query: &str, body: &Value) -> Answer {
        let id = query.strip_prefix("requestId=").unwrap().to_owned();
        let key = format!("{zone}/{}", body["name"].as_str().unwrap());
        let told = match self.done.get(&id) {
            Some(told) => told.clone(),
            None if self.machines.contains_key(&key) => return refused(409, "alreadyExists"),
            None if self.full.contains(&zone) => {
                let mut told = operation("DONE");
                let full = json!({ "code": "ZONE_RESOURCE_POOL_EXHAUSTED", "message": "no room" });
                told["error"] = json!({ "errors": [full] });
                told
            }
            None => {
                let mut machine = body.clone();
                machine["zone"] = format!("https://x/projects/p/zones/{zone}").into();
                machine["status"] = "RUNNING".into();
                machine["networkInterfaces"][0]["networkIP"] = "10.0.0.2".into();
                machine["networkInterfaces"][0]["accessConfigs"][0]["natIP"] = "192.0.2.7".into();
                self.machines.insert(key, machine);
                operation("RUNNING")
            }
        };
        self.done.insert(id, told.clone());
        if let Some(at) = self.lost.iter().position(|lost| *lost == zone) {
            self.lost.remove(at);
            return None;
        }
        Some((200, told.to_string()))
    }
}

pub(crate) fn region() -> Region {
    "gcp:us-east1".parse().unwrap()
}

fn zones() -> Vec<String> {
    ["us-east1-b", "us-east1-c"].map(str::to_owned).into()
}

pub(crate) fn cloud(table: Table) -> (Gce, Service, Arc<Mutex<Table>>) {
    let table = Arc::new(Mutex::new(table));
    let answers = Arc::clone(&table);
    let service = Service::new(move |request| answers.lock().unwrap().answer(request));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let source = GoogleCredentialSource::Token("hunter2".into());
    let credentials = GoogleCredentials::new(source, Arc::clone(&clock)).unwrap();
    let zones = [(region(), zones())].into();
    let gce = Gce::new("p", zones, Some(&service.address), credentials, &clock).unwrap();
    (gce.with_pause(Duration::from_millis(5)), service, table)
}

pub(crate) fn offer() -> Offer {
    Offer {
        region: region(),
        zones: zones(),
        instance: "n2-standard-32".into(),
        image: "projects/ubuntu-os-cloud/global/images/family/ubuntu-2404-lts-amd64".into(),
        user: "ubuntu".into(),
        key_name: None,
        public_key: None,
        subnet: None,
        security_groups: Vec::new(),
        role: None,
        spot: false,
        reach: Reach::Public,
    }
}

pub(crate) fn tags(job: &str) -> Tags {
    Tags {
        job: job.into(),
        node: "gcp-us-east1-1".into(),
        owner: "test".into(),
        expires: SystemClock.now().after(Duration::from_secs(3_600)),
    }
}

async fn launch(gce: &Gce, token: &str) -> skyfresh_relay::Result<Machine> {
    let script = user_data(Provider::Gcp, Duration::from_secs(900), None);
    gce.launch(&offer(), &tags("1f"), token, &script).await
}

#[tokio::test]
async fn a_machine_is_rented_found_and_given_back() {
    let (gce, service, table) = cloud(Table {
        slow: 2,
        ..Table::default()
    });
    let machine = launch(&gce, "00ff").await.unwrap();
    assert_eq!(machine.id, "us-east1-b/skyfresh-00ff");
    assert_eq!(machine.state, State::Running);
    assert_eq!(machine.address(Reach::Public), Some("192.0.2.7"));
    assert_eq!(
        service.count("GET /compute/v1/projects/p/zones/us-east1-b/operations/"),
        3
    );
    // Somebody else's, and one that shut down by itself.
    let mut other = table.lock().unwrap().machines["us-east1-b/skyfresh-00ff"].clone();
    other["name"] = "z-stopped".into();
    other["status"] = "TERMINATED".into();
    let web = json!({ "name": "web", "zone": "us-east1-c", "status": "RUNNING" });
    for (at, machine) in [("us-east1-b/z-stopped", other), ("us-east1-c/web", web)] {
        let machines = &mut table.lock().unwrap().machines;
        machines.insert(at.into(), machine);
    }
    let found = gce.find(&region()).await.unwrap();
    let states: Vec<(&str, bool)> = found
        .iter()
        .map(|machine| (machine.id.as_str(), machine.is_expired(SystemClock.now())))
        .collect();
    assert_eq!(
        states,
        [
            ("us-east1-b/skyfresh-00ff", false),
            ("us-east1-b/z-stopped", true)
        ]
    );
    gce.terminate(&region(), &machine.id).await.unwrap();
    assert_eq!(gce.look(&region(), &machine.id).await.unwrap(), None);
    let again = gce.terminate(&region(), &machine.id).await.unwrap_err();
    assert_eq!(again.kind, Kind::Missing, "it may be too new");
    // The token is in its header, and nowhere else.
    let asked = service.asked.lock().unwrap();
    assert!(
        asked
            .iter()
            .all(|one| one.authorization.as_deref() == Some("Bearer hunter2"))
    );
    assert!(
        !asked
            .iter()
            .any(|one| format!("{}{}", one.line, one.body).contains("hunter2"))
    );
}

#[tokio::test]
async fn a_full_zone_is_left_for_another() {
    let (gce, _, table) = cloud(Table {
        full: vec!["us-east1-b"],
        ..Table::default()
    });
    assert_eq!(
        launch(&gce, "00ff").await.unwrap().id,
        "us-east1-c/skyfresh-00ff"
    );
    table.lock().unwrap().full = vec!["us-east1-b", "us-east1-c"];
    let error = launch(&gce, "00fe").await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    assert!(error.context.contains("no room"), "{error}");
    // Room again: the refusals of before are not given once more.
    table.lock().unwrap().full.clear();
    assert_eq!(
        launch(&gce, "00fe").await.unwrap().id,
        "us-east1-b/skyfresh-00fe"
    );
}

#[tokio::test]
async fn an_answer_that_is_lost_rents_no_second_machine() {
    let (gce, _, table) = cloud(Table {
        full: vec!["us-east1-b"],
        lost: vec!["us-east1-c"],
        ..Table::default()
    });
    let error = launch(&gce, "00ff").await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    // The first zone has room now; the second has the machine.
    table.lock().unwrap().full.clear();
    let machine = launch(&gce, "00ff").await.unwrap();
    assert_eq!(machine.id, "us-east1-c/skyfresh-00ff");
    assert_eq!(table.lock().unwrap().machines.len(), 1);
    // Another process with the same token, which remembers nothing of the first request.
    table.lock().unwrap().done.clear();
    let mut only = offer();
    only.zones = vec!["us-east1-c".into()];
    let again = gce.launch(&only, &tags("1f"), "00ff", "").await.unwrap();
    assert_eq!(again.id, machine.id);
    let other = gce
        .launch(&only, &tags("2f"), "00ff", "")
        .await
        .unwrap_err();
    assert!(other.context.contains("another job"), "{other}");
    assert_eq!(table.lock().unwrap().machines.len(), 1);
}

#[tokio::test]
async fn a_list_without_an_end_and_names_that_none_are_are_refused() {
    let service = Service::new(|_| Some((200, r#"{"nextPageToken":"same"}"#.into())));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let open = |project: &str, zone: &str| {
        let source = GoogleCredentialSource::Anonymous;
        let credentials = GoogleCredentials::new(source, Arc::clone(&clock)).unwrap();
        let zones = [(region(), vec![zone.to_owned()])].into();
        Gce::new(project, zones, Some(&service.address), credentials, &clock)
    };
    let gce = open("p", "us-east1-b").unwrap();
    let error = gce.find(&region()).await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    for id in ["us-east1-b", "us-east1-b/../x", "a/b/c", "a/b?c"] {
        let error = gce.terminate(&region(), id).await.unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{id}");
    }
    assert_eq!(service.count("DELETE"), 0);
    assert!(open("p/../q", "us-east1-b").is_err());
    for zone in ["us-west1-b", "us-east1", "us-east1-b/x"] {
        assert!(open("p", zone).is_err(), "{zone}");
    }
}
