//! Nodes on hosts that the system's `ssh` reaches, with whatever keys, agents and jump hosts its configuration names.

use super::stdio::launch;
use super::{Executor, NodeHandle};
use crate::node::Boot;
use crate::topology::Node;
use crate::{Error, Result};
use async_trait::async_trait;
use skyfresh_sky::Clock;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::process::Command;

/// Runs a command on each node's host ([`Node::address`], as `ssh` understands it). The host must have the program, and let the
/// other nodes reach the port it listens on.
#[derive(Clone, Debug)]
pub struct Ssh {
    /// The client, `ssh` by default.
    pub client: PathBuf,
    /// Options before the host, e.g. `-i`, `key`.
    pub options: Vec<String>,
    /// What is run on the host, e.g. `skyfresh`, `relay`.
    pub command: Vec<String>,
    /// Where nodes listen on their hosts, e.g. `0.0.0.0:7400`; port 0 is any free one.
    pub listen: String,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Ssh {
    /// Runs `command` with the system's `ssh`, nodes listening on any port of any address.
    pub fn new(command: Vec<String>, clock: Arc<dyn Clock>) -> Self {
        Ssh {
            client: "ssh".into(),
            options: Vec::new(),
            command,
            listen: "0.0.0.0:0".into(),
            clock,
        }
    }
}

#[async_trait]
impl Executor for Ssh {
    async fn start(&self, node: &Node, mut boot: Boot) -> Result<Box<dyn NodeHandle>> {
        let wrong = |why: &str| Error::invalid("start relay", format!("{}: {why}", node.id));
        let login = node
            .address
            .as_deref()
            .ok_or_else(|| wrong("it has no address: name its host"))?;
        // A host that begins with a hyphen would be an option to ssh.
        if login.is_empty()
            || login.starts_with('-')
            || login.chars().any(|c| c.is_whitespace() || c.is_control())
        {
            return Err(wrong("its address is not a host that ssh takes"));
        }
        let host = login.rsplit_once('@').map_or(login, |(_, host)| host);
        boot.listen.clone_from(&self.listen);
        let mut command = Command::new(&self.client);
        // Never asks: a person may not be there to answer.
        command.args(["-T", "-o", "BatchMode=yes", "-o", "ServerAliveInterval=15"]);
        command.args(&self.options).arg("--").arg(login);
        command.arg(
            self.command
                .iter()
                .map(|word| quoted(word))
                .collect::<Vec<_>>()
                .join(" "),
        );
        let process = launch(command, node.id.as_str(), &boot, Some(host), &*self.clock).await?;
        Ok(Box::new(process))
    }
}

/// A word as the host's shell takes it literally (POSIX §2.2.2).
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_literal_to_the_shell() {
        assert_eq!(quoted("a b"), "'a b'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
    }
}
