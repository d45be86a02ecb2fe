//! Diagnostics, to standard error.

use crate::args::GlobalArgs;
use crate::environment::Environment;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. `default` is the level without `-v` and `-q`.
///
/// Libraries below Skyfresh stay at warnings whatever is asked: what they say in detail may hold headers, and headers
/// hold secrets. `SKYFRESH_LOG` overrides all of it (`target=level,…`).
pub(crate) fn start(
    args: &GlobalArgs,
    environment: &Environment,
    default: LevelFilter,
    color: bool,
) {
    let order = [
        LevelFilter::ERROR,
        LevelFilter::WARN,
        LevelFilter::INFO,
        LevelFilter::DEBUG,
        LevelFilter::TRACE,
    ];
    let level = match (args.quiet, args.verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => default,
        (false, times) => {
            let start = order
                .iter()
                .position(|level| *level == LevelFilter::WARN)
                .unwrap_or(0);
            order[(start + usize::from(times)).min(order.len() - 1)].max(default)
        }
    };
    let others = level.min(LevelFilter::WARN);
    let directives = match environment.get("SKYFRESH_LOG") {
        Some(directives) => directives.to_owned(),
        None => [
            "sky", "store", "ledger", "channel", "relay", "engine", "localsky", "server",
        ]
        .iter()
        .map(|name| format!("skyfresh_{name}={level}"))
        .chain([
            format!("skyfresh={level}"),
            format!("s3s={}", of_s3s(args)),
            others.to_string(),
        ])
        .collect::<Vec<_>>()
        .join(","),
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(directives))
        .with_writer(std::io::stderr)
        .with_ansi(color)
        .init();
}

/// The S3 protocol of a local sky calls every refusal an error, and refusing is its job.
fn of_s3s(args: &GlobalArgs) -> LevelFilter {
    if args.verbose == 0 {
        LevelFilter::OFF
    } else {
        LevelFilter::WARN
    }
}
