//! Listings in the order of keys' UTF-8 bytes. Pure: from an ordered map and a request to a page.

use super::bucket::State;
use super::{StoredObject, Version};
use skyfresh_sky::Timestamp;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// What to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListRequest {
    pub(crate) prefix: String,
    pub(crate) delimiter: Option<String>,
    /// Keys, and whole common prefixes, up to and with this are skipped.
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
}

/// A line of a listing.
#[derive(Clone, Debug)]
pub(crate) enum ListEntry<T> {
    Item(T),
    CommonPrefix(String),
}

/// A page of a listing.
#[derive(Clone, Debug)]
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<ListEntry<T>>,
    /// Where the next page begins (as [`ListRequest::after`]); `None` at the end.
    pub(crate) next_after: Option<String>,
}

/// An object in a listing.
#[derive(Clone, Debug)]
pub(crate) struct ListedObject {
    pub(crate) key: String,
    pub(crate) modified: Timestamp,
    pub(crate) object: Arc<StoredObject>,
}

/// The common prefix that `key` rolls up into, if any.
fn common_prefix<'a>(key: &'a str, request: &ListRequest) -> Option<&'a str> {
    let delimiter = request
        .delimiter
        .as_deref()
        .filter(|delimiter| !delimiter.is_empty())?;
    let rest = &key[request.prefix.len()..];
    let end = request.prefix.len() + rest.find(delimiter)? + delimiter.len();
    Some(&key[..end])
}

/// Pages through an ordered map, rolling keys up into common prefixes. `pick` turns a key into a line, or skips it.
pub(crate) fn page<'a, V, T>(
    map: &'a BTreeMap<String, V>,
    request: &ListRequest,
    mut pick: impl FnMut(&'a str, &'a V) -> Option<T>,
) -> Page<T> {
    let mut entries = Vec::new();
    let mut last: Option<&str> = None;
    let mut skip_prefix: Option<String> = None;
    let mut from = match &request.after {
        Some(after) if *after >= request.prefix => {
            // A common prefix that was shown stands for every key below it.
            if common_prefix_given(after, request) {
                skip_prefix = Some(after.clone());
            }
            Bound::Excluded(after.clone())
        }
        _ => Bound::Included(request.prefix.clone()),
    };
    if request.limit == 0 {
        return Page {
            entries,
            next_after: None,
        };
    }
    'seek: loop {
        if let Some(prefix) = skip_prefix.take() {
            match successor(&prefix) {
                Some(next) => from = Bound::Included(next),
                None => {
                    return Page {
                        entries,
                        next_after: None,
                    };
                }
            }
        }
        for (key, value) in map.range((from.clone(), Bound::Unbounded)) {
            if !key.starts_with(&request.prefix) {
                return Page {
                    entries,
                    next_after: None,
                };
            }
            let Some(item) = pick(key, value) else {
                continue;
            };
            if entries.len() == request.limit {
                return Page {
                    entries,
                    next_after: last.map(str::to_owned),
                };
            }
            if let Some(prefix) = common_prefix(key, request) {
                entries.push(ListEntry::CommonPrefix(prefix.to_owned()));
                last = Some(prefix);
                skip_prefix = Some(prefix.to_owned());
                continue 'seek;
            }
            entries.push(ListEntry::Item(item));
            last = Some(key);
        }
        return Page {
            entries,
            next_after: None,
        };
    }
}

/// Whether `after` is itself a common prefix of this request.
fn common_prefix_given(after: &str, request: &ListRequest) -> bool {
    after.starts_with(&request.prefix) && common_prefix(after, request) == Some(after)
}

/// The smallest string greater than every string that starts with `prefix`.
pub(crate) fn successor(prefix: &str) -> Option<String> {
    let mut chars: Vec<char> = prefix.chars().collect();
    while let Some(last) = chars.pop() {
        // Surrogates are not characters.
        let next = if last == '\u{d7ff}' {
            Some('\u{e000}')
        } else {
            char::from_u32(last as u32 + 1)
        };
        if let Some(next) = next {
            chars.push(next);
            return Some(chars.into_iter().collect());
        }
    }
    None
}

/// The current objects.
pub(crate) fn objects(state: &State, request: &ListRequest) -> Page<ListedObject> {
    page(&state.keys, request, |key, versions| {
        let current = versions.last()?;
        let object = current.object.clone()?;
        Some(ListedObject {
            key: key.to_owned(),
            modified: current.modified,
            object,
        })
    })
}

/// What versions to list.
#[derive(Clone, Debug, Default)]
pub(crate) struct VersionListRequest {
    pub(crate) list: ListRequest,
    /// With `list.after` as the key: versions up to and with this one are skipped, and the key's others are not.
    pub(crate) after_version: Option<String>,
}

/// A version in a listing.
#[derive(Clone, Debug)]
pub(crate) struct ListedVersion {
    pub(crate) key: String,
    pub(crate) is_latest: bool,
    pub(crate) version: Version,
}

/// A page of versions.
#[derive(Clone, Debug)]
pub(crate) struct VersionPage {
    pub(crate) entries: Vec<ListEntry<ListedVersion>>,
    /// Key and version id (none for a common prefix) that the next page follows; `None` at the end.
    pub(crate) next: Option<(String, Option<String>)>,
}

/// All versions and delete markers, newest first within a key.
pub(crate) fn versions(state: &State, request: &VersionListRequest) -> VersionPage {
    let limit = request.list.limit;
    let mut entries: Vec<ListEntry<ListedVersion>> = Vec::new();
    // The rest of the key that the page before stopped in.
    if let (Some(key), Some(marker)) = (&request.list.after, &request.after_version)
        && let Some(versions) = state.keys.get(key)
    {
        // A marker that was deleted meanwhile hides nothing: what is left of the key has not been shown.
        let shown = versions
            .iter()
            .rev()
            .position(|version| version.shown_id() == marker)
            .map_or(0, |index| index + 1);
        entries.extend(listed(key, versions).skip(shown).map(ListEntry::Item));
    }
    let by_key = ListRequest {
        limit: limit + 1,
        ..request.list.clone()
    };
    let keys = page(&state.keys, &by_key, |key, versions| Some((key, versions)));
    for entry in keys.entries {
        match entry {
            ListEntry::CommonPrefix(prefix) => entries.push(ListEntry::CommonPrefix(prefix)),
            ListEntry::Item((key, versions)) => {
                entries.extend(listed(key, versions).map(ListEntry::Item));
            }
        }
        if entries.len() > limit {
            break;
        }
    }
    let truncated = entries.len() > limit && limit > 0;
    entries.truncate(limit);
    let next = entries.last().filter(|_| truncated).map(|last| match last {
        ListEntry::CommonPrefix(prefix) => (prefix.clone(), None),
        ListEntry::Item(item) => (item.key.clone(), Some(item.version.shown_id().to_owned())),
    });
    VersionPage { entries, next }
}

fn listed<'a>(key: &'a str, versions: &'a [Version]) -> impl Iterator<Item = ListedVersion> + 'a {
    versions
        .iter()
        .rev()
        .enumerate()
        .map(move |(index, version)| ListedVersion {
            key: key.to_owned(),
            is_latest: index == 0,
            version: version.clone(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(keys: &[&str], request: ListRequest) -> (Vec<String>, Option<String>) {
        let map: BTreeMap<String, ()> = keys.iter().map(|key| ((*key).to_owned(), ())).collect();
        let page = page(&map, &request, |key, ()| Some(key.to_owned()));
        let shown = page
            .entries
            .into_iter()
            .map(|entry| match entry {
                ListEntry::Item(key) => key,
                ListEntry::CommonPrefix(prefix) => format!("[{prefix}]"),
            })
            .collect();
        (shown, page.next_after)
    }

    const KEYS: [&str; 8] = ["a", "a/b", "a/c", "a//", "b", "b/é", "b/\u{10ffff}x", "c"];

    #[test]
    fn keys_come_in_byte_order_and_roll_up() {
        let all = ListRequest {
            limit: 100,
            ..Default::default()
        };
        assert_eq!(list(&KEYS, all.clone()).0.len(), 8);
        let rolled = ListRequest {
            delimiter: Some("/".into()),
            ..all
        };
        assert_eq!(
            list(&KEYS, rolled.clone()).0,
            ["a", "[a/]", "b", "[b/]", "c"]
        );
        let below = ListRequest {
            prefix: "a/".into(),
            ..rolled
        };
        assert_eq!(list(&KEYS, below).0, ["[a//]", "a/b", "a/c"]);
    }

    #[test]
    fn pages_of_any_size_make_the_whole() {
        for delimiter in [None, Some("/".to_owned())] {
            let request = ListRequest {
                delimiter,
                limit: 100,
                ..Default::default()
            };
            let whole = list(&KEYS, request.clone()).0;
            for limit in 1..10 {
                let (mut pages, mut after) = (Vec::new(), None);
                loop {
                    let (page, next) = list(
                        &KEYS,
                        ListRequest {
                            limit,
                            after,
                            ..request.clone()
                        },
                    );
                    assert!(page.len() <= limit);
                    pages.extend(page);
                    match next {
                        Some(next) => after = Some(next),
                        None => break,
                    }
                }
                assert_eq!(pages, whole, "limit {limit}");
            }
        }
    }

    #[test]
    fn a_successor_is_beyond_every_key_below_the_prefix() {
        assert_eq!(successor("a/"), Some("a0".into()));
        assert_eq!(successor("a\u{10ffff}"), Some("b".into()));
        assert_eq!(successor("\u{10ffff}"), None);
        assert_eq!(successor("\u{d7ff}"), Some("\u{e000}".into()));
    }
}
