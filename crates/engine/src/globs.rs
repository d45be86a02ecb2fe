//! Globs that say which names count. Pure.

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use skyfresh_sky::Invalid;

/// Names that are included and not excluded.
#[derive(Clone, Debug, Default)]
pub struct Globs {
    include: Option<GlobSet>,
    exclude: GlobSet,
}

impl Globs {
    /// Compiles them. No `include` is every name; `exclude` wins; `*` crosses `/`.
    ///
    /// # Errors
    /// A glob that cannot be read, by name.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, Invalid> {
        Ok(Globs {
            include: match include {
                [] => None,
                globs => Some(compile(globs)?),
            },
            exclude: compile(exclude)?,
        })
    }

    /// Whether a name counts.
    pub fn admit(&self, name: &str) -> bool {
        self.include
            .as_ref()
            .is_none_or(|include| include.is_match(name))
            && !self.exclude.is_match(name)
    }
}

fn compile(globs: &[String]) -> Result<GlobSet, Invalid> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let compiled = GlobBuilder::new(glob).literal_separator(false).build();
        set.add(compiled.map_err(|error| bad(glob, &error))?);
    }
    set.build().map_err(|error| bad(&globs.join(" "), &error))
}

fn bad(glob: &str, error: &globset::Error) -> Invalid {
    Invalid::new("glob", glob, error.kind().to_string())
}
