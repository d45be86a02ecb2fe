//! Peers with few settings.

use super::{Invocation, OBJECT, Row, Scene, Tool, shell};
use crate::bench::copy::work::Work;
use crate::workspace;

/// AWS CLI: one endpoint a command, so in two hops over a memory disk. Small objects take it minutes.
pub(super) fn awscli(scene: &Scene<'_>) -> Vec<Row> {
    if !matches!(scene.work, Work::OneLarge | Work::Medium) {
        return Vec::new();
    }
    let line = |setup: &str| {
        format!(
            "{setup}$T --endpoint-url $FROM s3 cp --quiet --recursive s3://{0} $D/objects\n\
             $T --endpoint-url $TO s3 cp --quiet --recursive $D/objects s3://{0}",
            scene.bucket
        )
    };
    // Its documentation's page "AWS CLI S3 configuration".
    let tuned = "export AWS_CONFIG_FILE=$D/config\n\
                 $T configure set default.s3.max_concurrent_requests 32\n\
                 $T configure set default.s3.multipart_chunksize 64MB\n";
    [("defaults", ""), ("tuned", tuned)]
        .into_iter()
        .map(|(label, setup)| Row {
            tool: Tool::Awscli,
            label: format!("awscli 1, 2 hops, {label}"),
            default_settings: label == "defaults",
            command: scene
                .installed
                .program("aws")
                .map(|program| shell(scene, &program, &line(setup))),
        })
        .collect()
}

/// s4cmd: as the AWS CLI.
pub(super) fn s4cmd(scene: &Scene<'_>) -> Vec<Row> {
    if scene.work != Work::OneLarge {
        return Vec::new();
    }
    let line = format!(
        "$T --endpoint-url $FROM get s3://{0}/{OBJECT} $D/{OBJECT} >/dev/null\n\
         $T --endpoint-url $TO put $D/{OBJECT} s3://{0}/{OBJECT} >/dev/null",
        scene.bucket
    );
    vec![Row {
        tool: Tool::S4cmd,
        label: "s4cmd, 2 hops, defaults".into(),
        default_settings: true,
        command: scene
            .installed
            .program("s4cmd")
            .map(|program| shell(scene, &program, &line)),
    }]
}

/// obstore: a library, so through a program of ours as its documentation writes one.
pub(super) fn obstore(scene: &Scene<'_>) -> Vec<Row> {
    let concurrencies: &[u32] = match scene.work {
        Work::OneLarge => &[8],
        Work::Medium => &[8],
        Work::Small => &[16, 64],
        Work::Nothing | Work::NothingOfMillion | Work::NothingFar => return Vec::new(),
        Work::OneLargeFar => &[8, 32],
        Work::SmallFar => &[256, 1024],
    };
    let program = workspace::root().join("xtask/bench-tools/obstore_copy.py");
    concurrencies
        .iter()
        .map(|count| Row {
            tool: Tool::Obstore,
            label: format!("obstore @{count}"),
            default_settings: false,
            command: scene.installed.program("python").map(|python| {
                Invocation::new(python).word(&program).words(&format!(
                    "{} {} {} {count}",
                    scene.from, scene.to, scene.bucket
                ))
            }),
        })
        .collect()
}
