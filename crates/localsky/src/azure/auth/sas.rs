//! Shared access signatures: of the account, and of one blob, container or queue.
//!
//! Sources: learn.microsoft.com/rest/api/storageservices/create-account-sas and …/create-service-sas. User delegation
//! and stored access policies (`si`) are refused: there is nothing here that they could refer to.

use super::{Keys, Level, Need, Service, constant_time_eq, failed, not_allowed};
use crate::azure::error::Result;
use crate::azure::request::{Head, parse_iso_date};
use skyfresh_sky::Timestamp;

/// The first version whose strings have a line for the encryption scope.
const ENCRYPTION_SCOPE_SINCE: &str = "2020-12-06";
/// The first version whose strings name the resource and the snapshot.
const RESOURCE_SINCE: &str = "2018-11-09";

/// What a verified signature covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    permissions: String,
    covers: Covers,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Covers {
    /// The letters of `srt`.
    Account(String),
    /// One blob, or one queue's messages.
    Object,
    /// The blobs of a container.
    Container,
}

impl Signature {
    pub(super) fn has(&self, letter: char) -> bool {
        self.permissions.contains(letter)
    }

    pub(super) fn allow(&self, need: Need) -> Result<()> {
        let level_fits = match (&self.covers, need.level) {
            (Covers::Account(types), Level::Service) => types.contains('s'),
            (Covers::Account(types), Level::Container) => types.contains('c'),
            (Covers::Account(types), Level::Object) => types.contains('o'),
            (Covers::Object | Covers::Container, Level::Object) => true,
            // A container's signature lists it, and nothing else of the container itself.
            (Covers::Container, Level::Container) => need.permissions == "l",
            _ => false,
        };
        if !level_fits {
            return Err(not_allowed("AuthorizationResourceTypeMismatch"));
        }
        if !need.permissions.chars().any(|letter| self.has(letter)) {
            return Err(super::permission_mismatch());
        }
        Ok(())
    }
}

pub(super) fn verify(
    keys: &Keys,
    head: &Head,
    service: Service,
    now: Timestamp,
) -> Result<Signature> {
    let field = |name: &str| head.query(name).unwrap_or_default();
    if head.query("skoid").is_some() || !field("si").is_empty() {
        return Err(failed(
            "the local sky knows neither user delegation keys nor stored access policies",
        ));
    }
    let version = field("sv");
    if version < RESOURCE_SINCE {
        return Err(failed(
            "signatures of versions before 2018-11-09 are not served here",
        ));
    }
    let (text, covers) = if head.query("ss").is_some() {
        (
            account_string(head, keys, version),
            Covers::Account(field("srt").to_owned()),
        )
    } else {
        service_string(head, keys, service, version)?
    };
    if !constant_time_eq(field("sig"), &keys.sign(&text)) {
        return Err(failed(&format!(
            "Signature did not match. String to sign used was {text}"
        )));
    }
    check_time(head, now)?;
    if field("spr") == "https" {
        return Err(not_allowed("AuthorizationProtocolMismatch"));
    }
    if !field("sip").is_empty() && !includes_loopback(field("sip")) {
        return Err(not_allowed("AuthorizationSourceIPMismatch"));
    }
    if matches!(covers, Covers::Account(_)) && !field("ss").contains(service.letter()) {
        return Err(not_allowed("AuthorizationServiceMismatch"));
    }
    Ok(Signature {
        permissions: field("sp").to_owned(),
        covers,
    })
}

fn check_time(head: &Head, now: Timestamp) -> Result<()> {
    let expiry = head.query("se").unwrap_or_default();
    let expiry_time = parse_iso_date(expiry).ok_or_else(|| failed("se is not a time"))?;
    if now >= expiry_time {
        return Err(failed(&format!(
            "Signature not valid in the specified time frame: Expiry [{expiry}] - Current [{now}]"
        )));
    }
    match head.query("st").filter(|start| !start.is_empty()) {
        None => Ok(()),
        Some(start) => match parse_iso_date(start) {
            None => Err(failed("st is not a time")),
            Some(time) if time > now => Err(failed(&format!(
                "Signature not valid in the specified time frame: Start [{start}] - Current [{now}]"
            ))),
            Some(_) => Ok(()),
        },
    }
}

/// Every client of the sky comes from 127.0.0.1.
fn includes_loopback(range: &str) -> bool {
    let parse = |text: &str| text.parse::<std::net::Ipv4Addr>().ok();
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (parse(first), parse(last)) {
        (Some(first), Some(last)) => (first..=last).contains(&std::net::Ipv4Addr::LOCALHOST),
        _ => false,
    }
}

fn account_string(head: &Head, keys: &Keys, version: &str) -> String {
    let field = |name: &str| head.query(name).unwrap_or_default();
    let mut lines = vec![keys.account.as_str()];
    lines.extend(["sp", "ss", "srt", "st", "se", "sip", "spr", "sv"].map(field));
    if version >= ENCRYPTION_SCOPE_SINCE {
        lines.push(field("ses"));
    }
    // Every line ends, the last one too.
    lines.push("");
    lines.join("\n")
}

fn service_string(
    head: &Head,
    keys: &Keys,
    service: Service,
    version: &str,
) -> Result<(String, Covers)> {
    let field = |name: &str| head.query(name).unwrap_or_default();
    let container = head.path.split('/').next().unwrap_or_default();
    let resource = |path: &str| format!("/{}/{}/{path}", service.as_str(), keys.account);
    let mut lines = ["sp", "st", "se"]
        .map(|name| field(name).to_owned())
        .to_vec();
    if service == Service::Queue {
        lines.push(resource(container));
        lines.extend(["si", "sip", "spr", "sv"].map(|name| field(name).to_owned()));
        return Ok((lines.join("\n"), Covers::Object));
    }
    let (path, covers) = match field("sr") {
        "b" => (head.path.as_str(), Covers::Object),
        "c" => (container, Covers::Container),
        _ => return Err(failed("sr is neither b nor c")),
    };
    lines.push(resource(path));
    lines.extend(["si", "sip", "spr", "sv", "sr"].map(|name| field(name).to_owned()));
    // The snapshot's time: signatures of snapshots are not served.
    lines.push(String::new());
    if version >= ENCRYPTION_SCOPE_SINCE {
        lines.push(field("ses").to_owned());
    }
    lines.extend(["rscc", "rscd", "rsce", "rscl", "rsct"].map(|name| field(name).to_owned()));
    Ok((lines.join("\n"), covers))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;
    use http::{HeaderMap, Method};

    fn keys() -> Keys {
        Keys {
            account: "myaccount".into(),
            key: b"a key".to_vec(),
            bearer: Secret::new("token"),
        }
    }

    fn head(uri: &str) -> Head {
        Head::new(&Method::GET, &uri.parse().unwrap(), &HeaderMap::new()).unwrap()
    }

    const NOW: Timestamp = Timestamp::from_unix_ms(1_700_000_000_000);

    fn signed(path: &str, query: &str, text: &str) -> Head {
        let signature = percent_encoding::utf8_percent_encode(
            &keys().sign(text),
            percent_encoding::NON_ALPHANUMERIC,
        )
        .to_string();
        head(&format!("{path}?{query}&sig={signature}"))
    }

    #[test]
    fn a_service_signature_covers_its_resource_only() {
        let query = "sp=r&se=2030-01-01T00:00:00Z&sv=2021-08-06&sr=b";
        let text =
            "r\n\n2030-01-01T00:00:00Z\n/blob/myaccount/c/b d\n\n\n\n2021-08-06\nb\n\n\n\n\n\n\n";
        let read = Need {
            level: Level::Object,
            permissions: "r",
        };
        let found = verify(
            &keys(),
            &signed("/myaccount/c/b%20d", query, text),
            Service::Blob,
            NOW,
        )
        .unwrap();
        found.allow(read).unwrap();
        let write = Need {
            level: Level::Object,
            permissions: "cw",
        };
        assert_eq!(
            found.allow(write).unwrap_err().code,
            "AuthorizationPermissionMismatch"
        );
        let list = Need {
            level: Level::Container,
            permissions: "l",
        };
        assert_eq!(
            found.allow(list).unwrap_err().code,
            "AuthorizationResourceTypeMismatch"
        );
        let other = signed("/myaccount/c/other", query, text);
        assert_eq!(
            verify(&keys(), &other, Service::Blob, NOW)
                .unwrap_err()
                .code,
            "AuthenticationFailed"
        );
        let late = Timestamp::from_unix_ms(1_900_000_000_000);
        let expired = signed("/myaccount/c/b%20d", query, text);
        assert!(verify(&keys(), &expired, Service::Blob, late).is_err());
    }

    #[test]
    fn an_account_signature_names_services_levels_and_permissions() {
        let query = "sv=2021-08-06&ss=b&srt=co&sp=rl&se=2030-01-01";
        let text = "myaccount\nrl\nb\nco\n\n2030-01-01\n\n\n2021-08-06\n\n";
        let found = verify(
            &keys(),
            &signed("/myaccount/c", query, text),
            Service::Blob,
            NOW,
        )
        .unwrap();
        found
            .allow(Need {
                level: Level::Container,
                permissions: "l",
            })
            .unwrap();
        assert!(
            found
                .allow(Need {
                    level: Level::Service,
                    permissions: "l"
                })
                .is_err()
        );
        let queue = signed("/myaccount/q", query, text);
        assert_eq!(
            verify(&keys(), &queue, Service::Queue, NOW)
                .unwrap_err()
                .code,
            "AuthorizationServiceMismatch"
        );
    }

    #[test]
    fn addresses_are_ranges() {
        assert!(includes_loopback("127.0.0.1") && includes_loopback("127.0.0.0-127.0.0.9"));
        assert!(!includes_loopback("168.1.5.60-168.1.5.70") && !includes_loopback("nonsense"));
    }
}
