//! Where relays run.

use crate::exit::{Exit, Told};
use skyfresh_engine::overlay::Host;
use skyfresh_sky::{Provider, Region};
use std::path::PathBuf;
use std::str::FromStr;

/// Most lines of a file of hosts.
const MOST_HOSTS: usize = 1_024;

/// Where relays run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// As processes of this machine.
    Here,
    /// On the hosts of a file, over ssh.
    Hosts(PathBuf),
    /// On machines that are rented for the job as a file says; of one provider, where it is named.
    Rented(PathBuf, Option<Provider>),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "local" => Ok(Place::Here),
            Some(("ssh", path)) if !path.is_empty() => Ok(Place::Hosts(path.into())),
            Some(("rented", path)) if !path.is_empty() => Ok(Place::Rented(path.into(), None)),
            Some((name @ ("aws" | "gcp" | "azure"), path)) if !path.is_empty() => {
                let provider = name.parse().map_err(|_| format!("{name} rents nothing out"))?;
                Ok(Place::Rented(path.into(), Some(provider)))
            }
            _ => Err(
                "expected local; ssh:FILE with a line `REGION HOST` for each host; or rented:FILE with what to rent of whom, and \
                 aws:FILE, gcp:FILE or azure:FILE for one provider of it (docs/overlay.md)"
                    .into(),
            ),
        }
    }
}

impl Place {
    /// Makes its file relative to a directory.
    pub(crate) fn resolve_files(&mut self, directory: &std::path::Path) {
        match self {
            Place::Here => {}
            Place::Hosts(path) | Place::Rented(path, _) => *path = directory.join(&*path),
        }
    }
}

/// Hosts, a line each: a region, a host.
pub(super) fn read_hosts(path: &std::path::Path) -> anyhow::Result<Vec<Host>> {
    let text = crate::catalog_file::read(path)?;
    let mut hosts = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or("").trim();
        if line.is_empty() {
            continue;
        }
        let wrong = |why: String| {
            Told::new(Exit::Usage, format!("{}:{}: {why}", path.display(), at + 1)).hint(
                "a line is a region and a host, e.g. aws:us-east-1 ubuntu@relay-1.example.com",
            )
        };
        let mut words = line.split_whitespace();
        let (Some(region), Some(host), None) = (words.next(), words.next(), words.next()) else {
            return Err(wrong(format!("{line:?} is not two words")).into());
        };
        let region = region.parse::<Region>();
        hosts.push(Host {
            region: region.map_err(|error| wrong(error.to_string()))?,
            address: Some(host.to_owned()),
        });
        if hosts.len() > MOST_HOSTS {
            return Err(wrong(format!("more than {MOST_HOSTS} hosts")).into());
        }
    }
    Ok(hosts)
}
