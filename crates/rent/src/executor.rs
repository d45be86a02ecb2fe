//! Nodes on machines that are rented for them.

mod lease;
#[cfg(test)]
mod tests;

use crate::{Cloud, Machine, Offer, Program, Reach, State, Tags, user_data};
use async_trait::async_trait;
use lease::{Lease, give_back, patiently};
use skyfresh_relay::executor::{Executor, NodeHandle, Ssh};
use skyfresh_relay::node::Boot;
use skyfresh_relay::topology::Node;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind, Provider, Region, Rng};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The part of [`Terms::boot_limit`] for which a machine may run and show no address.
const ADDRESS_PART: u32 = 10;
/// How long it is looked for machines whose renting was not answered, and how long all that goes on in the background may take.
const SWEEPING: Duration = Duration::from_secs(30);
const SETTLING: Duration = Duration::from_secs(90);
/// What a machine that is not a relay yet has beyond [`Terms::boot_limit`]: a login that began within it, and five minutes before its end in
/// which nobody is let in any more (shutdown(8)).
const FIRST_END_MARGIN: Duration = Duration::from_secs(600);
/// What a relay that is there waits beyond [`Terms::boot_limit`] for others: a last login and a last look at their machines.
const LEASE_MARGIN: Duration = Duration::from_secs(150);

/// On which terms machines are rented.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What is rented where.
    pub offers: BTreeMap<Region, Offer>,
    /// What new machines fetch; `None`: their image has it.
    pub program: Option<Program>,
    /// Who rents, as a tag says it.
    pub owner: String,
    /// After this, from its relay's start, a machine ends by itself; before its relay starts, soon after `boot_limit`.
    pub longest_life: Duration,
    /// A machine that is no relay by then is given back, and for as long again no other is begun in its region: whoever waits for a
    /// relay has waited long enough.
    pub boot_limit: Duration,
    /// Between two looks at a machine that begins.
    pub pause: Duration,
}

/// Rents a machine for every node, and gives it back when the node is stopped or dropped.
pub struct Rented {
    cloud: Arc<dyn Cloud>,
    ssh: Ssh,
    terms: Terms,
    clock: Arc<dyn Clock>,
    rng: Rng,
    tasks: TaskTracker,
    /// Where a whole boot limit went by and no relay was there, and when on the monotonic clock.
    in_vain: Mutex<BTreeMap<Region, u64>>,
}

impl Rented {
    /// `ssh` says how machines are logged in to; what it runs there must be `skyfresh relay`, and is wrapped so that the machine
    /// ends with it.
    pub fn new(
        cloud: Arc<dyn Cloud>,
        mut ssh: Ssh,
        terms: Terms,
        clock: Arc<dyn Clock>,
        rng: Rng,
    ) -> Self {
        ssh.command = ending_machine(std::mem::take(&mut ssh.command), terms.longest_life);
        Rented {
            cloud,
            ssh,
            terms,
            clock,
            rng,
            tasks: TaskTracker::new(),
            in_vain: Mutex::default(),
        }
    }

    /// Rents, in a task of its own: whoever asked may be gone by the answer, and the machine is then given back.
    async fn rent(&self, offer: &Offer, tags: Tags, deadline_ns: u64) -> Result<(Machine, Lease)> {
        let (cloud, clock, offer) = (
            Arc::clone(&self.cloud),
            Arc::clone(&self.clock),
            offer.clone(),
        );
        // One token for all tries: an answer that was lost does not rent a second machine.
        let token = self.rng.token();
        let first_end = self.terms.boot_limit + FIRST_END_MARGIN;
        let provider = offer.region.provider;
        let script = user_data(provider, first_end, self.terms.program.as_ref());
        let (pause, tasks) = (self.terms.pause, self.tasks.clone());
        // Cancelled when whoever asked is gone: then what is rented is given back, and no more is tried.
        let gone = CancellationToken::new();
        let _asking = gone.clone().drop_guard();
        let renting = self.tasks.spawn(async move {
            let launch = || async {
                match gone.is_cancelled() {
                    true => Err(Error::new(
                        Kind::Invalid,
                        "rent machine",
                        "it is not wanted any more",
                    )),
                    false => cloud.launch(&offer, &tags, &token, &script).await,
                }
            };
            let machine = match patiently(&*clock, deadline_ns, pause, launch).await {
                Ok(machine) => machine,
                Err(error) => {
                    // Rented it may be all the same, where an answer was lost.
                    if error.kind == Kind::RetryAfter || gone.is_cancelled() {
                        sweep(&*cloud, &*clock, &offer.region, &tags).await;
                    }
                    return Err(error);
                }
            };
            let lease = Lease::of(&machine, Arc::clone(&cloud), Arc::clone(&clock), tasks);
            Ok((machine, lease))
        });
        renting.await.map_err(|error| {
            Error::new(Kind::Internal, "rent machine", "the task broke off").with_source(error)
        })?
    }

    /// Waits until the machine runs and has an address.
    async fn address(&self, offer: &Offer, machine: &Machine, deadline_ns: u64) -> Result<String> {
        let on = format!("{} in {}", machine.id, machine.region);
        let limit = self.terms.boot_limit / ADDRESS_PART;
        let bare_since_ns = Mutex::new(None);
        let look = || async {
            let seen = self.cloud.look(&machine.region, &machine.id).await?;
            let not_yet = |why: &str| {
                let why = format!("{on}: {why}");
                Err(Error::new(Kind::RetryAfter, "wait for machine", why))
            };
            match seen {
                None => not_yet("it is not known yet"),
                Some(seen) => match (seen.state, seen.address(offer.reach)) {
                    (State::Running, Some(address)) => Ok(address.to_owned()),
                    (State::Running, None) => {
                        // It is shown a moment after the machine, or never.
                        let now_ns = self.clock.monotonic_ns();
                        let mut since =
                            bare_since_ns.lock().unwrap_or_else(PoisonError::into_inner);
                        let bare_ns = now_ns.saturating_sub(*since.get_or_insert(now_ns));
                        match u128::from(bare_ns) < limit.as_nanos() {
                            true => not_yet("it has no such address yet"),
                            false => Err(no_address(&on, offer.reach)),
                        }
                    }
                    (State::Pending, _) => not_yet("it is still beginning"),
                    (State::Ending | State::Stopped | State::Gone, _) => {
                        Err(ended(&on, &machine.region))
                    }
                },
            }
        };
        patiently(&*self.clock, deadline_ns, self.terms.pause, look).await
    }

    /// Logs in until the relay answers.
    async fn log_in(
        &self,
        node: &Node,
        boot: Boot,
        machine: &Machine,
        deadline_ns: u64,
    ) -> Result<Box<dyn NodeHandle>> {
        let on = format!("{} in {}", machine.id, machine.region);
        let begin = || async {
            let error = match self.ssh.start(node, boot.clone()).await {
                Ok(handle) => return Ok(handle),
                Err(error) => error,
            };
            // A machine that has ended does not answer either: there waiting is no use.
            let seen = self.cloud.look(&machine.region, &machine.id).await;
            match seen {
                Ok(Some(seen)) if !matches!(seen.state, State::Pending | State::Running) => {
                    Err(ended(&on, &machine.region).with_source(error))
                }
                _ => Err(error),
            }
        };
        patiently(&*self.clock, deadline_ns, self.terms.pause, begin).await
    }
}

impl Rented {
    /// Whether no relay came in a region, less than a boot limit ago.
    fn was_in_vain(&self, region: &Region) -> bool {
        let in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        let limit_ns = self.terms.boot_limit.as_nanos() as u64;
        let now_ns = self.clock.monotonic_ns();
        let at_ns = in_vain.get(region);
        at_ns.is_some_and(|at_ns| now_ns.saturating_sub(*at_ns) < limit_ns)
    }

    /// A machine, and a relay on it, by the deadline.
    async fn begin(
        &self,
        node: &Node,
        mut boot: Boot,
        offer: &Offer,
        tags: Tags,
        deadline_ns: u64,
    ) -> Result<Box<dyn NodeHandle>> {
        let (machine, lease) = self.rent(offer, tags, deadline_ns).await?;
        let address = self.address(offer, &machine, deadline_ns).await?;
        // The owner speaks to relays when all have begun: the first must wait for the last.
        let timing = &mut boot.timing;
        let waits = self.terms.boot_limit + LEASE_MARGIN;
        timing.lease_ms = timing.lease_ms.max(waits.as_millis() as u64);
        let at = Node {
            address: Some(format!("{}@{address}", offer.user)),
            ..node.clone()
        };
        let inner = self.log_in(&at, boot, &machine, deadline_ns).await?;
        Ok(Box::new(RentedNode { inner, lease }))
    }
}

/// Gives back what stands under these tags.
async fn sweep(cloud: &dyn Cloud, clock: &dyn Clock, region: &Region, tags: &Tags) {
    let deadline_ns = clock.monotonic_ns() + SWEEPING.as_nanos() as u64;
    let found = patiently(clock, deadline_ns, SWEEPING / 10, || cloud.find(region)).await;
    let ours = |machine: &Machine| {
        machine.is_there() && machine.tags.job == tags.job && machine.tags.node == tags.node
    };
    match found {
        Ok(machines) => {
            for machine in machines.iter().filter(|machine| ours(machine)) {
                give_back(cloud, clock, region, &machine.id).await;
            }
        }
        Err(error) => tracing::warn!(
            %region, %error,
            "whether a machine was rented whose answer was lost is not known: see skyfresh relay ls"
        ),
    }
}

fn ended(on: &str, region: &Region) -> Error {
    let how = match region.provider {
        Provider::Gcp => "gcloud compute instances get-serial-port-output",
        Provider::Azure => "az vm boot-diagnostics get-boot-log",
        _ => "aws ec2 get-console-output",
    };
    let why = format!("{on}: it has ended before it was a relay: see its system log ({how})");
    Error::new(Kind::Invalid, "wait for machine", why)
}

fn no_address(on: &str, reach: Reach) -> Error {
    let hint = match reach {
        Reach::Public => {
            "it has no public address: rent it in a subnet that gives public ones, or say reach = \"private\""
        }
        Reach::Private => "it has no address in its network",
    };
    Error::new(Kind::Invalid, "wait for machine", format!("{on}: {hint}"))
}

/// A relay's command that puts its machine's end off from the first one to that of its longest life, and ends it after the relay, which
/// ends with its owner. Where the program is not there yet, or the end cannot be set, nothing else is done: exit codes 127 and 126.
fn ending_machine(command: Vec<String>, longest_life: Duration) -> Vec<String> {
    let minutes = longest_life.as_secs().div_ceil(60).max(1);
    // SIGHUP and SIGPIPE come when the owner's connection breaks.
    let script = format!(
        "trap '' HUP PIPE; command -v \"$1\" >/dev/null || exit 127; sudo -n shutdown -h +{minutes} || exit 126; \
         \"$@\"; sudo -n shutdown -h now"
    );
    let mut words: Vec<String> = ["sh", "-c", &script, "relay"].map(String::from).into();
    words.extend(command);
    words
}

#[async_trait]
impl Executor for Rented {
    async fn start(&self, node: &Node, boot: Boot) -> Result<Box<dyn NodeHandle>> {
        let wrong =
            |why: String| Error::new(Kind::Invalid, "rent machine", format!("{}: {why}", node.id));
        let region: Region = node
            .region
            .parse()
            .map_err(|error| wrong(format!("{error}")))?;
        let offer =
            self.terms.offers.get(&region).ok_or_else(|| {
                wrong(format!("no machine is offered in {region}: add the region"))
            })?;
        let limit = self.terms.boot_limit;
        if self.was_in_vain(&region) {
            let why = "a relay was waited for in vain there just now: no other is";
            return Err(wrong(format!("{region}: {why}")));
        }
        let deadline_ns = self.clock.monotonic_ns() + limit.as_nanos() as u64;
        let tags = Tags {
            job: boot.identity.job.to_string(),
            node: node.id.to_string(),
            owner: self.terms.owner.clone(),
            // The life begins with the relay, at the end of the boot at the latest.
            expires: self.clock.now().after(limit + self.terms.longest_life),
        };
        let begun = self.begin(node, boot, offer, tags, deadline_ns).await;
        // Another try would take as long again, and parts wait meanwhile.
        if begun
            .as_ref()
            .is_err_and(|error| error.kind == Kind::RetryAfter)
        {
            let now_ns = self.clock.monotonic_ns();
            let mut in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
            in_vain.insert(region, now_ns);
        }
        begun
    }

    async fn settle(&self) {
        self.tasks.close();
        let settled = skyfresh_sky::timeout(&*self.clock, SETTLING, self.tasks.wait()).await;
        if settled.is_none() {
            tracing::warn!("machines may be left that were rented: see skyfresh relay ls");
        }
    }
}

struct RentedNode {
    inner: Box<dyn NodeHandle>,
    lease: Lease,
}

#[async_trait]
impl NodeHandle for RentedNode {
    fn address(&self) -> &str {
        self.inner.address()
    }

    async fn alive(&self) -> bool {
        self.inner.alive().await
    }

    async fn stop(&self) {
        // Both at once: what is paid for is the machine.
        tokio::join!(self.inner.stop(), self.lease.end());
    }
}
