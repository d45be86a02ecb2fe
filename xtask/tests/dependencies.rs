//! The crates depend on each other as the design says, and on nothing else of ours.

use serde_json::Value;
use std::process::Command;

/// A crate's folder under `crates/`, and the crates it may depend on. Crates that are not written yet are listed: the
/// table is the design's, whole. Tests (dev-dependencies) may use any crate; `xtask` is free.
const TABLE: &[(&str, &[&str])] = &[
    ("sky", &[]),
    ("plan", &["sky"]),
    ("placement", &["sky"]),
    ("store", &["sky"]),
    ("ledger", &["sky"]),
    ("channel", &["sky", "store"]),
    (
        "engine",
        &["sky", "plan", "store", "ledger", "channel", "relay"],
    ),
    ("relay", &["sky"]),
    ("rent", &["sky", "store", "relay"]),
    ("features", &["sky"]),
    ("localsky", &["sky", "store"]),
    (
        "sim",
        &[
            "sky",
            "plan",
            "placement",
            "store",
            "ledger",
            "channel",
            "engine",
            "relay",
            "features",
            "localsky",
        ],
    ),
    ("server", &["sky", "engine", "features", "placement"]),
    (
        "cli",
        &[
            "sky",
            "plan",
            "placement",
            "store",
            "ledger",
            "channel",
            "engine",
            "relay",
            "rent",
            "features",
            "localsky",
            "sim",
            "server",
        ],
    ),
];

const PREFIX: &str = "skyfresh-";

/// What is wrong with one package, as `cargo metadata` describes it.
fn violations(package: &Value) -> Vec<String> {
    let name = package["name"].as_str().unwrap_or_default();
    if name == "xtask" {
        return Vec::new();
    }
    let Some(folder) = name.strip_prefix(PREFIX) else {
        return vec![format!("{name}: packages are called {PREFIX}<folder>")];
    };
    let mut found = Vec::new();
    let manifest = package["manifest_path"]
        .as_str()
        .unwrap_or_default()
        .replace('\\', "/");
    if !manifest.ends_with(&format!("crates/{folder}/Cargo.toml")) {
        found.push(format!(
            "{name}: expected in crates/{folder}, is {manifest}"
        ));
    }
    let Some((_, allowed)) = TABLE.iter().find(|(row, _)| *row == folder) else {
        found.push(format!(
            "{name}: not in the table of crates (xtask/tests/dependencies.rs, ARCHITECTURE.md)"
        ));
        return found;
    };
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        if dependency["kind"].as_str() == Some("dev") {
            continue;
        }
        let target = dependency["name"].as_str().unwrap_or_default();
        let ours = target == "xtask" || target.starts_with(PREFIX);
        if ours
            && !target
                .strip_prefix(PREFIX)
                .is_some_and(|target| allowed.contains(&target))
        {
            found.push(format!(
                "{name} -> {target}: not allowed; {folder} may depend on {allowed:?}"
            ));
        }
    }
    found
}

#[test]
fn crates_depend_on_each_other_only_as_the_table_allows() {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--no-deps",
            "--offline",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("a list of packages");
    assert!(packages.len() > 1, "the workspace has members");
    let found: Vec<String> = packages.iter().flat_map(violations).collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn a_forbidden_edge_is_named_and_a_test_dependency_is_free() {
    let package = |kind: Value| {
        serde_json::json!({
            "name": "skyfresh-store",
            "manifest_path": "/w/crates/store/Cargo.toml",
            "dependencies": [
                { "name": "skyfresh-sky", "kind": null },
                { "name": "skyfresh-engine", "kind": kind },
                { "name": "serde", "kind": null },
            ],
        })
    };
    let found = violations(&package(Value::Null));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("skyfresh-store -> skyfresh-engine: not allowed"),
        "{found:?}"
    );
    assert_eq!(violations(&package("build".into())).len(), 1);
    assert!(violations(&package("dev".into())).is_empty());
}

#[test]
fn an_unknown_crate_is_named() {
    let package = serde_json::json!({
        "name": "skyfresh-misc", "manifest_path": "/w/crates/misc/Cargo.toml", "dependencies": [],
    });
    assert!(violations(&package)[0].contains("not in the table"));
}

#[test]
fn the_table_has_no_cycle_and_names_only_its_own_rows() {
    fn visit<'a>(row: &'a str, path: &mut Vec<&'a str>) {
        assert!(!path.contains(&row), "a cycle: {path:?} -> {row}");
        let (_, targets) = TABLE
            .iter()
            .find(|(name, _)| *name == row)
            .unwrap_or_else(|| panic!("no row {row}"));
        path.push(row);
        targets.iter().for_each(|target| visit(target, path));
        path.pop();
    }
    TABLE
        .iter()
        .for_each(|(row, _)| visit(row, &mut Vec::new()));
}
