//! The keys an issuer signs with (RFC 7517), kept for a while.

use super::jwt::{PublicKey, TokenRefusal};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Deserialize;
use skyfresh_sky::{Clock, timeout};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Reads a small document from an `https://` address: what the binary gives the server to fetch key sets with.
pub type Fetch = Arc<dyn Fn(String) -> BoxFuture<'static, Result<Bytes, String>> + Send + Sync>;

/// Longest document with keys, bytes. Google's has 1 KiB, Microsoft's 15 KiB.
pub const KEYS_LIMIT_BYTES: usize = 256 << 10;
/// Most keys kept.
const KEYS_LIMIT: usize = 64;
/// Keys are read again after this. Issuers publish a key hours before they use it.
const FRESH_FOR: Duration = Duration::from_secs(3_600);
/// Keys older than this are not used, even if no others can be had: a key that was withdrawn must lose its force.
const USABLE_FOR: Duration = Duration::from_secs(24 * 3_600);
/// At most one read in this time, so that tokens with invented key names do not become a storm on the issuer.
const READ_INTERVAL: Duration = Duration::from_secs(30);
/// Longest a read may take.
const READ_LIMIT: Duration = Duration::from_secs(10);

/// An issuer's keys by name.
pub(crate) struct KeySet {
    url: String,
    fetch: Option<Fetch>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    reading: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    keys: BTreeMap<String, PublicKey>,
    read_ns: Option<u64>,
    tried_ns: Option<u64>,
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<Key>,
}

#[derive(Deserialize)]
struct Key {
    kty: String,
    #[serde(default)]
    kid: String,
    #[serde(rename = "use", default)]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
}

impl KeySet {
    pub(crate) fn new(url: String, fetch: Option<Fetch>, clock: Arc<dyn Clock>) -> Self {
        KeySet {
            url,
            fetch,
            clock,
            state: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn age(&self, since_ns: Option<u64>) -> Option<Duration> {
        let now = self.clock.monotonic_ns();
        since_ns.map(|since| Duration::from_nanos(now.saturating_sub(since)))
    }

    /// The key of this name, if it was read within `limit`.
    fn known(&self, name: &str, limit: Duration) -> Option<PublicKey> {
        let state = self.state();
        let young = self.age(state.read_ns).is_some_and(|age| age < limit);
        state.keys.get(name).filter(|_| young).cloned()
    }

    /// The key of this name: a new one is read for, so that the issuer may change keys at any time.
    pub(super) async fn get(&self, name: &str) -> Result<PublicKey, TokenRefusal> {
        if let Some(key) = self.known(name, FRESH_FOR) {
            return Ok(key);
        }
        let _one_at_a_time = self.reading.lock().await;
        if let Some(key) = self.known(name, FRESH_FOR) {
            return Ok(key);
        }
        let tried = self.age(self.state().tried_ns);
        if tried.is_none_or(|age| age >= READ_INTERVAL) {
            self.state().tried_ns = Some(self.clock.monotonic_ns());
            if let Err(why) = self.read().await {
                tracing::warn!(
                    url = self.url,
                    why,
                    "cannot read the keys that tokens are checked with"
                );
            }
        }
        if let Some(key) = self.known(name, USABLE_FOR) {
            return Ok(key);
        }
        match self.age(self.state().read_ns) {
            Some(age) if age < USABLE_FOR => Err(TokenRefusal::Forged(
                "the token is signed with an unknown key",
            )),
            _ => Err(TokenRefusal::NoKeys),
        }
    }

    async fn read(&self) -> Result<(), String> {
        let fetch = self.fetch.as_ref().ok_or("this server cannot fetch keys")?;
        let fetching = fetch(self.url.clone());
        let body = timeout(&*self.clock, READ_LIMIT, fetching)
            .await
            .unwrap_or_else(|| Err("no answer in time".into()))?;
        let keys = parse(&body)?;
        let mut state = self.state();
        state.keys = keys;
        state.read_ns = Some(self.clock.monotonic_ns());
        Ok(())
    }
}

/// The RSA keys of a document that may sign; others are left out.
fn parse(body: &[u8]) -> Result<BTreeMap<String, PublicKey>, String> {
    if body.len() > KEYS_LIMIT_BYTES {
        return Err(format!("longer than {KEYS_LIMIT_BYTES} bytes"));
    }
    let document: Document = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let keys: BTreeMap<String, PublicKey> = document
        .keys
        .into_iter()
        .filter(|key| {
            key.kty == "RSA"
                && key
                    .purpose
                    .as_deref()
                    .is_none_or(|purpose| purpose == "sig")
                && key.alg.as_deref().is_none_or(|alg| alg == "RS256")
        })
        .filter_map(|key| {
            let n = URL_SAFE_NO_PAD.decode(key.n).ok()?;
            let e = URL_SAFE_NO_PAD.decode(key.e).ok()?;
            Some((key.kid, PublicKey { n, e }))
        })
        .take(KEYS_LIMIT)
        .collect();
    if keys.is_empty() {
        return Err("no RSA key for signatures in it".into());
    }
    Ok(keys)
}
