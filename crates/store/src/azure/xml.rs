//! Documents, read as trees: every character of a name counts, so text is never trimmed.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// Longest document that is read: a listing of 5,000 blobs, or of 50,000 blocks.
pub(super) const DOCUMENT_LIMIT_BYTES: usize = 64 << 20;
const DEPTH_LIMIT: usize = 16;

/// An element.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    name: String,
    /// Its attribute `Encoded` is `true`: the text is percent-encoded.
    encoded: bool,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The first child of this name.
    pub(super) fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name == name)
    }

    /// All children of this name.
    pub(super) fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Element> {
        self.children.iter().filter(move |child| child.name == name)
    }

    /// The text of the first child of this name; `None` where there is no such child.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.as_str())
    }

    /// The element's own text, percent-decoded where it says that it is encoded, as names are that XML cannot carry (List
    /// Blobs, since 2021-02-12).
    ///
    /// # Errors
    /// It decodes to something else than UTF-8.
    pub(super) fn own_text(&self) -> Result<String, String> {
        if !self.encoded {
            return Ok(self.text.clone());
        }
        percent_encoding::percent_decode_str(&self.text)
            .decode_utf8()
            .map(std::borrow::Cow::into_owned)
            .map_err(|_| format!("the name {:?} is not UTF-8", self.text))
    }

    fn begin(start: &BytesStart<'_>) -> Self {
        let encoded = start
            .try_get_attribute("Encoded")
            .ok()
            .flatten()
            .is_some_and(|attribute| attribute.value.as_ref() == "true");
        Element {
            name: start.local_name().as_ref().to_owned(),
            encoded,
            ..Element::default()
        }
    }
}

/// The root of a document.
///
/// # Errors
/// It is not UTF-8, not well-formed, or nested too deeply.
pub(super) fn parse(body: &[u8]) -> Result<Element, String> {
    let text = std::str::from_utf8(body).map_err(|error| error.to_string())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    loop {
        let event = reader.read_event().map_err(|error| error.to_string())?;
        let closed = match &event {
            Event::Start(start) => {
                if open.len() == DEPTH_LIMIT {
                    return Err("it is nested too deeply".into());
                }
                open.push(Element::begin(start));
                None
            }
            Event::Empty(start) => Some(Element::begin(start)),
            Event::End(_) => open.pop(),
            Event::Text(text) => {
                append(&mut open, text);
                None
            }
            Event::CData(text) => {
                append(&mut open, text);
                None
            }
            Event::GeneralRef(reference) => {
                let known = match reference
                    .resolve_char_ref()
                    .map_err(|error| error.to_string())?
                {
                    Some(character) => character,
                    None => predefined(reference)
                        .ok_or_else(|| format!("it refers to &{};", &**reference))?,
                };
                append(&mut open, known.encode_utf8(&mut [0; 4]));
                None
            }
            Event::Eof => return Err("it ends too early".into()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_) => None,
        };
        let Some(closed) = closed else { continue };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => return Ok(closed),
        }
    }
}

fn append(open: &mut [Element], text: &str) {
    if let Some(element) = open.last_mut() {
        element.text.push_str(text);
    }
}

/// The entities that need no declaration (XML 1.0, section 4.6).
fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "apos" => '\'',
        "quot" => '"',
        _ => return None,
    })
}

/// Code and message of an error document; nothing where it is none.
pub(super) fn error_body(body: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(root) = parse(body) else {
        return (None, None);
    };
    let text = |name| {
        root.text(name)
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    (text("Code"), text("Message"))
}

/// Text as it stands in a document of ours.
pub(super) fn escape(text: &str) -> impl std::fmt::Display + '_ {
    quick_xml::escape::escape(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_kept_to_the_character() {
        let root = parse(
            "\u{feff}<?xml version=\"1.0\"?>\n<R a=\"b\"><N> a &amp;&#x21; b </N><N Encoded=\"true\">%EF%BF%BF</N><E/>\
             <L><N><![CDATA[<x>]]></N></L></R>"
                .as_bytes(),
        )
        .unwrap();
        let names: Vec<String> = root
            .children("N")
            .map(|name| name.own_text().unwrap())
            .collect();
        assert_eq!(names, [" a &! b ", "\u{ffff}"]);
        assert_eq!(root.text("E"), Some(""));
        assert_eq!(root.text("F"), None);
        assert_eq!(root.child("L").unwrap().text("N"), Some("<x>"));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for bad in [
            "",
            "<a>",
            "<a></b>",
            "plain",
            "<a>&nbsp;</a>",
            &"<a>".repeat(17),
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(b"<a>\xff</a>").is_err());
        assert_eq!(error_body(b"<html>"), (None, None));
    }
}
