//! Who may post notifications: a shared secret, or a signature made with it.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use skyfresh_sky::Timestamp;
use std::time::Duration;

/// A signed notification older or newer than this is refused as replayed.
pub const SIGNATURE_WINDOW: Duration = Duration::from_secs(300);

/// What came with a notification.
#[derive(Clone, Copy, Debug, Default)]
pub struct Credentials<'a> {
    /// The `Authorization` header: `Bearer SECRET` (what MinIO-likes send), or the bare secret.
    pub authorization: Option<&'a str>,
    /// The `X-Skyfresh-Signature` header: `t=UNIX_SECONDS,v1=HEX`, the HMAC-SHA256 of `UNIX_SECONDS.BODY`.
    pub signature: Option<&'a str>,
}

/// Why a notification was refused; counted by name in the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Neither header.
    Missing,
    /// The secret or signature is wrong.
    Wrong,
    /// The signature is right but too old (or from the future).
    Replayed,
}

impl Refusal {
    /// The name used in metrics and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Missing => "missing_credentials",
            Refusal::Wrong => "wrong_credentials",
            Refusal::Replayed => "replayed",
        }
    }
}

/// The `X-Skyfresh-Signature` value for a body.
pub fn sign(secret: &str, body: &[u8], now: Timestamp) -> String {
    let seconds = now.unix_ms() / 1000;
    format!(
        "t={seconds},v1={}",
        hex::encode(mac(secret, seconds, body).finalize().into_bytes())
    )
}

/// Checks a notification against the configured secret, in constant time.
///
/// # Errors
/// Why it was refused.
pub fn check(
    secret: &str,
    credentials: Credentials<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), Refusal> {
    if let Some(signature) = credentials.signature {
        let (seconds, given) = parse_signature(signature).ok_or(Refusal::Wrong)?;
        mac(secret, seconds, body)
            .verify_slice(&given)
            .map_err(|_| Refusal::Wrong)?;
        let signed = Timestamp::from_unix_ms(seconds.saturating_mul(1000));
        let distance = now.since(signed).max(signed.since(now));
        return if distance > SIGNATURE_WINDOW {
            Err(Refusal::Replayed)
        } else {
            Ok(())
        };
    }
    let Some(authorization) = credentials.authorization else {
        return Err(Refusal::Missing);
    };
    let given = authorization
        .strip_prefix("Bearer ")
        .unwrap_or(authorization);
    // Comparing MACs of both instead of the texts takes the same time whatever they share.
    let expected = mac(secret, 0, secret.as_bytes()).finalize().into_bytes();
    mac(secret, 0, given.as_bytes())
        .verify_slice(&expected)
        .map_err(|_| Refusal::Wrong)
}

fn mac(secret: &str, seconds: u64, body: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of any length, so this arm is never reached; an unusable MAC would verify nothing.
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.as_bytes())
        .unwrap_or_else(|_| unreachable!("any length fits"));
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn parse_signature(text: &str) -> Option<(u64, Vec<u8>)> {
    let (time, value) = text.split_once(',')?;
    Some((
        time.strip_prefix("t=")?.parse().ok()?,
        hex::decode(value.trim().strip_prefix("v1=")?).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_ms(1_800_000_000_000);

    #[test]
    fn the_secret_opens_and_nothing_else_does() {
        let with = |authorization| {
            check(
                "s3cret",
                Credentials {
                    authorization,
                    signature: None,
                },
                b"body",
                NOW,
            )
        };
        assert_eq!(with(Some("Bearer s3cret")), Ok(()));
        assert_eq!(with(Some("s3cret")), Ok(()));
        assert_eq!(with(Some("Bearer s3cre")), Err(Refusal::Wrong));
        assert_eq!(with(Some("")), Err(Refusal::Wrong));
        assert_eq!(with(None), Err(Refusal::Missing));
    }

    #[test]
    fn signatures_cover_body_and_time() {
        let signature = sign("s3cret", b"body", NOW);
        let with = |signature: &str, body: &[u8], now| {
            check(
                "s3cret",
                Credentials {
                    authorization: None,
                    signature: Some(signature),
                },
                body,
                now,
            )
        };
        assert_eq!(with(&signature, b"body", NOW), Ok(()));
        assert_eq!(with(&signature, b"forged", NOW), Err(Refusal::Wrong));
        assert_eq!(
            with(&signature, b"body", NOW.after(Duration::from_secs(301))),
            Err(Refusal::Replayed)
        );
        assert_eq!(
            with(&signature.replace("t=18", "t=19"), b"body", NOW),
            Err(Refusal::Wrong)
        );
        assert_eq!(with("nonsense", b"body", NOW), Err(Refusal::Wrong));
        assert_eq!(
            with(&sign("other", b"body", NOW), b"body", NOW),
            Err(Refusal::Wrong)
        );
    }
}
