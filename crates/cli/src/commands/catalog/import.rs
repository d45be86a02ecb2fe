//! `skyfresh catalog import`: tables of other systems, as a file of one's own figures.

use crate::catalog_file;
use crate::context::Context;
use crate::exit::{Exit, Told};
use anyhow::Context as _;
use skyfresh_sky::catalog::Catalog;
use skyfresh_sky::catalog::import::{Format, Import};
use std::path::{Path, PathBuf};

/// Turn tables of Skyplane or SkyPIE into a file of your own figures
///
/// What comes out is printed, or written to a file, and can be used with --overrides and as `catalog` in the configuration. Given
/// several directories the first one counts where two have a figure.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("from").required(true))]
pub(super) struct Args {
    /// A directory with throughput_received.csv or throughput.csv, egress_price.csv, rtt.csv, vm.csv: some of them (may be repeated)
    #[arg(long, value_name = "DIR", group = "from")]
    skyplane: Vec<PathBuf>,
    /// A directory with network_cost_v2.csv, storage_pricing.csv: at least one of them (may be repeated)
    #[arg(long, value_name = "DIR", group = "from")]
    skypie: Vec<PathBuf>,
    /// Write the file here instead of printing it
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Files that may be in a directory of Skyplane's. Of the first two only one counts: what was received is what arrives.
const SKYPLANE: &[(&str, Format)] = &[
    ("throughput_received.csv", Format::Throughput),
    ("throughput.csv", Format::Throughput),
    ("egress_price.csv", Format::EgressPrice),
    ("rtt.csv", Format::Rtt),
    ("vm.csv", Format::Vms),
];
/// Files that may be in a directory of SkyPIE's.
const SKYPIE: &[(&str, Format)] = &[
    ("network_cost_v2.csv", Format::NetworkCost),
    ("storage_pricing.csv", Format::StoragePricing),
];

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let mut import = Import::default();
    let mut files = Vec::new();
    for (directories, known) in [(&args.skyplane, SKYPLANE), (&args.skypie, SKYPIE)] {
        for directory in directories {
            files.extend(add(&mut import, directory, known)?);
        }
    }
    let csv = import.to_csv();
    // What cannot be used later is better said now.
    Catalog::embedded()
        .with_overrides(&csv)
        .context("the tables were read, but cannot be used together with the catalogue")?;
    if let Some(path) = &args.output {
        std::fs::write(path, &csv).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let (pairs, regions) = import.counts();
    let output = &context.output;
    match (output.json, &args.output) {
        (true, path) => output.json_line(&serde_json::json!({
            "files": files, "pairs": pairs, "regions_with_prices": regions, "output": path,
            "csv": path.is_none().then_some(&csv),
        }))?,
        (false, None) => output.line(csv.trim_end()),
        (false, Some(path)) => output.line(format_args!(
            "{pairs} pairs and the prices of {regions} regions are in {}",
            path.display()
        )),
    }
    Ok(Exit::Ok)
}

/// Reads what is known of a directory; which files there were.
fn add(
    import: &mut Import,
    directory: &Path,
    known: &[(&str, Format)],
) -> anyhow::Result<Vec<PathBuf>> {
    let mut read: Vec<PathBuf> = Vec::new();
    let mut formats = Vec::new();
    for (name, format) in known {
        let path = directory.join(name);
        // A second table of throughput would only fill what the first lacks, with figures that are not comparable.
        if formats.contains(format) || !path.is_file() {
            continue;
        }
        let text = catalog_file::read(&path)?;
        import.add(*format, &path.display().to_string(), &text)?;
        formats.push(*format);
        read.push(path);
    }
    if read.is_empty() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let why = format!("{} has none of the tables", directory.display());
        return Err(Told::new(Exit::Usage, why)
            .hint(format!("expected some of {}", names.join(", ")))
            .into());
    }
    Ok(read)
}
