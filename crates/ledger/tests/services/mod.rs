//! Services that nobody here wrote: where the test command started them, and what a test does without one.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests learn from the environment where the servers are"
)]
#![allow(
    clippy::print_stdout,
    reason = "a skip is for the person who runs the tests"
)]

use skyfresh_sky::Rng;
use std::io::Write;

/// The address of a server; without one the skip of this whole file is put on record.
pub(crate) fn address(file: &str, name: &str, variable: &str) -> Option<String> {
    let address = std::env::var(variable)
        .ok()
        .filter(|address| !address.is_empty());
    if address.is_none() {
        let line = format!("skipped: {file}: {name} is not running ({variable} is not set)");
        println!("{line}");
        if let Ok(path) = std::env::var("SKYFRESH_TEST_SKIP_LOG") {
            let log = std::fs::OpenOptions::new()
                .append(true)
                .create(true)
                .open(path);
            log.and_then(|mut log| writeln!(log, "{line}"))
                .expect("the skip log can be written");
        }
    }
    address
}

/// A name that no other table has, on servers that outlive a test.
pub(crate) fn unique(purpose: &str) -> String {
    format!("skyfresh_{purpose}_{}", Rng::from_entropy().token())
}
