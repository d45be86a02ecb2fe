//! Where data comes from by itself: files that are replayed, and topics of Kafka.

use super::views::Service;
use crate::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What feeds a push source.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Table")]
pub enum Source {
    /// A file that is replayed.
    File(FileSource),
    /// A topic that is read as a member of a consumer group.
    Kafka(KafkaSource),
}

/// A file that is replayed into a push source.
#[derive(Clone, Debug, PartialEq)]
pub struct FileSource {
    /// The push source's name.
    pub name: String,
    /// The file: .csv with a heading, .jsonl or .parquet, in order of time.
    pub file: String,
    /// Times as fast as it happened; as fast as possible where it is left out.
    pub speed: Option<f64>,
}

/// A topic of Kafka that is read into a push source.
#[derive(Clone, Debug, PartialEq)]
pub struct KafkaSource {
    /// The push source's name.
    pub name: String,
    /// Brokers to begin with, `host:port`, with commas between.
    pub kafka: String,
    /// The topic.
    pub topic: String,
    /// The consumer group, whose members share the topic's partitions.
    pub group: String,
    /// How rows stand in messages.
    pub format: MessageFormat,
    /// More of librdkafka's properties.
    pub options: ClientOptions,
}

/// How rows stand in messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageFormat {
    /// A message's value is an object of JSON.
    #[default]
    Json,
}

/// Properties of librdkafka by name. Passwords may be among them: values are never shown.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct ClientOptions(pub BTreeMap<String, String>);

impl std::fmt::Debug for ClientOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A `[[source]]` as it is written: which one it is, its keys tell.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    name: String,
    file: Option<String>,
    speed: Option<f64>,
    kafka: Option<String>,
    topic: Option<String>,
    group: Option<String>,
    format: Option<MessageFormat>,
    options: Option<ClientOptions>,
}

impl TryFrom<Table> for Source {
    type Error = String;

    fn try_from(table: Table) -> Result<Self, String> {
        let name = table.name;
        match (table.file, table.kafka) {
            (Some(file), None) => {
                let others = table.topic.is_some()
                    || table.group.is_some()
                    || table.format.is_some()
                    || table.options.is_some();
                if others {
                    return Err(format!(
                        "source {name} is a file: topic, group, format and options are for Kafka"
                    ));
                }
                Ok(Source::File(FileSource {
                    name,
                    file,
                    speed: table.speed,
                }))
            }
            (None, Some(kafka)) => {
                if table.speed.is_some() {
                    return Err(format!("source {name} is a topic: speed is for files"));
                }
                let needed = |value: Option<String>, key: &str| {
                    value
                        .filter(|value| !value.is_empty())
                        .ok_or_else(|| format!("source {name} is a topic and needs {key}"))
                };
                let (topic, group) = (needed(table.topic, "topic")?, needed(table.group, "group")?);
                Ok(Source::Kafka(KafkaSource {
                    name,
                    kafka,
                    topic,
                    group,
                    format: table.format.unwrap_or_default(),
                    options: table.options.unwrap_or_default(),
                }))
            }
            _ => Err(format!(
                "source {name} needs either file, or kafka with topic and group"
            )),
        }
    }
}

impl Source {
    /// The push source's name.
    pub fn name(&self) -> &str {
        match self {
            Source::File(source) => &source.name,
            Source::Kafka(source) => &source.name,
        }
    }

    /// Whether it can be read.
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Source::File(FileSource {
                name,
                speed: Some(speed),
                ..
            }) if !(*speed > 0.0 && speed.is_finite()) => {
                let why = "speed must be above 0";
                Err(Error::invalid("read configuration", name, why))
            }
            Source::File(_) => Ok(()),
            #[cfg(feature = "kafka")]
            Source::Kafka(source) => super::kafka::check(source),
            #[cfg(not(feature = "kafka"))]
            Source::Kafka(source) => {
                let why = "this build has no Kafka: build with the feature `kafka`";
                Err(Error::invalid("read configuration", &source.name, why))
            }
        }
    }
}

impl Service {
    /// Takes in what a source has, until its end or until `stop` is cancelled.
    pub(super) async fn feed(self: Arc<Self>, source: Source, stop: CancellationToken) {
        let told = match &source {
            Source::File(file) => self.replay(file, &stop).await,
            #[cfg(feature = "kafka")]
            Source::Kafka(topic) => self.consume(topic, &stop).await,
            // A configuration that has one is refused.
            #[cfg(not(feature = "kafka"))]
            Source::Kafka(_) => Ok(()),
        };
        if let Err(error) = told {
            tracing::error!(source = source.name(), %error, "a source is not read any further; start again to go on");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::FeaturesConfig;

    const VIEW: &str = "[[view]]\nname = \"clicks\"\nkey = \"k\"\nfeatures = [\"x\"]\n";

    fn parse(source: &str) -> Result<FeaturesConfig> {
        FeaturesConfig::parse(&format!("{VIEW}[[source]]\nname = \"clicks\"\n{source}"))
    }

    #[test]
    fn what_a_source_is_its_keys_tell() {
        let file = parse("file = \"a.csv\"\nspeed = 2.0\n").unwrap();
        assert!(matches!(&file.sources[0], Source::File(file) if file.speed == Some(2.0)));
        for (source, why) in [
            ("", "either file, or kafka"),
            ("file = \"a\"\nkafka = \"b\"\n", "either file, or kafka"),
            ("file = \"a\"\ntopic = \"b\"\n", "for Kafka"),
            ("file = \"a\"\nspeed = 0.0\n", "above 0"),
            ("kafka = \"a:1\"\ngroup = \"g\"\n", "needs topic"),
            (
                "kafka = \"a:1\"\ntopic = \"t\"\ngroup = \"\"\n",
                "needs group",
            ),
            (
                "kafka = \"a:1\"\ntopic = \"t\"\ngroup = \"g\"\nspeed = 1.0\n",
                "for files",
            ),
            (
                "kafka = \"a:1\"\ntopic = \"t\"\ngroup = \"g\"\nformat = \"xml\"\n",
                "json",
            ),
            ("file = \"a\"\nother = 1\n", "other"),
        ] {
            let told = parse(source).unwrap_err().to_string();
            assert!(told.contains(why), "{source}: {told}");
        }
    }

    #[test]
    fn options_may_hold_passwords_and_are_never_shown() {
        let options = ClientOptions([("sasl.password".to_owned(), "hunter2".to_owned())].into());
        let shown = format!("{options:?}");
        assert!(
            shown.contains("sasl.password") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[cfg(not(feature = "kafka"))]
    #[test]
    fn a_build_without_kafka_says_so() {
        let told = parse("kafka = \"a:1\"\ntopic = \"t\"\ngroup = \"g\"\n").unwrap_err();
        assert!(told.to_string().contains("feature `kafka`"), "{told}");
    }
}
