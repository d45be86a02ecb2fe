//! The style rules that a machine can check. A rule that is not checked here or by a lint is dropped.

mod tree;

use std::path::Path;
use tree::{SourceFile, manifests, rust_files};

/// Beyond this a file has two subjects.
const MAX_LINES: usize = 500;

fn assert_none(rule: &str, offenders: Vec<String>) {
    assert!(offenders.is_empty(), "{rule}:\n{}", offenders.join("\n"));
}

/// What a file's `//!` head lacks.
fn head_faults(name: &str, text: &str) -> Vec<&'static str> {
    let head: Vec<&str> = text
        .lines()
        .take_while(|line| line.starts_with("//!"))
        .collect();
    let wanted: &[&str] = match name {
        "lib.rs" => &["**In:**", "**Out:**", "**Never:**"],
        "mod.rs" => &[],
        _ => return Vec::new(),
    };
    if head.is_empty() {
        return vec!["a `//!` head that says what it is for"];
    }
    wanted
        .iter()
        .filter(|word| !head.iter().any(|line| line.contains(**word)))
        .copied()
        .collect()
}

fn offenders(check: impl Fn(&SourceFile) -> Vec<String>) -> Vec<String> {
    rust_files()
        .iter()
        .flat_map(|file| {
            check(file)
                .into_iter()
                .map(|fault| format!("  {}: {fault}", file.path.display()))
        })
        .collect()
}

#[test]
fn no_rust_file_is_longer_than_500_lines() {
    let found = offenders(|file| {
        let lines = file.text.lines().count();
        if lines > MAX_LINES {
            vec![format!("{lines} lines")]
        } else {
            Vec::new()
        }
    });
    assert_none("split these files by subject (at most 500 lines)", found);
}

#[test]
fn every_lib_and_mod_file_begins_by_saying_what_it_is_for() {
    let found = offenders(|file| {
        let name = file
            .path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        head_faults(name, &file.text)
            .into_iter()
            .map(|fault| format!("lacks {fault}"))
            .collect()
    });
    assert_none(
        "lib.rs says In, Out and Never; mod.rs says what it is for",
        found,
    );
}

#[test]
fn no_test_is_switched_off() {
    let switch = "#[ignore";
    // A test that starts its own binary again, to kill it, has its child as a test that only it runs.
    let child = "#[ignore = \"the child process of `";
    let found = offenders(|file| {
        let lines = file.text.lines().enumerate();
        lines
            .map(|(index, line)| (index, line.trim_start()))
            .filter(|(_, line)| line.starts_with(switch) && !line.starts_with(child))
            .map(|(index, _)| format!("line {}", index + 1))
            .collect()
    });
    assert_none(
        "a test that is not run proves nothing: skip at run time, by name (CONTRIBUTING.md)",
        found,
    );
}

#[test]
fn every_package_inherits_the_workspace_lints() {
    let found = manifests()
        .iter()
        .filter(|manifest| !manifest.text.contains("[lints]\nworkspace = true"))
        .map(|manifest| format!("  {}", manifest.path.display()))
        .collect();
    assert_none("add `[lints]` with `workspace = true`", found);
}

#[test]
fn the_walk_finds_the_tree() {
    let files = rust_files();
    for known in [
        "crates/sky/src/lib.rs",
        "xtask/src/main.rs",
        "xtask/tests/style.rs",
    ] {
        assert!(
            files.iter().any(|file| file.path == Path::new(known)),
            "{known} was not found"
        );
    }
}

#[test]
fn faults_of_a_head_are_named() {
    assert_eq!(
        head_faults("lib.rs", "//! A.\n//!\n//! **In:** a\n//! **Out:** b\n"),
        ["**Never:**"]
    );
    assert_eq!(head_faults("mod.rs", "use a;\n").len(), 1);
    assert!(head_faults("mod.rs", "//! A.\n").is_empty());
    assert!(head_faults("other.rs", "").is_empty());
}
