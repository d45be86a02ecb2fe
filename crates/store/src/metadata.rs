//! What stores can keep beside the bytes: which headers, which names, how much. Pure.

use serde::{Deserialize, Serialize};
use skyfresh_sky::Attributes;

/// Which names of user metadata a store takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserNames {
    /// Any text.
    Any,
    /// What can follow a prefix in the name of an HTTP header (RFC 9110, section 5.1: a token). Adapters encode what their
    /// protocol forbids beyond that.
    HeaderToken,
}

/// What a store keeps of an object's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataLimits {
    /// `Expires`.
    pub expires: bool,
    /// Website redirect.
    pub website_redirect: bool,
    /// Names of user metadata.
    pub user_names: UserNames,
    /// Most user metadata, names and values together, bytes.
    pub user_bytes: usize,
}

impl MetadataLimits {
    /// Amazon S3: user guide, "Working with object metadata".
    pub const S3: MetadataLimits = MetadataLimits {
        expires: true,
        website_redirect: true,
        user_names: UserNames::HeaderToken,
        user_bytes: skyfresh_sky::USER_METADATA_LIMIT_BYTES,
    };
    /// Google Cloud Storage: <https://cloud.google.com/storage/docs/metadata>, <https://cloud.google.com/storage/quotas>. It has
    /// no field for `Expires` and redirects; the adapter keeps them among the user metadata, and they are not served.
    pub const GCS: MetadataLimits = MetadataLimits {
        user_bytes: 8 << 10,
        ..MetadataLimits::S3
    };
    /// Azure Blob Storage:
    /// <https://learn.microsoft.com/rest/api/storageservices/setting-and-retrieving-properties-and-metadata-for-blob-resources>.
    pub const AZURE: MetadataLimits = MetadataLimits {
        expires: false,
        website_redirect: false,
        user_names: UserNames::HeaderToken,
        user_bytes: 8 << 10,
    };
    /// Disk and memory: everything, as much as any other store takes.
    pub const LOCAL: MetadataLimits = MetadataLimits {
        expires: true,
        website_redirect: true,
        user_names: UserNames::Any,
        user_bytes: 8 << 10,
    };

    /// What objects of a store that keeps `source` may carry and this one cannot keep, in words for people. Empty where nothing
    /// can be lost: [`fit`](Self::fit) then finds nothing on any object from there.
    pub fn lost_from(&self, source: &MetadataLimits) -> Vec<String> {
        let mut lost = Vec::new();
        for (there, here, name) in [
            (source.expires, self.expires, "Expires"),
            (
                source.website_redirect,
                self.website_redirect,
                "website redirect",
            ),
        ] {
            if there && !here {
                lost.push(name.to_owned());
            }
        }
        if source.user_names == UserNames::Any && self.user_names != UserNames::Any {
            lost.push("user metadata whose names no HTTP header can have".to_owned());
        }
        if source.user_bytes > self.user_bytes {
            lost.push(format!(
                "user metadata beyond {}",
                skyfresh_sky::format_bytes(self.user_bytes as u64)
            ));
        }
        lost
    }

    /// What is left of `attributes` here, and what had to go.
    ///
    /// User metadata beyond the limit goes entry by entry, the last names first, so that the same object always keeps the
    /// same entries.
    pub fn fit(&self, mut attributes: Attributes) -> Fitted {
        let mut unkept = Vec::new();
        for (kept, name, value) in [
            (self.expires, "Expires", &mut attributes.expires),
            (
                self.website_redirect,
                "website redirect",
                &mut attributes.website_redirect,
            ),
        ] {
            if !kept && value.take().is_some() {
                unkept.push(name.to_owned());
            }
        }
        let mut dropped = Vec::new();
        attributes.user.retain(|name, _| {
            let kept = self.user_names == UserNames::Any || is_token(name);
            if !kept {
                dropped.push(name.clone());
            }
            kept
        });
        while attributes.user_bytes() > self.user_bytes {
            dropped.extend(attributes.user.pop_last().map(|(name, _)| name));
        }
        unkept.extend(
            dropped
                .into_iter()
                .map(|name| format!("user metadata {name:?}")),
        );
        Fitted { attributes, unkept }
    }
}

/// Attributes as a store can keep them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    /// What it keeps.
    pub attributes: Attributes,
    /// What it cannot, in words for people.
    pub unkept: Vec<String>,
}

/// RFC 9110, section 5.6.2.
fn is_token(name: &str) -> bool {
    !name.is_empty()
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes() -> Attributes {
        Attributes {
            content_type: Some("text/plain".into()),
            expires: Some("Thu, 01 Dec 2033 16:00:00 GMT".into()),
            website_redirect: Some("/x".into()),
            user: [("owner", "ops"), ("two words", "x")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..Attributes::default()
        }
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let fitted = MetadataLimits::AZURE.fit(attributes());
        assert_eq!(
            fitted.unkept,
            ["Expires", "website redirect", "user metadata \"two words\""]
        );
        assert_eq!(
            (fitted.attributes.expires, fitted.attributes.user.len()),
            (None, 1)
        );
        for limits in [MetadataLimits::S3, MetadataLimits::GCS] {
            assert_eq!(
                limits.fit(attributes()).unkept,
                ["user metadata \"two words\""]
            );
        }
        let whole = MetadataLimits::LOCAL.fit(attributes());
        assert_eq!((whole.attributes, whole.unkept), (attributes(), vec![]));
    }

    /// As much as a store of these limits can carry.
    fn fullest(limits: &MetadataLimits) -> Attributes {
        let name = match limits.user_names {
            UserNames::Any => "two words",
            UserNames::HeaderToken => "owner",
        };
        let mut attributes = limits.fit(attributes()).attributes;
        attributes.user = [(name.to_owned(), "x".repeat(limits.user_bytes - name.len()))].into();
        attributes
    }

    #[test]
    fn what_may_be_lost_is_told_before_any_object_is_looked_at() {
        let all = [
            MetadataLimits::S3,
            MetadataLimits::GCS,
            MetadataLimits::AZURE,
            MetadataLimits::LOCAL,
        ];
        for (source, target) in all.iter().flat_map(|a| all.iter().map(move |b| (a, b))) {
            let whole = fullest(source);
            assert_eq!(source.fit(whole.clone()).unkept, Vec::<String>::new());
            assert_eq!(
                target.lost_from(source).is_empty(),
                target.fit(whole).unkept.is_empty(),
                "{source:?} to {target:?}"
            );
        }
        assert_eq!(
            MetadataLimits::AZURE.lost_from(&MetadataLimits::S3),
            ["Expires", "website redirect"]
        );
        assert_eq!(
            MetadataLimits::S3.lost_from(&MetadataLimits::LOCAL),
            [
                "user metadata whose names no HTTP header can have",
                "user metadata beyond 2.0 KiB"
            ]
        );
    }

    #[test]
    fn too_much_user_metadata_is_cut_the_same_way_every_time() {
        let mut attributes = Attributes::default();
        for name in ["a", "b", "c"] {
            attributes.user.insert(name.into(), "x".repeat(900));
        }
        let fitted = MetadataLimits::S3.fit(attributes);
        assert_eq!(fitted.unkept, ["user metadata \"c\""]);
        assert!(fitted.attributes.user.contains_key("a"));
    }
}
