//! An issuer of tokens for tests: keys, signed tokens, and the document with the public halves.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures::FutureExt;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use skyfresh_server::Fetch;
use skyfresh_sky::{Clock, SystemClock};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Keys made for these tests; nobody trusts them.
const KEYS: [&str; 2] = [
    include_str!("../keys/test_only_1.pk8.base64"),
    include_str!("../keys/test_only_2.pk8.base64"),
];

pub fn key(which: usize) -> RsaKeyPair {
    let der = STANDARD.decode(KEYS[which].replace('\n', "")).unwrap();
    RsaKeyPair::from_pkcs8(&der).unwrap()
}

/// Seconds since the Unix epoch, `offset` from now.
pub fn seconds(offset: i64) -> i64 {
    (SystemClock.now().unix_ms() / 1000) as i64 + offset
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with this header and these claims, signed with a key.
pub fn signed(which: usize, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", part(header), part(claims));
    let key = key(which);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(
        &RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        message.as_bytes(),
        &mut signature,
    )
    .unwrap();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The header of a token signed with a key of this name.
pub fn header(name: &str) -> Value {
    json!({ "alg": "RS256", "kid": name, "typ": "JWT" })
}

/// An address with keys that can be changed, and how often they were read.
#[derive(Clone, Default)]
pub struct Issuer {
    document: Arc<Mutex<Option<String>>>,
    pub reads: Arc<AtomicU64>,
}

impl Issuer {
    /// Publishes these keys by name.
    pub fn publish(&self, keys: &[(&str, usize)]) {
        let keys: Vec<Value> = keys
            .iter()
            .map(|(name, which)| {
                let public = PublicKeyComponents::<Vec<u8>>::from(key(*which).public_key());
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": name,
                    "n": URL_SAFE_NO_PAD.encode(&public.n), "e": URL_SAFE_NO_PAD.encode(&public.e) })
            })
            .collect();
        *self.document.lock().unwrap() = Some(json!({ "keys": keys }).to_string());
    }

    /// What the server fetches with.
    pub fn fetch(&self) -> Fetch {
        let issuer = self.clone();
        Arc::new(move |_url| {
            issuer.reads.fetch_add(1, Ordering::SeqCst);
            let document = issuer.document.lock().unwrap().clone();
            async move {
                document
                    .map(Bytes::from)
                    .ok_or_else(|| "nobody there".to_owned())
            }
            .boxed()
        })
    }
}
