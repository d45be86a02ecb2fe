//! What is examined.

use skyfresh_sky::Location;

/// What a location is to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    /// Only read.
    Source,
    /// Read and written.
    Destination,
}

/// What a rule asks for beyond copying objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Deletes.
    pub(super) delete: bool,
    /// Tags.
    pub(super) tags: bool,
}

impl Needs {
    /// What both ask for.
    pub(super) fn and(self, other: Needs) -> Needs {
        Needs {
            delete: self.delete || other.delete,
            tags: self.tags || other.tags,
        }
    }
}

/// One location in one role.
#[derive(Clone, Debug)]
pub(super) struct Side {
    pub(super) role: Role,
    pub(super) location: Location,
    pub(super) needs: Needs,
}
