//! Whether an object must be copied, by what two listings say. Pure.

use super::options::{BulkOptions, Compare};
use crate::decide::same_content_etag;
use skyfresh_sky::Timestamp;
use skyfresh_store::ListedObject;

/// What is to be done about one object at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Copy it.
    Copy,
    /// Both are there and of one size: only their heads can tell.
    Heads,
    /// Leave it.
    Skip(Skip),
}

/// Why an object is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Skip {
    /// Both state a checksum, and it is the same.
    Proved,
    /// As far as listings tell.
    Equal,
    /// Of equal size, and nothing else was asked for.
    SameSize,
    /// The target's is newer.
    Newer,
    /// There is something, and it must not be replaced.
    Exists,
    /// The target's is not the version that may be replaced.
    OtherVersion,
}

impl Skip {
    /// In words.
    pub(super) fn reason(self) -> &'static str {
        match self {
            Skip::Proved => "equal by checksum",
            Skip::Equal => "equal as far as listings tell",
            Skip::SameSize => "of equal size (nothing else was compared)",
            Skip::Newer => "the destination's is newer",
            Skip::Exists => "there is an object already",
            Skip::OtherVersion => "the destination has another version than the one to replace",
        }
    }
}

/// Judges one object; `target` is what the target lists under its key.
pub(super) fn judge(
    options: &BulkOptions,
    source: &ListedObject,
    target: Option<&ListedObject>,
) -> Verdict {
    let Some(target) = target else {
        return match options.if_match {
            Some(_) => Verdict::Skip(Skip::OtherVersion),
            None => Verdict::Copy,
        };
    };
    if options.no_clobber {
        return Verdict::Skip(Skip::Exists);
    }
    if options
        .if_match
        .as_ref()
        .is_some_and(|version| version.etag != target.etag)
    {
        return Verdict::Skip(Skip::OtherVersion);
    }
    if options.update_only && target.modified > source.modified {
        return Verdict::Skip(Skip::Newer);
    }
    if source.size != target.size {
        return Verdict::Copy;
    }
    match options.compare {
        Compare::Never => Verdict::Copy,
        Compare::SizeOnly => Verdict::Skip(Skip::SameSize),
        Compare::Checksum if same_content_etag(&source.etag, &target.etag) => {
            Verdict::Skip(Skip::Proved)
        }
        Compare::Checksum => Verdict::Heads,
        Compare::Listing if same_content_etag(&source.etag, &target.etag) => {
            Verdict::Skip(Skip::Equal)
        }
        // A copy is written after what it was made from.
        Compare::Listing => match is_not_older(target.modified, source.modified) {
            Some(true) => Verdict::Skip(Skip::Equal),
            Some(false) => Verdict::Copy,
            None => Verdict::Heads,
        },
    }
}

/// Whether the one time is not before the other; `None` within one second where one side states whole seconds only, as S3 does:
/// which came first cannot be told.
fn is_not_older(target: Timestamp, source: Timestamp) -> Option<bool> {
    let (target_ms, source_ms) = (target.unix_ms(), source.unix_ms());
    let whole_seconds = target_ms % 1_000 == 0 || source_ms % 1_000 == 0;
    if whole_seconds && target_ms / 1_000 == source_ms / 1_000 {
        return None;
    }
    Some(target_ms >= source_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use skyfresh_sky::{ObjectKey, ObjectVersion, Timestamp};

    fn listed(size: u64, etag: &str, modified_ms: u64) -> ListedObject {
        ListedObject {
            key: ObjectKey::new("k").unwrap(),
            size,
            etag: etag.into(),
            modified: Timestamp::from_unix_ms(modified_ms),
        }
    }

    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    #[test]
    fn what_listings_show_to_be_equal_is_left() {
        let options = BulkOptions::default();
        let source = listed(5, "a", 1_000);
        let judge = |target: Option<ListedObject>| judge(&options, &source, target.as_ref());
        assert_eq!(judge(None), Verdict::Copy);
        assert_eq!(judge(Some(listed(4, "a", 2_000))), Verdict::Copy, "size");
        assert_eq!(judge(Some(listed(5, "b", 999))), Verdict::Copy, "older");
        assert_eq!(
            judge(Some(listed(5, "b", 2_000))),
            Verdict::Skip(Skip::Equal)
        );
        let same_second = judge(Some(listed(5, "b", 1_000)));
        assert_eq!(
            same_second,
            Verdict::Heads,
            "which was first cannot be told"
        );
        let by_etag = super::judge(&options, &listed(5, MD5, 9), Some(&listed(5, MD5, 1)));
        assert_eq!(
            by_etag,
            Verdict::Skip(Skip::Equal),
            "older, but equal bytes"
        );
    }

    #[test]
    fn each_way_of_comparing() {
        let (source, target) = (listed(5, "a", 1), listed(5, "b", 2));
        let exact = is_not_older(
            Timestamp::from_unix_ms(1_001),
            Timestamp::from_unix_ms(1_002),
        );
        assert_eq!(exact, Some(false), "both state milliseconds");
        for (compare, expected) in [
            (Compare::Never, Verdict::Copy),
            (Compare::SizeOnly, Verdict::Skip(Skip::SameSize)),
            (Compare::Checksum, Verdict::Heads),
            (Compare::Listing, Verdict::Skip(Skip::Equal)),
        ] {
            let options = BulkOptions {
                compare,
                ..BulkOptions::default()
            };
            assert_eq!(judge(&options, &source, Some(&target)), expected);
        }
    }

    #[test]
    fn what_must_not_be_replaced_is_left() {
        let source = listed(5, "a", 1);
        let judge = |options: BulkOptions, target: Option<&ListedObject>| {
            super::judge(&options, &source, target)
        };
        let newer = listed(6, "b", 2);
        let no_clobber = BulkOptions {
            no_clobber: true,
            ..BulkOptions::default()
        };
        assert_eq!(judge(no_clobber.clone(), None), Verdict::Copy);
        assert_eq!(judge(no_clobber, Some(&newer)), Verdict::Skip(Skip::Exists));
        let update_only = BulkOptions {
            update_only: true,
            ..BulkOptions::default()
        };
        assert_eq!(judge(update_only, Some(&newer)), Verdict::Skip(Skip::Newer));
        let if_match = BulkOptions {
            if_match: Some(ObjectVersion::from_etag("x")),
            ..BulkOptions::default()
        };
        assert_eq!(
            judge(if_match.clone(), None),
            Verdict::Skip(Skip::OtherVersion)
        );
        assert_eq!(
            judge(if_match, Some(&newer)),
            Verdict::Skip(Skip::OtherVersion)
        );
    }
}
