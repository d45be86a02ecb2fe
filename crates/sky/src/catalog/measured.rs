//! Measured links, put into a file of the user's own figures.
//!
//! In: the file's text, or none, and what was measured. Out: the text with the measured figures in place. Never: loses a line about
//! anything else, a price, or a comment of the user's.

use super::Catalog;
use super::tables::{HEADERS, LINKS_HEADER};
use crate::{Invalid, Region, Timestamp};
use std::fmt::Write;

/// What a measured line is preceded by.
const REMARK: &str = "# measured by skyfresh profile, ";

/// What was measured of the way from one region to another.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredLink {
    /// Where bytes came from.
    pub from: Region,
    /// Where they went.
    pub to: Region,
    /// Throughput, as the table of links means it: over 64 connections, in Gbit/s.
    pub throughput_gbps: f64,
    /// Round-trip time in ms.
    pub rtt_ms: f64,
}

impl MeasuredLink {
    /// Its line; `price` stands as it stood.
    fn line(&self, price: &str) -> String {
        let MeasuredLink {
            from,
            to,
            throughput_gbps,
            rtt_ms,
        } = self;
        format!("{from},{to},{price},{throughput_gbps:.6},{rtt_ms:.3}")
    }

    fn is_of(&self, line: &str) -> bool {
        let mut fields = line.split(',').map(|field| field.trim().parse::<Region>());
        let mut is = |region: &Region| fields.next().is_some_and(|it| it.as_ref() == Ok(region));
        is(&self.from) && is(&self.to)
    }
}

/// The text with these figures in place of those that it had of the same links.
///
/// # Errors
/// Names the first line that a catalogue cannot read, before or after.
pub fn merge(text: &str, links: &[MeasuredLink], as_of: Timestamp) -> Result<String, Invalid> {
    Catalog::embedded().with_overrides(text)?;
    let remark = format!("{REMARK}{as_of}");
    let mut merged: Vec<String> = Vec::new();
    let mut left: Vec<&MeasuredLink> = links.iter().collect();
    let mut in_links = false;
    for line in text.lines() {
        if HEADERS.contains(&line.trim()) {
            in_links = line.trim() == LINKS_HEADER;
        }
        let measured = links.iter().find(|link| in_links && link.is_of(line));
        let Some(link) = measured else {
            merged.push(line.to_owned());
            continue;
        };
        if merged.last().is_some_and(|last| last.starts_with(REMARK)) {
            merged.pop();
        }
        let price = line.split(',').nth(2).unwrap_or_default().trim();
        merged.extend([remark.clone(), link.line(price)]);
        left.retain(|other| *other != link);
    }
    if !left.is_empty() && !in_links {
        merged.push(LINKS_HEADER.to_owned());
    }
    for link in left {
        merged.extend([remark.clone(), link.line("")]);
    }
    let mut whole = String::new();
    for line in &merged {
        let _ = writeln!(whole, "{line}");
    }
    Catalog::embedded().with_overrides(&whole)?;
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_about_the_standard_tier_stay_and_are_not_taken_for_links() {
        let text = "src,dst,usd_per_gb,throughput_gbps,rtt_ms\ngcp:us-east1,aws:us-east-1,0.1,5,\n\
            src,dst,standard_usd_per_gb,standard_throughput_gbps\ngcp:us-east1,aws:us-east-1,0.08,4\n";
        let measured = [
            link("gcp:us-east1", "aws:us-east-1", 6.0, 12.0),
            link("aws:us-east-1", "gcp:us-east1", 4.0, 12.0),
        ];
        let merged = merge(text, &measured, Timestamp::ZERO).unwrap();
        assert!(merged.contains("gcp:us-east1,aws:us-east-1,0.1,6.000000,12.000\n"));
        assert!(merged.contains("gcp:us-east1,aws:us-east-1,0.08,4\n"));
        let headers = merged.matches(LINKS_HEADER).count();
        assert_eq!(headers, 2, "a table of links again, behind: {merged}");
    }

    fn link(from: &str, to: &str, throughput_gbps: f64, rtt_ms: f64) -> MeasuredLink {
        MeasuredLink {
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            throughput_gbps,
            rtt_ms,
        }
    }

    #[test]
    fn measured_figures_take_their_place_and_the_rest_stays() {
        let text = "# mine\nsrc,dst,usd_per_gb,throughput_gbps,rtt_ms\naws:us-east-1,aws:eu-west-1,0.011,5,\n\
            aws:us-east-1,gcp:us-central1,,4.9,27\n\
            region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read\naws:us-east-1,210000000,50000,4000\n";
        let links = [
            link("aws:us-east-1", "aws:eu-west-1", 2.0, 80.0),
            link("aws:eu-west-1", "aws:us-east-1", 3.0, 81.0),
        ];
        let once = merge(text, &links, Timestamp::ZERO).unwrap();
        assert_eq!(
            once,
            "# mine\nsrc,dst,usd_per_gb,throughput_gbps,rtt_ms\n\
            # measured by skyfresh profile, 1970-01-01T00:00:00.000Z\n\
            aws:us-east-1,aws:eu-west-1,0.011,2.000000,80.000\naws:us-east-1,gcp:us-central1,,4.9,27\n\
            region,e10_usd_per_gb_month,e10_usd_per_write,e10_usd_per_read\naws:us-east-1,210000000,50000,4000\n\
            src,dst,usd_per_gb,throughput_gbps,rtt_ms\n\
            # measured by skyfresh profile, 1970-01-01T00:00:00.000Z\n\
            aws:eu-west-1,aws:us-east-1,,3.000000,81.000\n"
        );
        assert_eq!(merge(&once, &links, Timestamp::ZERO).unwrap(), once);
        let catalog = Catalog::embedded().with_overrides(&once).unwrap();
        let (from, to) = (&links[0].from, &links[0].to);
        let read = catalog.link(from, to).unwrap();
        assert_eq!((read.throughput_gbps, read.rtt_ms), (2.0, 80.0));
        assert_eq!(read.egress_usd_per_gb, crate::Usd::from_usd(0.011));
        assert_eq!(catalog.link(to, from).unwrap().rtt_ms, 81.0);
    }

    #[test]
    fn what_a_catalogue_cannot_read_is_refused() {
        let good = [link("aws:us-east-1", "aws:eu-west-1", 2.0, 80.0)];
        assert!(merge("a,b,c\n", &good, Timestamp::ZERO).is_err());
        let absurd = [link("aws:us-east-1", "aws:eu-west-1", 0.0, 80.0)];
        assert!(merge("", &absurd, Timestamp::ZERO).is_err());
        assert!(merge("", &good, Timestamp::ZERO).is_ok());
    }
}
