//! `skyfresh place advise`: from access logs, what moving data would save.

mod page;
mod read;
mod show;
mod told;

use super::asked::{Asked, threads, usage};
use crate::catalog_file;
use crate::context::Context;
use crate::exit::{Exit, Told};
use read::Input;
use skyfresh_placement::advise::{Advised, Sums, Today};
use skyfresh_placement::logs::{
    Clients, Folding, Format, Group, Grouping, LogCounts, Tally, period_s,
};
use skyfresh_placement::{Limits, Scenario};
use skyfresh_sky::{Timestamp, parse_delay};
use std::path::PathBuf;
use std::time::Duration;
pub(super) use told::{Summary, ToldGroup, ToldLine};

/// Say from access logs where objects would cost least, what that saves, and when moving them has paid for itself
///
/// Reads logs of any length in bounded memory: S3 server access logs, usage logs of Google Cloud Storage, Azure Storage Analytics logs, data events of CloudTrail, and CSV with the header `time,operation,key,bytes,object_bytes,region`, or Parquet with these columns. What the logs have is taken for typical: it is scaled to a month. Lines that cannot be read are counted and shown, and the rest is used all the same.
///
/// With --json the first line is a summary, and each further one a group, which `place apply` makes replication rules of. docs/placement.md describes all of it.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh place advise logs/ --at aws-us-east-1-s3-Standard --clients networks.csv
  skyfresh place advise logs/ --at aws-us-east-1-s3-Standard --clients networks.csv --regions 'aws|gcp' --replicas 2.. --html advice.html
  zcat trail/*.gz | skyfresh place advise - --at aws-eu-west-1-s3-Standard --by object --inventory objects.csv --json")]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    logs: LogArgs,
    /// A store that holds all objects today, by its name in the price list; may be given again
    #[arg(long, value_name = "STORE", required = true)]
    at: Vec<String>,
    /// What is placed together
    #[arg(long, value_enum, value_name = "WHAT", default_value = "prefix")]
    by: By,
    /// With --by prefix: so many names behind the bucket's are a prefix
    #[arg(long, value_name = "N", default_value_t = 1)]
    depth: usize,
    /// Leave where they are what does not earn the price of moving within so many months
    #[arg(long, value_name = "MONTHS")]
    payback: Option<f64>,
    /// So many groups are shown, those that save most
    #[arg(long, value_name = "N", default_value_t = 20)]
    top: usize,
    /// Write a report with a map, as one page that needs nothing else
    #[arg(long, value_name = "FILE.html")]
    html: Option<PathBuf>,
    /// Threads that place groups [default: all]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// What is read, and how.
#[derive(Debug, clap::Args)]
struct LogArgs {
    /// Logs, or directories of them; those that end in .gz are unpacked, `-` is standard input
    #[arg(value_name = "LOG", required = true)]
    logs: Vec<PathBuf>,
    /// How they are written [default: told by the beginning of each]
    #[arg(long, value_enum, value_name = "FORMAT")]
    log_format: Option<FormatName>,
    /// Where clients are: lines NETWORK,REGION such as 10.1.0.0/16,aws-eu-west-1; the longest prefix counts
    #[arg(long, value_name = "FILE")]
    clients: Option<PathBuf>,
    /// Where clients are that are in no such network [default: the region of the first --at]
    #[arg(long, value_name = "REGION")]
    client_region: Option<String>,
    /// What is stored, used or not: CSV with columns bucket, key and size
    #[arg(long, value_name = "FILE.csv")]
    inventory: Option<PathBuf>,
    /// How long the logs are of [default: from their first access to their last]
    #[arg(long, value_name = "DELAY", value_parser = parse_delay)]
    period: Option<Duration>,
    /// So many objects are held each, some 250 bytes of memory for one; the rest are added up by prefix
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    max_objects: usize,
}

/// Groups that are placed before their numbers are added up.
const GROUPS_AT_A_TIME: usize = 1 << 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FormatName {
    S3,
    Csv,
    Gcs,
    Azure,
    Cloudtrail,
    Parquet,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Format {
        match name {
            FormatName::S3 => Format::S3,
            FormatName::Csv => Format::Csv,
            FormatName::Gcs => Format::Gcs,
            FormatName::Azure => Format::Azure,
            FormatName::Cloudtrail => Format::CloudTrail,
            FormatName::Parquet => Format::Parquet,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Each object by itself
    Object,
    /// Objects whose names begin alike
    Prefix,
    /// Objects that the same regions read and write
    AccessSet,
}

/// What the logs had, beside the groups.
struct ReadLogs {
    counts: LogCounts,
    span_ms: (u64, u64),
    period_s: u64,
    unplaced: u64,
    folded_accesses: u64,
    one_size_in: u64,
}

/// All that is told of.
struct Advice<'a> {
    scenario: &'a Scenario,
    today: &'a Today<'a>,
    by: By,
    depth: usize,
    read: ReadLogs,
    sums: Sums,
    /// Those that save most first.
    rows: Vec<(Group, Advised)>,
    /// Groups without advice, and why.
    failed: Vec<(String, String)>,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    if args
        .payback
        .is_some_and(|months| months.is_nan() || months < 0.0)
    {
        return Err(usage("--payback is 0 months or more").into());
    }
    let scenario = args.asked.scenario()?;
    let today = Today::new(&scenario, &args.at)?;
    let Some((mut groups, read)) = read_all(args, &scenario, &today, context)? else {
        return Ok(Exit::Interrupted);
    };
    let denominator = groups.first().map_or(1, Group::denominator);
    let mut advice = Advice {
        scenario: &scenario,
        today: &today,
        by: args.by,
        depth: args.depth,
        read,
        sums: Sums::new(&scenario, denominator),
        rows: Vec::with_capacity(groups.len()),
        failed: Vec::new(),
    };
    // Some at a time, so that the list of all groups goes as that of the rows grows.
    while !groups.is_empty() {
        let some = groups.split_off(groups.len().saturating_sub(GROUPS_AT_A_TIME));
        groups.shrink_to_fit();
        let advised = today.advise(&some, Limits::default(), threads(args.threads));
        for (group, advised) in some.into_iter().zip(advised) {
            let mut advised = match advised {
                Ok(advised) => advised,
                Err(fault) => {
                    advice.failed.push((group.name, fault.to_string()));
                    continue;
                }
            };
            if let Some(most) = args.payback
                && advised.stores != today.stores()
                && advised.payback_months().is_none_or(|months| months > most)
                && today.may_stay(&group)
            {
                advised = today.stay(&advised);
            }
            advice.sums.add(&scenario, today.stores(), &group, &advised);
            advice.rows.push((group, advised));
        }
    }
    advice.failed.sort();
    let saving = |row: &(Group, Advised)| row.1.saving().usd();
    let by_saving = |one: &(Group, Advised), other: &(Group, Advised)| {
        saving(other)
            .total_cmp(&saving(one))
            .then_with(|| one.0.name.cmp(&other.0.name))
    };
    advice.rows.sort_by(by_saving);
    if let Some(path) = &args.html {
        let page = page::page(&advice, args.top);
        std::fs::write(path, page).map_err(|error| {
            let why = format!("cannot write {}: {error}", path.display());
            Told::new(Exit::Failed, why)
        })?;
    }
    match context.output.json {
        true => told::print(&advice, context)?,
        false => show::show(&advice, args.top, context),
    }
    Ok(match advice.failed.is_empty() {
        true => Exit::Ok,
        false => Exit::Failed,
    })
}

/// Reads all logs; `None`: it was asked to stop.
fn read_all(
    args: &Args,
    scenario: &Scenario,
    today: &Today<'_>,
    context: &Context,
) -> anyhow::Result<Option<(Vec<Group>, ReadLogs)>> {
    let logs = &args.logs;
    let home = scenario.stores()[today.stores()[0] as usize].region;
    let otherwise = match &logs.client_region {
        None => home,
        Some(name) => scenario
            .region(&name.replacen(':', "-", 1))
            .ok_or_else(|| {
                usage(format!(
                    "--client-region {name} is not among the regions chosen"
                ))
            })?,
    };
    let mut clients = Clients::everywhere(scenario, otherwise, home);
    if let Some(path) = &logs.clients {
        clients = clients.with_networks(scenario, &catalog_file::read(path)?)?;
    }
    let folding = Folding {
        objects: logs.max_objects,
        depth: args.depth,
    };
    let mut tally = Tally::new(clients, folding);
    let mut input = Input::new(logs.log_format.map(Format::from), context);
    if let Some(path) = &logs.inventory
        && !input.inventory(path, &mut tally)?
    {
        return Ok(None);
    }
    if !input.logs(&logs.logs, &mut tally)? {
        return Ok(None);
    }
    let counts = input.counts();
    let span_ms = tally.span_ms().ok_or_else(|| {
        let first = counts.shown.first();
        let bad = first.map_or(String::new(), |bad| {
            format!("; line {}: {}: {}", bad.number, bad.why, bad.text)
        });
        usage(format!(
            "no request for an object is in the logs: {} lines, of which {} cannot be read{bad}",
            counts.records, counts.bad
        ))
        .hint("--log-format says how they are written")
    })?;
    let period_s = match logs.period {
        Some(period) if period.as_secs() > 0 => period.as_secs(),
        Some(_) => return Err(usage("--period is one second or more").into()),
        None => period_s(span_ms).map_err(|error| {
            usage(error.to_string()).hint("--period 7d takes them for those of a week")
        })?,
    };
    let told = ReadLogs {
        counts,
        span_ms,
        period_s,
        unplaced: tally.unplaced(),
        folded_accesses: tally.folded_accesses(),
        one_size_in: tally.one_size_in(),
    };
    let grouping = match args.by {
        By::Object => Grouping::Object,
        By::Prefix => Grouping::Prefix(args.depth),
        By::AccessSet => Grouping::AccessSet,
    };
    let groups = tally.groups(scenario, grouping, period_s)?;
    Ok(Some((groups, told)))
}

impl Advice<'_> {
    fn store(&self, store: u32) -> &str {
        &self.scenario.stores()[store as usize].name
    }

    fn stores(&self, stores: &[u32]) -> Vec<&str> {
        stores.iter().map(|store| self.store(*store)).collect()
    }

    /// What should be known of the figures, a sentence each.
    fn remarks(&self) -> Vec<String> {
        let read = &self.read;
        let counts = &read.counts;
        let time = |ms| Timestamp::from_unix_ms(ms).to_string();
        let mut remarks = vec![format!(
            "{} requests for objects from {} to {}, taken for those of {:.2} days and scaled to a month of 730 hours",
            counts.accesses,
            time(read.span_ms.0),
            time(read.span_ms.1),
            read.period_s as f64 / 86_400.0
        )];
        if counts.failed > 0 {
            remarks.push(format!(
                "{} requests failed and do not count",
                counts.failed
            ));
        }
        if counts.bad > 0 {
            remarks.push(format!(
                "{} of {} lines cannot be read and do not count",
                counts.bad, counts.records
            ));
            for bad in &counts.shown {
                remarks.push(format!("line {}: {}: {}", bad.number, bad.why, bad.text));
            }
        }
        if read.unplaced > 0 {
            remarks.push(format!(
                "{:.1}% of the requests are of clients that no line of --clients has: they count as of the region for those",
                read.unplaced as f64 * 100.0 / counts.accesses as f64
            ));
        }
        if read.folded_accesses > 0 {
            let sizes = match read.one_size_in {
                1 => String::new(),
                many => format!(", their sizes by a sample of one in {many}"),
            };
            remarks.push(format!(
                "{} requests are for objects beyond --max-objects: they are told by prefix{sizes}",
                read.folded_accesses
            ));
        }
        for (name, why) in &self.failed {
            remarks.push(format!("{name}: {why}"));
        }
        remarks
    }
}

/// Dollars for people: to the cent, and three digits where there are no cents.
fn dollars(usd: f64) -> String {
    let size = usd.abs();
    if size == 0.0 {
        "0".into()
    } else if size >= 1000.0 {
        let whole = format!("{:.0}", size);
        let mut text = String::new();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        format!("{}{text}", if usd < 0.0 { "-" } else { "" })
    } else if size >= 0.995 {
        format!("{usd:.2}")
    } else {
        let digits = (2 - size.log10().floor() as i32).clamp(2, 9) as usize;
        format!("{usd:.digits$}")
    }
}

/// Months for people.
fn months(months: Option<f64>) -> String {
    match months {
        None => "–".into(),
        Some(0.0) => "at once".into(),
        Some(months) if months < 0.05 => format!("{:.1} h", months * 730.0),
        Some(months) if months < 2.0 => format!("{:.1} days", months * 730.0 / 24.0),
        Some(months) if months < 24.0 => format!("{months:.1} months"),
        Some(months) => format!("{:.1} years", months / 12.0),
    }
}

/// GB for people.
fn gb(bytes: u128) -> String {
    let gb = bytes as f64 / 1e9;
    match gb {
        0.0 => "0".into(),
        _ if gb >= 100.0 => format!("{gb:.0}"),
        _ if gb >= 0.01 => format!("{gb:.2}"),
        _ if gb >= 0.0001 => format!("{gb:.4}"),
        _ => format!("{gb:.1e}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_as_exact_as_people_need() {
        let shown = |usd: f64| dollars(usd);
        assert_eq!(shown(0.0), "0");
        assert_eq!(shown(1_234_567.8), "1,234,568");
        assert_eq!(shown(-1000.0), "-1,000");
        assert_eq!(shown(12.345), "12.35");
        assert_eq!(shown(0.001_234), "0.00123");
        assert_eq!(shown(-0.5), "-0.500");
        assert_eq!(months(None), "–");
        assert_eq!(months(Some(0.0)), "at once");
        assert_eq!(months(Some(0.5)), "15.2 days");
        assert_eq!(months(Some(30.0)), "2.5 years");
        assert_eq!(gb(11_000_000_000), "11.00");
        assert_eq!(gb(1), "1.0e-9");
    }
}
