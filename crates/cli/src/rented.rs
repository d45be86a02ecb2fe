//! Machines that are rented for relays: what a file offers, and the clients that rent it.
//!
//! In: a TOML file (docs/overlay.md, "Rented machines"), the environment's credentials. Out: `skyfresh_rent`'s values. Never: rents
//! anything by itself.

use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::open::Opener;
use serde::{Deserialize, Serialize};
use skyfresh_relay::executor::Ssh;
use skyfresh_rent::{Cloud, Ec2, Machine, Offer, Program, Reach, Rented, Terms};
use skyfresh_sky::catalog::relay_vm;
use skyfresh_sky::{Location, Provider, Region, Timestamp, parse_delay};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The port that a relay listens on: the one that security groups must let relays and owner reach.
const PORT: u16 = 7400;
/// Longest life where the file does not say it, and the shortest that one can be: five minutes before its end a machine lets nobody in.
const LONGEST_LIFE: Duration = Duration::from_secs(2 * 3_600);
const SHORTEST_LIFE: Duration = Duration::from_secs(15 * 60);
/// What a job may take longer than planned, at least, before its machines end.
const SPARE_S: f64 = 600.0;
/// From the request to a relay that answers: AWS's machines take half a minute to a minute and a half.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(2);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Who logs in.
    #[serde(default = "ubuntu")]
    user: String,
    /// The private key of `key_name`, for ssh; its agent's where it is left out.
    identity: Option<PathBuf>,
    instance: Option<String>,
    longest_life: Option<String>,
    instance_profile: Option<String>,
    #[serde(default)]
    spot: bool,
    #[serde(default)]
    reach: ReachName,
    #[serde(default = "port")]
    port: u16,
    /// Where EC2 answers for all regions, for servers that are not AWS.
    endpoint: Option<String>,
    program: Option<ProgramSection>,
    region: BTreeMap<String, RegionSection>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ReachName {
    #[default]
    Public,
    Private,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ProgramSection {
    url: String,
    sha256: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RegionSection {
    image: String,
    key_name: Option<String>,
    subnet: Option<String>,
    #[serde(default)]
    security_groups: Vec<String>,
}

fn ubuntu() -> String {
    "ubuntu".into()
}

fn port() -> u16 {
    PORT
}

/// What a file offers.
#[derive(Debug)]
pub(crate) struct Renting {
    offers: BTreeMap<Region, Offer>,
    program: Option<Program>,
    user: String,
    identity: Option<PathBuf>,
    port: u16,
    longest_life: Duration,
    endpoint: Option<String>,
}

impl Renting {
    /// Reads a file.
    ///
    /// # Errors
    /// It cannot be read, or something in it cannot be used: what, and what would do.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let text = crate::catalog_file::read(path)?;
        let wrong = |why: String| {
            Told::new(Exit::Usage, format!("{}: {why}", path.display()))
                .hint("docs/overlay.md, \"Rented machines\", has an example")
        };
        let file: File = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        let longest_life = match &file.longest_life {
            None => LONGEST_LIFE,
            Some(text) => parse_delay(text).map_err(|error| wrong(error.to_string()))?,
        };
        if longest_life < SHORTEST_LIFE {
            return Err(wrong("longest_life must be 15m or more".into()).into());
        }
        let program = file
            .program
            .map(|section| Program::new(&section.url, &section.sha256))
            .transpose()
            .map_err(|error| wrong(error.to_string()))?;
        if file.user.is_empty()
            || !file
                .user
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c))
        {
            return Err(wrong(format!("user {:?} is no login name", file.user)).into());
        }
        let usual = relay_vm(Provider::Aws).map(|vm| vm.instance.clone());
        let instance = file
            .instance
            .or(usual)
            .ok_or_else(|| wrong("instance is missing: name a kind of machine".into()))?;
        let mut offers = BTreeMap::new();
        for (name, section) in file.region {
            let region: Region = format!("aws:{name}")
                .parse()
                .map_err(|error| wrong(format!("[region.{name}]: {error}")))?;
            let offer = Offer {
                region: region.clone(),
                instance: instance.clone(),
                image: section.image,
                key_name: section.key_name,
                subnet: section.subnet,
                security_groups: section.security_groups,
                instance_profile: file.instance_profile.clone(),
                spot: file.spot,
                reach: match file.reach {
                    ReachName::Public => Reach::Public,
                    ReachName::Private => Reach::Private,
                },
            };
            offers.insert(region, offer);
        }
        if offers.is_empty() {
            return Err(wrong("no [region.NAME] is there: add one".into()).into());
        }
        Ok(Renting {
            offers,
            program,
            user: file.user,
            identity: file.identity,
            port: file.port,
            longest_life,
            endpoint: file.endpoint,
        })
    }

    /// Whether machines are offered in a region.
    pub(crate) fn is_in(&self, region: &Region) -> bool {
        self.offers.contains_key(region)
    }

    /// Whether machines live long enough for a plan of so many seconds.
    pub(crate) fn lives_through(&self, time_s: f64) -> bool {
        time_s + SPARE_S <= self.longest_life.as_secs_f64()
    }

    /// Who rents them out. The variables are the AWS SDKs' own (AWS SDKs reference guide, "Service-specific endpoints").
    ///
    /// # Errors
    /// The system's root certificates cannot be read.
    pub(crate) fn cloud(&self, context: &Context) -> anyhow::Result<Arc<dyn Cloud>> {
        let opener = Opener::new(context, BTreeMap::new());
        let anything: Location = "s3://any".parse()?;
        let config = opener.s3_config(&anything, None);
        let environment = &context.environment;
        let endpoint = self
            .endpoint
            .as_deref()
            .or(environment.get("AWS_ENDPOINT_URL_EC2"))
            .or(environment.get("AWS_ENDPOINT_URL"));
        let regions = self.offers.keys().cloned();
        let ec2 = Ec2::new(regions, endpoint, &config, &context.clock)?;
        Ok(Arc::new(ec2))
    }

    /// What starts relays on machines that it rents.
    ///
    /// # Errors
    /// As [`Renting::cloud`].
    pub(crate) fn executor(&self, context: &Context) -> anyhow::Result<Rented> {
        let clock = Arc::clone(&context.clock);
        let command = vec!["skyfresh".to_owned(), "relay".to_owned()];
        let mut ssh = Ssh::new(command, Arc::clone(&clock));
        ssh.listen = format!("0.0.0.0:{}", self.port);
        // A new machine has a new key, and addresses are given out again: nothing that is known says who it is.
        for option in [
            "StrictHostKeyChecking=accept-new",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=10",
            "ConnectTimeout=10",
        ] {
            ssh.options.extend(["-o".to_owned(), option.to_owned()]);
        }
        if let Some(identity) = &self.identity {
            ssh.options
                .extend(["-i".to_owned(), identity.display().to_string()]);
        }
        let environment = &context.environment;
        let owner = environment.get("HOSTNAME").or(environment.get("USER"));
        let terms = Terms {
            offers: self.offers.clone(),
            program: self.program.clone(),
            user: self.user.clone(),
            owner: owner.unwrap_or("skyfresh").to_owned(),
            longest_life: self.longest_life,
            boot_limit: BOOT_LIMIT,
            pause: PAUSE,
        };
        Ok(Rented::new(
            self.cloud(context)?,
            ssh,
            terms,
            clock,
            context.rng.fork(),
        ))
    }

    /// All machines of ours in the file's regions, and whether every region answered: one that does not is told, and keeps no other.
    ///
    /// # Errors
    /// As [`Renting::cloud`].
    pub(crate) async fn find(&self, context: &Context) -> anyhow::Result<(Vec<Machine>, bool)> {
        let cloud = self.cloud(context)?;
        let (mut all, mut complete) = (Vec::new(), true);
        for region in self.offers.keys() {
            match cloud.find(region).await {
                Ok(machines) => all.extend(machines),
                Err(error) => {
                    context.output.note(format_args!("{error}"));
                    complete = false;
                }
            }
        }
        Ok((all, complete))
    }
}

/// A machine, as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct MachineLine {
    pub(crate) id: String,
    pub(crate) region: String,
    pub(crate) kind: String,
    pub(crate) state: &'static str,
    pub(crate) job: String,
    pub(crate) relay: String,
    pub(crate) owner: String,
    pub(crate) ends: String,
    pub(crate) expired: bool,
}

impl MachineLine {
    pub(crate) fn of(machine: &Machine, now: Timestamp) -> Self {
        let tags = &machine.tags;
        MachineLine {
            id: machine.id.clone(),
            region: machine.region.to_string(),
            kind: machine.instance.clone(),
            state: machine.state.as_str(),
            job: tags.job.clone(),
            relay: tags.node.clone(),
            owner: tags.owner.clone(),
            ends: tags.expires.to_string(),
            expired: machine.is_expired(now),
        }
    }
}
