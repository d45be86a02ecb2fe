//! Machines of a cloud that is a table, and an `ssh` that is a script.

#![allow(
    clippy::disallowed_methods,
    reason = "a script needs the PATH of whoever runs the test"
)]

use super::*;
use crate::Reach;
use skyfresh_relay::JobId;
use skyfresh_relay::NodeId;
use skyfresh_relay::crypto::Authority;
use skyfresh_relay::node::{PROTOCOL, Timing};
use skyfresh_relay::topology::Security;
use skyfresh_sky::SystemClock;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

/// A provider that keeps its machines in a list.
#[derive(Default)]
struct Table {
    machines: Mutex<Vec<(String, Machine)>>,
    /// Refusals before the first machine.
    refusals: Mutex<Vec<Kind>>,
    /// Whether machines end at once.
    broken: bool,
    /// Whether they have no address.
    bare: bool,
    /// Renting takes as long as this.
    slow: Duration,
}

impl Table {
    fn states(&self) -> Vec<State> {
        let machines = self.machines.lock().unwrap();
        machines.iter().map(|(_, machine)| machine.state).collect()
    }
}

#[async_trait]
impl Cloud for Table {
    async fn launch(&self, offer: &Offer, tags: &Tags, token: &str, _: &str) -> Result<Machine> {
        tokio::time::sleep(self.slow).await;
        let refused = self.refusals.lock().unwrap().pop();
        let mut machines = self.machines.lock().unwrap();
        if !machines.iter().any(|(known, _)| known == token) {
            let machine = Machine {
                id: format!("i-{}", machines.len()),
                region: offer.region.clone(),
                instance: offer.instance.clone(),
                state: match self.broken {
                    true => State::Ending,
                    false => State::Running,
                },
                public_address: (!self.bare).then(|| "127.0.0.1".into()),
                private_address: None,
                tags: tags.clone(),
            };
            machines.push((token.to_owned(), machine));
        }
        // The machine is there although the answer is lost.
        if let Some(kind) = refused {
            return Err(Error::new(kind, "rent machine", "no"));
        }
        let found = machines.iter().find(|(known, _)| known == token);
        Ok(found.unwrap().1.clone())
    }

    async fn find(&self, _: &Region) -> Result<Vec<Machine>> {
        let machines = self.machines.lock().unwrap();
        Ok(machines
            .iter()
            .map(|(_, machine)| machine.clone())
            .collect())
    }

    async fn look(&self, region: &Region, id: &str) -> Result<Option<Machine>> {
        let all = self.find(region).await?;
        Ok(all.into_iter().find(|machine| machine.id == id))
    }

    async fn terminate(&self, _: &Region, id: &str) -> Result<()> {
        let mut machines = self.machines.lock().unwrap();
        for (_, machine) in machines.iter_mut().filter(|(_, machine)| machine.id == id) {
            machine.state = State::Gone;
        }
        Ok(())
    }
}

fn region() -> Region {
    "aws:us-east-1".parse().unwrap()
}

fn rented(cloud: &Arc<Table>, client: &Path) -> Rented {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let mut ssh = Ssh::new(vec!["skyfresh".into(), "relay".into()], Arc::clone(&clock));
    ssh.client = client.to_owned();
    let offer = Offer {
        region: region(),
        instance: "m5.8xlarge".into(),
        image: "ami-1".into(),
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
    let terms = Terms {
        offers: [(region(), offer)].into(),
        program: None,
        owner: "test".into(),
        longest_life: Duration::from_secs(3_600),
        boot_limit: Duration::from_secs(10),
        pause: Duration::from_millis(20),
    };
    let cloud = Arc::clone(cloud) as Arc<dyn Cloud>;
    Rented::new(cloud, ssh, terms, clock, Rng::seeded(1))
}

fn node() -> (Node, Boot) {
    let id = NodeId::new("aws-us-east-1-1").unwrap();
    let authority =
        Authority::new(JobId(7), SystemClock.now(), Duration::from_secs(3_600)).unwrap();
    let boot = Boot {
        protocol: PROTOCOL,
        identity: authority.identity(&id).unwrap(),
        listen: "127.0.0.1:0".into(),
        security: Security::Plain,
        timing: Timing::default(),
    };
    let node = Node {
        id,
        region: region().to_string(),
        address: None,
    };
    (node, boot)
}

/// An `ssh` that fails so often, and then is a relay that says where it listens.
fn client(folder: &Path, failures: u32) -> std::path::PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("ssh");
    let script = format!(
        "#!/bin/sh\n\
         tries='{}'\n\
         echo try >> \"$tries\"\n\
         [ \"$(wc -l < \"$tries\")\" -gt {failures} ] || exit 255\n\
         read -r boot\n\
         echo '{{\"address\":\"0.0.0.0:7400\"}}'\n\
         exec cat > /dev/null\n",
        folder.join("tries").display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

async fn until_gone(cloud: &Table) {
    for _ in 0..500 {
        let states = cloud.states();
        if !states.is_empty() && states.iter().all(|state| *state == State::Gone) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?}", cloud.states());
}

#[tokio::test]
async fn a_machine_is_rented_logged_in_to_when_it_answers_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Arc::new(Table::default());
    // The first answer is lost, the first two logins are too early.
    cloud.refusals.lock().unwrap().push(Kind::RetryAfter);
    let (node, boot) = node();
    let executor = rented(&cloud, &client(folder.path(), 2));
    let handle = executor.start(&node, boot).await.unwrap();
    assert_eq!(handle.address(), "127.0.0.1:7400");
    assert_eq!(cloud.states(), [State::Running], "one machine, not two");
    assert!(handle.alive().await);
    handle.stop().await;
    assert_eq!(cloud.states(), [State::Gone]);
    assert!(!handle.alive().await);
}

#[tokio::test]
async fn whoever_drops_a_node_or_the_start_of_one_leaves_no_machine() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Arc::new(Table::default());
    let (node, boot) = node();
    let executor = rented(&cloud, &client(folder.path(), 0));
    drop(executor.start(&node, boot.clone()).await.unwrap());
    until_gone(&cloud).await;
    // Broken off while the provider works on it.
    let cloud = Arc::new(Table {
        slow: Duration::from_millis(200),
        ..Table::default()
    });
    let executor = rented(&cloud, &client(folder.path(), 0));
    let start = executor.start(&node, boot);
    let broken_off = tokio::time::timeout(Duration::from_millis(50), start).await;
    assert!(broken_off.is_err());
    until_gone(&cloud).await;
}

#[tokio::test]
async fn what_does_not_become_a_relay_is_given_back_and_the_reason_told() {
    let folder = tempfile::tempdir().unwrap();
    let (node, boot) = node();
    let cloud = Arc::new(Table {
        broken: true,
        ..Table::default()
    });
    let executor = rented(&cloud, &client(folder.path(), 0));
    let error = executor.start(&node, boot.clone()).await.err().unwrap();
    assert!(error.context.contains("has ended before"), "{error}");
    until_gone(&cloud).await;
    // Never a login.
    let cloud = Arc::new(Table::default());
    let mut executor = rented(&cloud, &client(folder.path(), 1_000_000));
    executor.terms.boot_limit = Duration::from_millis(300);
    let error = executor.start(&node, boot.clone()).await.err().unwrap();
    assert_eq!(error.kind, Kind::RetryAfter, "{error}");
    until_gone(&cloud).await;
    // Refused, with nothing rented.
    let cloud = Arc::new(Table::default());
    cloud.refusals.lock().unwrap().push(Kind::Denied);
    let executor = rented(&cloud, &client(folder.path(), 0));
    let error = executor.start(&node, boot.clone()).await.err().unwrap();
    assert_eq!(error.kind, Kind::Denied);
    let elsewhere = Node {
        region: "aws:eu-west-1".into(),
        ..node
    };
    let error = executor.start(&elsewhere, boot).await.err().unwrap();
    assert!(error.context.contains("add the region"), "{error}");
}

#[tokio::test]
async fn what_will_not_come_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let (node, boot) = node();
    // No public address, ever.
    let cloud = Arc::new(Table {
        bare: true,
        ..Table::default()
    });
    let mut executor = rented(&cloud, &client(folder.path(), 0));
    executor.terms.boot_limit = Duration::from_secs(2);
    let error = executor.start(&node, boot.clone()).await.err().unwrap();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    assert!(error.context.contains("reach = \"private\""), "{error}");
    until_gone(&cloud).await;
    // No ssh on this machine.
    let cloud = Arc::new(Table::default());
    let executor = rented(&cloud, &folder.path().join("no-such-program"));
    let error = executor.start(&node, boot.clone()).await.err().unwrap();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
    assert!(error.context.contains("cannot run"), "{error}");
    until_gone(&cloud).await;
}

#[tokio::test]
async fn one_boot_limit_is_waited_in_a_region_and_not_one_for_every_try() {
    let folder = tempfile::tempdir().unwrap();
    let (node, boot) = node();
    let cloud = Arc::new(Table::default());
    let mut executor = rented(&cloud, &client(folder.path(), 1_000_000));
    executor.terms.boot_limit = Duration::from_millis(1_500);
    let first = executor.start(&node, boot.clone()).await.err().unwrap();
    assert_eq!(first.kind, Kind::RetryAfter, "{first}");
    // What a job does next: another relay in its place.
    for _ in 0..2 {
        let next = executor.start(&node, boot.clone()).await.err().unwrap();
        assert!(next.context.contains("in vain"), "{next}");
    }
    until_gone(&cloud).await;
    assert_eq!(cloud.states(), [State::Gone], "and nothing more is rented");
    // A relay that is lost later is replaced.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    executor.ssh.client = client(folder.path(), 0);
    assert!(executor.start(&node, boot).await.is_ok());
}

/// As a command that is stopped while machines begin: its runtime ends soon after the job, and waits for nothing but that.
#[test]
fn a_job_that_is_stopped_while_machines_begin_leaves_none() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Arc::new(Table {
        slow: Duration::from_millis(200),
        ..Table::default()
    });
    let client = client(folder.path(), 1_000_000);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (node, boot) = node();
        let executor = rented(&cloud, &client);
        for limit_ms in [50, 300] {
            let start = executor.start(&node, boot.clone());
            let limit = Duration::from_millis(limit_ms);
            assert!(tokio::time::timeout(limit, start).await.is_err());
        }
        executor.settle().await;
    });
    runtime.shutdown_background();
    assert_eq!(cloud.states(), [State::Gone, State::Gone]);
}

#[tokio::test]
async fn a_machine_whose_renting_was_not_answered_is_found_and_given_back() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Arc::new(Table::default());
    *cloud.refusals.lock().unwrap() = vec![Kind::RetryAfter; 1_000];
    let (node, boot) = node();
    let mut executor = rented(&cloud, &client(folder.path(), 0));
    executor.terms.boot_limit = Duration::from_millis(200);
    assert!(executor.start(&node, boot).await.is_err());
    executor.settle().await;
    assert_eq!(cloud.states(), [State::Gone]);
}

#[tokio::test]
async fn nothing_is_rented_any_more_for_whoever_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let cloud = Arc::new(Table::default());
    // It is rented, and never said so.
    *cloud.refusals.lock().unwrap() = vec![Kind::RetryAfter; 100_000];
    let (node, boot) = node();
    let mut executor = rented(&cloud, &client(folder.path(), 0));
    executor.terms.boot_limit = Duration::from_secs(3_600);
    let start = executor.start(&node, boot);
    let broken_off = tokio::time::timeout(Duration::from_millis(200), start).await;
    assert!(broken_off.is_err());
    executor.settle().await;
    assert_eq!(cloud.states(), [State::Gone]);
}

/// The wrapped command, run by a real shell with a `sudo` that writes down what it is asked.
#[test]
fn a_machine_ends_with_its_relay_but_not_before_it_has_one() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    };
    let asked = folder.path().join("asked");
    script(
        "sudo",
        &format!("printf '%s\\n' \"$*\" >> '{}'", asked.display()),
    );
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap_or_default()
    );
    let run = || {
        let relay = vec!["skyfresh".into(), "relay".into(), "a b".into()];
        let words = ending_machine(relay, Duration::from_secs(7_200));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("PATH", &path);
        command.output().unwrap()
    };
    assert_eq!(run().status.code(), Some(127));
    assert!(!asked.exists());
    script("skyfresh", "echo \"$2\"; exit 1");
    assert_eq!(run().stdout, b"a b\n");
    assert_eq!(
        std::fs::read_to_string(&asked).unwrap(),
        "-n shutdown -h +120\n-n shutdown -h now\n"
    );
    script("sudo", "exit 1");
    assert_eq!(run().status.code(), Some(126), "no end, no relay");
}
