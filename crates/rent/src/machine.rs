//! What is rented.

use skyfresh_sky::{Region, Timestamp};
use std::collections::BTreeMap;
use std::time::Duration;

/// The tag that says that a machine is a relay of ours; its value is the job.
pub const TAG: &str = "skyfresh:relay";
/// Further tags: which relay of the job, who rented it, and when it is no longer needed by anybody (milliseconds since 1970).
pub(crate) const NODE_TAG: &str = "skyfresh:node";
pub(crate) const OWNER_TAG: &str = "skyfresh:owner";
pub(crate) const EXPIRES_TAG: &str = "skyfresh:expires-ms";
/// After a machine's end its provider may show it as running for a while: the time that shutting down takes.
const GRACE: Duration = Duration::from_secs(120);

/// Most characters of a label's name or value.
const LABEL_CHARACTERS: usize = 63;
/// Longest identifier or address that is believed.
const NAME_BYTES: usize = 512;

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
    /// Zones of the region, the next one where the first has no room. Google needs one at least; elsewhere the provider chooses.
    pub zones: Vec<String>,
    /// The kind of machine, as the provider names it, e.g. `m5.8xlarge`.
    pub instance: String,
    /// What it starts from, as the provider names it: EC2's image or where the name of one stands (`resolve:ssm:…`), Google's
    /// `projects/P/global/images/family/F`, Azure's `PUBLISHER:OFFER:SKU:VERSION` or the resource id of an image.
    pub image: String,
    /// Who logs in.
    pub user: String,
    /// EC2's name of the key that may log in.
    pub key_name: Option<String>,
    /// The key itself, a line of `authorized_keys`, for providers that keep none.
    pub public_key: Option<String>,
    /// Its network; the account's own first one if it is left out. Azure has no such thing, and needs it.
    pub subnet: Option<String>,
    /// Who may talk to it: these must let relays and owner in. EC2's security groups, Google's network tags, one network security
    /// group of Azure.
    pub security_groups: Vec<String>,
    /// In whose name it reads and writes stores: EC2's instance profile, the address of Google's service account, the resource id of
    /// an identity of Azure.
    pub role: Option<String>,
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

    /// As labels of Google, which know lower-case letters, digits, hyphens and underscores alone
    /// (<https://cloud.google.com/compute/docs/labeling-resources>). What else stands in a value becomes a hyphen.
    pub(crate) fn labels(&self) -> BTreeMap<String, String> {
        let pairs = self.pairs();
        let ours = pairs.iter().filter(|(key, _)| key.contains(':'));
        ours.map(|(key, value)| (label(key), label(value)))
            .collect()
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

/// A tag's name or value as a label has it.
pub(crate) fn label(text: &str) -> String {
    let fits = |c: char| match c.to_ascii_lowercase() {
        c if c.is_ascii_alphanumeric() || c == '_' => c,
        _ => '-',
    };
    text.chars().take(LABEL_CHARACTERS).map(fits).collect()
}

/// Whether a provider's word can be an identifier or an address.
pub(crate) fn is_sound(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/".contains(c);
    !text.is_empty() && text.len() <= NAME_BYTES && text.chars().all(plain)
}

/// How far a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It begins.
    Pending,
    /// It runs, and is paid.
    Running,
    /// It ends: nothing more comes of it, and nothing need be done.
    Ending,
    /// It stands still and is not deleted: its disk is paid, at Azure perhaps the whole of it.
    Stopped,
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
            State::Stopped => "stopped",
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

    /// Whether it should be gone and is not: its end has passed, or it stands still.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        let end = self.tags.expires.after(GRACE);
        match self.state {
            State::Pending | State::Running => now > end,
            State::Stopped => true,
            State::Ending | State::Gone => false,
        }
    }

    /// Whether it is paid, or a part of it.
    pub fn is_there(&self) -> bool {
        self.state != State::Gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn labels_are_read_as_they_were_written_but_for_what_they_cannot_hold() {
        let odd = Tags {
            owner: "Build.Host/7".into(),
            ..tags()
        };
        let labels = odd.labels();
        let fits = |text: &String| {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
            text.len() <= LABEL_CHARACTERS && text.chars().all(plain)
        };
        assert!(
            labels.iter().all(|(key, value)| fits(key) && fits(value)),
            "{labels:?}"
        );
        let read = Tags::read(|name| labels.get(&label(name)).map(String::as_str)).unwrap();
        assert_eq!(read.owner, "build-host-7");
        assert_eq!(
            Tags {
                owner: odd.owner,
                ..read
            },
            Tags {
                owner: "Build.Host/7".into(),
                ..tags()
            }
        );
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
        assert!(
            machine(State::Stopped).is_expired(at(0)),
            "it waits for nobody"
        );
        let mut unreadable = machine(State::Pending);
        unreadable.tags.expires = Timestamp::from_unix_ms(0);
        assert!(unreadable.is_expired(at(1_000_000)));
    }
}
