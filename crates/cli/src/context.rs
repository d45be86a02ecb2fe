//! What every command is given: the outside world, in one place.

use crate::environment::Environment;
use crate::output::Output;
use skyfresh_sky::{Clock, Rng};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The outside world of a command.
#[derive(Debug)]
pub(crate) struct Context {
    /// The environment variables.
    pub(crate) environment: Environment,
    /// Where results and remarks go.
    pub(crate) output: Output,
    /// Time.
    pub(crate) clock: Arc<dyn Clock>,
    /// Randomness.
    pub(crate) rng: Rng,
    /// Cancelled by the first SIGINT or SIGTERM; a second one ends the process at once.
    pub(crate) stop: CancellationToken,
}
