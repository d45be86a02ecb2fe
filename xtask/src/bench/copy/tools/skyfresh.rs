//! The product, always at its defaults: finding the settings is its own affair.

use super::{Invocation, OBJECT, Row, Scene, Tool};
use crate::bench::copy::work::Work;

pub(super) fn rows(scene: &Scene<'_>) -> Vec<Row> {
    let at = |url: &str, key: &str| {
        format!(
            "s3://{}/{key}?endpoint={url}&region=us-east-1",
            scene.bucket
        )
    };
    let command = |verb: &str, key: &str| {
        Invocation::new(scene.skyfresh)
            .words(verb)
            .word(at(scene.from, key))
            .word(at(scene.to, key))
            .words("--quiet")
    };
    let (label, command) = match scene.work {
        Work::OneLarge | Work::OneLargeFar => ("skyfresh cp", command("cp", OBJECT)),
        Work::Medium | Work::Small | Work::SmallFar => {
            ("skyfresh cp -r", command("cp -r", "").words("-y"))
        }
        Work::Nothing | Work::NothingOfMillion | Work::NothingFar => {
            ("skyfresh sync", command("sync", ""))
        }
    };
    vec![Row {
        tool: Tool::Skyfresh,
        label: label.into(),
        default_settings: true,
        command: Ok(command),
    }]
}
