//! Operations to draw at random, and the model that says what they must do.

pub(crate) mod model;
pub(crate) mod operation;

/// The rule of all operations.
pub(crate) const RULE: &str = "rule";
/// Their destinations.
pub(crate) const DESTINATIONS: [&str; 2] = ["eu", "us"];
/// The owner of all claims.
pub(crate) const OWNER: &str = "owner";
