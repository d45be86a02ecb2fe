//! Machines that are rented for relays: what a file offers, and the clients that rent it.
//!
//! In: a TOML file (docs/overlay.md, "Rented machines"), the environment's credentials. Out: `skyfresh_rent`'s values. Never: rents
//! anything by itself.

mod file;
mod open;

use crate::context::Context;
use crate::exit::{Exit, Told};
use file::Read;
use serde::Serialize;
use skyfresh_plan::network::Addresses;
use skyfresh_relay::executor::Ssh;
use skyfresh_rent::{Machine, Reach, Rented, Terms};
use skyfresh_sky::{Provider, Region, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What a job may take longer than planned, at least, before its machines end.
const SPARE_S: f64 = 600.0;
/// From the request to a relay that answers: machines take half a minute to two.
const BOOT_LIMIT: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(2);
/// Longest line of a public key that is read.
const KEY_BYTES: usize = 16 << 10;

/// What a file offers.
#[derive(Debug)]
pub(crate) struct Renting(Read);

impl Renting {
    /// Reads a file, or what it says of one provider.
    ///
    /// # Errors
    /// It cannot be read, or something in it cannot be used: what, and what would do.
    pub(crate) fn read(path: &Path, only: Option<Provider>) -> anyhow::Result<Self> {
        let text = crate::catalog_file::read(path)?;
        let read = file::read(&text, only).map_err(|why| {
            Told::new(Exit::Usage, format!("{}: {why}", path.display()))
                .hint("docs/overlay.md, \"Rented machines\", has an example")
        })?;
        Ok(Renting(read))
    }

    /// Whether machines are offered in a region.
    pub(crate) fn is_in(&self, region: &Region) -> bool {
        self.0.offers.contains_key(region)
    }

    /// By which addresses its machines reach those of their own provider.
    pub(crate) fn addresses(&self) -> Addresses {
        let mut offers = self.0.offers.values();
        match offers.all(|offer| offer.reach == Reach::Private) {
            true => Addresses::Internal,
            false => Addresses::Public,
        }
    }

    /// Whether machines live long enough for a plan of so many seconds.
    pub(crate) fn lives_through(&self, time_s: f64) -> bool {
        time_s + SPARE_S <= self.0.longest_life.as_secs_f64()
    }

    /// What starts relays on machines that it rents.
    ///
    /// # Errors
    /// As [`Renting::cloud`]; or the public key cannot be read.
    pub(crate) fn executor(&self, context: &Context) -> anyhow::Result<Rented> {
        let clock = Arc::clone(&context.clock);
        let command = vec!["skyfresh".to_owned(), "relay".to_owned()];
        let mut ssh = Ssh::new(command, Arc::clone(&clock));
        ssh.listen = format!("0.0.0.0:{}", self.0.port);
        // A new machine has a new key, and addresses are given out again: nothing that is known says who it is.
        for option in [
            "StrictHostKeyChecking=accept-new",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "ConnectTimeout=10",
        ] {
            ssh.options.extend(["-o".to_owned(), option.to_owned()]);
        }
        if let Some(identity) = &self.0.identity {
            ssh.options
                .extend(["-i".to_owned(), identity.display().to_string()]);
        }
        let key = self.public_key()?;
        let mut offers = self.0.offers.clone();
        let keyless = offers.values_mut();
        for offer in keyless.filter(|offer| offer.region.provider != Provider::Aws) {
            offer.public_key.clone_from(&key);
        }
        let environment = &context.environment;
        let owner = environment.get("HOSTNAME").or(environment.get("USER"));
        let terms = Terms {
            offers,
            program: self.0.program.clone(),
            owner: owner.unwrap_or("skyfresh").to_owned(),
            longest_life: self.0.longest_life,
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

    /// The key that new machines let in: one that is named must be there; the one beside `identity` may be.
    fn public_key(&self) -> anyhow::Result<Option<String>> {
        let beside = |identity: &PathBuf| {
            let mut path = identity.clone().into_os_string();
            path.push(".pub");
            PathBuf::from(path)
        };
        let named = self.0.public_key.as_ref();
        let path = named.cloned().or(self.0.identity.as_ref().map(beside));
        let Some(path) = path else {
            return Ok(None);
        };
        let wrong = |why: String| {
            Told::new(Exit::Usage, format!("{}: {why}", path.display())).hint(
                "public_key = \"FILE.pub\" names the key that machines of Google and Azure let in",
            )
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(_) if named.is_none() => return Ok(None),
            Err(error) => return Err(wrong(error.to_string()).into()),
        };
        let line = text.trim();
        let is_key = line.len() <= KEY_BYTES
            && line.split_whitespace().count() >= 2
            && !line.contains(['\n', '\r'])
            && !line.contains("PRIVATE KEY");
        match is_key {
            true => Ok(Some(line.to_owned())),
            false => Err(wrong("is no public key of ssh's".into()).into()),
        }
    }

    /// All machines of ours in the file's regions, and whether every region answered: one that does not is told, and keeps no other.
    ///
    /// # Errors
    /// As [`Renting::cloud`].
    pub(crate) async fn find(&self, context: &Context) -> anyhow::Result<(Vec<Machine>, bool)> {
        let cloud = self.cloud(context)?;
        let (mut all, mut complete) = (Vec::new(), true);
        for region in self.0.offers.keys() {
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
