//! Names: which ones Google takes, and those of temporary objects and uploads.
//!
//! | name | what |
//! |---|---|
//! | `PREFIX.skyfresh-upload-NONCE/KEY` | an XML upload in parts, and the object it completes to, until that is published |
//! | `PREFIX.skyfresh-compose-NONCE` | what an upload by composing is for: key and attributes |
//! | `PREFIX.skyfresh-compose-NONCE/…` | its parts and what they were composed to so far |
//!
//! All begin with the prefix of the location, so that rights on the prefix suffice, and stand together in a listing.

use skyfresh_sky::{Location, ObjectKey};

/// Cloud Storage documentation, "About Cloud Storage objects: Object name requirements".
const NAME_LIMIT_BYTES: usize = 1024;
const NONCE_LEN: usize = 16;
const UPLOAD: &str = ".skyfresh-upload-";
const COMPOSE: &str = ".skyfresh-compose-";
/// Room for what follows the nonce of an upload by composing: `/c0-00000`.
const COMPOSE_SUFFIX_BYTES: usize = 12;

/// Checks a whole name.
///
/// # Errors
/// Why Google would refuse it.
pub(super) fn check(full_key: &str) -> Result<(), String> {
    if full_key.len() > NAME_LIMIT_BYTES {
        return Err(format!(
            "the name is {} bytes long with the prefix; Google takes {NAME_LIMIT_BYTES}",
            full_key.len()
        ));
    }
    if full_key.contains(['\r', '\n']) {
        return Err("Google takes no carriage return and no line feed in names".into());
    }
    if full_key == "." || full_key == ".." {
        return Err("Google takes no object named `.` or `..`".into());
    }
    if full_key.starts_with(".well-known/acme-challenge/") {
        return Err("Google takes no name that begins with .well-known/acme-challenge/".into());
    }
    Ok(())
}

/// Whether this is the name of a temporary object of ours, in any prefix: nobody should take it for content.
pub fn is_temporary_name(full_key: &str) -> bool {
    [UPLOAD, COMPOSE].iter().any(|marker| {
        full_key.match_indices(marker).any(|(at, _)| {
            let rest = &full_key.as_bytes()[at + marker.len()..];
            rest.len() >= NONCE_LEN
                && rest[..NONCE_LEN].iter().all(u8::is_ascii_hexdigit)
                && rest.get(NONCE_LEN).is_none_or(|next| *next == b'/')
        })
    })
}

/// An upload, as its id says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum UploadId {
    /// An XML multipart upload. Without its id it has been completed, and its object was never published.
    Xml { nonce: String, id: Option<String> },
    /// Parts as objects, to be composed.
    Compose { nonce: String },
}

impl UploadId {
    /// Reads what [`UploadId::to_string`] wrote.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_at_checked(1)?;
        let is_nonce = |text: &str| {
            text.len() == NONCE_LEN && text.bytes().all(|byte| byte.is_ascii_hexdigit())
        };
        match kind {
            "x" => {
                let (nonce, id) = rest.split_once('.')?;
                is_nonce(nonce).then(|| UploadId::Xml {
                    nonce: nonce.to_owned(),
                    id: (!id.is_empty()).then(|| id.to_owned()),
                })
            }
            "c" => is_nonce(rest).then(|| UploadId::Compose {
                nonce: rest.to_owned(),
            }),
            _ => None,
        }
    }
}

impl std::fmt::Display for UploadId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UploadId::Xml { nonce, id } => write!(f, "x{nonce}.{}", id.as_deref().unwrap_or("")),
            UploadId::Compose { nonce } => write!(f, "c{nonce}"),
        }
    }
}

/// What the names of all XML uploads of a location begin with.
pub(super) fn xml_root(location: &Location) -> String {
    format!("{}{UPLOAD}", location.prefix)
}

/// What the names of all uploads by composing begin with.
pub(super) fn compose_root(location: &Location) -> String {
    format!("{}{COMPOSE}", location.prefix)
}

/// The temporary object of an XML upload.
pub(super) fn xml_temporary(location: &Location, nonce: &str, full_key: &str) -> String {
    let key = full_key.strip_prefix(&location.prefix).unwrap_or(full_key);
    format!("{}{UPLOAD}{nonce}/{key}", location.prefix)
}

/// Whether the temporary name of this key fits; otherwise its parts must be composed.
pub(super) fn fits_xml(full_key: &str) -> bool {
    full_key.len() + UPLOAD.len() + NONCE_LEN + "/".len() <= NAME_LIMIT_BYTES
}

/// Whether the names of an upload by composing fit.
pub(super) fn fits_compose(location: &Location) -> bool {
    location.prefix.len() + COMPOSE.len() + NONCE_LEN + COMPOSE_SUFFIX_BYTES <= NAME_LIMIT_BYTES
}

/// Nonce and key of a name that [`xml_temporary`] made.
pub(super) fn parse_xml_temporary(location: &Location, name: &str) -> Option<(String, ObjectKey)> {
    let rest = name.strip_prefix(&location.prefix)?.strip_prefix(UPLOAD)?;
    let (nonce, key) = rest.split_once('/')?;
    let ours = nonce.len() == NONCE_LEN && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then_some(())?;
    Some((nonce.to_owned(), ObjectKey::new(key).ok()?))
}

/// The object that says what an upload by composing is for.
pub(super) fn manifest(location: &Location, nonce: &str) -> String {
    format!("{}{COMPOSE}{nonce}", location.prefix)
}

/// The nonce of a name that [`manifest`] made.
pub(super) fn parse_manifest(location: &Location, name: &str) -> Option<String> {
    let nonce = name.strip_prefix(&location.prefix)?.strip_prefix(COMPOSE)?;
    let ours = nonce.len() == NONCE_LEN && nonce.bytes().all(|byte| byte.is_ascii_hexdigit());
    ours.then(|| nonce.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: &str = "0123456789abcdef";

    #[test]
    fn names_that_google_refuses() {
        for bad in [
            ".",
            "..",
            "a\nb",
            "a\rb",
            ".well-known/acme-challenge/x",
            &"x".repeat(1025),
        ] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
        for good in ["./", "../a", "a/.", "\u{1}", "é", &"x".repeat(1024)] {
            check(good).unwrap();
        }
    }

    #[test]
    fn ids_are_read_back() {
        for id in [
            UploadId::Xml {
                nonce: NONCE.into(),
                id: Some("VXBs.b2Fk-_=".into()),
            },
            UploadId::Xml {
                nonce: NONCE.into(),
                id: None,
            },
            UploadId::Compose {
                nonce: NONCE.into(),
            },
        ] {
            assert_eq!(UploadId::parse(&id.to_string()), Some(id));
        }
        for bad in ["", "x", "c", "x0123.id", "c0123456789abcdeg", "zé", "é"] {
            assert_eq!(UploadId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn temporary_names_are_known_and_others_are_not() {
        let location: Location = "gs://b/p/".parse().unwrap();
        let temporary = xml_temporary(&location, NONCE, "p/a/ü");
        assert_eq!(temporary, format!("p/.skyfresh-upload-{NONCE}/a/ü"));
        let (nonce, key) = parse_xml_temporary(&location, &temporary).unwrap();
        assert_eq!((nonce.as_str(), key.as_str()), (NONCE, "a/ü"));
        let manifest = manifest(&location, NONCE);
        assert_eq!(parse_manifest(&location, &manifest).as_deref(), Some(NONCE));
        for name in [&temporary, &manifest, &format!("{manifest}/whole")] {
            assert!(is_temporary_name(name), "{name}");
        }
        for name in [
            "p/.skyfresh",
            "p/.skyfresh-upload-",
            "p/.skyfresh-upload-x",
            "p/.skyfresh-upload-0123456789abcdefg",
            ".skyfresh-probe-0123456789abcdef-object",
        ] {
            assert!(!is_temporary_name(name), "{name}");
        }
    }

    #[test]
    fn the_longest_names_fit() {
        let location: Location = "gs://b/p/".parse().unwrap();
        let longest = format!("p/{}", "k".repeat(1024 - 2 - 34));
        assert!(fits_xml(&longest));
        assert_eq!(xml_temporary(&location, NONCE, &longest).len(), 1024);
        assert!(!fits_xml(&format!("{longest}k")));
        assert!(fits_compose(&location));
    }
}
