//! Which blob names come back as they were written.

/// Most characters of a name.
const LONGEST: usize = 1024;
/// Most path segments of a name.
const MOST_SEGMENTS: usize = 254;

/// Why Azure would refuse this name, or change it without a word; `None` where it keeps it.
///
/// Source: <https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>
/// (1,024 characters, 254 segments, no segment that ends in a dot, no control characters). The service drops dots at the end of
/// a segment and reads `\` as `/`: another object than the one named would be written. Empty segments (`a//b`, a slash at
/// either end) are kept.
pub fn refused_name(full_key: &str) -> Option<&'static str> {
    if full_key.chars().map(char::len_utf16).sum::<usize>() > LONGEST {
        return Some("Azure allows 1,024 characters, the prefix included");
    }
    if full_key.split('/').count() > MOST_SEGMENTS {
        return Some("Azure allows 254 path segments");
    }
    if full_key.split('/').any(|segment| segment.ends_with('.')) {
        return Some(
            "Azure drops dots at the end of a path segment, so this would name another blob",
        );
    }
    if full_key.contains('\\') {
        return Some("Azure reads a backslash as a slash, so this would name another blob");
    }
    if full_key.chars().any(char::is_control) {
        return Some("Azure takes no control characters in names");
    }
    // Noncharacters, which neither URLs nor XML carry.
    if full_key.contains(['\u{fffe}', '\u{ffff}']) {
        return Some("Azure takes no characters that XML cannot carry");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_azure_changes_are_refused() {
        for kept in [
            "a",
            "a//b",
            "/a",
            "a/",
            "//",
            "a.b",
            ".a",
            "..a/b",
            " a ",
            "ü/日本/😀",
            "a%41+b?c#d&e=f",
            "\u{feff}",
        ] {
            assert_eq!(refused_name(kept), None, "{kept:?}");
        }
        for (changed, why) in [
            ("a.", "another blob"),
            (".", "another blob"),
            ("a/../b", "another blob"),
            ("a./b", "another blob"),
            ("a\\b", "backslash"),
            ("a\nb", "control"),
            ("a\u{85}", "control"),
            ("a\u{ffff}", "XML"),
        ] {
            assert!(
                refused_name(changed).is_some_and(|said| said.contains(why)),
                "{changed:?}"
            );
        }
        assert_eq!(refused_name(&"x".repeat(1024)), None);
        assert!(refused_name(&"x".repeat(1025)).is_some());
        assert!(
            refused_name(&"😀".repeat(513)).is_some(),
            "counted in UTF-16, as the service does"
        );
        assert!(refused_name(&"x/".repeat(254)).is_some());
    }
}
