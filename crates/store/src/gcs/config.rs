//! What a person may set about a Google Cloud Storage store.

use super::credentials::GoogleCredentialSource;
use std::collections::BTreeMap;
use std::time::Duration;

/// The settings of one store. The location's option `endpoint` overrides [`GcsConfig::endpoint`].
#[derive(Clone, Debug)]
pub struct GcsConfig {
    /// `http://host:port` or `https://host`; `None` is Google's.
    pub endpoint: Option<String>,
    /// Where the bucket is, for prices and reports; requests need none.
    pub region: Option<String>,
    /// Where credentials come from.
    pub credentials: GoogleCredentialSource,
    /// Longest wait for a TCP connection.
    pub connect_timeout: Duration,
    /// Longest wait for the next byte in either direction.
    pub stall_timeout: Duration,
    /// Most requests under way at once; throttling lowers it for a while.
    pub max_concurrency: usize,
}

impl Default for GcsConfig {
    fn default() -> Self {
        GcsConfig {
            endpoint: None,
            region: None,
            credentials: GoogleCredentialSource::Chain {
                env: BTreeMap::new(),
                home_dir: None,
                file: None,
            },
            connect_timeout: Duration::from_secs(5),
            stall_timeout: Duration::from_secs(30),
            max_concurrency: 1024,
        }
    }
}
