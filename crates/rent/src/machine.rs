//! What is rented.

use skyfresh_sky::{Region, Timestamp};
use std::time::Duration;

/// The tag that says that a machine is a relay of ours; its value is the job.
pub const TAG: &str = "skyfresh:relay";
/// Further tags: which relay of the job, who rented it, and when it is no longer needed by anybody (milliseconds since 1970).
pub(crate) const NODE_TAG: &str = "skyfresh:node";
pub(crate) const OWNER_TAG: &str = "skyfresh:owner";
pub(crate) const EXPIRES_TAG: &str = "skyfresh:expires-ms";
/// After a machine's end its provider may show it as running for a while: the time that shutting down takes.
const GRACE: Duration = Duration::from_secs(120);

/// At which of its addresses a machine is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Reach {
    /// From everywhere. Relays of other clouds need it.
    #[default]
    Public,
    /// From its own network, and those that are joined to it.
    Private,
}

/// What to rent in a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Where.
    pub region: Region,
    /// The kind of machine, as the provider names it, e.g. `m5.8xlarge`.
    pub instance: String,
    /// What it starts from: an image, or where the name of one stands (`resolve:ssm:…`).
    pub image: String,
    /// The provider's name of the key that may log in.
    pub key_name: Option<String>,
    /// Its network; the account's own first one if it is left out.
    pub subnet: Option<String>,
    /// Who may talk to it: these must let relays and owner in.
    pub security_groups: Vec<String>,
    /// The role in whose name it reads and writes stores.
    pub instance_profile: Option<String>,
    /// Whether spare capacity will do, which is cheaper and may be taken away: the job leads round a relay that is lost.
    pub spot: bool,
    /// At which address.
    pub reach: Reach,
}

/// Whose a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tags {
    /// The job.
    pub job: String,
    /// Which of its relays.
    pub node: String,
    /// Who rented it.
    pub owner: String,
    /// When it ends by itself.
    pub expires: Timestamp,
}

impl Tags {
    /// As the provider keeps them.
    pub(crate) fn pairs(&self) -> [(&'static str, String); 5] {
        [
            ("Name", format!("skyfresh {} {}", self.job, self.node)),
            (TAG, self.job.clone()),
            (NODE_TAG, self.node.clone()),
            (OWNER_TAG, self.owner.clone()),
            (EXPIRES_TAG, self.expires.unix_ms().to_string()),
        ]
    }

    /// From what a provider shows. `None`: it is none of ours.
    pub(crate) fn read<'a>(mut tag: impl FnMut(&str) -> Option<&'a str>) -> Option<Self> {
        let job = tag(TAG)?.to_owned();
        let mut text = |name| tag(name).unwrap_or_default().to_owned();
        let (node, owner) = (text(NODE_TAG), text(OWNER_TAG));
        // Whatever stands there: a machine whose end cannot be read has none to wait for.
        let expires_ms = text(EXPIRES_TAG).parse().unwrap_or(0);
        Some(Tags {
            job,
            node,
            owner,
            expires: Timestamp::from_unix_ms(expires_ms),
        })
    }
}

/// How far a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It begins.
    Pending,
    /// It runs, and is paid.
    Running,
    /// It ends, or stands still: nothing more comes of it.
    Ending,
    /// It is gone; providers show it for a while yet.
    Gone,
}

impl State {
    /// In a word.
    pub fn as_str(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Running => "running",
            State::Ending => "ending",
            State::Gone => "gone",
        }
    }
}

/// A machine of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The provider's name of it.
    pub id: String,
    /// Where it is.
    pub region: Region,
    /// The kind of machine.
    pub instance: String,
    /// How far it is.
    pub state: State,
    /// Its address from everywhere.
    pub public_address: Option<String>,
    /// Its address in its own network.
    pub private_address: Option<String>,
    /// Whose it is.
    pub tags: Tags,
}

impl Machine {
    /// Where it is reached.
    pub fn address(&self, reach: Reach) -> Option<&str> {
        match reach {
            Reach::Public => self.public_address.as_deref(),
            Reach::Private => self.private_address.as_deref(),
        }
    }

    /// Whether it should have ended by itself, and has not.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let end = self.tags.expires.after(GRACE);
        matches!(self.state, State::Pending | State::Running) && now > end
    }

    /// Whether it is paid.
    pub fn is_there(&self) -> bool {
        self.state != State::Gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn tags() -> Tags {
        Tags {
            job: "00ff".into(),
            node: "aws-us-east-1-1".into(),
            owner: "host-7".into(),
            expires: Timestamp::from_unix_ms(1_000_000),
        }
    }

    #[test]
    fn tags_are_read_as_they_were_written_and_others_machines_are_not_ours() {
        let written: BTreeMap<&str, String> = tags().pairs().into_iter().collect();
        assert_eq!(
            Tags::read(|name| written.get(name).map(String::as_str)),
            Some(tags())
        );
        assert_eq!(Tags::read(|name| (name == "Name").then_some("web-1")), None);
    }

    #[test]
    fn a_machine_is_expired_after_its_end_while_it_is_paid() {
        let machine = |state| Machine {
            id: "i-1".into(),
            region: "aws:us-east-1".parse().unwrap(),
            instance: "m5.8xlarge".into(),
            state,
            public_address: None,
            private_address: None,
            tags: tags(),
        };
        let at = |ms| Timestamp::from_unix_ms(ms);
        assert!(!machine(State::Running).is_expired(at(1_000_001)));
        assert!(machine(State::Running).is_expired(at(1_120_001)));
        assert!(!machine(State::Gone).is_expired(at(9_000_000)));
        let mut unreadable = machine(State::Pending);
        unreadable.tags.expires = Timestamp::from_unix_ms(0);
        assert!(unreadable.is_expired(at(1_000_000)));
    }
}
