//! The tools, and how each is asked for each work: at its defaults, and at the best settings its documentation offers.

pub(super) mod limit;
mod others;
mod rclone;
mod s5cmd;
mod skyfresh;

use super::install::Installed;
use super::work::Work;
use clap::ValueEnum;
use std::ffi::OsString;
use std::path::Path;

/// Who does the work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Tool {
    /// A bare pipe from GET to PUT: nothing that does the same is faster
    #[value(name = "LIMIT")]
    Limit,
    /// The product
    Skyfresh,
    Rclone,
    S5cmd,
    /// The AWS CLI, version 1
    Awscli,
    S4cmd,
    /// The Rust crate object_store, driven from Python
    Obstore,
}

impl Tool {
    /// In the order of the tables.
    pub(super) const ALL: [Tool; 7] = [
        Tool::Limit,
        Tool::Skyfresh,
        Tool::Rclone,
        Tool::S5cmd,
        Tool::Awscli,
        Tool::S4cmd,
        Tool::Obstore,
    ];

    /// Every way in which this tool is asked for the scene's work; none where it cannot do it at all.
    pub(super) fn rows(self, scene: &Scene<'_>) -> Vec<Row> {
        match self {
            Tool::Limit => limit::rows(scene),
            Tool::Skyfresh => skyfresh::rows(scene),
            Tool::Rclone => rclone::rows(scene),
            Tool::S5cmd => s5cmd::rows(scene),
            Tool::Awscli => others::awscli(scene),
            Tool::S4cmd => others::s4cmd(scene),
            Tool::Obstore => others::obstore(scene),
        }
    }

    /// Neither the product nor the limit.
    pub(super) fn is_peer(self) -> bool {
        !matches!(self, Tool::Limit | Tool::Skyfresh)
    }
}

/// What a row is measured with.
pub(super) struct Scene<'a> {
    pub(super) work: Work,
    /// URL of the source.
    pub(super) from: &'a str,
    /// URL of the destination.
    pub(super) to: &'a str,
    pub(super) bucket: &'a str,
    /// An empty directory on a memory disk.
    pub(super) scratch: &'a Path,
    pub(super) skyfresh: &'a Path,
    /// The bare client.
    pub(super) bare: &'a Path,
    pub(super) installed: &'a Installed,
}

/// The one object of a work that has one.
pub(super) const OBJECT: &str = "object-0000000000";

/// A tool at certain settings.
pub(super) struct Row {
    pub(super) tool: Tool,
    /// For the table.
    pub(super) label: String,
    /// At the settings it comes with.
    pub(super) default_settings: bool,
    /// What is run; why it cannot be, otherwise.
    pub(super) command: Result<Invocation, String>,
}

/// A program and its arguments, and what is set in its environment.
#[derive(Debug, Default)]
pub(super) struct Invocation {
    pub(super) words: Vec<OsString>,
    pub(super) environment: Vec<(&'static str, OsString)>,
}

impl Invocation {
    pub(super) fn new(program: impl Into<OsString>) -> Invocation {
        Invocation {
            words: vec![program.into()],
            environment: Vec::new(),
        }
    }

    /// Adds words, separated by spaces.
    pub(super) fn words(mut self, words: &str) -> Invocation {
        self.words
            .extend(words.split_whitespace().map(OsString::from));
        self
    }

    pub(super) fn word(mut self, word: impl Into<OsString>) -> Invocation {
        self.words.push(word.into());
        self
    }

    pub(super) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Invocation {
        self.environment.push((name, value.into()));
        self
    }
}

/// A shell's line, for what takes several programs. `$T` in it is the tool, `$D` the memory disk, `$FROM` and `$TO` the
/// endpoints.
fn shell(scene: &Scene<'_>, tool: &Path, line: &str) -> Invocation {
    Invocation::new("sh")
        .word("-ec")
        .word(line)
        .env("T", tool)
        .env("D", scene.scratch)
        .env("FROM", scene.from)
        .env("TO", scene.to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_in_the_list() {
        assert_eq!(Tool::value_variants(), Tool::ALL);
    }

    #[test]
    fn words_are_split_and_a_word_is_not() {
        let invocation = Invocation::new("a").words(" b  c ").word("d e");
        assert_eq!(invocation.words, ["a", "b", "c", "d e"]);
    }
}
