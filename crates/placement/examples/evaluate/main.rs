//! What placement can do, measured: `cargo run --release -p skyfresh-placement --example evaluate -- PART [TABLES]`.
//!
//! PART is `counts`, `speed`, `programmes` or `trace`; TABLES a directory of SkyPIE's price tables, by default the one of this crate.
//! `log N` writes an access log of N lines instead.
//! Prints one JSON object a line, for `cargo xtask eval placement`.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "measures real time, and tells it"
)]

mod counts;
mod log;
mod objects;
mod programmes;
mod speed;
mod trace;

use skyfresh_placement::{Prices, Requirements, Scenario};

/// The paper's scenarios (section 6): name, pattern of regions, pattern of stores.
const SCENARIOS: [(&str, &str, &str); 5] = [
    ("C1", "aws-eu", "General Purpose"),
    ("C2", "aws-eu", ""),
    ("C3", "aws", ""),
    ("C4", "azure", ""),
    ("C5", "azure|aws", ""),
];

/// A scenario of the paper's with so many replicas.
fn scenario(prices: &Prices, name: &str, replicas: (usize, Option<usize>)) -> Scenario {
    let (_, regions, stores) = SCENARIOS
        .into_iter()
        .find(|(known, ..)| *known == name)
        .expect("a scenario of the paper's");
    let asked = Requirements {
        regions: regions.into(),
        stores: stores.into(),
        min_replicas: replicas.0,
        max_replicas: replicas.1,
        ..Requirements::default()
    };
    Scenario::new(prices, &asked).expect("a scenario")
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let part = arguments.next().unwrap_or_default();
    if part == "log" {
        let lines = arguments.next().and_then(|lines| lines.parse().ok());
        return log::run(lines.expect("a number of lines"));
    }
    let tables = concat!(env!("CARGO_MANIFEST_DIR"), "/tables");
    let directory = arguments.next().unwrap_or_else(|| tables.into());
    let prices = Prices::read(directory.as_ref()).expect("price tables");
    match part.as_str() {
        "counts" => counts::run(&prices),
        "speed" => speed::run(&prices),
        "programmes" => programmes::run(&prices),
        "trace" => trace::run(&prices),
        other => panic!("no part {other:?}: counts, speed, programmes or trace"),
    }
}
