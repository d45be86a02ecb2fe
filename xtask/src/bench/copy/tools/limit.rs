//! The bare pipe (`xtask/examples/bare`).

use super::{Invocation, OBJECT, Row, Scene, Tool};
use crate::bench::copy::work::Work;

/// At several concurrencies: the fastest of them is the limit.
pub(in crate::bench::copy) fn rows(scene: &Scene<'_>) -> Vec<Row> {
    let row = |label: &str, words: &str| Row {
        tool: Tool::Limit,
        label: format!("LIMIT {label}"),
        default_settings: false,
        command: Ok(Invocation::new(scene.bare)
            .words(words)
            .words(&format!("--from {} --to {}", scene.from, scene.to))
            .words(&format!("--bucket {}", scene.bucket))),
    };
    let at = |command: &str, connections: &[u32]| -> Vec<Row> {
        connections
            .iter()
            .map(|count| {
                let words = format!("{command} --connections {count}");
                row(&format!("@{count}"), &words)
            })
            .collect()
    };
    match scene.work {
        Work::OneLarge => {
            let mut rows = vec![row("one PUT", &format!("pipe --key {OBJECT}"))];
            rows.extend(at(&format!("parts --key {OBJECT}"), &[4]));
            rows
        }
        Work::Medium => at("pipe", &[1, 2, 4]),
        Work::Small => at("pipe", &[4, 16, 64]),
        Work::Nothing | Work::NothingOfMillion | Work::NothingFar => vec![row("listing", "list")],
        Work::OneLargeFar => at(&format!("parts --key {OBJECT}"), &[8, 32]),
        Work::SmallFar => at("pipe", &[64, 256, 1024]),
    }
}
