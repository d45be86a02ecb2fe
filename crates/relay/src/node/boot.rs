//! What a node must know before anybody can talk to it.

use crate::crypto::Identity;
use crate::topology::Security;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// How long things may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timing {
    /// Between two signs of life on an idle connection.
    pub heartbeat_ms: u64,
    /// A connection on which nothing is heard for so long is broken, and a next hop that cannot be reached for so long is lost.
    pub link_timeout_ms: u64,
    /// A node whose owner is not heard of for so long ends.
    pub lease_ms: u64,
    /// A node older than this ends, whatever it does.
    pub max_life_ms: u64,
}

impl Default for Timing {
    /// For links between clouds: 5 s without a sign is a broken link, 60 s without its owner ends a node, as does a day.
    fn default() -> Self {
        Timing {
            heartbeat_ms: 1_000,
            link_timeout_ms: 5_000,
            lease_ms: 60_000,
            max_life_ms: 24 * 3_600_000,
        }
    }
}

impl Timing {
    pub(crate) fn validate(&self) -> Result<()> {
        if self.heartbeat_ms == 0
            || self.link_timeout_ms < 2 * self.heartbeat_ms
            || self.lease_ms < 2 * self.heartbeat_ms
        {
            return Err(Error::invalid(
                "check timing",
                "link_timeout_ms and lease_ms must be at least twice heartbeat_ms, which must be above 0",
            ));
        }
        Ok(())
    }
}

/// What owner and nodes speak to each other. Changes with every change of a message or frame.
pub const PROTOCOL: u32 = 3;

/// A node's start: given on its standard input, because it holds the node's private key.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// [`PROTOCOL`] of its owner: a node that speaks another one ends at once and says so.
    pub protocol: u32,
    /// Who it is.
    pub identity: Identity,
    /// Where it listens, `host:port`; port 0 is any free one.
    pub listen: String,
    /// Protection.
    pub security: Security,
    /// How long things may take.
    pub timing: Timing,
}
