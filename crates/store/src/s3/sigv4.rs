//! Signature Version 4 in a header, for requests whose payload is not hashed: every request of a store, thousands a second.
//!
//! In: a request whose path and query are encoded as they will be sent, credentials, the time. Out: its headers with `Authorization`.
//! Never: a key or a time derived again that the request before had; a header left out of the signature.
//!
//! <https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>

use super::endpoint::encode_query;
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use reqsign_aws_v4::Credential;
use sha2::{Digest, Sha256};
use skyfresh_sky::Timestamp;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");
const TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");
const EXPRESS_TOKEN: HeaderName = HeaderName::from_static("x-amz-s3session-token");
const UNSIGNED: HeaderValue = HeaderValue::from_static("UNSIGNED-PAYLOAD");

/// A region's requests, and what they have in common.
pub(super) struct Scope {
    region: String,
    latest: Mutex<Option<Arc<Moment>>>,
}

/// An object to be read by a URL that carries its signature; path and query are encoded.
pub(super) struct Presigned<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    /// How long it is good.
    pub(super) life: Duration,
}

/// What all requests of one second with the same credentials have in common.
struct Moment {
    unix_s: u64,
    generation: u64,
    /// `20261121T100000Z`.
    time: HeaderValue,
    /// `AWS4-HMAC-SHA256`, the time and the scope, each with a line feed.
    head: String,
    /// `AWS4-HMAC-SHA256 Credential=` with key and scope.
    credential: String,
    key: Hmac<Sha256>,
}

impl Scope {
    pub(super) fn new(region: &str) -> Self {
        Scope {
            region: region.to_owned(),
            latest: Mutex::new(None),
        }
    }

    /// `generation` tells one credential from another.
    fn moment(&self, credential: &Credential, generation: u64, now: Timestamp) -> Arc<Moment> {
        let unix_s = now.unix_ms() / 1_000;
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        match &*latest {
            Some(moment) if moment.unix_s == unix_s && moment.generation == generation => {
                Arc::clone(moment)
            }
            _ => {
                let moment = Moment::new(&self.region, credential, generation, unix_s);
                Arc::clone(latest.insert(Arc::new(moment)))
            }
        }
    }

    /// The whole query of a URL that can be read with it alone: what it had, and the signature.
    ///
    /// # Errors
    /// What cannot be signed, in words.
    pub(super) fn presign(
        &self,
        read: &Presigned<'_>,
        credential: &Credential,
        generation: u64,
        now: Timestamp,
    ) -> Result<String, &'static str> {
        let moment = self.moment(credential, generation, now);
        let (_, scoped) = moment.credential.split_once('=').unwrap_or_default();
        let mut query = read.query.to_owned();
        let time = moment.time.to_str().unwrap_or_default();
        let seconds = read.life.as_secs().to_string();
        let mut fields = vec![
            ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
            ("X-Amz-Credential", scoped),
            ("X-Amz-Date", time),
            ("X-Amz-Expires", &seconds),
            ("X-Amz-SignedHeaders", "host"),
        ];
        if let Some(token) = &credential.session_token {
            fields.push(("X-Amz-Security-Token", token));
        }
        for (name, value) in fields {
            let gap = if query.is_empty() { "" } else { "&" };
            let _ = write!(query, "{gap}{name}={}", encode_query(value));
        }
        let host = HeaderValue::from_str(read.host).map_err(|_| "the host is no header")?;
        let headers = HeaderMap::from_iter([(header::HOST, host), (CONTENT, UNSIGNED)]);
        let canonical = canonical("GET", (read.path, &query), &headers, "host")?;
        let _ = write!(query, "&X-Amz-Signature={}", moment.sign(&canonical));
        Ok(query)
    }

    /// Adds host, time, credentials and signature to the headers.
    ///
    /// # Errors
    /// What cannot be signed, in words.
    pub(super) fn sign(
        &self,
        parts: &mut Parts,
        credential: &Credential,
        generation: u64,
        now: Timestamp,
    ) -> Result<(), &'static str> {
        let moment = self.moment(credential, generation, now);
        let host = parts.uri.authority().map_or("", |it| it.as_str());
        let headers = &mut parts.headers;
        if let Some(token) = &credential.session_token {
            let is_express = host.contains("s3express") || host.contains("--x-s3");
            let name = if is_express { EXPRESS_TOKEN } else { TOKEN };
            let mut token =
                HeaderValue::from_str(token).map_err(|_| "the session token is no header")?;
            token.set_sensitive(true);
            headers.insert(name, token);
        }
        if !headers.contains_key(header::HOST) {
            let host = HeaderValue::from_str(host).map_err(|_| "the host is no header")?;
            headers.insert(header::HOST, host);
        }
        headers.insert(DATE, moment.time.clone());
        if !headers.contains_key(CONTENT) {
            headers.insert(CONTENT, UNSIGNED);
        }
        let mut names: Vec<&HeaderName> = headers.keys().collect();
        names.sort_unstable_by_key(|name| name.as_str());
        let names = names.iter().fold(String::new(), |mut all, name| {
            if !all.is_empty() {
                all.push(';');
            }
            all.push_str(name.as_str());
            all
        });
        let path_and_query = (parts.uri.path(), parts.uri.query().unwrap_or_default());
        let canonical = canonical(parts.method.as_str(), path_and_query, headers, &names)?;
        let signature = moment.sign(&canonical);
        let mut authorization = String::with_capacity(moment.credential.len() + names.len() + 100);
        authorization.push_str(&moment.credential);
        authorization.push_str(", SignedHeaders=");
        authorization.push_str(&names);
        authorization.push_str(", Signature=");
        authorization.push_str(&signature);
        let mut authorization = HeaderValue::try_from(authorization)
            .map_err(|_| "the access key id cannot be sent in a header")?;
        authorization.set_sensitive(true);
        parts.headers.insert(header::AUTHORIZATION, authorization);
        Ok(())
    }
}

impl Moment {
    fn new(region: &str, credential: &Credential, generation: u64, unix_s: u64) -> Self {
        let time = basic_time(unix_s);
        let date = &time[..8];
        let scope = format!("{date}/{region}/s3/aws4_request");
        let secret = format!("AWS4{}", credential.secret_access_key);
        let steps = [date, region, "s3", "aws4_request"];
        let key = steps.iter().fold(keyed(secret.as_bytes()), |key, step| {
            keyed(&key.chain_update(step.as_bytes()).finalize().into_bytes())
        });
        Moment {
            unix_s,
            generation,
            head: format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n"),
            credential: format!(
                "AWS4-HMAC-SHA256 Credential={}/{scope}",
                credential.access_key_id
            ),
            // Digits and letters.
            time: HeaderValue::try_from(time).unwrap_or(UNSIGNED),
            key,
        }
    }
}

impl Moment {
    /// The signature of a canonical request.
    fn sign(&self, canonical: &str) -> String {
        let hashed = Sha256::digest(canonical.as_bytes());
        let mut mac = self.key.clone();
        mac.update(self.head.as_bytes());
        mac.update(hex::encode(hashed).as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

fn keyed(key: &[u8]) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "an HMAC takes keys of any length")]
    Hmac::new_from_slice(key).expect("any length")
}

/// The canonical request.
fn canonical(
    method: &str,
    (path, query): (&str, &str),
    headers: &HeaderMap,
    names: &str,
) -> Result<String, &'static str> {
    let mut text = String::with_capacity(512 + path.len() + query.len());
    // Writing to a String cannot fail.
    let _ = write!(text, "{method}\n{path}\n");
    let mut pairs: Vec<(&str, &str)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    pairs.sort_unstable();
    for (index, (name, value)) in pairs.iter().enumerate() {
        let _ = write!(text, "{}{name}={value}", if index == 0 { "" } else { "&" });
    }
    text.push('\n');
    for name in names.split(';') {
        text.push_str(name);
        text.push(':');
        for (index, value) in headers.get_all(name).iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            let value = value
                .to_str()
                .map_err(|_| "a header has characters beyond ASCII")?;
            push_single_spaced(&mut text, value.trim());
        }
        text.push('\n');
    }
    let content = headers.get(CONTENT).and_then(|it| it.to_str().ok());
    let _ = write!(text, "\n{names}\n{}", content.unwrap_or_default());
    Ok(text)
}

/// The canonical form has single spaces; the wire has the value.
fn push_single_spaced(text: &mut String, value: &str) {
    if !value.contains("  ") {
        return text.push_str(value);
    }
    let mut after_space = false;
    for letter in value.chars() {
        if !(letter == ' ' && after_space) {
            text.push(letter);
        }
        after_space = letter == ' ';
    }
}

/// `20261121T100000Z`.
fn basic_time(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

/// Year, month and day of a day after 1970-01-01, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years that begin in March end with the day that is there every four years.
    let since_march_0 = days + 719_468;
    let (era, day_of_era) = (since_march_0 / 146_097, since_march_0 % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
#[path = "sigv4_tests.rs"]
mod tests;
