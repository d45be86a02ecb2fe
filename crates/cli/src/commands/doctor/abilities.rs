//! What a destination can do, and what is done where it cannot.

use super::side::Side;
use serde::Serialize;
use skyfresh_sky::Scheme;
use skyfresh_store::{Capabilities, ConditionSupport, Verification};

/// One ability of a destination that Skyfresh would use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Ability {
    /// What.
    pub(super) what: &'static str,
    /// How far, in a word or two.
    pub(super) support: &'static str,
    /// What its absence means, and what is done instead. Empty where it is there.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) instead: String,
}

impl Ability {
    fn new(what: &'static str, support: &'static str) -> Self {
        Ability {
            what,
            support,
            instead: String::new(),
        }
    }

    fn without(what: &'static str, support: &'static str, instead: impl Into<String>) -> Self {
        Ability {
            what,
            support,
            instead: instead.into(),
        }
    }

    /// Whether a guarantee is weaker for want of it.
    pub(super) fn is_weaker(&self) -> bool {
        !self.instead.is_empty()
    }
}

const OVERWRITE: &str = "a worker that lost its lease, or another writer, could overwrite a newer object in the moment \
                         between our look and our write; let only one process write here";

/// What the side's rules would use of a store.
pub(super) fn of(capabilities: &Capabilities, side: &Side) -> Vec<Ability> {
    let condition = |what, support: ConditionSupport, instead: &str| match support {
        ConditionSupport::Enforced => Ability::new(what, "enforced"),
        ConditionSupport::Ignored => Ability::without(what, "silently ignored", instead),
        ConditionSupport::Unsupported => Ability::without(what, "not supported", instead),
    };
    let mut abilities = vec![
        condition("PUT only if absent", capabilities.put_if_absent, OVERWRITE),
        condition(
            "PUT only over a known version",
            capabilities.put_if_version,
            OVERWRITE,
        ),
    ];
    if capabilities.multipart {
        abilities.extend([
            condition(
                "completing an upload only if absent",
                capabilities.complete_if_absent,
                OVERWRITE,
            ),
            condition(
                "completing an upload only over a known version",
                capabilities.complete_if_version,
                OVERWRITE,
            ),
        ]);
    }
    if side.needs.delete {
        abilities.push(condition(
            "DELETE of a known version only",
            capabilities.delete_if_version,
            "an object written here by others just before our delete would be deleted with it",
        ));
    }
    abilities.push(condition(
        "GET of a known version only",
        capabilities.get_if_version,
        "the version in every answer is compared instead",
    ));
    if !capabilities.multipart {
        let limit = skyfresh_sky::format_bytes(capabilities.upload_limits.max_put_bytes);
        abilities.push(Ability::without(
            "multipart uploads",
            "no",
            format!("objects above {limit} cannot be replicated here"),
        ));
    } else {
        abilities.push(Ability::new("multipart uploads", "yes"));
        abilities.push(match capabilities.list_uploads {
            true => Ability::new("listing of unfinished uploads", "yes"),
            // There an upload is its id alone until its first block, and that is put after the id was recorded.
            false if side.location.scheme == Scheme::Azure => {
                Ability::new("listing of unfinished uploads", "not needed")
            }
            false => Ability::without(
                "listing of unfinished uploads",
                "no",
                "those that a crash left behind before they were recorded stay",
            ),
        });
    }
    if side.needs.tags {
        abilities.push(match capabilities.tags {
            true => Ability::new("object tags", "yes"),
            false => Ability::without("object tags", "no", "they are left out"),
        });
    }
    abilities
}

/// How bytes are proved.
pub(super) fn proof(verification: Verification) -> &'static str {
    match verification {
        Verification::Crc64Nvme => "CRC64NVME, checked by the store",
        Verification::Crc32c => "CRC32C, checked by the store",
        Verification::Crc64Answered => {
            "CRC64NVME, stated by the store for each block before it is published"
        }
        Verification::EtagMd5 => "MD5, compared with the ETag",
        Verification::Staged => "CRC32C, compared before publishing",
        Verification::Returned => "CRC64NVME, computed by the store as it writes",
    }
}

#[cfg(test)]
mod tests {
    use super::super::side::{Needs, Role};
    use super::*;
    use skyfresh_store::memory::MEMORY_CAPABILITIES;

    fn side(needs: Needs) -> Side {
        Side::new(Role::Destination, "s3://b/".parse().unwrap(), needs)
    }

    fn weaker(capabilities: &Capabilities, needs: Needs) -> Vec<String> {
        let abilities = of(capabilities, &side(needs));
        let weaker = abilities.into_iter().filter(Ability::is_weaker);
        weaker
            .map(|ability| format!("{}: {}", ability.what, ability.support))
            .collect()
    }

    const ALL: Needs = Needs {
        delete: true,
        tags: true,
    };

    #[test]
    fn a_store_that_does_everything_has_no_fallbacks() {
        assert_eq!(weaker(&MEMORY_CAPABILITIES, ALL), Vec::<String>::new());
    }

    #[test]
    fn uploads_that_cannot_be_listed_matter_where_beginning_one_makes_something() {
        let blind = Capabilities {
            list_uploads: false,
            ..MEMORY_CAPABILITIES
        };
        assert_eq!(
            weaker(&blind, ALL),
            ["listing of unfinished uploads: no"],
            "a crash leaves what nobody finds"
        );
        let azure = Side::new(
            Role::Destination,
            "az://account/container/".parse().unwrap(),
            ALL,
        );
        assert!(!of(&blind, &azure).iter().any(Ability::is_weaker));
    }

    #[test]
    fn every_weakness_is_told_where_it_matters() {
        let weak = Capabilities {
            put_if_absent: ConditionSupport::Ignored,
            put_if_version: ConditionSupport::Unsupported,
            delete_if_version: ConditionSupport::Ignored,
            multipart: false,
            list_uploads: false,
            tags: false,
            ..MEMORY_CAPABILITIES
        };
        assert_eq!(
            weaker(&weak, ALL),
            [
                "PUT only if absent: silently ignored",
                "PUT only over a known version: not supported",
                "DELETE of a known version only: silently ignored",
                "multipart uploads: no",
                "object tags: no",
            ]
        );
        let plain = weaker(&weak, Needs::default()).join("\n");
        assert!(
            !plain.contains("DELETE") && !plain.contains("tags"),
            "what no rule needs is no weakness: {plain}"
        );
    }
}
