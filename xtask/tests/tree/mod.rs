//! The workspace's own files, read once for the checks on them.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the workspace.
pub(crate) struct SourceFile {
    /// Relative to the workspace's root.
    pub(crate) path: PathBuf,
    /// Its content.
    pub(crate) text: String,
}

/// The workspace's root directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("xtask lies in the workspace")
}

/// Every Rust file of ours.
pub(crate) fn rust_files() -> Vec<SourceFile> {
    files(|path| path.extension().is_some_and(|extension| extension == "rs"))
}

/// The manifest of every package of ours.
pub(crate) fn manifests() -> Vec<SourceFile> {
    files(|path| path.file_name().is_some_and(|name| name == "Cargo.toml"))
}

fn files(wanted: impl Fn(&Path) -> bool) -> Vec<SourceFile> {
    let mut pending = vec![root().join("crates"), root().join("xtask")];
    let mut found = Vec::new();
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(&directory)
            .unwrap_or_else(|error| panic!("{}: {error}", directory.display()))
        {
            let path = entry.expect("a directory entry").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if path.is_dir() {
                if name != "target" && name != "node_modules" && !name.starts_with('.') {
                    pending.push(path);
                }
            } else if wanted(&path) {
                let text = fs::read_to_string(&path)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let path = path
                    .strip_prefix(root())
                    .expect("below the root")
                    .to_owned();
                found.push(SourceFile { path, text });
            }
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}
