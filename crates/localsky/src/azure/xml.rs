//! Writing XML answers and reading the few XML bodies that requests have.

use super::error::{self, Result};
use quick_xml::escape::escape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// A document being written.
pub(crate) struct Xml(String);

impl Xml {
    pub(crate) fn document() -> Self {
        Xml("<?xml version=\"1.0\" encoding=\"utf-8\"?>".to_owned())
    }

    pub(crate) fn open(&mut self, name: &str) -> &mut Self {
        self.open_with(name, &[])
    }

    pub(crate) fn open_with(&mut self, name: &str, attributes: &[(&str, &str)]) -> &mut Self {
        self.0.push('<');
        self.0.push_str(name);
        for (key, value) in attributes {
            self.0.push_str(&format!(" {key}=\"{}\"", escape(*value)));
        }
        self.0.push('>');
        self
    }

    pub(crate) fn close(&mut self, name: &str) -> &mut Self {
        self.0.push_str(&format!("</{name}>"));
        self
    }

    pub(crate) fn element(&mut self, name: &str, text: &str) -> &mut Self {
        self.open(name);
        self.0.push_str(&escape(text));
        self.close(name)
    }

    /// An element that is left out where there is nothing to say.
    pub(crate) fn optional(&mut self, name: &str, text: Option<&str>) -> &mut Self {
        if let Some(text) = text {
            self.element(name, text);
        }
        self
    }

    /// A name of a blob or prefix. Characters that XML cannot hold are percent-encoded and marked so (List Blobs,
    /// version 2021-02-12 and later).
    pub(crate) fn name(&mut self, element: &str, name: &str) -> &mut Self {
        let bad = |c: char| c < ' ' || c == '\u{fffe}' || c == '\u{ffff}';
        if !name.contains(bad) {
            return self.element(element, name);
        }
        let encoded =
            percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC)
                .to_string();
        self.open_with(element, &[("Encoded", "true")]);
        self.0.push_str(&encoded);
        self.close(element)
    }

    pub(crate) fn finish(&mut self) -> String {
        std::mem::take(&mut self.0)
    }
}

/// The leaves of a small document: the path of element names from the root, and the text.
///
/// # Errors
/// Not well-formed, or nested deeper than any request of the services.
pub(crate) fn leaves(body: &[u8]) -> Result<Vec<(Vec<String>, String)>> {
    const DEEPEST: usize = 8;
    let body = std::str::from_utf8(body).map_err(|_| error::invalid_xml())?;
    let mut reader = Reader::from_str(body.trim_start_matches('\u{feff}'));
    reader.config_mut().check_end_names = true;
    let (mut path, mut found) = (Vec::<String>::new(), Vec::new());
    let (mut text, mut is_leaf, mut roots) = (String::new(), false, 0);
    loop {
        match reader.read_event().map_err(|_| error::invalid_xml())? {
            Event::Start(start) => {
                roots += usize::from(path.is_empty());
                path.push(start.name().as_ref().to_owned());
                if path.len() > DEEPEST || roots > 1 {
                    return Err(error::invalid_xml());
                }
                text.clear();
                is_leaf = true;
            }
            Event::Empty(empty) => {
                roots += usize::from(path.is_empty());
                let mut path = path.clone();
                path.push(empty.name().as_ref().to_owned());
                found.push((path, String::new()));
                is_leaf = false;
            }
            Event::Text(part) => {
                text.push_str(&part.xml10_content());
            }
            Event::CData(part) => {
                text.push_str(&part.xml10_content());
            }
            Event::GeneralRef(reference) => text.push(resolve(&reference)?),
            Event::End(_) => {
                if is_leaf {
                    found.push((path.clone(), std::mem::take(&mut text)));
                }
                is_leaf = false;
                path.pop();
            }
            Event::Eof if path.is_empty() && roots == 1 => return Ok(found),
            Event::Eof | Event::DocType(_) => return Err(error::invalid_xml()),
            _ => {}
        }
    }
}

/// `&amp;` and its like, and character references.
fn resolve(reference: &quick_xml::events::BytesRef<'_>) -> Result<char> {
    if let Ok(Some(found)) = reference.resolve_char_ref() {
        return Ok(found);
    }
    match &*reference.xml10_content() {
        "amp" => Ok('&'),
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(error::invalid_xml()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_come_in_order_with_their_paths() {
        let body =
            b"\xef\xbb\xbf<?xml version='1.0'?><A><B>x &amp; &#233;</B><C/><D><E> y </E></D></A>";
        let found = leaves(body).unwrap();
        let shown: Vec<(String, &str)> = found
            .iter()
            .map(|(path, text)| (path.join("/"), text.as_str()))
            .collect();
        let expected = [("A/B", "x & é"), ("A/C", ""), ("A/D/E", " y ")];
        assert_eq!(shown, expected.map(|(path, text)| (path.to_owned(), text)));
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for body in [
            &b""[..],
            b"<A>",
            b"<A></B>",
            b"<A/><B/>",
            b"<!DOCTYPE a><a/>",
            b"<A>&foo;</A>",
        ] {
            assert!(leaves(body).is_err(), "{}", String::from_utf8_lossy(body));
        }
        let deep = format!("{}{}", "<a>".repeat(20), "</a>".repeat(20));
        assert!(leaves(deep.as_bytes()).is_err());
    }

    #[test]
    fn names_that_xml_cannot_hold_are_marked() {
        let mut xml = Xml::document();
        xml.name("Name", "a&b").name("Name", "a\u{1}b");
        let text = xml.finish();
        assert!(
            text.ends_with("<Name>a&amp;b</Name><Name Encoded=\"true\">a%01b</Name>"),
            "{text}"
        );
    }
}
