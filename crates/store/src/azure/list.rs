//! Listings: pages of names in byte order, never a failure that looks like an empty page.
//!
//! The service lists in its own order and goes on from a marker that only it can make. The seam goes on after any text, which
//! is `startFrom` (List Blobs, since 2026-02-06); where a server ignores that, what comes before is read and dropped, page by
//! page of 5,000, which costs one request for every 5,000 names before the place. The service's order is compared with that of
//! bytes at every step: they differ for names beyond U+FFFF beside names from U+E000 on (UTF-16), and such a listing is an
//! error, as it would hide names.

use super::endpoint::encode_query;
use super::request::Call;
use super::{AzureStore, xml};
use crate::http::{http_date, unquote};
use crate::level::{DELIMITER, Fold};
use crate::{LevelPage, ListPage, ListedObject, Result};
use http::Method;
use skyfresh_sky::{Kind, ObjectKey, Timestamp};

/// The service's largest page (<https://learn.microsoft.com/rest/api/storageservices/list-blobs>).
const MAX_RESULTS: usize = 5000;
/// The seam's.
const MAX_KEYS: usize = 1000;

/// A page as the service sent it.
pub(super) struct RawPage {
    blobs: Vec<RawBlob>,
    /// With a delimiter only.
    prefixes: Vec<String>,
    marker: Option<String>,
}

struct RawBlob {
    name: String,
    size: u64,
    etag: String,
    modified: Timestamp,
}

impl AzureStore {
    /// One request for a page; `options` are encoded already.
    pub(super) async fn page(&self, operation: &'static str, options: &str) -> Result<RawPage> {
        let prefix = &self.location.prefix;
        let query = format!(
            "comp=list&prefix={}&restype=container{options}",
            encode_query(prefix)
        );
        let answer = self
            .call(Call::new(operation, Method::GET, None, query))
            .await?;
        let root = self.document(operation, "", &answer.body)?;
        read_page(&root).map_err(|why| self.failed(Kind::RetryAfter, operation, prefix, why))
    }

    pub(super) async fn page_of_objects(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage> {
        let operation = "list";
        let prefix = &self.location.prefix;
        let mut collected = Collected::new(prefix, after, limit.clamp(1, MAX_KEYS));
        // One more than wanted: the name itself from which it starts may come first.
        let mut results = collected.limit + 1;
        let mut marker: Option<String> = None;
        loop {
            let mut options = format!("&maxresults={results}");
            if let Some(after) = &collected.after {
                options = format!("{options}&startFrom={}", encode_query(after));
            }
            if let Some(marker) = &marker {
                options = format!("{options}&marker={}", encode_query(marker));
            }
            let page = self.page(operation, &options).await?;
            if page.marker.is_some() && page.marker == marker {
                let why = "the listing does not advance";
                return Err(self.failed(Kind::RetryAfter, operation, prefix, why));
            }
            let more = page.marker.is_some();
            collected
                .take(page.blobs)
                .map_err(|(kind, why)| self.failed(kind, operation, prefix, why))?;
            if collected.is_full() || !more {
                return Ok(collected.finish(more));
            }
            if collected.dropped > 1 {
                results = MAX_RESULTS;
            }
            marker = page.marker;
        }
    }
}

impl AzureStore {
    /// A page of one level, as the service folds it. The order of names is not ours to rely on here: nothing is merged with it.
    pub(super) async fn page_of_level(
        &self,
        marker: Option<&str>,
        limit: usize,
    ) -> Result<LevelPage> {
        let operation = "list";
        let delimiter = encode_query(DELIMITER);
        let limit = limit.clamp(1, MAX_KEYS);
        let mut options = format!("&delimiter={delimiter}&maxresults={limit}");
        if let Some(marker) = marker {
            options = format!("{options}&marker={}", encode_query(marker));
        }
        let page = self.page(operation, &options).await?;
        let prefix = &self.location.prefix;
        level(page, prefix, marker)
            .map_err(|why| self.failed(Kind::RetryAfter, operation, prefix, why))
    }
}

/// Checks a page of a level against what was asked, and turns its names into keys.
fn level(page: RawPage, prefix: &str, marker: Option<&str>) -> Result<LevelPage, String> {
    if page.marker.is_some() && page.marker.as_deref() == marker {
        return Err("the listing does not advance".into());
    }
    let mut fold = Fold::new(prefix);
    for blob in page.blobs {
        fold.object(blob.name, blob.size, blob.etag, blob.modified)?;
    }
    for common in &page.prefixes {
        fold.common_prefix(common)?;
    }
    Ok(fold.finish(page.marker))
}

/// The names of a page of ours, as pages of the service come in.
struct Collected<'a> {
    prefix: &'a str,
    /// The full name after which the page begins.
    after: Option<String>,
    limit: usize,
    previous: Option<String>,
    blobs: Vec<RawBlob>,
    /// Names that come before the page.
    dropped: usize,
}

impl<'a> Collected<'a> {
    fn new(prefix: &'a str, after: Option<&str>, limit: usize) -> Self {
        Collected {
            prefix,
            after: after.map(|after| format!("{prefix}{after}")),
            limit,
            previous: None,
            blobs: Vec::new(),
            dropped: 0,
        }
    }

    fn take(&mut self, blobs: Vec<RawBlob>) -> Result<(), (Kind, String)> {
        for blob in blobs {
            let name = &blob.name;
            if !name.starts_with(self.prefix) {
                return Err((
                    Kind::RetryAfter,
                    format!(
                        "the listing holds {name:?}, which is not below {:?}",
                        self.prefix
                    ),
                ));
            }
            if let Some(previous) = &self.previous
                && previous >= name
            {
                return Err(disorder(previous, name));
            }
            self.previous = Some(name.clone());
            match &self.after {
                Some(after) if name <= after => {
                    if in_utf16_order(after, name) {
                        return Err(disorder(after, name));
                    }
                    self.dropped += 1;
                }
                _ => self.blobs.push(blob),
            }
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.blobs.len() >= self.limit
    }

    fn finish(mut self, more: bool) -> ListPage {
        let more = more || self.blobs.len() > self.limit;
        self.blobs.truncate(self.limit);
        let mut page = ListPage::default();
        let last = self.blobs.last().map(|blob| blob.name.clone());
        for blob in self.blobs {
            // The prefix was checked as the name came in.
            match ObjectKey::new(blob.name.get(self.prefix.len()..).unwrap_or_default()) {
                Ok(key) => page.objects.push(ListedObject {
                    key,
                    size: blob.size,
                    etag: blob.etag,
                    modified: blob.modified,
                }),
                Err(_) => page.unusable.push(blob.name),
            }
        }
        page.next = last
            .filter(|_| more)
            .and_then(|last| last.strip_prefix(self.prefix).map(str::to_owned));
        page
    }
}

/// Whether these names are in ascending order as UTF-16.
fn in_utf16_order(first: &str, second: &str) -> bool {
    first.encode_utf16().lt(second.encode_utf16())
}

fn disorder(previous: &str, name: &str) -> (Kind, String) {
    let why = if in_utf16_order(previous, name) {
        "the container holds names beyond U+FFFF (such as emoji) beside names from U+E000 on, which Azure lists in another order \
         than that of bytes: rename one of them, or choose a prefix that leaves one out"
    } else {
        "the server does not list in ascending order"
    };
    (
        Kind::Unsupported,
        format!("{name:?} is listed after {previous:?}: {why}"),
    )
}

fn read_page(root: &xml::Element) -> Result<RawPage, String> {
    let blobs = root
        .child("Blobs")
        .ok_or("the answer is no listing: check that the endpoint speaks Azure's protocol")?;
    let marker = root
        .text("NextMarker")
        .filter(|marker| !marker.is_empty())
        .map(str::to_owned);
    let prefixes = blobs
        .children("BlobPrefix")
        .map(|common| {
            let name = common.child("Name").ok_or("a common prefix has no name")?;
            name.own_text()
        })
        .collect::<Result<Vec<_>, _>>()?;
    let blobs = blobs
        .children("Blob")
        // In a hierarchical namespace directories are listed, too; they hold no bytes.
        .filter(|blob| {
            blob.child("Properties")
                .and_then(|of| of.text("ResourceType"))
                != Some("directory")
        })
        .map(read_blob)
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RawPage {
        blobs,
        prefixes,
        marker,
    })
}

fn read_blob(blob: &xml::Element) -> Result<RawBlob, String> {
    let name = blob.child("Name").ok_or("a blob has no name")?.own_text()?;
    let properties = blob
        .child("Properties")
        .ok_or_else(|| format!("{name:?} has no properties"))?;
    let get = |field: &str| {
        properties
            .text(field)
            .ok_or_else(|| format!("{name:?} has no {field}"))
    };
    Ok(RawBlob {
        size: get("Content-Length")?
            .parse()
            .map_err(|_| format!("the size of {name:?} is no number"))?,
        etag: unquote(get("Etag").or_else(|_| get("ETag"))?),
        modified: http_date(get("Last-Modified")?).unwrap_or_default(),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blobs(names: &[&str]) -> Vec<RawBlob> {
        let blob = |name: &&str| RawBlob {
            name: (*name).to_owned(),
            size: 1,
            etag: "e".into(),
            modified: Timestamp::ZERO,
        };
        names.iter().map(blob).collect()
    }

    fn keys(page: &ListPage) -> Vec<&str> {
        page.objects
            .iter()
            .map(|object| object.key.as_str())
            .collect()
    }

    #[test]
    fn a_page_begins_after_its_place_and_names_the_next() {
        let mut collected = Collected::new("p/", Some("b"), 2);
        collected
            .take(blobs(&["p/b", "p/c", "p/d", "p/e"]))
            .unwrap();
        assert!(collected.is_full());
        let page = collected.finish(false);
        assert_eq!(
            (keys(&page), page.next.as_deref()),
            (vec!["c", "d"], Some("d"))
        );

        let mut collected = Collected::new("p/", None, 5);
        collected.take(blobs(&["p/", "p/a"])).unwrap();
        let page = collected.finish(false);
        assert_eq!((keys(&page), &page.next), (vec!["a"], &None));
        assert_eq!(page.unusable, ["p/"], "the bare prefix is no key below it");
    }

    #[test]
    fn a_server_that_starts_at_the_beginning_hides_nothing() {
        let mut collected = Collected::new("", Some("m"), 2);
        collected.take(blobs(&["a", "b"])).unwrap();
        assert!(!collected.is_full());
        collected.take(blobs(&["m", "n"])).unwrap();
        let page = collected.finish(true);
        assert_eq!((keys(&page), page.next.as_deref()), (vec!["n"], Some("n")));
    }

    #[test]
    fn an_order_that_is_not_that_of_bytes_is_an_error() {
        let why = |after: Option<&str>, names: &[&str]| {
            Collected::new("", after, 9)
                .take(blobs(names))
                .unwrap_err()
                .1
        };
        assert!(why(None, &["b", "a"]).contains("ascending"));
        assert!(why(None, &["a", "a"]).contains("ascending"));
        let (beyond, private) = ("\u{1f600}", "\u{e000}");
        assert!(why(None, &[beyond, private]).contains("another order"));
        // The name it goes on after has been deleted: what follows it there would be dropped here.
        assert!(why(Some(beyond), &[private]).contains("another order"));
        let other = Collected::new("p/", None, 9)
            .take(blobs(&["q"]))
            .unwrap_err();
        assert!(other.1.contains("not below"));
    }

    #[test]
    fn a_listing_is_read_with_its_encoded_names() {
        let root = xml::parse(
            b"<EnumerationResults><Blobs>\
              <Blob><Name> a&amp;b </Name><Properties><Etag>0x1</Etag><Content-Length>3</Content-Length>\
              <Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified></Properties></Blob>\
              <Blob><Name>dir</Name><Properties><ResourceType>directory</ResourceType></Properties></Blob>\
              </Blobs><NextMarker>m</NextMarker></EnumerationResults>",
        )
        .unwrap();
        let page = read_page(&root).unwrap();
        assert_eq!(page.blobs.len(), 1);
        assert_eq!(
            (page.blobs[0].name.as_str(), page.blobs[0].size),
            (" a&b ", 3)
        );
        assert_eq!(
            page.blobs[0].modified,
            Timestamp::from_unix_ms(1_700_000_000_000)
        );
        assert_eq!(page.marker.as_deref(), Some("m"));
        assert!(read_page(&xml::parse(b"<html/>").unwrap()).is_err());
    }

    #[test]
    fn a_level_has_the_common_prefixes() {
        let root = xml::parse(
            b"<EnumerationResults><Delimiter>/</Delimiter><Blobs>\
              <BlobPrefix><Name>p/b &amp; c/</Name></BlobPrefix>\
              <Blob><Name>p/a</Name><Properties><Etag>0x1</Etag><Content-Length>3</Content-Length>\
              <Last-Modified>Tue, 14 Nov 2023 22:13:20 GMT</Last-Modified></Properties></Blob>\
              <BlobPrefix><Name Encoded=\"true\">p/%EF%BF%BF/</Name></BlobPrefix>\
              </Blobs><NextMarker>m</NextMarker></EnumerationResults>",
        )
        .unwrap();
        let page = level(read_page(&root).unwrap(), "p/", None).unwrap();
        assert_eq!(page.objects.len(), 1);
        assert_eq!(page.prefixes, ["b & c/", "\u{ffff}/"]);
        assert_eq!(page.next.as_deref(), Some("m"));
        let stuck = level(read_page(&root).unwrap(), "p/", Some("m")).unwrap_err();
        assert!(stuck.contains("not advance"), "{stuck}");
        assert!(level(read_page(&root).unwrap(), "q/", None).is_err());
    }
}
