//! Who we are for Azure: requests to a storage account's services signed, and bearer tokens for other services.
//!
//! **In:** an account's name and an [`AzureCredentialSource`].
//! **Out:** authorised requests; bearer tokens, kept until shortly before they expire.
//! **Never:** shows a secret in an error or in `Debug`, sends one in clear over a network, goes on with an expired token.

use super::config::{AzureCredentialSource, ConnectionString, from_environment};
use super::secrets::{BearerToken, check_signature, read_file, with_query};
use super::shared_key::AccountKey;
use super::tokens::{self, Proof, Token};
use crate::http::{HttpClient, RequestBody, collect, describe};
use crate::{Error, Result};
use http::request::Parts;
use http::{HeaderValue, Uri, header};
use skyfresh_sky::{Clock, Kind, Timestamp, timeout};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

/// What tokens for the services of storage accounts are asked for.
pub const STORAGE_RESOURCE: &str = "https://storage.azure.com";
/// What tokens for Azure Resource Manager are asked for.
pub const MANAGEMENT_RESOURCE: &str = "https://management.azure.com";

const OPERATION: &str = "authorize";
/// A file is read again at the latest after this time.
const REREAD_INTERVAL: Duration = Duration::from_secs(60);
/// After a failed renewal, or a refusal, the next is not sooner.
const RENEW_INTERVAL: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(15);
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT_BYTES: usize = 1 << 20;
/// How long a signature lasts that lets the service read the source of a copy.
const COPY_SIGNATURE_LIFE: Duration = Duration::from_secs(3600);

/// The credentials of one storage account: for its blobs, its queues, and for Azure's management where they are an identity.
pub struct AzureCredentials {
    account: String,
    source: AzureCredentialSource,
    http: HttpClient,
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<String, Cached>>,
    loading: tokio::sync::Mutex<()>,
}

/// What authorises a request.
#[derive(Clone)]
enum Secret {
    Key(Arc<AccountKey>),
    Signature(Arc<str>),
    Token(Arc<str>),
    None,
}

#[derive(Clone)]
struct Cached {
    secret: Secret,
    /// Goes up whenever the secret is another than before.
    generation: u64,
    loaded: Timestamp,
    renew_after: Timestamp,
    expires: Timestamp,
}

/// Which credentials authorised a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Generation(u64);

impl std::fmt::Debug for AzureCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AzureCredentials")
            .field("account", &self.account)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl AzureCredentials {
    /// Credentials for one account. Nothing is sent or read yet.
    ///
    /// # Errors
    /// [`Kind::Invalid`]: a key, signature or connection string cannot be one, or TLS cannot be used on this machine.
    pub fn new(
        account: &str,
        source: AzureCredentialSource,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let invalid =
            |why: String| Error::new(Kind::Invalid, OPERATION, format!("az://{account}"), why);
        let source = match source {
            AzureCredentialSource::Environment(env) => from_environment(&env, account),
            other => other,
        };
        let source = match source {
            AzureCredentialSource::ConnectionString(text) => {
                let parsed =
                    ConnectionString::parse(&text).map_err(|error| invalid(error.to_string()))?;
                match (parsed.account_key, parsed.sas) {
                    (Some(key), _) => AzureCredentialSource::AccountKey(key),
                    (None, sas) => AzureCredentialSource::Sas(sas.unwrap_or_default()),
                }
            }
            other => other,
        };
        if let AzureCredentialSource::AccountKey(key) = &source
            && AccountKey::new(account, key).is_none()
        {
            return Err(invalid(
                "the account key is not Base64: copy it whole from the portal".into(),
            ));
        }
        if let AzureCredentialSource::Sas(token) = &source {
            check_signature(token).map_err(|why| invalid(why.into()))?;
        }
        let https = matches!(
            source,
            AzureCredentialSource::ClientSecret { .. }
                | AzureCredentialSource::WorkloadIdentity { .. }
        );
        let http = HttpClient::new(https, CONNECT_LIMIT, clock.clone()).map_err(|why| {
            invalid(format!(
                "TLS needs the system's root certificates: {why} (install ca-certificates)"
            ))
        })?;
        Ok(AzureCredentials {
            account: account.to_owned(),
            source,
            http,
            clock,
            held: Mutex::default(),
            loading: tokio::sync::Mutex::new(()),
        })
    }

    /// The storage account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// What kind of credentials these are, for people.
    pub fn method(&self) -> &'static str {
        self.source.name()
    }

    /// The client id of the identity, where there is one that was named.
    pub fn client_id(&self) -> Option<&str> {
        match &self.source {
            AzureCredentialSource::ClientSecret { application, .. }
            | AzureCredentialSource::WorkloadIdentity { application, .. } => {
                Some(&application.client_id)
            }
            AzureCredentialSource::ManagedIdentity { client_id, .. } => client_id.as_deref(),
            _ => None,
        }
    }

    /// Authorises a request to one of the account's services. All other headers must be set already, `x-ms-version` and, where
    /// there is a body, `content-length` among them; sets `x-ms-date`, and `authorization` or the address.
    ///
    /// # Errors
    /// [`Kind::Denied`]: there are no usable credentials, in the issuer's words; [`Kind::RetryAfter`]: the issuer cannot be
    /// reached now.
    pub async fn authorize(&self, request: &mut Parts) -> Result<()> {
        self.sign(request).await.map(|_| ())
    }

    /// A bearer token for another of Azure's services, named by its address ([`MANAGEMENT_RESOURCE`], …).
    ///
    /// # Errors
    /// [`Kind::Unsupported`]: keys and signatures belong to a storage account and open nothing else; otherwise as
    /// [`AzureCredentials::authorize`].
    pub async fn bearer(&self, resource: &str) -> Result<BearerToken> {
        match self.current(resource).await?.secret {
            Secret::Token(token) => Ok(BearerToken::new(&token)),
            _ => Err(self.failed(
                Kind::Unsupported,
                format!(
                    "{resource} needs an identity (service principal, workload or managed identity), and these credentials are: {}",
                    self.method()
                ),
            )),
        }
    }

    pub(super) async fn sign(&self, request: &mut Parts) -> Result<Generation> {
        let cached = self.current(STORAGE_RESOURCE).await?;
        let date =
            httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_millis(self.clock.now().unix_ms()));
        let unusable = || {
            self.failed(
                Kind::Invalid,
                "the request cannot be authorised: a header cannot hold it".into(),
            )
        };
        request.headers.insert(
            "x-ms-date",
            HeaderValue::from_str(&date).map_err(|_| unusable())?,
        );
        if matches!(cached.secret, Secret::Token(_) | Secret::Signature(_))
            && !is_confidential(&request.uri)
        {
            let why = "credentials that whoever sees them can use are not sent over http: use an https endpoint";
            return Err(self.failed(Kind::Invalid, why.into()));
        }
        match &cached.secret {
            Secret::Key(key) => {
                let mut value =
                    HeaderValue::from_str(&key.authorization(request)).map_err(|_| unusable())?;
                value.set_sensitive(true);
                request.headers.insert(header::AUTHORIZATION, value);
            }
            Secret::Token(token) => {
                let mut value =
                    HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| unusable())?;
                value.set_sensitive(true);
                request.headers.insert(header::AUTHORIZATION, value);
            }
            Secret::Signature(query) => {
                request.uri = with_query(&request.uri.to_string(), query)
                    .parse::<Uri>()
                    .map_err(|_| unusable())?;
            }
            Secret::None => {}
        }
        Ok(Generation(cached.generation))
    }

    /// How the service may read a blob of this account for a copy: its address with a signature, or a bearer token beside it.
    pub(super) async fn copy_source(
        &self,
        url: String,
        container: &str,
        full_key: &str,
    ) -> Result<(String, Option<BearerToken>)> {
        Ok(match self.current(STORAGE_RESOURCE).await?.secret {
            Secret::Key(key) => {
                let expiry = self.clock.now().after(COPY_SIGNATURE_LIFE);
                (
                    with_query(&url, &key.sign_read(container, full_key, expiry)),
                    None,
                )
            }
            Secret::Signature(query) => (with_query(&url, &query), None),
            Secret::Token(token) => (url, Some(BearerToken::new(&token))),
            Secret::None => (url, None),
        })
    }

    /// After the service refused what `used` authorised: whether there are other credentials now.
    pub(super) async fn renew(&self, used: Generation) -> bool {
        if self.is_fixed() {
            return false;
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(cached) = self.cached(STORAGE_RESOURCE) {
            if cached.generation != used.0 {
                return true;
            }
            if self.clock.now().since(cached.loaded) < RENEW_INTERVAL {
                return false;
            }
        }
        self.load(STORAGE_RESOURCE)
            .await
            .is_ok_and(|cached| cached.generation != used.0)
    }

    fn is_fixed(&self) -> bool {
        matches!(
            self.source,
            AzureCredentialSource::AccountKey(_)
                | AzureCredentialSource::Sas(_)
                | AzureCredentialSource::Anonymous
        )
    }

    fn failed(&self, kind: Kind, why: String) -> Error {
        Error::new(kind, OPERATION, format!("az://{}", self.account), why)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Cached>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, resource: &str) -> Option<Cached> {
        self.lock().get(resource).cloned()
    }

    fn fresh(&self, resource: &str) -> Option<Cached> {
        let now = self.clock.now();
        self.cached(resource)
            .filter(|cached| now < cached.renew_after)
    }

    async fn current(&self, resource: &str) -> Result<Cached> {
        if let Some(cached) = self.fresh(resource) {
            return Ok(cached);
        }
        let _one_at_a_time = self.loading.lock().await;
        if let Some(cached) = self.fresh(resource) {
            return Ok(cached);
        }
        match self.load(resource).await {
            Ok(cached) => Ok(cached),
            Err(error) => {
                // An issuer that cannot be reached for a moment is no reason to stop while the old credentials still work.
                let now = self.clock.now();
                match self
                    .lock()
                    .get_mut(resource)
                    .filter(|old| now < old.expires)
                {
                    Some(old) => {
                        tracing::warn!(%error, "credentials could not be renewed; going on with the old ones");
                        old.renew_after = now.after(RENEW_INTERVAL);
                        Ok(old.clone())
                    }
                    None => Err(error),
                }
            }
        }
    }

    /// Asks the source and keeps the answer. A secret equal to the kept one keeps its generation.
    async fn load(&self, resource: &str) -> Result<Cached> {
        let (secret, renew_after, expires) = self.ask(resource).await?;
        let mut held = self.lock();
        let generation = match held.get(resource) {
            Some(old) if same(&old.secret, &secret) => old.generation,
            Some(old) => old.generation + 1,
            None => 0,
        };
        let cached = Cached {
            secret,
            generation,
            loaded: self.clock.now(),
            renew_after,
            expires,
        };
        held.insert(resource.to_owned(), cached.clone());
        Ok(cached)
    }

    async fn ask(&self, resource: &str) -> Result<(Secret, Timestamp, Timestamp)> {
        let always = (Timestamp::MAX, Timestamp::MAX);
        let denied = |why: String| self.failed(Kind::Denied, why);
        let request = match &self.source {
            AzureCredentialSource::AccountKey(key) => {
                let key = AccountKey::new(&self.account, key)
                    .ok_or_else(|| denied("the account key is not Base64".into()))?;
                return Ok((Secret::Key(Arc::new(key)), always.0, always.1));
            }
            AzureCredentialSource::Sas(token) => return Ok((signature(token), always.0, always.1)),
            AzureCredentialSource::Anonymous => return Ok((Secret::None, always.0, always.1)),
            AzureCredentialSource::SasFile(path) => {
                let token = read_file(path).await.map_err(denied)?;
                check_signature(&token)
                    .map_err(|why| denied(format!("{}: {why}", path.display())))?;
                let now = self.clock.now();
                return Ok((
                    signature(&token),
                    now.after(REREAD_INTERVAL),
                    Timestamp::MAX,
                ));
            }
            AzureCredentialSource::ClientSecret {
                application,
                client_secret,
            } => tokens::application_request(
                application,
                &Proof::ClientSecret(client_secret),
                resource,
            ),
            AzureCredentialSource::WorkloadIdentity {
                application,
                token_file,
            } => {
                let assertion = read_file(token_file).await.map_err(denied)?;
                tokens::application_request(application, &Proof::Assertion(&assertion), resource)
            }
            AzureCredentialSource::ManagedIdentity {
                client_id,
                endpoint,
            } => tokens::managed_request(endpoint, client_id.as_deref(), resource),
            AzureCredentialSource::ConnectionString(_) | AzureCredentialSource::Environment(_) => {
                return Err(self.failed(
                    Kind::Internal,
                    "the source was to be resolved when it was given".into(),
                ));
            }
        };
        let token = self
            .fetch(request.map_err(|why| self.failed(Kind::Invalid, why))?)
            .await?;
        Ok((
            Secret::Token(token.secret.into()),
            token.renew_after,
            token.expires,
        ))
    }

    async fn fetch(&self, request: http::Request<bytes::Bytes>) -> Result<Token> {
        let issuer = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let failed = |kind, why: String| {
            self.failed(
                kind,
                format!("no token from {issuer} ({}): {why}", self.method()),
            )
        };
        let (parts, body) = request.into_parts();
        let body = match body.is_empty() {
            true => RequestBody::Empty,
            false => RequestBody::Whole(Some(body)),
        };
        let exchange = async {
            let request = http::Request::from_parts(parts, body);
            let response = self.http.send(request, None, ANSWER_LIMIT).await;
            let response = response.map_err(|failure| failure.to_string())?;
            let status = response.status();
            collect(
                response.into_body(),
                ANSWER_LIMIT_BYTES,
                &*self.clock,
                ANSWER_LIMIT,
                OPERATION,
                "",
            )
            .await
            .map(|body| (status, body))
            .map_err(|error| describe(&error))
        };
        let (status, body) = timeout(&*self.clock, ANSWER_LIMIT, exchange)
            .await
            .unwrap_or_else(|| Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())))
            .map_err(|why| failed(Kind::RetryAfter, format!("{why}{}", self.elsewhere())))?;
        tokens::read_answer(status, &body, self.clock.now())
            .map_err(|(kind, why)| failed(kind, why))
    }

    /// What to do where the metadata service does not answer.
    fn elsewhere(&self) -> &'static str {
        match self.source {
            AzureCredentialSource::ManagedIdentity { .. } => {
                "; outside Azure set AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN, or AZURE_TENANT_ID, AZURE_CLIENT_ID and \
                 AZURE_CLIENT_SECRET"
            }
            _ => "",
        }
    }
}

/// Nobody but the server sees what is sent.
fn is_confidential(uri: &Uri) -> bool {
    uri.scheme_str() == Some("https") || tokens::is_loopback(uri)
}

fn same(a: &Secret, b: &Secret) -> bool {
    match (a, b) {
        (Secret::Signature(a), Secret::Signature(b)) | (Secret::Token(a), Secret::Token(b)) => {
            a == b
        }
        (Secret::Key(_), Secret::Key(_)) | (Secret::None, Secret::None) => true,
        _ => false,
    }
}

fn signature(token: &str) -> Secret {
    Secret::Signature(token.trim().trim_start_matches('?').into())
}
