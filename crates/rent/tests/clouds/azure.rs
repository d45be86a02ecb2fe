//! Azure Resource Manager's calls, as its reference describes them, answered by a table.

use crate::support::{Answer, Request, Service};
use serde_json::{Value, json};
use skyfresh_rent::{
    AzureVms, Cloud, Machine, Offer, Reach, ResourceGroup, State, Tags, user_data,
};
use skyfresh_sky::{Clock, Kind, Provider, Region, SystemClock};
use skyfresh_store::azure::{AzureCredentialSource, AzureCredentials, IdentityEndpoint};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const GROUP: &str = "/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/relays";

/// What stands in the group, and what goes wrong.
#[derive(Default)]
pub(crate) struct Table {
    /// By path below the group's providers.
    resources: BTreeMap<String, Value>,
    /// Zones without room.
    full: Vec<&'static str>,
    /// Answers to a machine's `PUT` that are lost.
    losses: usize,
    /// Looks at a machine before it is on a host.
    slow: usize,
    /// What schedules are refused with.
    no_schedule: Option<(u16, &'static str)>,
}

fn refused(status: u16, code: &str) -> Answer {
    let error = json!({ "error": { "code": code, "message": "no" } });
    Some((status, error.to_string()))
}

impl Table {
    fn answer(&mut self, request: &Request) -> Answer {
        let (method, rest) = request.line.split_once(' ').unwrap();
        let (path, query) = rest.split_once('?').unwrap();
        if path == "/token" {
            let token = json!({ "access_token": "hunter2", "expires_in": "3600" });
            return Some((200, token.to_string()));
        }
        assert!(query.contains("api-version=20"), "{query}");
        let path = path.strip_prefix(GROUP).unwrap();
        let path = path.strip_prefix("/providers/").unwrap().to_owned();
        let is_machine = path.contains("/virtualMachines/");
        match method {
            "GET" if path.ends_with("/virtualMachines") => {
                let all = self.resources.iter();
                let machines: Vec<&Value> = all
                    .filter(|(path, _)| path.contains("/virtualMachines/"))
                    .map(|(_, machine)| machine)
                    .collect();
                Some((200, json!({ "value": machines }).to_string()))
            }
            "GET" => match self.resources.get_mut(&path) {
                None => refused(404, "ResourceNotFound"),
                Some(found) => {
                    if is_machine && self.slow > 0 {
                        self.slow -= 1;
                        let mut early = found.clone();
                        early["properties"]["provisioningState"] = "Creating".into();
                        early["properties"]["instanceView"] = json!({});
                        return Some((200, early.to_string()));
                    }
                    Some((200, found.to_string()))
                }
            },
            "PUT" if path.contains("/schedules/") => match self.no_schedule {
                Some((status, code)) => refused(status, code),
                None => {
                    self.resources.insert(path, request.body.clone());
                    Some((200, request.body.to_string()))
                }
            },
            "PUT" => self.create(&path, &request.body),
            "DELETE" => {
                // What was made with a machine goes with it.
                let name = path.rsplit('/').next().unwrap().to_owned();
                let network = format!("Microsoft.Network/{name}");
                self.resources.retain(|path, _| !path.starts_with(&network));
                match self.resources.remove(&path) {
                    Some(_) => Some((202, String::new())),
                    None => Some((204, String::new())),
                }
            }
            _ => refused(400, "BadRequest"),
        }
    }

    fn create(&mut self, path: &str, body: &Value) -> Answer {
        let name = path.rsplit('/').next().unwrap();
        let mut machine = body.clone();
        machine["name"] = name.into();
        let zone = body["zones"][0].as_str().unwrap_or_default();
        let status = |code: &str| json!({ "code": code, "level": "Info", "message": "no room" });
        let properties = &mut machine["properties"];
        if self.full.contains(&zone) {
            properties["provisioningState"] = "Failed".into();
            let statuses = [status("ProvisioningState/failed/ZonalAllocationFailed")];
            properties["instanceView"] = json!({ "statuses": statuses });
        } else {
            properties["provisioningState"] = "Succeeded".into();
            let statuses = [
                status("ProvisioningState/succeeded"),
                status("PowerState/running"),
            ];
            properties["instanceView"] = json!({ "statuses": statuses });
            let nic = format!("Microsoft.Network/{name}-nic");
            let ip = format!("Microsoft.Network/{name}-ip");
            let id = |path: &str| format!("{GROUP}/providers/{path}");
            properties["networkProfile"] = json!({ "networkInterfaces": [{ "id": id(&nic) }] });
            let address =
                json!({ "privateIPAddress": "10.0.0.4", "publicIPAddress": { "id": id(&ip) } });
            let interface =
                json!({ "properties": { "ipConfigurations": [{ "properties": address }] } });
            self.resources.insert(nic, interface);
            let public = json!({ "properties": { "ipAddress": "192.0.2.7" } });
            self.resources.insert(ip, public);
        }
        self.resources.insert(path.to_owned(), machine.clone());
        if self.losses > 0 {
            self.losses -= 1;
            return None;
        }
        machine["properties"]["provisioningState"] = "Creating".into();
        Some((201, machine.to_string()))
    }

    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let found = self.resources.keys().filter(|path| path.contains(kind));
        let name = |path: &String| path.rsplit('/').next().unwrap().to_owned();
        found.map(name).collect()
    }
}

pub(crate) fn region() -> Region {
    "azure:westus2".parse().unwrap()
}

pub(crate) fn cloud(table: Table) -> (AzureVms, Service, Arc<Mutex<Table>>) {
    let table = Arc::new(Mutex::new(table));
    let answers = Arc::clone(&table);
    let service = Service::new(move |request| answers.lock().unwrap().answer(request));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // As on a machine of Azure with an identity.
    let source = AzureCredentialSource::ManagedIdentity {
        client_id: None,
        endpoint: IdentityEndpoint::InstanceMetadata {
            url: format!("{}/token", service.address),
        },
    };
    let credentials = AzureCredentials::new("", source, Arc::clone(&clock)).unwrap();
    let group = ResourceGroup {
        subscription: "00000000-0000-0000-0000-000000000001".into(),
        name: "relays".into(),
        auto_shutdown: true,
    };
    let azure = AzureVms::new(&group, Some(&service.address), Some(credentials), &clock);
    let azure = azure.unwrap().with_pause(Duration::from_millis(5));
    (azure, service, table)
}

pub(crate) fn offer(zones: &[&str]) -> Offer {
    Offer {
        region: region(),
        zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
        instance: "Standard_D32_v5".into(),
        image: "Canonical:ubuntu-24_04-lts:server:latest".into(),
        user: "ubuntu".into(),
        key_name: None,
        public_key: Some("ssh-ed25519 AAAA me".into()),
        subnet: Some(format!("{GROUP}/subnets/n")),
        security_groups: Vec::new(),
        role: None,
        spot: false,
        reach: Reach::Public,
    }
}

async fn launch(azure: &AzureVms, token: &str, zones: &[&str]) -> skyfresh_relay::Result<Machine> {
    let tags = Tags {
        job: "1f".into(),
        node: "azure-westus2-1".into(),
        owner: "test".into(),
        expires: SystemClock.now().after(Duration::from_secs(3_600)),
    };
    let script = user_data(Provider::Azure, Duration::from_secs(900), None);
    azure.launch(&offer(zones), &tags, token, &script).await
}

#[tokio::test]
async fn a_machine_is_rented_with_an_end_found_and_given_back() {
    let (azure, service, table) = cloud(Table {
        slow: 2,
        ..Table::default()
    });
    let machine = launch(&azure, "00ff", &[]).await.unwrap();
    assert_eq!(
        (machine.id.as_str(), machine.state),
        ("skyfresh-00ff", State::Running)
    );
    // The end that Azure sets, of this machine.
    let schedules = table.lock().unwrap().names("/schedules/");
    assert_eq!(schedules, ["shutdown-computevm-skyfresh-00ff"]);
    let schedule = table.lock().unwrap().resources
        ["Microsoft.DevTestLab/schedules/shutdown-computevm-skyfresh-00ff"]
        .clone();
    let target = schedule["properties"]["targetResourceId"].as_str().unwrap();
    assert!(
        target.ends_with("/virtualMachines/skyfresh-00ff"),
        "{target}"
    );
    assert_eq!(schedule["properties"]["taskType"], "ComputeVmShutdownTask");

    let seen = azure
        .look(&region(), "skyfresh-00ff")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.address(Reach::Public), Some("192.0.2.7"));
    assert_eq!(seen.address(Reach::Private), Some("10.0.0.4"));
    // One that shut itself down is paid on, and shown so.
    let path = "Microsoft.Compute/virtualMachines/skyfresh-00ff";
    let mut stopped = table.lock().unwrap().resources[path].clone();
    stopped["name"] = "skyfresh-0stopped".into();
    stopped["properties"]["instanceView"]["statuses"][1]["code"] = "PowerState/stopped".into();
    let other = path.replace("00ff", "0stopped");
    table.lock().unwrap().resources.insert(other, stopped);
    let found = azure.find(&region()).await.unwrap();
    let states: Vec<(&str, State, bool)> = found
        .iter()
        .map(|one| {
            (
                one.id.as_str(),
                one.state,
                one.is_expired(SystemClock.now()),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("skyfresh-00ff", State::Running, false),
            ("skyfresh-0stopped", State::Stopped, true)
        ]
    );
    for id in ["skyfresh-00ff", "skyfresh-0stopped"] {
        azure.terminate(&region(), id).await.unwrap();
    }
    assert!(
        table.lock().unwrap().resources.is_empty(),
        "nothing is paid"
    );
    assert_eq!(azure.look(&region(), "skyfresh-00ff").await.unwrap(), None);
    let again = azure
        .terminate(&region(), "skyfresh-00ff")
        .await
        .unwrap_err();
    assert_eq!(again.kind, Kind::Missing, "it may be too new");
    // The token is in its header, and nowhere else.
    let asked = service.asked.lock().unwrap();
    let managing = asked.iter().filter(|one| !one.line.contains("/token"));
    for one in managing {
        assert_eq!(one.authorization.as_deref(), Some("Bearer hunter2"));
        assert!(!format!("{}{}", one.line, one.body).contains("hunter2"));
    }
}

#[tokio::test]
async fn a_full_zone_is_left_for_another_and_what_was_half_made_is_deleted() {
    let (azure, _, table) = cloud(Table {
        full: vec!["1"],
        ..Table::default()
    });
    let machine = launch(&azure, "00ff", &["1", "2"]).await.unwrap();
    assert_eq!(machine.id, "skyfresh-00ff-1");
    assert_eq!(
        table.lock().unwrap().names("/virtualMachines/"),
        ["skyfresh-00ff-1"]
    );
    table.lock().unwrap().full = vec!["1", "2"];
    let error = launch(&azure, "00fe", &["1", "2"]).await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    assert!(error.context.contains("no room"), "{error}");
    assert_eq!(table.lock().unwrap().names("/virtualMachines/").len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_lost_rents_no_second_machine() {
    let (azure, service, table) = cloud(Table {
        losses: 1,
        ..Table::default()
    });
    let error = launch(&azure, "00ff", &["1", "2"]).await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    let machine = launch(&azure, "00ff", &["1", "2"]).await.unwrap();
    assert_eq!(machine.id, "skyfresh-00ff");
    assert_eq!(table.lock().unwrap().names("/virtualMachines/").len(), 1);
    let put = format!("PUT {GROUP}/providers/Microsoft.Compute");
    assert_eq!(service.count(&put), 1, "the second time it was found");
}

#[tokio::test]
async fn a_machine_that_cannot_be_given_an_end_is_not_kept() {
    let (azure, _, table) = cloud(Table {
        no_schedule: Some((409, "MissingSubscriptionRegistration")),
        ..Table::default()
    });
    let error = launch(&azure, "00ff", &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Denied, "{error}");
    assert!(error.context.contains("Microsoft.DevTestLab"), "{error}");
    assert!(table.lock().unwrap().resources.is_empty());
    // Not now is not never: the machine stays, and is given its end when that goes.
    table.lock().unwrap().no_schedule = Some((429, "TooManyRequests"));
    let error = launch(&azure, "00fe", &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    table.lock().unwrap().no_schedule = None;
    let machine = launch(&azure, "00fe", &[]).await.unwrap();
    assert_eq!(
        table.lock().unwrap().names("/virtualMachines/"),
        [machine.id]
    );
    assert_eq!(table.lock().unwrap().names("/schedules/").len(), 1);
}

#[tokio::test]
async fn a_page_at_another_place_is_not_asked_for() {
    let next = r#"{"value":[],"nextLink":"https://elsewhere.example/next"}"#;
    let service = Service::new(move |_| Some((200, next.into())));
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let group = |subscription: &str, name: &str| ResourceGroup {
        subscription: subscription.into(),
        name: name.into(),
        auto_shutdown: false,
    };
    let open = |group| AzureVms::new(&group, Some(&service.address), None, &clock);
    let azure = open(group("01-ab", "relays")).unwrap();
    let error = azure.find(&region()).await.unwrap_err();
    assert!(error.context.contains("another place"), "{error}");
    assert_eq!(service.count(""), 1);
    for id in ["a/b", "../x", "a?b", ""] {
        let error = azure.terminate(&region(), id).await.unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{id}");
    }
    assert_eq!(service.count(""), 1);
    assert!(open(group("x/y", "relays")).is_err());
    assert!(open(group("01-ab", "a/b")).is_err());
}
