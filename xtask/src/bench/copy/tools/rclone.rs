//! rclone: two remotes, endpoint to endpoint.

use super::{Invocation, OBJECT, Row, Scene, Tool};
use crate::bench::copy::work::Work;
use std::path::PathBuf;

/// No request but those that copy: nothing is looked up at the destination before or after.
const NO_EXTRAS: &str =
    "--no-check-dest --s3-no-head --s3-no-check-bucket --s3-disable-checksum --ignore-checksum";

/// Everything in one PUT, whatever its size.
const ONE_PUT: &str = "--s3-upload-cutoff 5Gi --multi-thread-streams 0";

pub(super) fn rows(scene: &Scene<'_>) -> Vec<Row> {
    let verb = match scene.work {
        Work::OneLarge | Work::OneLargeFar => "copyto",
        Work::Medium | Work::Small | Work::SmallFar => "copy",
        Work::Nothing | Work::NothingFar => "sync",
        // Said of the product alone: the others hold what they list.
        Work::NothingOfMillion => return Vec::new(),
    };
    let row = |name: &str, label: &str, program: Result<PathBuf, String>, words: &str| Row {
        tool: Tool::Rclone,
        label: format!("{name} {label}"),
        default_settings: name == NAME && label == "defaults",
        command: program.map(|program| command(scene, Invocation::new(program).words(verb), words)),
    };
    let mut rows: Vec<Row> = settings(scene.work)
        .into_iter()
        .map(|(label, words)| row(NAME, &label, scene.installed.program(NAME), &words))
        .collect();
    if scene.work == Work::Small {
        let old = || scene.installed.debian_rclone();
        rows.push(row("rclone 1.60", "defaults", old(), ""));
        rows.push(row("rclone 1.60", "tuned @64", old(), TUNED_1_60));
    }
    rows
}

const NAME: &str = "rclone";

/// What the settings of the newer one were called, as far as it has them.
const TUNED_1_60: &str = "--transfers 64 --checkers 64 --no-check-dest --s3-no-head --s3-no-check-bucket --ignore-checksum";

fn settings(work: Work) -> Vec<(String, String)> {
    let row = |label: &str, words: String| (label.to_owned(), words);
    let defaults = row("defaults", String::new());
    let parallel =
        |count: u32| format!("--transfers {count} --checkers {count} {ONE_PUT} {NO_EXTRAS}");
    let streams = |count: u32| {
        format!(
            "--multi-thread-streams {count} --multi-thread-chunk-size 8Mi --s3-chunk-size 8Mi --s3-upload-concurrency {count} {NO_EXTRAS}"
        )
    };
    match work {
        Work::OneLarge => vec![
            defaults,
            row("one PUT", format!("{ONE_PUT} {NO_EXTRAS}")),
            row("8 streams", streams(8)),
        ],
        Work::Medium => vec![
            defaults,
            row("tuned @4", parallel(4)),
            row("tuned @16", parallel(16)),
        ],
        Work::Small => vec![
            defaults,
            row("tuned @16", parallel(16)),
            row("tuned @64", parallel(64)),
        ],
        // Without a flag it compares times, and asks for each object's: 200,000 requests.
        Work::Nothing | Work::NothingFar => vec![
            row("--checksum", "--checksum".into()),
            row(
                "--checksum --fast-list, tuned",
                "--checksum --fast-list --checkers 64".into(),
            ),
            row(
                "--size-only --fast-list, tuned",
                "--size-only --fast-list --checkers 64".into(),
            ),
        ],
        Work::NothingOfMillion => Vec::new(),
        Work::OneLargeFar => vec![
            defaults,
            row("tuned @8", streams(8)),
            row("tuned @32", streams(32)),
        ],
        Work::SmallFar => vec![
            row("tuned @64", parallel(64)),
            row("tuned @256", parallel(256)),
            row("tuned @1024", parallel(1024)),
        ],
    }
}

/// Both remotes by environment, so that no file of whoever runs this is read.
fn command(scene: &Scene<'_>, verb: Invocation, words: &str) -> Invocation {
    let place = |remote: &str| match scene.work {
        Work::OneLarge | Work::OneLargeFar => format!("{remote}:{}/{OBJECT}", scene.bucket),
        _ => format!("{remote}:{}", scene.bucket),
    };
    verb.word("--config")
        .word("")
        .word(place("source"))
        .word(place("destination"))
        .words(words)
        .env("RCLONE_CONFIG_SOURCE_TYPE", "s3")
        .env("RCLONE_CONFIG_SOURCE_PROVIDER", "Other")
        .env("RCLONE_CONFIG_SOURCE_ENV_AUTH", "true")
        .env("RCLONE_CONFIG_SOURCE_REGION", "us-east-1")
        .env("RCLONE_CONFIG_SOURCE_ENDPOINT", scene.from)
        .env("RCLONE_CONFIG_DESTINATION_TYPE", "s3")
        .env("RCLONE_CONFIG_DESTINATION_PROVIDER", "Other")
        .env("RCLONE_CONFIG_DESTINATION_ENV_AUTH", "true")
        .env("RCLONE_CONFIG_DESTINATION_REGION", "us-east-1")
        .env("RCLONE_CONFIG_DESTINATION_ENDPOINT", scene.to)
}
