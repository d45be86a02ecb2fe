//! Preconditions on generations. Pure: the caller holds the lock.
//!
//! Source: <https://cloud.google.com/storage/docs/request-preconditions>.

use super::error::{Failure, Result};
use super::request::{Query, header};
use crate::store::Generation;
use http::HeaderMap;

/// What a request demands of the object it acts on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Conditions {
    /// 0: there is no live version.
    pub(crate) generation_match: Option<u64>,
    pub(crate) generation_not_match: Option<u64>,
    pub(crate) metageneration_match: Option<u64>,
    pub(crate) metageneration_not_match: Option<u64>,
}

/// A number in a query or header.
pub(crate) fn number(name: &str, text: Option<&str>) -> Result<Option<u64>> {
    text.map(|text| {
        text.parse()
            .map_err(|_| Failure::invalid(format!("Invalid value for {name}: {text:?}")))
    })
    .transpose()
}

impl Conditions {
    /// From the JSON API's query.
    pub(crate) fn of_query(query: &Query) -> Result<Self> {
        Self::named(query, "if")
    }

    /// On the source of a copy.
    pub(crate) fn of_source(query: &Query) -> Result<Self> {
        Self::named(query, "ifSource")
    }

    fn named(query: &Query, prefix: &str) -> Result<Self> {
        let value = |rest: &str| {
            let name = format!("{prefix}{rest}");
            number(&name, query.get(&name))
        };
        Ok(Conditions {
            generation_match: value("GenerationMatch")?,
            generation_not_match: value("GenerationNotMatch")?,
            metageneration_match: value("MetagenerationMatch")?,
            metageneration_not_match: value("MetagenerationNotMatch")?,
        })
    }

    /// From the XML API's headers: `x-goog-if-…`, or `x-goog-copy-source-if-…` for the source of a copy.
    pub(crate) fn of_headers(headers: &HeaderMap, prefix: &str) -> Result<Self> {
        let value = |rest: &str| {
            let name = format!("{prefix}{rest}");
            number(&name, header(headers, &name))
        };
        Ok(Conditions {
            generation_match: value("generation-match")?,
            metageneration_match: value("metageneration-match")?,
            ..Conditions::default()
        })
    }

    /// Against what is there; without an object only "there is none" holds.
    pub(crate) fn check(&self, current: Option<&Generation>) -> Result<()> {
        let generation = current.map_or(0, |current| current.number);
        if self
            .generation_match
            .is_some_and(|wanted| wanted != generation)
        {
            return Err(Failure::precondition());
        }
        let metageneration = current.map(|current| current.google().metageneration);
        if self
            .metageneration_match
            .is_some_and(|wanted| Some(wanted) != metageneration)
        {
            return Err(Failure::precondition());
        }
        if self
            .generation_not_match
            .is_some_and(|unwanted| unwanted == generation || current.is_none())
            || self
                .metageneration_not_match
                .is_some_and(|unwanted| metageneration.is_none_or(|found| found == unwanted))
        {
            return Err(Failure::not_modified());
        }
        Ok(())
    }

    /// On the source of a copy, where every condition that fails is 412.
    pub(crate) fn check_source(&self, source: &Generation) -> Result<()> {
        self.check(Some(source))
            .map_err(|_| Failure::precondition())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{GoogleObject, ObjectMeta, StoredObject};
    use http::StatusCode;
    use skyfresh_sky::Timestamp;
    use std::sync::Arc;

    fn version(number: u64, metageneration: u64) -> Generation {
        let google = GoogleObject {
            metageneration,
            ..GoogleObject::default()
        };
        let meta = ObjectMeta {
            google: Some(google),
            ..ObjectMeta::default()
        };
        Generation {
            number,
            created: Timestamp::ZERO,
            object: Arc::new(StoredObject {
                meta,
                content: Arc::default(),
            }),
        }
    }

    /// The status that a query's conditions give; 200 where they hold.
    fn outcome(query: &str, current: Option<&Generation>) -> u16 {
        let conditions = Conditions::of_query(&Query::parse(query)).unwrap();
        let refused = conditions.check(current).err();
        refused
            .map_or(StatusCode::OK, |failure| failure.status)
            .as_u16()
    }

    #[test]
    fn conditions_hold_as_documented() {
        let there = version(7, 2);
        for (query, present, absent) in [
            ("", 200, 200),
            ("ifGenerationMatch=7", 200, 412),
            ("ifGenerationMatch=8", 412, 412),
            ("ifGenerationMatch=0", 412, 200),
            ("ifGenerationNotMatch=7", 304, 304),
            ("ifGenerationNotMatch=0", 200, 304),
            ("ifMetagenerationMatch=2", 200, 412),
            ("ifMetagenerationMatch=1", 412, 412),
            ("ifMetagenerationNotMatch=2", 304, 304),
            ("ifMetagenerationNotMatch=1", 200, 304),
            ("ifGenerationMatch=7&ifMetagenerationMatch=1", 412, 412),
        ] {
            assert_eq!(outcome(query, Some(&there)), present, "{query}, present");
            assert_eq!(outcome(query, None), absent, "{query}, absent");
        }
        assert!(Conditions::of_query(&Query::parse("ifGenerationMatch=x")).is_err());
        // On the source of a copy nothing is 304.
        let source = Conditions::of_source(&Query::parse("ifSourceGenerationNotMatch=7")).unwrap();
        let refused = source.check_source(&there).unwrap_err();
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    }
}
