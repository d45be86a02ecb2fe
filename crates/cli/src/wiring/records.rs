//! What `skyfresh wire` created, one file a rule, in a directory beside the ledger: `skyfresh.ledger` has `skyfresh.ledger.wired/`.
//!
//! Files rather than rows of the ledger: a daemon holds the ledger while it runs, the daemon's own credentials should not be able to
//! rewire anything, and whoever wires a rule may sit at another machine than the daemon. Losing a file loses no data: resources
//! that are there already are then found instead of created, and removing them is left to people.

use anyhow::{Context as _, bail};
use skyfresh_channel::wiring::{Entry, Journal, Record, State};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Longest record that is read, bytes: a few resources with their policies.
const LIMIT_BYTES: u64 = 4 << 20;

/// The directory of the records.
#[derive(Clone, Debug)]
pub(crate) struct Records {
    directory: PathBuf,
}

impl Records {
    /// Beside this ledger.
    pub(crate) fn beside(ledger: &Path) -> Self {
        let mut name = ledger.as_os_str().to_owned();
        name.push(".wired");
        Records {
            directory: name.into(),
        }
    }

    /// The file of a rule. A rule's name has no character that a file's name cannot have.
    pub(crate) fn path(&self, rule: &str) -> PathBuf {
        self.directory.join(format!("{rule}.json"))
    }

    /// What is recorded of a rule; `None` where nothing is.
    pub(crate) fn read(&self, rule: &str) -> anyhow::Result<Option<Record>> {
        let path = self.path(rule);
        let mut text = String::new();
        match std::fs::File::open(&path) {
            Ok(file) => file.take(LIMIT_BYTES).read_to_string(&mut text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => Err(error),
        }
        .with_context(|| format!("cannot read {}", path.display()))?;
        let record: Record = serde_json::from_str(&text)
            .with_context(|| format!("{} is no record of `skyfresh wire`", path.display()))?;
        if record.rule != rule {
            bail!(
                "{} is the record of rule {:?}, not of {rule:?}",
                path.display(),
                record.rule
            );
        }
        Ok(Some(record))
    }

    /// Gives what other rules use too (a bucket's events going to EventBridge) into their hands: it is theirs to remove from now
    /// on, and no longer this rule's.
    pub(crate) fn hand_over(&self, mut record: Record) -> anyhow::Result<Record> {
        let ours = |entry: &&mut Entry| entry.state != State::Found;
        for entry in record.entries.iter_mut().filter(ours) {
            let mut heir = None;
            for rule in self
                .rules()?
                .into_iter()
                .filter(|rule| *rule != record.rule)
            {
                let Some(other) = self.read(&rule)? else {
                    continue;
                };
                let shared = |theirs: &Entry| theirs.resource == entry.resource;
                if heir.is_none() && other.entries.iter().any(shared) {
                    heir = Some(other);
                }
            }
            let Some(mut heir) = heir else { continue };
            let theirs = heir
                .entries
                .iter_mut()
                .find(|theirs| theirs.resource == entry.resource);
            if let Some(theirs) = theirs {
                theirs.state = entry.state;
            }
            self.save(&heir).with_context(|| {
                format!("cannot hand {} over to rule {:?}", entry.name, heir.rule)
            })?;
            entry.state = State::Found;
        }
        Ok(record)
    }

    /// The rules on record.
    fn rules(&self) -> anyhow::Result<Vec<String>> {
        let listed = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            listed => {
                listed.with_context(|| format!("cannot list {}", self.directory.display()))?
            }
        };
        let mut rules = Vec::new();
        for file in listed {
            let name = file?.file_name();
            rules.extend(
                name.to_str()
                    .and_then(|name| name.strip_suffix(".json"))
                    .map(str::to_owned),
            );
        }
        rules.sort_unstable();
        Ok(rules)
    }
}

impl Journal for Records {
    fn save(&self, record: &Record) -> std::io::Result<()> {
        let path = self.path(&record.rule);
        if record.entries.is_empty() {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        std::fs::create_dir_all(&self.directory)?;
        // Whole or not at all, also after a crash.
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        serde_json::to_writer_pretty(&mut file, record)?;
        file.write_all(b"\n")?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        std::fs::File::open(&self.directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_channel::wiring::Resource;

    fn record(rule: &str) -> Record {
        let resource = Resource::S3EventBridge { bucket: "b".into() };
        Record {
            rule: rule.into(),
            source: "s3://b/".into(),
            entries: vec![Entry {
                name: resource.name(),
                resource,
                state: State::Created,
            }],
        }
    }

    #[test]
    fn what_is_kept_is_read_again_and_nothing_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::beside(&dir.path().join("skyfresh.ledger"));
        assert_eq!(records.read("r").unwrap(), None);
        records.save(&record("r")).unwrap();
        assert_eq!(records.read("r").unwrap(), Some(record("r")));
        assert_eq!(
            records.path("r"),
            dir.path().join("skyfresh.ledger.wired/r.json")
        );
        records.save(&Record::new("r", "s3://b/")).unwrap();
        records.save(&Record::new("r", "s3://b/")).unwrap();
        assert_eq!(records.read("r").unwrap(), None);
    }

    #[test]
    fn what_two_rules_use_goes_with_the_last() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::beside(&dir.path().join("l"));
        assert_eq!(
            records.hand_over(record("first")).unwrap(),
            record("first"),
            "nobody else is there"
        );
        records.save(&record("first")).unwrap();
        let mut second = record("second");
        second.entries[0].state = State::Found;
        records.save(&second).unwrap();
        let left = records.hand_over(record("first")).unwrap();
        assert_eq!(left.entries[0].state, State::Found);
        let heir = records.read("second").unwrap().unwrap();
        assert_eq!(heir.entries[0].state, State::Created);
        records.save(&Record::new("first", "s3://b/")).unwrap();
        assert_eq!(
            records.hand_over(heir.clone()).unwrap(),
            heir,
            "the last one removes it"
        );
    }

    #[test]
    fn what_is_no_record_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let records = Records::beside(&dir.path().join("l"));
        records.save(&record("other")).unwrap();
        std::fs::rename(records.path("other"), records.path("r")).unwrap();
        assert!(
            records
                .read("r")
                .unwrap_err()
                .to_string()
                .contains("\"other\"")
        );
        std::fs::write(records.path("r"), "{").unwrap();
        assert!(
            records
                .read("r")
                .unwrap_err()
                .to_string()
                .contains("no record")
        );
    }
}
