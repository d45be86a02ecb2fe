//! `skyfresh features status`.

use crate::client::ApiClient;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table, printable};
use serde::Deserialize;
use serde_json::Value;

/// Show what each shard of each view waits for, how stale it is, and what its order of updates is worth
///
/// STALENESS is the age of features whose keys have new data, median and 99th percentile. REGRET is the sum of errors that wait for an update of their key; BUDGET is what the last minute used of it. SHADOW is the estimated error beyond that of updating keys in turn; below 0 % is better than that.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh features status
  skyfresh features status --server http://features.internal:6566 --json"
)]
pub(super) struct Args {
    /// The address of `skyfresh features serve`
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:6566")]
    server: String,
}

#[derive(Deserialize)]
struct Status {
    views: Vec<Value>,
}

pub(super) async fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let client = ApiClient::new(&args.server, None, context.clock.clone())?;
    let status: Status = client.get("/status").await?;
    let output = &context.output;
    if output.json {
        for view in &status.views {
            output.json_line(view)?;
        }
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&[
        "VIEW",
        "SHARD",
        "POLICY",
        "KEYS",
        "PENDING",
        "STARVED",
        "STALENESS",
        "REGRET",
        "UPDATES",
        "BUDGET",
        "QUERIES",
        "FEEDBACK",
        "DELAY",
        "SHADOW",
    ]);
    for view in &status.views {
        let schedule = &view["schedule"];
        let number = |value: &Value| value.as_f64().unwrap_or(0.0);
        let count = |value: &Value| format!("{:.0}", number(value));
        let ages = &view["staleness_s"];
        let falls_back = schedule["delay_fallback"] == true || schedule["shadow_fallback"] == true;
        let cells = [
            printable(view["view"].as_str().unwrap_or_default(), false),
            count(&view["shard"]),
            printable(view["policy"].as_str().unwrap_or_default(), false),
            count(&view["keys"]),
            count(&schedule["pending"]),
            count(&view["without_feature"]),
            format!("{:.1}s {:.1}s", number(&ages[0]), number(&ages[2])),
            format!("{:.3}", number(&view["regret"])),
            count(&schedule["selected"]),
            format!("{:.0}%", 100.0 * number(&view["budget_use"])),
            count(&schedule["queries"]),
            count(&schedule["feedback"]),
            format!("{:.1}s", number(&schedule["delay"])),
            format!(
                "{:+.1}%{}",
                100.0 * number(&schedule["shadow_excess"]),
                if falls_back { " (in turn)" } else { "" }
            ),
        ];
        table.row(cells.map(|cell| (Style::Plain, cell)).to_vec());
    }
    output.line(table.render(output, 0));
    Ok(Exit::Ok)
}
