//! s5cmd: one endpoint a command, so in two hops over a memory disk, or through a pipe.

use super::{OBJECT, Row, Scene, Tool, shell};
use crate::bench::copy::work::Work;

pub(super) fn rows(scene: &Scene<'_>) -> Vec<Row> {
    let settings: &[(&str, &str, &str)] = match scene.work {
        Work::OneLarge => &[
            ("defaults", "", ""),
            ("tuned", "", "--concurrency 8 --part-size 64"),
        ],
        Work::Medium => &[
            ("defaults", "", ""),
            ("tuned", "--numworkers 16", "--concurrency 1"),
        ],
        Work::Small => &[("defaults", "", ""), ("tuned @64", "--numworkers 64", "")],
        // It compares what one endpoint has.
        Work::Nothing | Work::NothingOfMillion | Work::NothingFar => return Vec::new(),
        Work::OneLargeFar => &[
            ("defaults", "", ""),
            ("tuned @32", "", "--concurrency 32 --part-size 8"),
        ],
        Work::SmallFar => &[
            ("defaults", "", ""),
            ("tuned @1024", "--numworkers 1024", ""),
        ],
    };
    let bucket = scene.bucket;
    let mut rows: Vec<Row> = settings
        .iter()
        .map(|(label, globals, words)| {
            let line = format!(
                "$T {globals} --endpoint-url $FROM cp {words} 's3://{bucket}/*' $D/ >/dev/null\n\
                 $T {globals} --endpoint-url $TO cp {words} \"$D/object-*\" s3://{bucket}/ >/dev/null"
            );
            row(scene, &format!("s5cmd 2 hops, {label}"), *label == "defaults", &line)
        })
        .collect();
    if scene.work == Work::OneLarge {
        let line = format!(
            "$T --endpoint-url $FROM cat s3://{bucket}/{OBJECT} | $T --endpoint-url $TO pipe s3://{bucket}/{OBJECT}"
        );
        rows.push(row(scene, "s5cmd pipe", false, &line));
    }
    rows
}

fn row(scene: &Scene<'_>, label: &str, default_settings: bool, line: &str) -> Row {
    Row {
        tool: Tool::S5cmd,
        label: label.into(),
        default_settings,
        command: scene
            .installed
            .program("s5cmd")
            .map(|program| shell(scene, &program, line)),
    }
}
