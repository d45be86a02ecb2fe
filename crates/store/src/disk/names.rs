//! Keys as file names: ordinary keys are ordinary paths, every other key is escaped so that it can be read back. Pure.
//!
//! A key is cut at every `/` into segments, and each segment is one name on disk. A segment that cannot be its own name
//! gets one that starts with `.skyfresh-`:
//!
//! | segment | name |
//! |---|---|
//! | empty (`a//b`, `/a`, `a/`) | `.skyfresh-empty` |
//! | `.`, `..` | `.skyfresh-dot`, `.skyfresh-dotdot` |
//! | begins with `.skyfresh` | `.skyfresh-name-` and the segment |
//! | last of its key, where a directory has its name (`a` beside `a/b`) | `.skyfresh-file-` and the segment |
//! | too long for a name by these rules | `.skyfresh-hash-` (or `-hashfile-`) and the SHA-256 of the segment, which is kept in `.skyfresh/names/` |

use sha2::{Digest, Sha256};

/// The private directory in the root, and how escaped names begin.
pub(super) const PRIVATE: &str = ".skyfresh";
/// Longest file name, bytes (Linux `NAME_MAX`).
const NAME_LIMIT_BYTES: usize = 255;

const EMPTY: &str = ".skyfresh-empty";
const DOT: &str = ".skyfresh-dot";
const DOT_DOT: &str = ".skyfresh-dotdot";
const NAME: &str = ".skyfresh-name-";
const FILE: &str = ".skyfresh-file-";
const HASH: &str = ".skyfresh-hash-";
const HASH_FILE: &str = ".skyfresh-hashfile-";

/// SHA-256 in hexadecimal.
pub(super) fn sha256_hex(text: &str) -> String {
    hex::encode(Sha256::digest(text.as_bytes()))
}

/// A segment's name on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    /// The segment's hash, where only that is in the name: then the segment must be registered under it.
    pub(super) hash: Option<String>,
}

/// The name of a directory, or of a file with no directory of its name.
pub(super) fn plain(segment: &str) -> Name {
    let text = match segment {
        "" => EMPTY.to_owned(),
        "." => DOT.to_owned(),
        ".." => DOT_DOT.to_owned(),
        reserved if reserved.starts_with(PRIVATE) => format!("{NAME}{reserved}"),
        ordinary => ordinary.to_owned(),
    };
    fitting(text, HASH, segment)
}

/// The name of a file beside a directory that has its plain name.
pub(super) fn beside(segment: &str) -> Name {
    fitting(format!("{FILE}{segment}"), HASH_FILE, segment)
}

fn fitting(text: String, hash_prefix: &str, segment: &str) -> Name {
    if text.len() <= NAME_LIMIT_BYTES {
        return Name { text, hash: None };
    }
    let hash = sha256_hex(segment);
    Name {
        text: format!("{hash_prefix}{hash}"),
        hash: Some(hash),
    }
}

/// What a name on disk stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This segment, as [`plain`] names it.
    Plain(String),
    /// This segment, as [`beside`] names it.
    Beside(String),
    /// The segment registered under this hash.
    Hashed { hash: String, beside: bool },
    /// A store's own directory, here or of a store further down.
    Private,
    /// A name with our mark that we never give.
    Foreign,
}

/// Reads a name.
pub(super) fn meaning(name: &str) -> Meaning {
    let hashed = |hash: &str, beside: bool| match hash.len() {
        64 if hash
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) =>
        {
            Meaning::Hashed {
                hash: hash.to_owned(),
                beside,
            }
        }
        _ => Meaning::Foreign,
    };
    match name {
        PRIVATE => Meaning::Private,
        EMPTY => Meaning::Plain(String::new()),
        DOT => Meaning::Plain(".".to_owned()),
        DOT_DOT => Meaning::Plain("..".to_owned()),
        _ => {
            if let Some(segment) = name.strip_prefix(FILE) {
                Meaning::Beside(segment.to_owned())
            } else if let Some(segment) = name.strip_prefix(NAME) {
                let ours = segment.starts_with(PRIVATE);
                if ours {
                    Meaning::Plain(segment.to_owned())
                } else {
                    Meaning::Foreign
                }
            } else if let Some(hash) = name.strip_prefix(HASH) {
                hashed(hash, false)
            } else if let Some(hash) = name.strip_prefix(HASH_FILE) {
                hashed(hash, true)
            } else if name.starts_with(PRIVATE) {
                Meaning::Foreign
            } else {
                Meaning::Plain(name.to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_segments_are_their_own_names() {
        for segment in [
            "a", "A b.txt", ".hidden", "..x", "...", "%41", "ü", "-rf", ".skyfres", "a\\b", "\n",
        ] {
            assert_eq!(plain(segment).text, segment);
        }
    }

    #[test]
    fn every_segment_has_a_legal_name_and_is_read_back() {
        let long = "x".repeat(1024);
        let (fits, over) = ("y".repeat(255), "y".repeat(256));
        let reserved = format!(".skyfresh{}", "z".repeat(240));
        let segments = [
            "",
            ".",
            "..",
            "a",
            ".skyfresh",
            ".skyfresh-",
            ".skyfresh-empty",
            ".skyfresh-dot",
            ".skyfresh-name-",
            ".skyfresh-name-.skyfresh",
            ".skyfresh-file-a",
            ".skyfresh-hash-",
            ".skyfreshly",
            &long,
            &fits,
            &over,
            &reserved,
        ];
        let mut names = std::collections::HashSet::new();
        for segment in segments {
            for (name, is_beside) in [(plain(segment), false), (beside(segment), true)] {
                let text = name.text.as_str();
                assert!((1..=NAME_LIMIT_BYTES).contains(&text.len()), "{text}");
                assert!(
                    !text.contains('/') && text != "." && text != ".." && text != PRIVATE,
                    "{text}"
                );
                let read = match meaning(text) {
                    Meaning::Plain(read) if !is_beside => read,
                    Meaning::Beside(read) if is_beside => read,
                    Meaning::Hashed { hash, beside } if beside == is_beside => {
                        assert_eq!(name.hash.as_deref(), Some(hash.as_str()));
                        assert_eq!(hash, sha256_hex(segment));
                        segment.to_owned()
                    }
                    other => panic!("{text} was read as {other:?}"),
                };
                assert_eq!(read, segment);
                assert!(
                    names.insert(name.text),
                    "two segments share a name: {segment:?}"
                );
            }
        }
    }

    #[test]
    fn names_that_are_never_given_are_foreign() {
        for name in [
            ".skyfresh-",
            ".skyfresh-x",
            ".skyfreshx",
            ".skyfresh-name-a",
            ".skyfresh-hash-12",
        ] {
            assert_eq!(meaning(name), Meaning::Foreign, "{name}");
        }
        assert_eq!(meaning(".skyfresh"), Meaning::Private);
    }
}
