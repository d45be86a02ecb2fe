//! Nodes on machines that are rented for them.

mod lease;
#[cfg(test)]
mod tests;

use crate::{Cloud, Machine, Offer, Program, State, Tags, user_data};
use async_trait::async_trait;
use lease::{Lease, patiently};
use skyfresh_relay::executor::{Executor, NodeHandle, Ssh};
use skyfresh_relay::node::Boot;
use skyfresh_relay::topology::Node;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind, Region, Rng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// On which terms machines are rented.
#[derive(Clone, Debug)]
pub struct Terms {
    /// What is rented where.
    pub offers: BTreeMap<Region, Offer>,
    /// What new machines fetch; `None`: their image has it.
    pub program: Option<Program>,
    /// Who logs in.
    pub user: String,
    /// Who rents, as a tag says it.
    pub owner: String,
    /// After this a machine ends by itself.
    pub longest_life: Duration,
    /// A machine that is no relay by then is given back.
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
        ssh.command = ending_machine(std::mem::take(&mut ssh.command));
        Rented {
            cloud,
            ssh,
            terms,
            clock,
            rng,
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
        let script = user_data(self.terms.longest_life, self.terms.program.as_ref());
        let pause = self.terms.pause;
        let renting = tokio::spawn(async move {
            let launch = || cloud.launch(&offer, &tags, &token, &script);
            let machine = patiently(&*clock, deadline_ns, pause, launch).await?;
            let lease = Lease::of(&machine, Arc::clone(&cloud), Arc::clone(&clock));
            Ok((machine, lease))
        });
        renting.await.map_err(|error| {
            Error::new(Kind::Internal, "rent machine", "the task broke off").with_source(error)
        })?
    }

    /// Waits until the machine runs and has an address.
    async fn address(&self, offer: &Offer, machine: &Machine, deadline_ns: u64) -> Result<String> {
        let on = format!("{} in {}", machine.id, machine.region);
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
                    (State::Running, None) => not_yet(
                        "it has no such address: rent it in a subnet that gives public ones, or say reach = \"private\"",
                    ),
                    (State::Pending, _) => not_yet("it is still beginning"),
                    (State::Ending | State::Gone, _) => Err(ended(&on)),
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
                Ok(Some(seen)) if matches!(seen.state, State::Ending | State::Gone) => {
                    Err(ended(&on).with_source(error))
                }
                _ => Err(error),
            }
        };
        patiently(&*self.clock, deadline_ns, self.terms.pause, begin).await
    }
}

fn ended(on: &str) -> Error {
    let why = format!(
        "{on}: it has ended before it was a relay: see its system log (aws ec2 get-console-output)"
    );
    Error::new(Kind::Invalid, "wait for machine", why)
}

/// A relay's command that ends its machine after it: a relay ends with its owner, so nobody's machine is paid for longer than a minute.
/// Where the program is not there yet, nothing is ended, and the login says so with exit code 127.
fn ending_machine(command: Vec<String>) -> Vec<String> {
    // SIGHUP and SIGPIPE come when the owner's connection breaks.
    let script = "trap '' HUP PIPE; command -v \"$1\" >/dev/null || exit 127; \"$@\"; sudo -n shutdown -h now";
    let mut words: Vec<String> = ["sh", "-c", script, "relay"].map(String::from).into();
    words.extend(command);
    words
}

#[async_trait]
impl Executor for Rented {
    async fn start(&self, node: &Node, mut boot: Boot) -> Result<Box<dyn NodeHandle>> {
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
        let deadline_ns = self.clock.monotonic_ns() + limit.as_nanos() as u64;
        let tags = Tags {
            job: boot.identity.job.to_string(),
            node: node.id.to_string(),
            owner: self.terms.owner.clone(),
            expires: self.clock.now().after(self.terms.longest_life),
        };
        let (machine, lease) = self.rent(offer, tags, deadline_ns).await?;
        let address = self.address(offer, &machine, deadline_ns).await?;
        // The owner speaks to relays when all have begun: the first must wait for the last.
        let timing = &mut boot.timing;
        timing.lease_ms = timing.lease_ms.max(limit.as_millis() as u64);
        let at = Node {
            address: Some(format!("{}@{address}", self.terms.user)),
            ..node.clone()
        };
        let inner = self.log_in(&at, boot, &machine, deadline_ns).await?;
        Ok(Box::new(RentedNode { inner, lease }))
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
