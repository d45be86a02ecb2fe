//! Machines of Google Cloud, over Compute Engine's REST API.
//!
//! Five calls are needed of many hundred. Google's own library for them brings a second HTTP client and its own way to tokens, which the
//! store has already.
//!
//! A machine is renting's work of two steps, a request and an *operation* that carries it out, and only the second says that a zone is
//! full. So renting returns when the operation is done. A machine's name comes from its token, and a request's id from token, zone and
//! the refusals so far, so that a request whose answer was lost rents nothing twice.

mod answer;
mod body;

use crate::rest::{Answer, Asked, Refusal, Rest, Tokens};
use crate::zones::Attempts;
use crate::{Cloud, Machine, Offer, Tags};
use answer::Progress;
use async_trait::async_trait;
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use skyfresh_relay::{Error, Result};
use skyfresh_sky::{Clock, Kind, Provider, Region};
use skyfresh_store::gcs::GoogleCredentials;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The service's address (<https://cloud.google.com/compute/docs/reference/rest/v1>).
const ADDRESS: &str = "https://compute.googleapis.com";
/// Pages that are read of one zone.
const MOST_PAGES: usize = 100;
/// How long an operation is waited for before whoever asked is told that it goes on, and between two looks at it.
const PATIENCE: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_secs(1);

/// Compute Engine, for one project.
pub struct Gce {
    rest: Rest,
    /// Where everything of the project stands.
    project: String,
    zones: BTreeMap<Region, Vec<String>>,
    attempts: Attempts,
    clock: Arc<dyn Clock>,
    pause: Duration,
}

impl Gce {
    /// `zones`: those of each region that machines may be in. `endpoint`: where the service answers, as test servers do; without one, at
    /// Google.
    ///
    /// # Errors
    /// `Invalid`: a region that is not of Google or has no zone, a name that none is, or the system's root certificates cannot be read.
    pub fn new(
        project: &str,
        zones: BTreeMap<Region, Vec<String>>,
        endpoint: Option<&str>,
        credentials: GoogleCredentials,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self> {
        let wrong = |why: String| Err(Error::new(Kind::Invalid, "open Compute Engine", why));
        // `example.com:project` is one, too.
        let plain = |text: &str, more: &str| {
            let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c);
            !text.is_empty() && text.chars().all(fits)
        };
        if !plain(project, "-.:") {
            return wrong(format!("{project:?} is no project: give its id"));
        }
        for (region, zones) in &zones {
            if region.provider != Provider::Gcp {
                return wrong(format!("{region} is no region of Google"));
            }
            let is_in = |zone: &String| {
                let rest = zone.strip_prefix(region.name.as_str());
                rest.is_some_and(|rest| rest.starts_with('-')) && plain(zone, "-")
            };
            if zones.is_empty() || !zones.iter().all(is_in) {
                return wrong(format!(
                    "{region} needs zones of its own, e.g. zones = [\"{}-b\"]",
                    region.name
                ));
            }
        }
        let address = endpoint.unwrap_or(ADDRESS).trim_end_matches('/');
        let https = address.starts_with("https://");
        let tokens = Some(Tokens::Google(credentials));
        Ok(Gce {
            rest: Rest::new(https, tokens, Arc::clone(clock))?,
            project: format!("{address}/compute/v1/projects/{project}"),
            zones,
            attempts: Attempts::default(),
            clock: Arc::clone(clock),
            pause: PAUSE,
        })
    }

    /// The same, with so much time between two looks at an operation.
    pub fn with_pause(mut self, pause: Duration) -> Self {
        self.pause = pause;
        self
    }

    async fn ask(
        &self,
        asked: Asked<'_>,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Refusal> {
        let url = format!("{}/zones/{path}", self.project);
        let answer = self.rest.send(asked, method, &url, body).await?;
        match answer.status.is_success() {
            true => Ok(answer),
            false => Err(answer::refusal(asked, answer.status, &answer.body)),
        }
    }

    /// One machine in one zone: asked for, and waited for until it is there or will not be.
    async fn rent(
        &self,
        offer: &Offer,
        tags: &Tags,
        user_data: &str,
        token: &str,
        zone: &str,
        refusals: u32,
    ) -> Result<Machine, Refusal> {
        let asked = Asked {
            operation: "rent machine",
            on: zone,
        };
        let name = body::name(token);
        let id = body::request_id(token, zone, refusals);
        let wanted = body::insert(offer, zone, tags, &name, user_data, self.clock.now());
        let path = format!("{zone}/instances?requestId={id}");
        match self.ask(asked, Method::POST, &path, Some(&wanted)).await {
            Ok(answer) => self.wait(asked, zone, &answer.body).await?,
            // An earlier request made it, and its answer was lost.
            Err(refusal) if refusal.error.kind == Kind::Precondition => {}
            Err(refusal) => return Err(refusal),
        }
        let seen = self
            .see(asked, &offer.region, &format!("{zone}/{name}"))
            .await?;
        let seen = seen.ok_or_else(|| asked.error(Kind::RetryAfter, "it is not known yet"))?;
        if seen.tags.job != crate::machine::label(&tags.job) {
            let why = format!("{name} is there already and belongs to another job");
            return Err(asked.error(Kind::Invalid, why).into());
        }
        Ok(seen)
    }

    /// Waits for an operation to be done.
    async fn wait(&self, asked: Asked<'_>, zone: &str, body: &[u8]) -> Result<(), Refusal> {
        let deadline_ns = self.clock.monotonic_ns() + PATIENCE.as_nanos() as u64;
        let mut progress = answer::progress(asked, body)?;
        loop {
            let name = match progress {
                Progress::Done => return Ok(()),
                Progress::Failed(refusal) => {
                    // Asked again in the same words, the service would repeat itself.
                    let again = refusal.error.kind == Kind::RetryAfter || refusal.elsewhere;
                    return Err(refusal.or_elsewhere(again));
                }
                Progress::Under(name) => name,
            };
            if self.clock.monotonic_ns() >= deadline_ns {
                let why = format!("it is still being made ({name})");
                return Err(asked.error(Kind::RetryAfter, why).into());
            }
            self.clock.sleep(self.pause).await;
            let path = format!("{zone}/operations/{name}");
            let answer = self.ask(asked, Method::GET, &path, None).await?;
            progress = answer::progress(asked, &answer.body)?;
        }
    }

    /// One machine of ours, by zone and name.
    async fn see(&self, asked: Asked<'_>, region: &Region, id: &str) -> Result<Option<Machine>> {
        match self
            .ask(asked, Method::GET, &path_of(asked, id)?, None)
            .await
        {
            Ok(answer) => answer::machine(asked, &answer.body, region),
            Err(refusal) if refusal.error.kind == Kind::Missing => Ok(None),
            Err(refusal) => Err(refusal.error),
        }
    }
}

/// Where a machine stands, below the project's zones.
fn path_of(asked: Asked<'_>, id: &str) -> Result<String> {
    let parts = id.split_once('/').filter(|(zone, name)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
        [zone, name]
            .iter()
            .all(|part| !part.is_empty() && part.chars().all(plain))
    });
    let (zone, name) =
        parts.ok_or_else(|| asked.error(Kind::Invalid, format!("{id} is not ZONE/NAME")))?;
    Ok(format!("{zone}/instances/{name}"))
}

#[async_trait]
impl Cloud for Gce {
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
        self.attempts.anywhere(token, &offer.zones, rent).await
    }

    async fn find(&self, region: &Region) -> Result<Vec<Machine>> {
        let on = region.to_string();
        let asked = Asked {
            operation: "find machines",
            on: &on,
        };
        let zones = self
            .zones
            .get(region)
            .ok_or_else(|| asked.error(Kind::Invalid, "it was not opened"))?;
        let mut all = Vec::new();
        for zone in zones {
            let mut next: Option<String> = None;
            let mut ended = false;
            for _ in 0..MOST_PAGES {
                let encoded = next
                    .as_ref()
                    .map(|next| utf8_percent_encode(next, NON_ALPHANUMERIC).to_string());
                let path = format!("{zone}/instances?{}", body::find(encoded.as_deref()));
                let answer = self.ask(asked, Method::GET, &path, None).await;
                let answer = answer.map_err(|refusal| refusal.error)?;
                let (machines, following) = answer::page(asked, &answer.body, region)?;
                all.extend(machines);
                ended = following.is_none();
                // The same page for ever is no answer.
                if ended || following == next {
                    break;
                }
                next = following;
            }
            if !ended {
                let why = format!("the list of machines in {zone} does not end");
                return Err(asked.error(Kind::RetryAfter, why));
            }
        }
        Ok(all)
    }

    async fn look(&self, region: &Region, id: &str) -> Result<Option<Machine>> {
        let asked = Asked {
            operation: "look at machine",
            on: id,
        };
        self.see(asked, region, id).await
    }

    async fn terminate(&self, _: &Region, id: &str) -> Result<()> {
        let asked = Asked {
            operation: "give machine back",
            on: id,
        };
        let path = path_of(asked, id)?;
        match self.ask(asked, Method::DELETE, &path, None).await {
            Ok(_) => Ok(()),
            Err(refusal) => Err(refusal.error),
        }
    }
}
