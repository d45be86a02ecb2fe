//! The sky's RSA keys: of its one service account, and of the signer of pushes. Made on first use, as that takes a while.
//!
//! RS256 by RFC 7518 section 3.3; tokens by RFC 7519; published keys by RFC 7517.

use super::error::{Failure, Result};
use crate::config::Secret;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rsa::pkcs8::{EncodePrivateKey, LineEnding};
use rsa::rand_core;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, RsaPrivateKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use skyfresh_sky::{Rng, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

const KEY_BITS: usize = 2048;
/// What stands before a SHA-256 hash in a signature (RFC 8017 section 9.2, note 1).
const SHA256_PREFIX: [u8; 19] = [
    0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05,
    0x00, 0x04, 0x20,
];
/// How long an access token is good.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// Keys and the tokens given for them.
#[derive(Debug)]
pub(crate) struct Identity {
    rng: Rng,
    account: OnceCell<Keys>,
    signer: OnceCell<Keys>,
    /// Until when issued tokens are good.
    issued: Mutex<HashMap<String, Timestamp>>,
}

/// A key pair.
#[derive(Debug)]
pub(crate) struct Keys {
    private: RsaPrivateKey,
    id: String,
}

/// The sky's randomness as the key generator wants it.
struct KeyRandomness(Rng);

impl rand_core::RngCore for KeyRandomness {
    fn next_u32(&mut self) -> u32 {
        self.0.u64() as u32
    }

    fn next_u64(&mut self) -> u64 {
        self.0.u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.0.u64().to_le_bytes()[..chunk.len()]);
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

/// Not secret: the keys protect nothing beyond loopback, and a seeded sky makes the same ones again.
impl rand_core::CryptoRng for KeyRandomness {}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::backend(format!("The sky's key could not be used: {error}"))
}

impl Keys {
    fn generate(rng: Rng) -> Result<Keys> {
        let id = format!("{}{}", rng.token(), rng.token());
        let private = RsaPrivateKey::new(&mut KeyRandomness(rng), KEY_BITS).map_err(failed)?;
        Ok(Keys { private, id })
    }

    fn scheme() -> Pkcs1v15Sign {
        Pkcs1v15Sign {
            hash_len: Some(32),
            prefix: SHA256_PREFIX.into(),
        }
    }

    /// A signed token with these claims.
    pub(crate) fn sign(&self, claims: &Value) -> Result<String> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "kid": self.id });
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = self
            .private
            .sign(Self::scheme(), &Sha256::digest(&signed))
            .map_err(failed)?;
        Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// The claims of a token that this key has signed.
    pub(crate) fn verify(&self, token: &str) -> Option<Value> {
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let header: Value = serde_json::from_slice(&decode(header)?).ok()?;
        if header["alg"] != "RS256" {
            return None;
        }
        self.private
            .to_public_key()
            .verify(Self::scheme(), &Sha256::digest(signed), &decode(signature)?)
            .ok()?;
        serde_json::from_slice(&decode(claims)?).ok()
    }

    /// As a key server publishes it.
    pub(crate) fn published(&self) -> Value {
        let number = |number: &rsa::BigUint| URL_SAFE_NO_PAD.encode(number.to_bytes_be());
        json!({ "keys": [{
            "kty": "RSA",
            "alg": "RS256",
            "use": "sig",
            "kid": self.id,
            "n": number(self.private.n()),
            "e": number(self.private.e()),
        }]})
    }

    /// A key file as the console makes it, for clients of the sky at `endpoint`.
    pub(crate) fn service_account_key(&self, project: &str, endpoint: &str) -> Result<String> {
        let pem = self.private.to_pkcs8_pem(LineEnding::LF).map_err(failed)?;
        let file = json!({
            "type": "service_account",
            "project_id": project,
            "private_key_id": self.id,
            "private_key": pem.as_str(),
            "client_email": account_email(project),
            "client_id": "100000000000000000001",
            "auth_uri": format!("{endpoint}/o/oauth2/auth"),
            "token_uri": format!("{endpoint}/token"),
        });
        Ok(file.to_string())
    }
}

/// The one service account.
pub(crate) fn account_email(project: &str) -> String {
    format!("skyfresh@{project}.iam.gserviceaccount.com")
}

impl Identity {
    pub(crate) fn new(rng: Rng) -> Self {
        Identity {
            rng,
            account: OnceCell::new(),
            signer: OnceCell::new(),
            issued: Mutex::default(),
        }
    }

    async fn made<'a>(&self, cell: &'a OnceCell<Keys>) -> Result<&'a Keys> {
        let rng = self.rng.fork();
        cell.get_or_try_init(|| async {
            tokio::task::spawn_blocking(move || Keys::generate(rng))
                .await
                .map_err(failed)?
        })
        .await
    }

    /// The service account's.
    pub(crate) async fn keys(&self) -> Result<&Keys> {
        self.made(&self.account).await
    }

    /// Those that sign pushes.
    pub(crate) async fn signer(&self) -> Result<&Keys> {
        self.made(&self.signer).await
    }

    /// Gives a token that is good from `now` on for [`TOKEN_LIFETIME`].
    pub(crate) fn issue(&self, now: Timestamp) -> Secret {
        let token = format!("ya29.{}{}", self.rng.token(), self.rng.token());
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.retain(|_, until| *until > now);
        issued.insert(token.clone(), now.after(TOKEN_LIFETIME));
        Secret::new(token)
    }

    pub(crate) fn is_good(&self, token: &str, now: Timestamp) -> bool {
        let issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        issued.get(token).is_some_and(|until| *until > now)
    }
}
