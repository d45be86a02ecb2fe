//! Access tokens of Google Cloud, kept fresh: for the store here and for any other service with the scope `cloud-platform`.
//!
//! **In:** a [`GoogleCredentialSource`] and a clock. **Out:** a bearer token that is good for some minutes more, or none.
//! **Never:** reads the environment by itself, sends a secret over plain HTTP to another machine, shows one in `Debug`.
//!
//! The order is that of Application Default Credentials (<https://cloud.google.com/docs/authentication/application-default-credentials>):
//! a file that is named, the file that `gcloud` writes, the metadata server. A token is renewed `RENEW_BEFORE_NS` before it
//! ends. The file is looked at every `LOOK_AT_FILE_NS`, and at once where a token was refused, so that rotating a key needs
//! no restart.

mod exchange;

use crate::http::HttpClient;
use crate::s3::chain::{Commands, Files, Http};
use crate::{Error, Result};
use exchange::Fetched;
use http::HeaderValue;
use reqsign_core::{Context, FileRead, StaticEnv};
use sha2::{Digest, Sha256};
use skyfresh_sky::{Clock, Kind};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The scope asked for; what may be done is decided by IAM.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// Metadata servers hand out a new token five minutes before the old one ends
/// (<https://cloud.google.com/compute/docs/access/authenticate-workloads>): asking earlier gives the old one again.
const RENEW_BEFORE_NS: u64 = 240_000_000_000;
const LOOK_AT_FILE_NS: u64 = 30_000_000_000;
/// A refused token is not asked for anew more often than this.
const RENEW_INTERVAL_NS: u64 = 1_000_000_000;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

const NO_CREDENTIALS: &str = "no Google credentials were found: set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run `gcloud auth \
     application-default login`, or attach a service account to this machine";

/// Where access tokens come from. `Debug` shows no secret.
#[derive(Clone)]
pub enum GoogleCredentialSource {
    /// None are sent: public buckets, local servers.
    Anonymous,
    /// This token, until the process ends.
    Token(String),
    /// Application Default Credentials.
    Chain {
        /// The environment variables, as read by the binary. Libraries read none.
        env: BTreeMap<String, String>,
        /// The user's home directory, for the file that `gcloud` writes.
        home_dir: Option<PathBuf>,
        /// A key file (service account, external account, authorized user); comes before everything else.
        file: Option<PathBuf>,
    },
}

impl std::fmt::Debug for GoogleCredentialSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            GoogleCredentialSource::Anonymous => f.write_str("Anonymous"),
            GoogleCredentialSource::Token(_) => f.write_str("Token(***)"),
            GoogleCredentialSource::Chain { home_dir, file, .. } => f
                .debug_struct("Chain")
                .field("home_dir", home_dir)
                .field("file", file)
                .finish_non_exhaustive(),
        }
    }
}

/// An access token, printed as `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct BearerToken(String);

impl BearerToken {
    /// The token itself, for whoever must send it. Never print it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// `Authorization: Bearer …`, marked as a secret.
    ///
    /// # Errors
    /// The token has characters that no header can hold.
    pub fn header(&self) -> Result<HeaderValue> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.0)).map_err(|_| {
            denied("the access token holds characters that no HTTP header can carry")
        })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl std::fmt::Debug for BearerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[derive(Clone)]
struct Cached {
    token: BearerToken,
    expires_ns: Option<u64>,
    loaded_ns: u64,
    /// When the file was last seen to be the one the token is from.
    looked_ns: u64,
    /// SHA-256 of the file.
    file: Option<[u8; 32]>,
}

/// Hands out access tokens of one source. Cheap to share: put it into an [`Arc`].
pub struct GoogleCredentials {
    source: GoogleCredentialSource,
    context: Context,
    http: Http,
    clock: Arc<dyn Clock>,
    cached: Mutex<Option<Cached>>,
    loading: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for GoogleCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GoogleCredentials")
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Where the file is, and whether it must be there.
struct KeyFile {
    path: PathBuf,
    named: bool,
}

impl GoogleCredentials {
    /// Reads nothing and asks nobody yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: the system's root certificates, which token services need, cannot be read.
    pub fn new(source: GoogleCredentialSource, clock: Arc<dyn Clock>) -> Result<Self> {
        let needs_tls = matches!(source, GoogleCredentialSource::Chain { .. });
        let client = HttpClient::new(needs_tls, CONNECT_TIMEOUT, clock.clone()).map_err(|why| {
            let context = format!(
                "TLS needs the system's root certificates: {why} (install ca-certificates)"
            );
            Error::new(Kind::Invalid, OPERATION, TARGET, context)
        })?;
        let mut context = Context::new()
            .with_file_read(Files)
            .with_http_send(Http::new(client.clone(), clock.clone()))
            .with_command_execute(Commands::new(clock.clone()));
        if let GoogleCredentialSource::Chain { env, home_dir, .. } = &source {
            context = context.with_env(StaticEnv {
                home_dir: home_dir.clone(),
                envs: env
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect(),
            });
        }
        Ok(GoogleCredentials {
            source,
            context,
            http: Http::new(client, clock.clone()),
            clock,
            cached: Mutex::new(None),
            loading: tokio::sync::Mutex::new(()),
        })
    }

    /// A token that is good for now; `None` where requests go out without one.
    ///
    /// # Errors
    /// [`Kind::Denied`] where a person must act, [`Kind::RetryAfter`] where the token service may answer later.
    pub async fn bearer(&self) -> Result<Option<BearerToken>> {
        match &self.source {
            GoogleCredentialSource::Anonymous => Ok(None),
            GoogleCredentialSource::Token(token) => Ok(Some(BearerToken(token.clone()))),
            GoogleCredentialSource::Chain { .. } => self.current().await.map(Some),
        }
    }

    /// After a service refused `used`: asks for another, and tells whether there is one now.
    pub async fn renew(&self, used: &BearerToken) -> bool {
        if !matches!(self.source, GoogleCredentialSource::Chain { .. }) {
            return false;
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(cached) = self.cached() {
            if cached.token != *used {
                return true;
            }
            if self.now_ns().saturating_sub(cached.loaded_ns) < RENEW_INTERVAL_NS {
                return false;
            }
        }
        self.load().await.is_ok_and(|cached| cached.token != *used)
    }

    fn now_ns(&self) -> u64 {
        self.clock.monotonic_ns()
    }

    fn cached(&self) -> Option<Cached> {
        self.cached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn keep(&self, cached: &Cached) {
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = Some(cached.clone());
    }

    /// The cached token, where neither its end nor a look at the file is due.
    fn fresh(&self) -> Option<BearerToken> {
        let now = self.now_ns();
        self.cached()
            .filter(|cached| {
                cached
                    .expires_ns
                    .is_none_or(|expires| now.saturating_add(RENEW_BEFORE_NS) < expires)
                    && now.saturating_sub(cached.looked_ns) < LOOK_AT_FILE_NS
            })
            .map(|cached| cached.token)
    }

    async fn current(&self) -> Result<BearerToken> {
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(token) = self.fresh() {
            return Ok(token);
        }
        if let Some(mut cached) = self.cached() {
            let now = self.now_ns();
            let due = cached
                .expires_ns
                .is_some_and(|expires| now.saturating_add(RENEW_BEFORE_NS) >= expires);
            if !due && self.file_is_the_same(&cached).await {
                cached.looked_ns = now;
                self.keep(&cached);
                return Ok(cached.token);
            }
        }
        match self.load().await {
            Ok(cached) => Ok(cached.token),
            Err(error) => {
                // A service that is out of reach for a moment is no reason to stop while the old token still works.
                let now = self.now_ns();
                let old = self
                    .cached()
                    .filter(|old| old.expires_ns.is_none_or(|expires| now < expires));
                let Some(mut old) = old else {
                    return Err(error);
                };
                tracing::warn!(%error, "the Google access token could not be renewed; going on with the old one");
                old.looked_ns = now;
                self.keep(&old);
                Ok(old.token)
            }
        }
    }

    /// A file that cannot be read for a moment (it is just being replaced) counts as the same.
    async fn file_is_the_same(&self, cached: &Cached) -> bool {
        let file = self.key_file();
        match (&file, cached.file) {
            (None, None) => true,
            (Some(file), known) => match (self.read(file).await, known) {
                (Ok(content), Some(known)) => digest(&content) == known,
                (Ok(_), None) => false,
                (Err(_), _) => true,
            },
            (None, Some(_)) => false,
        }
    }

    fn key_file(&self) -> Option<KeyFile> {
        let GoogleCredentialSource::Chain {
            env,
            home_dir,
            file,
        } = &self.source
        else {
            return None;
        };
        let set = |name: &str| env.get(name).filter(|value| !value.is_empty());
        if let Some(path) = file
            .clone()
            .or_else(|| set("GOOGLE_APPLICATION_CREDENTIALS").map(PathBuf::from))
        {
            return Some(KeyFile { path, named: true });
        }
        let directory = set("CLOUDSDK_CONFIG")
            .map(PathBuf::from)
            .or_else(|| Some(home_dir.as_ref()?.join(".config/gcloud")))?;
        Some(KeyFile {
            path: directory.join("application_default_credentials.json"),
            named: false,
        })
    }

    async fn read(&self, file: &KeyFile) -> Result<Vec<u8>> {
        let path = file.path.to_string_lossy();
        Files
            .file_read(&path)
            .await
            .map_err(|error| denied("the key file cannot be read").with_source(error))
    }

    /// Asks for a token and keeps it.
    async fn load(&self) -> Result<Cached> {
        let file = self.key_file();
        let content = match &file {
            None => None,
            Some(file) => match self.read(file).await {
                Ok(content) => Some((file, content)),
                Err(error) if file.named => return Err(error),
                Err(_) => None,
            },
        };
        let fetched: Fetched = match &content {
            Some((file, content)) => self.token_of_file(&file.path, content).await?,
            None => self.token_of_machine().await?,
        };
        let now = self.now_ns();
        let cached = Cached {
            token: BearerToken(fetched.token),
            expires_ns: fetched
                .valid_for
                .map(|valid_for| now.saturating_add(valid_for.as_nanos() as u64)),
            loaded_ns: now,
            looked_ns: now,
            file: content.map(|(_, content)| digest(&content)),
        };
        self.keep(&cached);
        Ok(cached)
    }
}

const OPERATION: &str = "get a Google access token";
const TARGET: &str = "Google credentials";

fn digest(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

fn denied(why: impl Into<String>) -> Error {
    Error::new(Kind::Denied, OPERATION, TARGET, why)
}
