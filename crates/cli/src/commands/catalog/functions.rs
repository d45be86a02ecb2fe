//! `skyfresh catalog functions`: what functions cost, and how fast they start, read and write.

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table};
use serde::Serialize;
use skyfresh_sky::Distribution;
use skyfresh_sky::catalog::{FunctionPlatform, function_platforms};

/// Tell what functions cost, and how fast they start, read and write
///
/// Starts are p50 / p99 of a new instance, in seconds; READ and WRITE the median of one stream within the region, in 10⁶ bytes
/// a second.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Two quantiles.
#[derive(Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
}

impl Spread {
    fn of(distribution: &Distribution) -> Self {
        let rounded = |p| (distribution.quantile(p) * 1e3).round() / 1e3;
        Spread {
            p50: rounded(0.5),
            p99: rounded(0.99),
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    platform: &'a str,
    usd_per_gb_second: f64,
    usd_per_vcpu_second: f64,
    usd_per_million_requests: f64,
    memory_mb: u64,
    max_concurrency: u64,
    max_duration_s: u64,
    start_warm_s: Spread,
    start_cold_s: Spread,
    read_mb_per_s: Spread,
    write_mb_per_s: Spread,
    unverified: &'a [String],
}

impl<'a> Line<'a> {
    fn of(row: &'a FunctionPlatform) -> Self {
        Line {
            platform: &row.platform,
            usd_per_gb_second: row.usd_per_gb_second.usd(),
            usd_per_vcpu_second: row.usd_per_vcpu_second.usd(),
            usd_per_million_requests: row.usd_per_million_requests.usd(),
            memory_mb: row.memory_mb,
            max_concurrency: row.max_concurrency,
            max_duration_s: row.max_duration_s,
            start_warm_s: Spread::of(&row.start_warm_s),
            start_cold_s: Spread::of(&row.start_cold_s),
            read_mb_per_s: Spread::of(&row.read_mb_per_s),
            write_mb_per_s: Spread::of(&row.write_mb_per_s),
            unverified: &row.unverified,
        }
    }
}

pub(super) fn run(Args {}: &Args, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    let names = [
        "PLATFORM",
        "$/GB-S",
        "$/VCPU-S",
        "$/MILLION",
        "AT ONCE",
        "LONGEST",
        "NEW INSTANCE",
        "READ",
        "WRITE",
    ];
    let mut table = Table::new(&names);
    for row in function_platforms() {
        let line = Line::of(row);
        if output.json {
            output.json_line(&line)?;
            continue;
        }
        let cells = [
            line.usd_per_gb_second.to_string(),
            line.usd_per_vcpu_second.to_string(),
            format!("{:.2}", line.usd_per_million_requests),
            line.max_concurrency.to_string(),
            format!("{} s", line.max_duration_s),
            format!(
                "{:.2} / {:.2}",
                line.start_cold_s.p50, line.start_cold_s.p99
            ),
            format!("{:.0}", line.read_mb_per_s.p50),
            format!("{:.0}", line.write_mb_per_s.p50),
        ];
        let cells = cells.map(|cell| (Style::Plain, cell));
        let name = (Style::Bold, line.platform.to_owned());
        table.row(std::iter::once(name).chain(cells).collect());
    }
    if !output.json {
        output.line(table.render(output, 0).trim_end());
    }
    Ok(Exit::Ok)
}
