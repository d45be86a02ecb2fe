//! Credentials (`reqsign`) and signatures with them, with the lifetime of cached credentials in our hands.
//!
//! Credentials that state an expiry are kept until shortly before it; others (files, environment) are reread at the latest
//! every [`REREAD_INTERVAL_NS`], and at once where the store refuses the ones used, so that rotating a file needs no restart.

use super::config::{Credentials, S3Config};
use super::sigv4::{Presigned, Scope};
use crate::http::HttpClient;
use http::request::Parts;
use reqsign_aws_v4::{Credential, DefaultCredentialProvider, RequestSigner};
use reqsign_core::{
    Context, ErrorKind, ProvideCredential, SignRequest, SigningCredential, StaticEnv,
};
use skyfresh_sky::{Clock, Kind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const REREAD_INTERVAL_NS: u64 = 300_000_000_000;
/// A refused credential is not reread more often than this, so that a storm of refusals does not become one of reads.
const RENEW_INTERVAL_NS: u64 = 1_000_000_000;
/// Credentials must last as long as an operation takes.
const HEADROOM: Duration = Duration::from_secs(10);

enum Provider {
    Static(Credential),
    Chain(DefaultCredentialProvider),
}

#[derive(Clone)]
struct Cached {
    credential: Arc<Credential>,
    generation: u64,
    loaded_ns: u64,
}

/// Signs requests of one store.
pub(super) struct Signer {
    provider: Provider,
    context: Context,
    clock: Arc<dyn Clock>,
    cached: Mutex<Option<Cached>>,
    loading: tokio::sync::Mutex<()>,
}

/// Why a request could not be signed.
pub(super) struct Unsigned {
    pub(super) kind: Kind,
    pub(super) context: &'static str,
    pub(super) source: Option<reqsign_core::Error>,
}

const NO_CREDENTIALS: &str = "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile in ~/.aws/credentials \
     (choose it with ?profile=NAME or AWS_PROFILE), or attach a role to this machine";

/// Which credentials signed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl Signer {
    pub(super) fn new(
        config: &S3Config,
        profile_option: Option<&str>,
        http: HttpClient,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let mut context = Context::new()
            .with_file_read(super::chain::Files)
            .with_http_send(super::chain::Http::new(http, clock.clone()))
            .with_command_execute(super::chain::Commands::new(clock.clone()));
        let provider = match &config.credentials {
            Credentials::Static {
                access_key_id,
                secret_access_key,
                session_token,
            } => Provider::Static(Credential {
                access_key_id: access_key_id.clone(),
                secret_access_key: secret_access_key.clone(),
                session_token: session_token.clone(),
                expires_in: None,
            }),
            Credentials::Chain {
                env,
                home_dir,
                profile,
            } => {
                context = context.with_env(StaticEnv {
                    home_dir: home_dir.clone(),
                    envs: env
                        .iter()
                        .map(|(name, value)| (name.clone(), value.clone()))
                        .collect(),
                });
                let builder = DefaultCredentialProvider::builder();
                Provider::Chain(match profile_option.or(profile.as_deref()) {
                    Some(profile) => builder.with_profile(profile).no_env().build(),
                    None => builder.build(),
                })
            }
        };
        Signer {
            provider,
            context,
            clock,
            cached: Mutex::new(None),
            loading: tokio::sync::Mutex::new(()),
        }
    }

    fn cached(&self) -> Option<Cached> {
        self.cached
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn is_fresh(&self, cached: &Cached) -> bool {
        match (&self.provider, cached.credential.expires_in) {
            (Provider::Static(_), _) => true,
            (Provider::Chain(_), Some(_)) => cached.credential.is_valid(),
            (Provider::Chain(_), None) => {
                self.clock.monotonic_ns().saturating_sub(cached.loaded_ns) < REREAD_INTERVAL_NS
            }
        }
    }

    async fn current(&self) -> Result<Cached, Unsigned> {
        if let Some(cached) = self.cached().filter(|cached| self.is_fresh(cached)) {
            return Ok(cached);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(cached) = self.cached().filter(|cached| self.is_fresh(cached)) {
            return Ok(cached);
        }
        match self.load().await {
            Ok(Some(cached)) => Ok(cached),
            outcome => {
                // A file that cannot be read for a moment is no reason to stop while the old credentials still work.
                if let Some(old) = self.cached().filter(|old| old.credential.is_valid()) {
                    tracing::warn!(
                        "credentials could not be reread; going on with those read before"
                    );
                    return Ok(old);
                }
                Err(Unsigned {
                    kind: Kind::Denied,
                    context: NO_CREDENTIALS,
                    source: outcome.err(),
                })
            }
        }
    }

    /// Asks the provider and keeps the answer. A credential equal to the cached one keeps its generation.
    async fn load(&self) -> Result<Option<Cached>, reqsign_core::Error> {
        let credential = match &self.provider {
            Provider::Static(credential) => Some(credential.clone()),
            Provider::Chain(chain) => chain.provide_credential(&self.context).await?,
        };
        let Some(credential) = credential else {
            return Ok(None);
        };
        let mut slot = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let generation = match &*slot {
            Some(old) if same(&old.credential, &credential) => old.generation,
            Some(old) => old.generation + 1,
            None => 0,
        };
        let cached = Cached {
            credential: Arc::new(credential),
            generation,
            loaded_ns: self.clock.monotonic_ns(),
        };
        *slot = Some(cached.clone());
        Ok(Some(cached))
    }

    /// The credentials in use.
    pub(super) async fn credential(&self) -> Result<Arc<Credential>, Unsigned> {
        Ok(self.current().await?.credential)
    }

    /// The access key id in use, and whether it is temporary.
    pub(super) async fn access_key_id(&self) -> Result<(String, bool), Unsigned> {
        let cached = self.current().await?;
        Ok((
            cached.credential.access_key_id.clone(),
            cached.credential.session_token.is_some(),
        ))
    }

    /// Adds the signature to a request of a store, whose payload is not hashed; tells with which credentials.
    pub(super) async fn sign_unhashed(
        &self,
        scope: &Scope,
        parts: &mut Parts,
    ) -> Result<Generation, Unsigned> {
        let cached = self.current().await?;
        let (credential, generation) = (&cached.credential, cached.generation);
        let unsigned = |kind, context| Unsigned {
            kind,
            context,
            source: None,
        };
        let until = reqsign_core::time::Timestamp::now() + HEADROOM;
        if !credential.is_valid_at(until) {
            return Err(unsigned(
                Kind::Denied,
                "the credentials are empty or expire now",
            ));
        }
        scope
            .sign(parts, credential, generation, self.clock.now())
            .map_err(|why| unsigned(Kind::Invalid, why))?;
        Ok(Generation(generation))
    }

    /// The query of a URL that carries its signature.
    pub(super) async fn presign(
        &self,
        scope: &Scope,
        read: Presigned<'_>,
    ) -> Result<String, Unsigned> {
        let cached = self.current().await?;
        scope
            .presign(
                &read,
                &cached.credential,
                cached.generation,
                self.clock.now(),
            )
            .map_err(|why| Unsigned {
                kind: Kind::Invalid,
                context: why,
                source: None,
            })
    }

    /// Adds the signature to a request; tells with which credentials.
    pub(super) async fn sign(
        &self,
        signer: &RequestSigner,
        parts: &mut Parts,
    ) -> Result<Generation, Unsigned> {
        let cached = self.current().await?;
        let failed = |error: reqsign_core::Error| {
            let kind = match error.kind() {
                ErrorKind::CredentialInvalid => Kind::Denied,
                ErrorKind::RequestInvalid => Kind::Invalid,
                _ => Kind::Internal,
            };
            Unsigned {
                kind,
                context: "the request could not be signed",
                source: Some(error),
            }
        };
        signer
            .sign_request(&self.context, parts, Some(&cached.credential), None)
            .await
            .map_err(failed)?;
        Ok(Generation(cached.generation))
    }

    /// After the store refused `used`: rereads the credentials, and tells whether there are others now.
    pub(super) async fn renew(&self, used: Generation) -> bool {
        if matches!(self.provider, Provider::Static(_)) {
            return false;
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(cached) = self.cached() {
            if cached.generation != used.0 {
                return true;
            }
            if self.clock.monotonic_ns().saturating_sub(cached.loaded_ns) < RENEW_INTERVAL_NS {
                return false;
            }
        }
        match self.load().await {
            Ok(Some(cached)) => cached.generation != used.0,
            Ok(None) | Err(_) => false,
        }
    }
}

fn same(a: &Credential, b: &Credential) -> bool {
    a.access_key_id == b.access_key_id
        && a.secret_access_key == b.secret_access_key
        && a.session_token == b.session_token
}
