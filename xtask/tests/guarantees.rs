//! Every promise in `GUARANTEES.md` names a test that exists.
//!
//! A promise is a list item (`- `, `* ` or `1. `). It names at least one test in backticks, as
//! `` `crate::path::test_name` ``, `crate` being the folder under `crates/`.

mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use tree::{root, rust_files};

/// The names of the tests in each crate, by its folder's name.
type Tests = BTreeMap<String, BTreeSet<String>>;

/// A list item: the number of its first line, and its text with the lines joined.
#[derive(Debug, PartialEq)]
struct Promise {
    line: usize,
    text: String,
}

fn promises(markdown: &str) -> Vec<Promise> {
    let mut found: Vec<Promise> = Vec::new();
    let mut open = false;
    let mut fenced = false;
    for (index, line) in markdown.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
            open = false;
        } else if fenced || line.trim().is_empty() || line.starts_with('#') {
            open = false;
        } else if let Some(text) = item_text(line.trim_start()) {
            found.push(Promise {
                line: index + 1,
                text: text.to_owned(),
            });
            open = true;
        } else if open && let Some(last) = found.last_mut() {
            last.text.push(' ');
            last.text.push_str(line.trim());
        }
    }
    found
}

fn item_text(line: &str) -> Option<&str> {
    line.strip_prefix("- ")
        .or_else(|| line.strip_prefix("* "))
        .or_else(|| {
            let (number, text) = line.split_once(". ")?;
            (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
        })
}

/// Paths in backticks that can only be tests: lower-case words joined by `::`.
fn named_tests(text: &str) -> Vec<&str> {
    let is_word = |word: &str| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let quoted = text.split('`').skip(1).step_by(2);
    quoted
        .filter(|path| path.contains("::") && path.split("::").all(is_word))
        .collect()
}

/// The functions of a file that have a test attribute (`#[test]`, `#[tokio::test(…)]`) above them.
fn test_functions(source: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut marked = false;
    for line in source.lines().map(str::trim_start) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            marked = true;
        } else if let Some(signature) = line
            .strip_prefix("async fn ")
            .or_else(|| line.strip_prefix("fn "))
        {
            if marked {
                found.insert(
                    signature
                        .split(['(', '<'])
                        .next()
                        .unwrap_or_default()
                        .to_owned(),
                );
            }
            marked = false;
        } else if line.starts_with('}') {
            marked = false;
        }
    }
    found
}

fn tests_by_crate() -> Tests {
    let mut tests = Tests::new();
    for file in rust_files() {
        let mut parts = file
            .path
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned());
        let folder = match parts.next().as_deref() {
            Some("crates") => parts.next(),
            other => other.map(str::to_owned),
        };
        tests
            .entry(folder.unwrap_or_default())
            .or_default()
            .extend(test_functions(&file.text));
    }
    tests
}

fn faults(promise: &Promise, tests: &Tests) -> Vec<String> {
    let named = named_tests(&promise.text);
    let start: String = promise.text.chars().take(60).collect();
    if named.is_empty() {
        return vec![format!(
            "line {}: names no test as `crate::path::test_name`: {start}…",
            promise.line
        )];
    }
    let exists = |path: &str| {
        let (folder, rest) = path.split_once("::")?;
        tests.get(folder)?.get(rest.rsplit("::").next()?)
    };
    named
        .into_iter()
        .filter(|path| exists(path).is_none())
        .map(|path| format!("line {}: there is no test `{path}`", promise.line))
        .collect()
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let path = root().join("GUARANTEES.md");
    let markdown = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!(
            "GUARANTEES.md must state what Skyfresh promises: {}: {error}",
            path.display()
        )
    });
    let promises = promises(&markdown);
    assert!(
        !promises.is_empty(),
        "GUARANTEES.md promises nothing: it has no list item"
    );
    let tests = tests_by_crate();
    let found: Vec<String> = promises
        .iter()
        .flat_map(|promise| faults(promise, &tests))
        .collect();
    assert!(found.is_empty(), "GUARANTEES.md:\n{}", found.join("\n"));
}

#[test]
fn promises_are_list_items_with_their_continuation() {
    let found = promises(
        "# A\n\nText - no.\n\n1. First\n   goes on `a::b`.\n- Second.\n\nMore.\n```\n- code\n```\n* Third\n",
    );
    let texts: Vec<(usize, &str)> = found
        .iter()
        .map(|promise| (promise.line, promise.text.as_str()))
        .collect();
    assert_eq!(
        texts,
        [(5, "First goes on `a::b`."), (7, "Second."), (13, "Third")]
    );
}

#[test]
fn only_attributed_functions_are_tests() {
    let source = "fn helper() {}\n#[test]\n#[cfg(unix)]\nfn first() {\n}\n    #[tokio::test(flavor = \"x\")]\n    async fn second() {}\nfn third() {}\n";
    assert_eq!(
        test_functions(source).into_iter().collect::<Vec<_>>(),
        ["first", "second"]
    );
}

#[test]
fn a_promise_without_a_test_or_with_a_wrong_one_is_a_fault() {
    let tests = Tests::from([(
        "engine".to_owned(),
        BTreeSet::from(["converges".to_owned()]),
    )]);
    let fault = |text: &str| {
        faults(
            &Promise {
                line: 3,
                text: text.to_owned(),
            },
            &tests,
        )
    };
    assert!(fault("Converges: `engine::tests::converges`.").is_empty());
    assert!(fault("Converges.")[0].contains("names no test"));
    assert!(fault("See `Error::kind` and `code`.")[0].contains("names no test"));
    assert!(fault("`engine::tests::diverges`")[0].contains("no test `engine::tests::diverges`"));
    assert_eq!(fault("`store::converges` and `engine::converges`").len(), 1);
}
