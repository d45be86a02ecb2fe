//! **changelog**: content that is at the destination already is not sent again.
//!
//! In: entries ("this object was made by copying, or joining, those"), what this lane has copied before, the parts a source
//! states of an object. Out: an object made at the destination by its store, proved equal to the source's version before it
//! is visible where that can be known, and after it in any case; or nothing, and the transfer goes its ordinary way. Never:
//! believes an entry about content, makes anything of an object that is not the version its record names, fails a claim
//! because a shortcut failed.
//!
//! | file | holds |
//! |---|---|
//! | `entry` | what users tell; its bounds and its row in the ledger |
//! | `recipe` | pure: from what both sides state, what the destination's store is to do, or why not |
//! | `apply` | finds what it can be made of, and falls back |
//! | `make` | does what a recipe says, and verifies; also where the store reads the source (`crate::server_copy`) |
//! | `index` | what this lane has copied, by size and checksum: finds copies nobody told of |
//! | `unchanged` | pure: which parts of a new version the old one has |
//! | `parts` | takes them from there, and remembers what finds them |
//! | `savings` | what was not spent |
//! | `state` | what a lane remembers: its index, and the entries that its claims still owe |

mod apply;
mod entry;
mod index;
mod make;
mod parts;
mod recipe;
mod savings;
mod state;
mod unchanged;

pub(crate) use apply::{Heads, apply};
pub use entry::{ChangelogEntry, ChangelogInput, ChangelogOperation, MOST_INPUTS};
pub(crate) use entry::{EntryRow, entry_name};
pub(crate) use make::{Made, Making, Origin};
pub(crate) use parts::{remember, remembers, take_unchanged};
pub(crate) use recipe::{Reason, Recipe, Way, of_source};
pub(crate) use savings::{Savings, Transfer, strategy};
pub(crate) use state::{ChangelogState, finished, hold_delete};

/// From which sizes it is worth looking for what is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChangelogSizes {
    /// Objects of fewer bytes are transferred: their bytes are on the way before anything could be looked up, and cost no more
    /// than the requests that would spare them.
    pub least_bytes: u64,
    /// Objects of fewer bytes are not looked through for unchanged parts.
    pub least_parts_bytes: u64,
}

impl Default for ChangelogSizes {
    /// 256 KiB, up to which objects are read at once with their heads, and 32 MiB, two parts of the usual size.
    fn default() -> Self {
        ChangelogSizes {
            least_bytes: (256 << 10) + 1,
            least_parts_bytes: 32 << 20,
        }
    }
}
