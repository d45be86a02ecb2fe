//! One level of a listing: the objects in it, and of what lies deeper only the common prefixes.
//!
//! In: names as a store lists them with a delimiter. Out: a page by keys below the location. Never: hides a name; takes a name from
//! outside the location.

use crate::ListedObject;
use skyfresh_sky::{ObjectKey, Timestamp};

/// What separates levels.
pub(crate) const DELIMITER: &str = "/";

/// A page of one level. Within it everything is in ascending byte order; pages follow each other in the store's own order, which
/// is the same everywhere but for rare names on Azure.
#[derive(Clone, Debug, Default)]
pub struct LevelPage {
    /// The objects of the level itself.
    pub objects: Vec<ListedObject>,
    /// What the keys of deeper objects begin with, below the location, up to and with the first `/`. There is at least one such
    /// object (in a hierarchical namespace of Azure, at least a directory).
    pub prefixes: Vec<String>,
    /// As [`ListPage::unusable`](crate::ListPage::unusable); of deeper ones only the common prefix is listed.
    pub unusable: Vec<String>,
    /// Give this back for the next page; `None` means that the level is complete. Means nothing to anything but the store.
    pub next: Option<String>,
}

impl LevelPage {
    /// How many lines it has.
    pub fn lines(&self) -> usize {
        self.objects.len() + self.prefixes.len() + self.unusable.len()
    }
}

/// A page, as names come in.
#[derive(Debug)]
pub(crate) struct Fold<'a> {
    prefix: &'a str,
    page: LevelPage,
}

impl<'a> Fold<'a> {
    /// Of the level that begins with this.
    pub(crate) fn new(prefix: &'a str) -> Self {
        Fold {
            prefix,
            page: LevelPage::default(),
        }
    }

    fn below<'n>(&self, full: &'n str) -> Result<&'n str, String> {
        full.strip_prefix(self.prefix).ok_or_else(|| {
            format!(
                "the listing holds {full:?}, which is not below {:?}",
                self.prefix
            )
        })
    }

    /// Takes an object by its full name. One that lies deeper, from a server that ignores the delimiter, counts as the common prefix.
    pub(crate) fn object(
        &mut self,
        full: String,
        size: u64,
        etag: String,
        modified: Timestamp,
    ) -> Result<(), String> {
        let rest = self.below(&full)?;
        if rest.contains(DELIMITER) {
            return self.common_prefix(&full);
        }
        match ObjectKey::new(rest) {
            Ok(key) => self.page.objects.push(ListedObject {
                key,
                size,
                etag,
                modified,
            }),
            Err(_) => self.page.unusable.push(full),
        }
        Ok(())
    }

    /// Takes a common prefix by its full name.
    pub(crate) fn common_prefix(&mut self, full: &str) -> Result<(), String> {
        let rest = self.below(full)?;
        let Some(end) = rest.find(DELIMITER) else {
            return Err(format!(
                "the listing calls {full:?} a common prefix, which does not end in {DELIMITER:?}"
            ));
        };
        self.page.prefixes.push(rest[..=end].to_owned());
        Ok(())
    }

    /// The page, in order.
    pub(crate) fn finish(self, next: Option<String>) -> LevelPage {
        let mut page = LevelPage { next, ..self.page };
        page.objects.sort_by(|a, b| a.key.cmp(&b.key));
        page.prefixes.sort_unstable();
        page.prefixes.dedup();
        page.unusable.sort_unstable();
        page
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(fold: &mut Fold<'_>, full: &str) -> Result<(), String> {
        fold.object(full.to_owned(), 1, "e".into(), Timestamp::ZERO)
    }

    #[test]
    fn a_level_is_folded_whoever_does_it() {
        let mut fold = Fold::new("p/");
        for full in ["p/b", "p/a", "p/", "p/deep/1", "p/deep/2/3"] {
            take(&mut fold, full).unwrap();
        }
        for full in ["p/x/", "p//", "p/deep/"] {
            fold.common_prefix(full).unwrap();
        }
        let page = fold.finish(Some("token".into()));
        let keys: Vec<&str> = page
            .objects
            .iter()
            .map(|object| object.key.as_str())
            .collect();
        assert_eq!(keys, ["a", "b"]);
        assert_eq!(page.prefixes, ["/", "deep/", "x/"]);
        assert_eq!(page.unusable, ["p/"], "the bare prefix is no key below it");
        assert_eq!(page.lines(), 6);
    }

    #[test]
    fn what_cannot_be_right_is_an_error() {
        let mut fold = Fold::new("p/");
        assert!(take(&mut fold, "q").unwrap_err().contains("not below"));
        assert!(fold.common_prefix("q/").unwrap_err().contains("not below"));
        assert!(fold.common_prefix("p/x").unwrap_err().contains("end in"));
    }
}
