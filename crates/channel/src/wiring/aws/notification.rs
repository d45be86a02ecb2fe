//! A bucket's notification configuration: one document for everybody, read and written whole
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutBucketNotificationConfiguration.html>).
//!
//! What others wrote is carried over as the bytes it came as; only ours is added or left out.

use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use serde::Deserialize;
use std::collections::BTreeSet;

const OPEN: &str = "<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
const CLOSE: &str = "</NotificationConfiguration>";
/// The order of the schema.
const ORDER: [&str; 4] = [
    "TopicConfiguration",
    "QueueConfiguration",
    "CloudFunctionConfiguration",
    "EventBridgeConfiguration",
];
/// Deeper than any real document; a bound for what a hostile one can cost.
const MAX_DEPTH: usize = 16;

/// One configuration in the document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Child {
    /// The element's name, e.g. `QueueConfiguration`.
    pub(super) name: String,
    /// The element as it came.
    raw: String,
}

/// The whole document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Document {
    pub(super) children: Vec<Child>,
}

/// A `QueueConfiguration`, as far as it concerns us.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct QueueConfiguration {
    pub(super) id: String,
    pub(super) queue: String,
    #[serde(rename = "Event")]
    pub(super) events: Vec<String>,
    filter: Filter,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Filter {
    #[serde(rename = "S3Key")]
    s3_key: S3Key,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct S3Key {
    #[serde(rename = "FilterRule")]
    rules: Vec<FilterRule>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct FilterRule {
    name: String,
    value: String,
}

impl QueueConfiguration {
    /// What is to be there.
    pub(super) fn new(id: &str, queue: &str, prefix: &str, events: &[String]) -> Self {
        let rules = match prefix.is_empty() {
            true => Vec::new(),
            false => vec![FilterRule {
                name: "prefix".into(),
                value: prefix.into(),
            }],
        };
        QueueConfiguration {
            id: id.into(),
            queue: queue.into(),
            events: events.to_vec(),
            filter: Filter {
                s3_key: S3Key { rules },
            },
        }
    }

    /// What differs from another, in words.
    pub(super) fn differs_from(&self, other: &QueueConfiguration) -> Option<String> {
        let set = |events: &[String]| events.iter().cloned().collect::<BTreeSet<_>>();
        // S3 answers `Prefix` where `prefix` was put.
        let rules = |filter: &Filter| {
            let rules = filter
                .s3_key
                .rules
                .iter()
                .filter(|rule| !rule.value.is_empty());
            rules
                .map(|rule| (rule.name.to_ascii_lowercase(), rule.value.clone()))
                .collect::<BTreeSet<_>>()
        };
        if self.queue != other.queue {
            return Some(format!("it sends to {}", self.queue));
        }
        if set(&self.events) != set(&other.events) {
            return Some(format!("its events are {}", self.events.join(", ")));
        }
        (rules(&self.filter) != rules(&other.filter)).then(|| {
            let shown: Vec<String> = rules(&self.filter)
                .into_iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            format!("its filter is [{}]", shown.join(", "))
        })
    }

    /// Whether it tells of new objects below a prefix, all of them.
    pub(super) fn tells_of(&self, prefix: &str) -> bool {
        let rules = &self.filter.s3_key.rules;
        self.events
            .iter()
            .any(|event| event == "s3:ObjectCreated:*")
            && rules.iter().all(|rule| {
                rule.value.is_empty()
                    || (rule.name.eq_ignore_ascii_case("prefix") && prefix.starts_with(&rule.value))
            })
    }

    fn raw(&self) -> String {
        let mut text = format!(
            "<QueueConfiguration><Id>{}</Id><Queue>{}</Queue>",
            escape(&self.id),
            escape(&self.queue)
        );
        for event in &self.events {
            text.push_str(&format!("<Event>{}</Event>", escape(event)));
        }
        if !self.filter.s3_key.rules.is_empty() {
            text.push_str("<Filter><S3Key>");
            for rule in &self.filter.s3_key.rules {
                text.push_str(&format!(
                    "<FilterRule><Name>{}</Name><Value>{}</Value></FilterRule>",
                    escape(&rule.name),
                    escape(&rule.value)
                ));
            }
            text.push_str("</S3Key></Filter>");
        }
        text + "</QueueConfiguration>"
    }
}

impl Document {
    /// Takes a document apart.
    ///
    /// # Errors
    /// It is not a notification configuration: why, in words. It must not be written back then.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader::from_str(text);
        let mut children = Vec::new();
        let (mut depth, mut seen_root) = (0_usize, false);
        let mut open: Option<(String, usize)> = None;
        loop {
            let before = reader.buffer_position() as usize;
            let event = reader.read_event().map_err(|error| error.to_string())?;
            let after = reader.buffer_position() as usize;
            match event {
                Event::Start(start) => {
                    let name = start.local_name().as_ref().to_owned();
                    match depth {
                        0 if name != "NotificationConfiguration" => {
                            return Err(format!("the document is a {name}"));
                        }
                        0 => seen_root = true,
                        1 => open = Some((name, before)),
                        MAX_DEPTH.. => return Err("the document is nested too deeply".into()),
                        _ => {}
                    }
                    depth += 1;
                }
                Event::Empty(empty) => {
                    let name = empty.local_name().as_ref().to_owned();
                    match depth {
                        0 if name != "NotificationConfiguration" => {
                            return Err(format!("the document is a {name}"));
                        }
                        0 => seen_root = true,
                        1 => children.push(Child {
                            name,
                            raw: text[before..after].to_owned(),
                        }),
                        _ => {}
                    }
                }
                Event::End(_) => {
                    depth = depth.saturating_sub(1);
                    if depth == 1
                        && let Some((name, start)) = open.take()
                    {
                        children.push(Child {
                            name,
                            raw: text[start..after].to_owned(),
                        });
                    }
                }
                Event::Eof if seen_root && depth == 0 => return Ok(Document { children }),
                Event::Eof => return Err("the document ends too early".into()),
                _ => {}
            }
        }
    }

    /// The queue configuration with this id.
    pub(super) fn queue(&self, id: &str) -> Option<QueueConfiguration> {
        self.queues().find(|queue| queue.id == id)
    }

    /// Every queue configuration.
    pub(super) fn queues(&self) -> impl Iterator<Item = QueueConfiguration> + '_ {
        let queues = self
            .children
            .iter()
            .filter(|child| child.name == "QueueConfiguration");
        queues.filter_map(|child| quick_xml::de::from_str(&child.raw).ok())
    }

    /// Whether the bucket's events go to EventBridge.
    pub(super) fn has_event_bridge(&self) -> bool {
        self.children
            .iter()
            .any(|child| child.name == "EventBridgeConfiguration")
    }

    /// The same with one more configuration, where the schema wants it.
    pub(super) fn with_queue(&self, queue: &QueueConfiguration) -> Self {
        self.with(Child {
            name: "QueueConfiguration".into(),
            raw: queue.raw(),
        })
    }

    /// The same with events going to EventBridge.
    pub(super) fn with_event_bridge(&self) -> Self {
        self.with(Child {
            name: "EventBridgeConfiguration".into(),
            raw: "<EventBridgeConfiguration></EventBridgeConfiguration>".into(),
        })
    }

    fn with(&self, child: Child) -> Self {
        let rank = |name: &str| ORDER.iter().position(|known| *known == name).unwrap_or(0);
        let mut children = self.children.clone();
        let at = children
            .iter()
            .position(|other| rank(&other.name) > rank(&child.name))
            .unwrap_or(children.len());
        children.insert(at, child);
        Document { children }
    }

    /// The same without the queue configuration with this id.
    pub(super) fn without_queue(&self, id: &str) -> Self {
        self.filtered(|child| {
            let ours = || quick_xml::de::from_str::<QueueConfiguration>(&child.raw);
            child.name != "QueueConfiguration" || ours().map_or(true, |queue| queue.id != id)
        })
    }

    /// The same without events going to EventBridge.
    pub(super) fn without_event_bridge(&self) -> Self {
        self.filtered(|child| child.name != "EventBridgeConfiguration")
    }

    fn filtered(&self, keep: impl Fn(&Child) -> bool) -> Self {
        let kept = self.children.iter().filter(|child| keep(child));
        Document {
            children: kept.cloned().collect(),
        }
    }

    /// What stands in this document and no longer in `after`, by kind and id.
    pub(super) fn missing_from(&self, after: &Document) -> Vec<String> {
        let there: Vec<String> = after.children.iter().map(Child::essence).collect();
        let gone = self
            .children
            .iter()
            .filter(|child| !there.contains(&child.essence()));
        gone.map(|child| child.essence()).collect()
    }

    /// As it is sent.
    pub(super) fn to_xml(&self) -> String {
        let children: String = self.children.iter().map(|child| &*child.raw).collect();
        format!("{OPEN}{children}{CLOSE}")
    }
}

impl Child {
    /// What an element says whatever the spaces between its tags and the order of its fields.
    fn essence(&self) -> String {
        let mut reader = Reader::from_str(&self.raw);
        let (mut path, mut facts) = (Vec::new(), BTreeSet::new());
        loop {
            match reader.read_event() {
                Ok(Event::Start(start)) => {
                    path.push(start.local_name().as_ref().to_ascii_lowercase());
                }
                Ok(Event::Empty(_)) => {}
                Ok(Event::End(_)) => {
                    path.pop();
                }
                Ok(Event::Text(text)) => {
                    let text = text.trim().to_owned();
                    if !text.is_empty() {
                        // `Prefix` and `prefix` are one filter name to S3.
                        let text = if path.last().is_some_and(|last| last == "name") {
                            text.to_ascii_lowercase()
                        } else {
                            text
                        };
                        facts.insert(format!("{}={text}", path.last().map_or("", String::as_str)));
                    }
                }
                Ok(Event::GeneralRef(reference)) => {
                    facts.insert(format!("&{}", &*reference));
                }
                Ok(Event::Eof) | Err(_) => break,
                Ok(_) => {}
            }
        }
        let facts: Vec<String> = facts.into_iter().collect();
        format!("{} [{}]", self.name, facts.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FOREIGN: &str = "<?xml version=\"1.0\"?>\n<NotificationConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
        <TopicConfiguration><Id>t</Id><Topic>arn:aws:sns:us-east-1:1:t</Topic><Event>s3:ReducedRedundancyLostObject</Event></TopicConfiguration>\
        <QueueConfiguration>\n  <Id>theirs</Id><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event>\
        <Filter><S3Key><FilterRule><Name>Prefix</Name><Value>a&amp;b/</Value></FilterRule></S3Key></Filter></QueueConfiguration>\
        <CloudFunctionConfiguration><Id>f</Id><CloudFunction>arn:f</CloudFunction><Event>s3:ObjectRemoved:*</Event><Unheard of=\"us\"/></CloudFunctionConfiguration>\
        <EventBridgeConfiguration/></NotificationConfiguration>";

    fn ours() -> QueueConfiguration {
        let events = [
            "s3:ObjectCreated:*".to_owned(),
            "s3:ObjectRemoved:*".to_owned(),
        ];
        QueueConfiguration::new("skyfresh-r", "arn:ours", "x<y&'z/", &events)
    }

    #[test]
    fn what_others_wrote_is_kept_byte_for_byte() {
        let before = Document::parse(FOREIGN).unwrap();
        assert_eq!(before.children.len(), 4);
        let with = before.with_queue(&ours());
        let names: Vec<&str> = with.children.iter().map(|child| &*child.name).collect();
        assert_eq!(
            names,
            [
                "TopicConfiguration",
                "QueueConfiguration",
                "QueueConfiguration",
                "CloudFunctionConfiguration",
                "EventBridgeConfiguration"
            ]
        );
        let read = Document::parse(&with.to_xml()).unwrap();
        assert_eq!(read, with);
        assert_eq!(before.missing_from(&read), Vec::<String>::new());
        assert_eq!(
            read.queue("skyfresh-r").unwrap().differs_from(&ours()),
            None
        );
        assert_eq!(read.without_queue("skyfresh-r"), before);
        assert!(with.to_xml().contains("<Unheard of=\"us\"/>"));
    }

    #[test]
    fn an_empty_document_takes_one_and_gives_it_back() {
        for empty in [
            "<NotificationConfiguration/>",
            "<NotificationConfiguration></NotificationConfiguration>",
        ] {
            let before = Document::parse(empty).unwrap();
            let with = before.with_event_bridge().with_queue(&ours());
            assert!(with.has_event_bridge());
            assert_eq!(with.children[0].name, "QueueConfiguration");
            assert_eq!(
                with.without_event_bridge().without_queue("skyfresh-r"),
                before
            );
        }
    }

    #[test]
    fn what_is_lost_is_named() {
        let before = Document::parse(FOREIGN).unwrap();
        let after = before.without_queue("theirs");
        let missing = before.missing_from(&after);
        assert_eq!(missing.len(), 1);
        assert!(missing[0].contains("id=theirs"), "{missing:?}");
        let spaced = FOREIGN.replace("><", ">\n  <").replace("Prefix", "prefix");
        assert!(
            before
                .missing_from(&Document::parse(&spaced).unwrap())
                .is_empty()
        );
    }

    #[test]
    fn a_difference_is_said() {
        let other = QueueConfiguration::new("skyfresh-r", "arn:ours", "x", &ours().events);
        assert_eq!(
            other.differs_from(&ours()).unwrap(),
            "its filter is [prefix x]"
        );
        let other = QueueConfiguration::new("skyfresh-r", "arn:other", "", &[]);
        assert_eq!(
            other.differs_from(&ours()).unwrap(),
            "it sends to arn:other"
        );
    }

    #[test]
    fn what_is_no_configuration_is_refused() {
        for text in [
            "",
            "<Error><Code>x</Code></Error>",
            "<NotificationConfiguration><A>",
            "<html/>",
            "plain",
        ] {
            assert!(Document::parse(text).is_err(), "{text}");
        }
        let deep = format!("<NotificationConfiguration>{}", "<a>".repeat(40));
        assert!(Document::parse(&deep).unwrap_err().contains("deeply"));
    }
}
