//! `docs/cli.md`: its part about commands is made from the command line's own definition, and a test keeps it so.

use crate::args::Cli;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;

const BEGIN: &str =
    "<!-- The part below is made by `SKYFRESH_BLESS=1 cargo test -p skyfresh-cli reference`. -->\n";

/// Everything `--help` says, as Markdown.
fn commands() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut text = String::from("## Options of every command\n\n");
    for argument in cli
        .get_arguments()
        .filter(|argument| argument.is_global_set())
    {
        describe(&mut text, argument);
    }
    for command in cli
        .get_subcommands()
        .filter(|command| command.get_name() != "help")
    {
        section(&mut text, "##", "skyfresh", command.clone());
    }
    text
}

fn section(text: &mut String, heading: &str, parent: &str, mut command: Command) {
    let name = format!("{parent} {}", command.get_name());
    let usage = command.render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").trim();
    let about = command
        .get_long_about()
        .or(command.get_about())
        .map(ToString::to_string)
        .unwrap_or_default();
    let _ = write!(
        text,
        "\n{heading} {name}\n\n{}\n\n```text\n{usage}\n```\n\n",
        about.trim()
    );
    for argument in command
        .get_arguments()
        .filter(|argument| !argument.is_global_set())
    {
        if !matches!(argument.get_id().as_str(), "help" | "version") {
            describe(text, argument);
        }
    }
    if let Some(examples) = command.get_after_help() {
        let examples = examples.to_string();
        let examples = examples.trim_start_matches("Examples:\n");
        let _ = write!(text, "\n```sh\n{}\n```\n", unindented(examples));
    }
    for inner in command.get_subcommands() {
        if inner.get_name() != "help" {
            section(text, &format!("{heading}#"), &name, inner.clone());
        }
    }
}

fn unindented(text: &str) -> String {
    text.lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n")
}

fn describe(text: &mut String, argument: &Arg) {
    let values: Vec<String> = argument
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect();
    let values = if argument.get_action().takes_values() {
        values.join(" ")
    } else {
        String::new()
    };
    let mut names: Vec<String> = argument
        .get_short()
        .map(|short| format!("-{short}"))
        .into_iter()
        .collect();
    names.extend(argument.get_long().map(|long| format!("--{long}")));
    let name = match names.is_empty() {
        true => values,
        false => format!("{} {values}", names.join(", ")),
    };
    let help = argument
        .get_help()
        .map(ToString::to_string)
        .unwrap_or_default()
        .replace('\n', " ");
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let default = match defaults.is_empty() || !argument.get_action().takes_values() {
        true => String::new(),
        false => format!(" (default `{}`)", defaults.join(",")),
    };
    let _ = writeln!(text, "- `{}`: {help}{default}", name.trim());
}

#[test]
fn the_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
    let document = std::fs::read_to_string(path).unwrap();
    let (written, _) = document.split_once(BEGIN).unwrap();
    let current = format!("{written}{BEGIN}\n{}", commands());
    if std::env::var_os("SKYFRESH_BLESS").is_some() {
        std::fs::write(path, &current).unwrap();
    } else {
        assert!(
            document == current,
            "docs/cli.md is out of date; make it again: SKYFRESH_BLESS=1 cargo test -p skyfresh-cli reference"
        );
    }
}

#[test]
fn every_command_has_three_examples() {
    for command in Cli::command().get_subcommands() {
        let examples = command
            .get_after_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let count = examples
            .lines()
            .filter(|line| line.starts_with("  "))
            .count();
        assert!(count >= 3, "{}: {count} examples", command.get_name());
    }
}

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}
