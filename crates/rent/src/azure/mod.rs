//! Virtual machines of Azure, over Azure Resource Manager.
//!
//! Microsoft's library for Rust that manages machines is left behind on a branch of its own; a handful of JSON requests, with the tokens
//! that the store takes, does.
//!
//! A machine is put under a name that comes from its token, so that putting it again makes no second one, and is then looked at until it
//! is on a host or could not be made: only that says that a zone is full. Its disk, network interface and address are made by the same
//! request, and deleted with it.
//!
//! **An end.** A machine that shuts itself down is *stopped*, and paid as before. So Azure is told, right after a machine is made, to shut
//! it down after its longest life (*deallocate* it: then its disk and address are paid, and nothing else); and a machine with an identity
//! that may do so deletes itself when it shuts down (`give_back.rs`).

mod answer;
mod body;

use crate::rest::{Answer, Asked, Refusal, Rest, Tokens};
use crate::zones::Attempts;
use crate::{Cloud, Machine, Offer, State, Tags};
use answer::Seen;
use async_trait::async_trait;
use http::Method;
use serde_json::Value;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind, Region};
use skyfresh_store::azure::AzureCredentials;
use std::sync::Arc;
use std::time::Duration;

/// Azure Resource Manager in the public cloud.
const ADDRESS: &str = "https://management.azure.com";
pub(crate) const COMPUTE_VERSION: &str = "2024-07-01";
const NETWORK_VERSION: &str = "2024-01-01";
const SCHEDULE_VERSION: &str = "2018-09-15";
/// Pages of machines that are read.
const MOST_PAGES: usize = 100;
/// How long a machine is waited for before whoever asked is told that it is still being made, and between two looks at it.
const PATIENCE: Duration = Duration::from_secs(45);
const PAUSE: Duration = Duration::from_secs(2);

/// Where machines stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceGroup {
    /// The subscription's id.
    pub subscription: String,
    /// The group's name. It must be there.
    pub name: String,
    /// Whether Azure shuts machines down after their longest life.
    pub auto_shutdown: bool,
}

/// Azure's virtual machines, in one resource group.
pub struct AzureVms {
    rest: Rest,
    address: String,
    /// Path of the group.
    group: String,
    auto_shutdown: bool,
    attempts: Attempts,
    clock: Arc<dyn Clock>,
    pause: Duration,
}

impl AzureVms {
    /// `endpoint`: where Resource Manager answers, as test servers do; without one, Azure's own. `credentials`: an identity's; without
    /// any, no token is sent.
    ///
    /// # Errors
    /// `Invalid`: names that none are, or the system's root certificates cannot be read.
    pub fn new(
        group: &ResourceGroup,
        endpoint: Option<&str>,
        credentials: Option<AzureCredentials>,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let wrong = |why: String| Err(Error::new(Kind::Invalid, "open Azure", why));
        let hex = |c: char| c.is_ascii_hexdigit() || c == '-';
        if group.subscription.is_empty() || !group.subscription.chars().all(hex) {
            return wrong(format!("{:?} is no subscription's id", group.subscription));
        }
        if !answer::is_name(&group.name) {
            return wrong(format!("{:?} is no resource group's name", group.name));
        }
        let address = endpoint.unwrap_or(ADDRESS).trim_end_matches('/').to_owned();
        let https = address.starts_with("https://");
        let tokens = credentials.map(Tokens::Azure);
        Ok(AzureVms {
            rest: Rest::new(https, tokens, Arc::clone(clock))?,
            address,
            group: format!(
                "/subscriptions/{}/resourceGroups/{}",
                group.subscription, group.name
            ),
            auto_shutdown: group.auto_shutdown,
            attempts: Attempts::default(),
            clock: Arc::clone(clock),
            pause: PAUSE,
        })
    }

    /// The same, with so much time between two looks at a machine that is being made.
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    async fn ask(
        &self,
        asked: Asked<'_>,
        method: Method,
        path: &str,
        query: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Refusal> {
        let url = format!("{}{path}?api-version={query}", self.address);
        self.ask_at(asked, method, &url, body).await
    }

    async fn ask_at(
        &self,
        asked: Asked<'_>,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Refusal> {
        let answer = self.rest.send(asked, method, url, body).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(answer::refusal(asked, answer.status, &answer.body)),
        }
    }

    fn machines(&self) -> String {
        format!("{}/providers/Microsoft.Compute/virtualMachines", self.group)
    }

    fn path_of(&self, asked: Asked<'_>, name: &str) -> Result<String> {
        match answer::is_name(name) {
            true => Ok(format!("{}/{name}", self.machines())),
            false => Err(asked.error(Kind::Invalid, format!("{name} is no machine's name"))),
        }
    }

    fn schedule_of(&self, name: &str) -> String {
        format!(
            "{}/providers/Microsoft.DevTestLab/schedules/shutdown-computevm-{name}",
            self.group
        )
    }

    /// One machine of ours, without its addresses.
    async fn see(&self, asked: Asked<'_>, region: &Region, name: &str) -> Result<Option<Seen>> {
        let path = self.path_of(asked, name)?;
        let query = format!("{COMPUTE_VERSION}&$expand=instanceView");
        match self.ask(asked, Method::GET, &path, &query, None).await {
            Ok(answer) => answer::machine(asked, &answer.body, region),
            Err(refusal) if refusal.error.kind == Kind::Missing => Ok(None),
            Err(refusal) => Err(refusal.error),
        }
    }

    /// One machine in one zone: put where it is not there yet, and waited for until it is on a host or will not be.
    async fn rent(
        &self,
        offer: &Offer,
        tags: &Tags,
        user_data: &str,
        token: &str,
        zone: &str,
        refusals: u32,
    ) -> Result<Machine, Refusal> {
        let name = body::name(token, refusals);
        let on = match zone {
            "" => format!("{name} in {}", offer.region),
            zone => format!("{name} in {}, zone {zone}", offer.region),
        };
        let asked = Asked {
            operation: "rent machine",
            on: &on,
        };
        let wanted = body::create(offer, zone, tags, &name, user_data)?;
        // Before anything is made: a machine that has no end is not to be had.
        self.shutdown(tags, &offer.region, &name)?;
        let deadline_ns = self.clock.monotonic_ns() + PATIENCE.as_nanos() as u64;
        let mut is_put = false;
        loop {
            match self.see(asked, &offer.region, &name).await? {
                None if is_put => {}
                None => {
                    let path = self.path_of(asked, &name)?;
                    self.ask(asked, Method::PUT, &path, COMPUTE_VERSION, Some(&wanted))
                        .await?;
                    is_put = true;
                }
                Some(seen) if seen.machine.tags.job != tags.job => {
                    let why = "it is there already and belongs to another job";
                    return Err(asked.error(Kind::Invalid, why).into());
                }
                Some(seen) => match seen.failed {
                    Some(refusal) => {
                        self.clear(asked, &name).await;
                        // What is half made keeps its name for a while: the next try has another.
                        let again = refusal.error.kind == Kind::RetryAfter || refusal.elsewhere;
                        return Err(refusal.or_elsewhere(again));
                    }
                    None if seen.is_placed => {
                        self.set_end(asked, tags, &offer.region, &name).await?;
                        return Ok(seen.machine);
                    }
                    None => {}
                },
            }
            if self.clock.monotonic_ns() >= deadline_ns {
                return Err(asked
                    .error(Kind::RetryAfter, "it is still being made")
                    .into());
            }
            self.clock.sleep(self.pause).await;
        }
    }

    /// What the shut-down of a machine looks like; `None` where none is wanted.
    fn shutdown(&self, tags: &Tags, region: &Region, name: &str) -> Result<Option<Value>> {
        if !self.auto_shutdown {
            return Ok(None);
        }
        let id = format!("{}/{name}", self.machines());
        body::shutdown(&region.name, &id, tags.expires, self.clock.now()).map(Some)
    }

    /// Has Azure end a machine after its longest life. One that cannot be given an end is given back.
    async fn set_end(
        &self,
        asked: Asked<'_>,
        tags: &Tags,
        region: &Region,
        name: &str,
    ) -> Result<(), Refusal> {
        let Some(shutdown) = self.shutdown(tags, region, name)? else {
            return Ok(());
        };
        let path = self.schedule_of(name);
        let set = self
            .ask(asked, Method::PUT, &path, SCHEDULE_VERSION, Some(&shutdown))
            .await;
        match set {
            Ok(_) => Ok(()),
            // Tried again, with the machine that there is.
            Err(refusal) if refusal.error.kind == Kind::RetryAfter => Err(refusal),
            Err(refusal) => {
                self.clear(asked, name).await;
                Err(refusal)
            }
        }
    }

    /// Deletes what could not be used.
    async fn clear(&self, asked: Asked<'_>, name: &str) {
        if let Err(error) = self.delete(asked, name).await {
            tracing::warn!(
                name, %error,
                "a machine that could not be used is left: skyfresh relay rm --expired deletes it"
            );
        }
    }

    async fn delete(&self, asked: Asked<'_>, name: &str) -> Result<()> {
        let path = self.path_of(asked, name)?;
        // Not shut down first: nothing on it is worth that.
        let query = format!("{COMPUTE_VERSION}&forceDeletion=true");
        let answer = self.ask(asked, Method::DELETE, &path, &query, None).await;
        let answer = answer.map_err(|refusal| refusal.error)?;
        if answer.status == http::StatusCode::NO_CONTENT {
            return Err(asked.error(Kind::Missing, "there is no such machine"));
        }
        let schedule = self.schedule_of(name);
        let deleted = self
            .ask(asked, Method::DELETE, &schedule, SCHEDULE_VERSION, None)
            .await;
        if let Err(refusal) = deleted {
            // It costs nothing, and does nothing without its machine.
            tracing::debug!(error = %refusal.error, "a shut-down is left");
        }
        Ok(())
    }

    /// Adds its addresses to a machine that runs.
    async fn with_addresses(&self, asked: Asked<'_>, seen: Seen) -> Result<Machine> {
        let mut machine = seen.machine;
        let Some(interface) = seen.interface.filter(|_| machine.state == State::Running) else {
            return Ok(machine);
        };
        let get = |path: String| async move {
            let answer = self
                .ask(asked, Method::GET, &path, NETWORK_VERSION, None)
                .await;
            answer.map_err(|refusal| refusal.error)
        };
        let answer = get(interface).await?;
        let (private, public) = answer::interface(asked, &answer.body)?;
        machine.private_address = private;
        if let Some(public) = public {
            machine.public_address = answer::address(asked, &get(public).await?.body)?;
        }
        Ok(machine)
    }
}

#[async_trait]
impl Cloud for AzureVms {
    async fn launch(
        &self,
        offer: &Offer,
        tags: &Tags,
        token: &str,
        user_data: &str,
    ) -> Result<Machine> {
        let rent = |zone: String, refusals| async move {
            self.rent(offer, tags, user_data, token, &zone, refusals)
                .await
        };
        // Without zones Azure looks in all of the region.
        let anywhere = [String::new()];
        let zones = match offer.zones.is_empty() {
            true => &anywhere[..],
            false => &offer.zones,
        };
        self.attempts.anywhere(token, zones, rent).await
    }

    async fn find(&self, region: &Region) -> Result<Vec<Machine>> {
        let on = region.to_string();
        let asked = Asked {
            operation: "find machines",
            on: &on,
        };
        let mut names = Vec::new();
        let mut url = format!(
            "{}{}?api-version={COMPUTE_VERSION}",
            self.address,
            self.machines()
        );
        let mut is_whole = false;
        for _ in 0..MOST_PAGES {
            let answer = self.ask_at(asked, Method::GET, &url, None).await;
            let answer = answer.map_err(|refusal| refusal.error)?;
            let (some, next) = answer::page(asked, &answer.body, region)?;
            names.extend(some);
            match next {
                None => {
                    is_whole = true;
                    break;
                }
                // The token goes along.
                Some(next) if next.starts_with(&format!("{}/", self.address)) && next != url => {
                    url = next;
                }
                Some(_) => {
                    let why =
                        "the next page of machines is at another place, where nothing is sent";
                    return Err(asked.error(Kind::Invalid, why));
                }
            }
        }
        if !is_whole {
            return Err(asked.error(Kind::RetryAfter, "its list of machines does not end"));
        }
        // A list does not say whether machines run.
        let mut all = Vec::new();
        for name in names {
            let seen = self.see(asked, region, &name).await?;
            all.extend(seen.map(|seen| seen.machine));
        }
        Ok(all)
    }

    async fn look(&self, region: &Region, id: &str) -> Result<Option<Machine>> {
        let asked = Asked {
            operation: "look at machine",
            on: id,
        };
        match self.see(asked, region, id).await? {
            None => Ok(None),
            Some(seen) => self.with_addresses(asked, seen).await.map(Some),
        }
    }

    async fn terminate(&self, _: &Region, id: &str) -> Result<()> {
        let asked = Asked {
            operation: "give machine back",
            on: id,
        };
        self.delete(asked, id).await
    }
}
