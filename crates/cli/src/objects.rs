//! What a command that names objects means: one object, everything below a prefix, or what matches a glob.

use crate::locations::parse_location;
use globset::{GlobBuilder, GlobMatcher};
use skyfresh_sky::{Invalid, Location, ObjectKey, Scheme};

/// How to read what the user wrote.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reading {
    /// A name without `/` at its end is a directory (`-r`, `sync`), not an object.
    pub(crate) recursive: bool,
    /// `*` is a character like any other.
    pub(crate) literal: bool,
}

/// Objects as the user named them.
#[derive(Clone, Debug)]
pub(crate) struct Objects {
    /// Keys are relative to this; its prefix is empty or ends in `/`.
    pub(crate) location: Location,
    /// Which of the keys below it.
    pub(crate) which: Which,
}

/// Which keys below a location.
#[derive(Clone, Debug)]
pub(crate) enum Which {
    /// This one.
    One(ObjectKey),
    /// All of them.
    All,
    /// Those that match a glob, all of which begin with a literal text.
    Matching {
        /// What every match begins with (may be empty): listings need not go outside it.
        literal: String,
        /// The glob, over the whole key below the location; `*` crosses `/`.
        glob: GlobMatcher,
    },
}

impl Objects {
    /// Reads a URI or a path. In a bucket, `a/b` is the object `a/b`, `a/b/` everything below it (`a/b` too, where
    /// [`Reading::recursive`]), `a/*.bin` what matches. On disk, what is a directory there is one here.
    ///
    /// # Errors
    /// It is no location, or its glob cannot be read.
    pub(crate) fn read(text: &str, reading: Reading) -> Result<Self, Invalid> {
        // As with every copying tool, what is no URI is a path.
        let is_name = !text.contains("://") && !text.starts_with(['/', '.']);
        let as_path = if is_name {
            format!("./{text}")
        } else {
            text.to_owned()
        };
        let whole = parse_location(&as_path)?;
        // On disk the path is the "bucket"; elsewhere the path is the prefix.
        let (path, ends_open) = match whole.scheme {
            Scheme::File => {
                let named = text.split('?').next().unwrap_or(text);
                let open = named.ends_with('/') || std::path::Path::new(&whole.bucket).is_dir();
                (whole.bucket.clone(), open || reading.recursive)
            }
            _ => {
                let open = whole.prefix.is_empty() || whole.prefix.ends_with('/');
                (whole.prefix.clone(), open || reading.recursive)
            }
        };
        let star = path.find('*').filter(|_| !reading.literal);
        let directory_end = match star {
            Some(star) => path[..star].rfind('/').map_or(0, |slash| slash + 1),
            None if ends_open => path.len(),
            None => path.rfind('/').map_or(0, |slash| slash + 1),
        };
        let (directory, name) = path.split_at(directory_end);
        let location = rooted(&whole, directory);
        let which = match star {
            Some(star) => {
                let glob = GlobBuilder::new(name).backslash_escape(true).build();
                let glob = glob.map_err(|error| Invalid::new("glob", text, error.to_string()))?;
                Which::Matching {
                    literal: path[directory_end..star].to_owned(),
                    glob: glob.compile_matcher(),
                }
            }
            None if name.is_empty() => Which::All,
            None => Which::One(ObjectKey::new(name)?),
        };
        Ok(Objects { location, which })
    }

    /// The same place for one object: under the last part of its name, where only a prefix was given.
    ///
    /// # Errors
    /// The key has no last part that could be a name.
    pub(crate) fn named(mut self, key: &ObjectKey) -> Result<Self, Invalid> {
        if matches!(self.which, Which::All) {
            let own = key.as_str().rsplit('/').next().unwrap_or_default();
            self.which = Which::One(ObjectKey::new(own)?);
        }
        Ok(self)
    }

    /// What was named, as a URI.
    pub(crate) fn label(&self) -> String {
        let name = match &self.which {
            Which::One(key) => key.as_str(),
            Which::All => "",
            Which::Matching { glob, .. } => glob.glob().glob(),
        };
        let mut whole = self.location.clone();
        match whole.scheme {
            Scheme::File if !name.is_empty() => {
                whole.bucket = format!("{}/{name}", whole.bucket.trim_end_matches('/'));
            }
            Scheme::File => {}
            _ => whole.prefix.push_str(name),
        }
        whole.to_string()
    }

    /// Whether a key below the location is meant.
    pub(crate) fn includes(&self, key: &ObjectKey) -> bool {
        match &self.which {
            Which::One(one) => one == key,
            Which::All => true,
            Which::Matching { glob, .. } => glob.is_match(key.as_str()),
        }
    }

    /// Everything below the object that was named, as if its name ended in `/`; `None` where no single object was named.
    pub(crate) fn below(&self) -> Option<Objects> {
        let Which::One(key) = &self.which else {
            return None;
        };
        let mut location = self.location.clone();
        match location.scheme {
            Scheme::File => {
                let parent = location.bucket.trim_end_matches('/');
                location.bucket = format!("{parent}/{}{key}", location.prefix);
                location.prefix.clear();
            }
            _ => location.prefix.push_str(&format!("{key}/")),
        }
        let which = Which::All;
        Some(Objects { location, which })
    }

    /// The location to list so that nothing meant is missed and as little else as possible is seen, and what its keys need in
    /// front to be keys below [`Objects::location`].
    pub(crate) fn listing(&self) -> (Location, &str) {
        let literal = match &self.which {
            Which::Matching { literal, .. } if self.location.scheme != Scheme::File => literal,
            _ => "",
        };
        let mut location = self.location.clone();
        location.prefix.push_str(literal);
        (location, literal)
    }
}

/// The location of a directory within another's bucket.
fn rooted(whole: &Location, directory: &str) -> Location {
    let mut location = whole.clone();
    match whole.scheme {
        Scheme::File => {
            let trimmed = directory.trim_end_matches('/');
            location.bucket = if trimmed.is_empty() { "/" } else { trimmed }.to_owned();
        }
        _ => {
            location.prefix = directory.to_owned();
            if !directory.is_empty() && !directory.ends_with('/') {
                location.prefix.push('/');
            }
        }
    }
    location
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, recursive: bool) -> (String, String) {
        let reading = Reading {
            recursive,
            literal: false,
        };
        let objects = Objects::read(text, reading).unwrap();
        let which = match &objects.which {
            Which::One(key) => format!("one {key}"),
            Which::All => "all".to_owned(),
            Which::Matching { literal, glob } => format!("{literal:?} {}", glob.glob()),
        };
        (objects.location.to_string(), which)
    }

    #[test]
    fn objects_prefixes_and_globs_are_told_apart() {
        for (text, recursive, location, which) in [
            ("s3://b", false, "s3://b/", "all"),
            ("s3://b/", false, "s3://b/", "all"),
            ("s3://b/a/c.bin", false, "s3://b/a/", "one c.bin"),
            ("s3://b/c.bin", false, "s3://b/", "one c.bin"),
            ("s3://b/a/c", true, "s3://b/a/c/", "all"),
            ("s3://b/a/", false, "s3://b/a/", "all"),
            (
                "s3://b/a/x*.bin?region=r",
                false,
                "s3://b/a/?region=r",
                "\"x\" x*.bin",
            ),
            ("gs://b/*", true, "gs://b/", "\"\" *"),
            (
                "az://account/box/a/c",
                false,
                "az://account/box/a/",
                "one c",
            ),
            (
                "file:///nowhere/at/all",
                false,
                "file:///nowhere/at",
                "one all",
            ),
            (
                "file:///nowhere/at/all/",
                false,
                "file:///nowhere/at/all",
                "all",
            ),
            (
                "file:///nowhere/at/*.bin",
                false,
                "file:///nowhere/at",
                "\"\" *.bin",
            ),
            ("/", false, "file:///", "all"),
        ] {
            assert_eq!(
                read(text, recursive),
                (location.to_owned(), which.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_label_is_what_was_named() {
        for text in [
            "s3://b/a/c.bin?region=r",
            "s3://b/a/*.bin",
            "gs://b/",
            "file:///x/y.z",
        ] {
            let objects = Objects::read(text, Reading::default()).unwrap();
            assert_eq!(objects.label(), text);
        }
    }

    #[test]
    fn below_an_object_is_what_its_name_with_a_slash_would_be() {
        for text in [
            "s3://b/a",
            "s3://b/c/a?region=r",
            "file:///nowhere/a",
            "/nowhere",
        ] {
            let one = Objects::read(text, Reading::default()).unwrap();
            let recursive = Reading {
                recursive: true,
                literal: false,
            };
            let all = Objects::read(text, recursive).unwrap();
            assert_eq!(one.below().unwrap().location, all.location);
            assert!(all.below().is_none());
        }
    }

    #[test]
    fn a_star_can_be_meant_as_itself() {
        let reading = Reading {
            recursive: false,
            literal: true,
        };
        let objects = Objects::read("s3://b/a*c", reading).unwrap();
        assert!(objects.includes(&ObjectKey::new("a*c").unwrap()));
        assert!(!objects.includes(&ObjectKey::new("abc").unwrap()));
    }

    #[test]
    fn a_glob_is_listed_from_its_literal_text() {
        let objects = Objects::read("s3://b/a/x*/y", Reading::default()).unwrap();
        let (location, front) = objects.listing();
        assert_eq!((location.to_string().as_str(), front), ("s3://b/a/x", "x"));
        assert!(objects.includes(&ObjectKey::new("x1/2/y").unwrap()));
        assert!(!objects.includes(&ObjectKey::new("x1/2/z").unwrap()));
    }
}
