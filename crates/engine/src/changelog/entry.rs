//! What users tell of how an object was made. A hint: nothing in it is believed about content.
//!
//! In: an entry, as JSON from outside. Out: an entry within its bounds; its row in the ledger. Never: IO.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use skyfresh_sky::{Kind, ObjectKey, ObjectVersion, Timestamp};
use skyfresh_store::checksum::Md5;

/// Most objects that one entry joins.
pub const MOST_INPUTS: usize = 1_000;
/// Longest row: shared ledgers hold 300 KiB, and keys may be 1 KiB long.
const ROW_LIMIT_BYTES: usize = 256 << 10;

/// An object that another was made from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangelogInput {
    /// Its key, below the rule's source.
    pub key: ObjectKey,
    /// The source version that was used; the destination must hold a verified copy of just this. `None`: of whatever version
    /// the checksums will show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<ObjectVersion>,
}

/// How an object was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "operation")]
pub enum ChangelogOperation {
    /// Its bytes are those of the input.
    Copy {
        /// The input.
        input: ChangelogInput,
    },
    /// The same, and the input was deleted, or is about to be.
    Rename {
        /// The input.
        input: ChangelogInput,
    },
    /// Its bytes are those of the inputs, one after another. The output may be among them: that is an append.
    Concat {
        /// The inputs, in order.
        inputs: Vec<ChangelogInput>,
    },
}

/// "This object was made from those."
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangelogEntry {
    /// The object that was made.
    pub output: ObjectKey,
    /// How.
    #[serde(flatten)]
    pub operation: ChangelogOperation,
}

impl ChangelogEntry {
    /// The objects it was made from, in order.
    pub fn inputs(&self) -> &[ChangelogInput] {
        match &self.operation {
            ChangelogOperation::Copy { input } | ChangelogOperation::Rename { input } => {
                std::slice::from_ref(input)
            }
            ChangelogOperation::Concat { inputs } => inputs,
        }
    }

    /// The same, to be changed.
    pub(crate) fn inputs_mut(&mut self) -> &mut [ChangelogInput] {
        match &mut self.operation {
            ChangelogOperation::Copy { input } | ChangelogOperation::Rename { input } => {
                std::slice::from_mut(input)
            }
            ChangelogOperation::Concat { inputs } => inputs,
        }
    }

    /// The key that goes, where it was renamed.
    pub(crate) fn renamed_from(&self) -> Option<&ObjectKey> {
        match &self.operation {
            ChangelogOperation::Rename { input } => Some(&input.key),
            _ => None,
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: no inputs, more than [`MOST_INPUTS`], or an object made from itself alone.
    pub fn check(&self) -> Result<()> {
        let why = match self.inputs() {
            [] => "needs at least one input".to_owned(),
            inputs if inputs.len() > MOST_INPUTS => format!(
                "joins {} objects; an entry takes at most {MOST_INPUTS}",
                inputs.len()
            ),
            [only] if only.key == self.output => {
                "the output is its only input: nothing was made".to_owned()
            }
            _ => return Ok(()),
        };
        Err(self.invalid(why))
    }

    fn invalid(&self, why: impl Into<String>) -> Error {
        Error::new(
            Kind::Invalid,
            "add changelog entry",
            self.output.as_str(),
            why,
        )
    }
}

/// An entry as the ledger keeps it, until the output's claim has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EntryRow {
    /// Tells it from an earlier entry of the same output.
    pub(crate) id: String,
    /// When it was added.
    pub(crate) added: Timestamp,
    /// What was told.
    pub(crate) entry: ChangelogEntry,
}

impl EntryRow {
    /// The row's JSON.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: longer than a ledger's row may be.
    pub(crate) fn to_json(&self) -> Result<serde_json::Value> {
        let value = serde_json::to_value(self)
            .map_err(|error| self.entry.invalid(format!("cannot be written: {error}")))?;
        let bytes = value.to_string().len();
        if bytes > ROW_LIMIT_BYTES {
            let why = format!(
                "is {bytes} bytes long; the limit is {ROW_LIMIT_BYTES}: join in several steps"
            );
            return Err(self.entry.invalid(why));
        }
        Ok(value)
    }

    /// Reads [`EntryRow::to_json`]. `None` where it is something else, or of another key: then there is no hint.
    pub(crate) fn from_json(value: serde_json::Value, output: &ObjectKey) -> Option<Self> {
        let row: EntryRow = serde_json::from_value(value).ok()?;
        (row.entry.output == *output && row.entry.check().is_ok()).then_some(row)
    }
}

/// The ledger's name of a key's entry at one destination. Keys are longer than names may be.
pub(crate) fn entry_name(rule: &str, destination: &str, output: &ObjectKey) -> String {
    let hash = Md5::of(output.as_str().as_bytes());
    format!("changelog/{rule}/{destination}/{hash}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new(name).unwrap()
    }

    fn input(name: &str) -> ChangelogInput {
        ChangelogInput {
            key: key(name),
            version: Some(ObjectVersion::from_etag("e")),
        }
    }

    fn concat(inputs: Vec<ChangelogInput>) -> ChangelogEntry {
        ChangelogEntry {
            output: key("o"),
            operation: ChangelogOperation::Concat { inputs },
        }
    }

    #[test]
    fn entries_are_bounded() {
        assert!(concat(vec![input("o"), input("a")]).check().is_ok());
        assert!(concat(vec![input("a"); MOST_INPUTS]).check().is_ok());
        for bad in [vec![], vec![input("o")], vec![input("a"); MOST_INPUTS + 1]] {
            assert_eq!(concat(bad).check().unwrap_err().kind, Kind::Invalid);
        }
        let long = input(&"k".repeat(1024));
        let row = |inputs| EntryRow {
            id: "1".into(),
            added: Timestamp::ZERO,
            entry: concat(inputs),
        };
        assert!(row(vec![long.clone(); 200]).to_json().is_ok());
        assert!(row(vec![long; 300]).to_json().is_err());
    }

    #[test]
    fn an_entry_reads_as_people_write_it() {
        let text = r#"{"output":"o","operation":"rename","input":{"key":"a"}}"#;
        let entry: ChangelogEntry = serde_json::from_str(text).unwrap();
        assert_eq!(entry.renamed_from(), Some(&key("a")));
        assert_eq!(serde_json::to_string(&entry).unwrap(), text);
        assert!(serde_json::from_str::<ChangelogEntry>(r#"{"output":"o"}"#).is_err());
    }

    #[test]
    fn a_row_of_another_key_is_no_hint() {
        let row = EntryRow {
            id: "1".into(),
            added: Timestamp::ZERO,
            entry: concat(vec![input("a")]),
        };
        let json = row.to_json().unwrap();
        assert_eq!(EntryRow::from_json(json.clone(), &key("o")), Some(row));
        assert_eq!(EntryRow::from_json(json, &key("p")), None);
        assert_eq!(EntryRow::from_json(serde_json::json!(7), &key("o")), None);
    }
}
