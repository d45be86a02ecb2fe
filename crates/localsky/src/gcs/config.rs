//! The settings of the Google side of a sky.

use crate::config::Secret;
use serde::Deserialize;

/// How much of an object one call of a rewrite between locations or storage classes copies, unless configured: small,
/// so that clients' loops are exercised by objects of ordinary size.
pub const REWRITE_BYTES_PER_CALL: u64 = 16 * 1024 * 1024;

/// How the regions that speak Google Cloud Storage behave.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GoogleConfig {
    /// The one project. Default: `skyfresh`.
    pub project: String,
    /// A bearer token that is always accepted, beside those that `/token` issues. Default: `skyfresh-local-token`.
    pub token: Secret,
    /// Accept requests without credentials, too. Wrong credentials are refused either way.
    pub anonymous: bool,
    /// Answer 429 `rateLimitExceeded` to a second write of one object name within a second, as Google does
    /// (<https://cloud.google.com/storage/quotas#objects>). Off by default.
    pub one_write_per_second: bool,
    /// Most bytes that one call of a rewrite between locations or storage classes copies.
    pub rewrite_bytes_per_call: u64,
}

impl Default for GoogleConfig {
    fn default() -> Self {
        GoogleConfig {
            project: "skyfresh".into(),
            token: Secret::new("skyfresh-local-token"),
            anonymous: false,
            one_write_per_second: false,
            rewrite_bytes_per_call: REWRITE_BYTES_PER_CALL,
        }
    }
}
