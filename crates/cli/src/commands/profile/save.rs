//! What was measured, as figures that plans are made with.

use super::{Report, Side, is_link};
use crate::catalog_file;
use crate::exit::{Exit, Told};
use anyhow::Context as _;
use skyfresh_plan::predict::Leg;
use skyfresh_sky::Region;
use skyfresh_sky::catalog::measured::{MeasuredLink, merge};
use std::io::Write;
use std::path::Path;

/// Refuses before anything is measured what could not be saved in the end.
pub(super) fn check(path: &Path, regions: &(Region, Region), here: &Region) -> anyhow::Result<()> {
    if !is_link(&regions.0, here) && !is_link(here, &regions.1) {
        let why = format!(
            "nothing can be saved: from {} to {here}, and from {here} to {}, there is no link between two regions",
            regions.0, regions.1
        );
        return Err(Told::new(Exit::Usage, why)
            .hint("say the regions of SRC and DST: '…?region=aws:us-east-1'")
            .into());
    }
    let text = existing(path)?;
    merge(&text, &[], skyfresh_sky::Timestamp::ZERO)
        .with_context(|| format!("in {}", path.display()))?;
    Ok(())
}

/// Puts the figures into the file.
pub(super) fn save(path: &Path, report: &Report, here: &Region) -> anyhow::Result<()> {
    let mut links = Vec::new();
    if let Some(source) = report
        .source
        .as_ref()
        .filter(|it| is_link(&it.region, here))
    {
        links.extend(link(source, source.region.clone(), here.clone()));
    }
    let destination = &report.destination;
    if is_link(here, &destination.region) {
        links.extend(link(destination, here.clone(), destination.region.clone()));
    }
    let cannot = || format!("cannot write {}", path.display());
    let text = merge(&existing(path)?, &links, report.as_of).with_context(cannot)?;
    // The whole file or the old one: a catalogue cut off in the middle would be read without complaint.
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut file = tempfile::NamedTempFile::new_in(directory).with_context(cannot)?;
    file.write_all(text.as_bytes()).with_context(cannot)?;
    file.persist(path).with_context(cannot)?;
    Ok(())
}

/// One stream's rate, and the soonest answer: nothing that came back sooner is known of the way.
fn link(side: &Side, from: Region, to: Region) -> Option<MeasuredLink> {
    let one = side.rates.iter().find(|rate| rate.streams == 1)?;
    Some(MeasuredLink {
        from,
        to,
        throughput_gbps: Leg::link_gbps(one.mb_per_s),
        rtt_ms: side.head.least_ms,
    })
}

fn existing(path: &Path) -> anyhow::Result<String> {
    match path.exists() {
        true => catalog_file::read(path),
        false => Ok(String::new()),
    }
}
