//! `skyfresh catalog price` and `skyfresh catalog link`: the way from one region to another.

use super::{Overrides, listed};
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::output::{Style, Table};
use serde::Serialize;
use skyfresh_sky::catalog::{
    Catalog, Figure, Figures, Origin, PriceScope, RegionPrices, StandardTier,
};
use skyfresh_sky::{Region, Usd};

/// Two regions, and whose figures of them.
#[derive(Debug, clap::Args)]
struct Between {
    /// Where bytes come from, e.g. aws:us-east-1
    #[arg(value_name = "SRC")]
    source: String,
    /// Where they go
    #[arg(value_name = "DST")]
    destination: String,
    #[command(flatten)]
    overrides: Overrides,
}

impl Between {
    fn read(&self) -> anyhow::Result<(Catalog, Region, Region)> {
        let catalog = self.overrides.catalog()?;
        let (from, to) = (
            listed(&catalog, &self.source)?,
            listed(&catalog, &self.destination)?,
        );
        Ok((catalog, from, to))
    }
}

/// Tell what bytes, requests and storage cost between two regions
///
/// Egress is billed by the source's provider, per GB of 10⁹ bytes, at the list price of the first 10 TB a month. Deletes are free.
#[derive(Debug, clap::Args)]
pub(super) struct PriceArgs {
    #[command(flatten)]
    between: Between,
}

/// Tell how far, how fast and how dear the way between two regions is
///
/// Throughput is that of one VM pair over 64 connections.
#[derive(Debug, clap::Args)]
pub(super) struct LinkArgs {
    #[command(flatten)]
    between: Between,
}

/// The answer to `price`.
#[derive(Serialize)]
struct Price<'a> {
    source: &'a Region,
    destination: &'a Region,
    egress_usd_per_gb: Option<Figure<Usd>>,
    source_prices: Option<RegionPrices>,
    destination_prices: Option<RegionPrices>,
}

/// The answer to `link`.
#[derive(Serialize)]
struct Way<'a> {
    source: &'a Region,
    destination: &'a Region,
    distance_km: Option<f64>,
    #[serde(flatten)]
    figures: Figures,
    /// Out of Google Cloud, where it is listed: the figures above are PREMIUM's.
    #[serde(skip_serializing_if = "Option::is_none")]
    standard_tier: Option<StandardTier>,
}

fn style(origin: Origin) -> Style {
    match origin {
        Origin::Listed => Style::Dim,
        Origin::Override => Style::Green,
        Origin::Doubted | Origin::Estimated => Style::Yellow,
    }
}

/// A price to its last digit: the difference between two may lie there.
fn dollars(usd: Usd) -> String {
    let exact = usd.usd().to_string();
    let digits = exact.split_once('.').map_or(0, |(_, digits)| digits.len());
    match digits < 2 {
        true => format!("${:.2}", usd.usd()),
        false => format!("${exact}"),
    }
}

/// A row of a figure: what, how much, where from.
fn row<T>(
    what: &str,
    figure: Option<Figure<T>>,
    show: impl Fn(T) -> String,
) -> Vec<(Style, String)> {
    let (value, origin) = match figure {
        Some(Figure { value, origin }) => {
            (show(value), (style(origin), origin.as_str().to_owned()))
        }
        None => ("unknown".to_owned(), (Style::Plain, "-".to_owned())),
    };
    vec![
        (Style::Plain, what.to_owned()),
        (Style::Bold, value),
        origin,
    ]
}

pub(super) fn price(args: &PriceArgs, context: &Context) -> anyhow::Result<Exit> {
    let (catalog, from, to) = args.between.read()?;
    // Nothing is billed within a region.
    let egress = match from == to {
        true => Some(Figure {
            value: Usd::ZERO,
            origin: Origin::Listed,
        }),
        false => catalog
            .figures(&from, &to)
            .and_then(|figures| figures.egress_usd_per_gb),
    };
    let answer = Price {
        egress_usd_per_gb: egress,
        source_prices: catalog.region_prices(&from),
        destination_prices: catalog.region_prices(&to),
        source: &from,
        destination: &to,
    };
    let output = &context.output;
    if output.json {
        output.json_line(&answer)?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["WHAT", "PRICE", "ORIGIN"]);
    table.row(row("egress", egress, |usd| {
        format!("{} per GB", dollars(usd))
    }));
    let million = |usd: Usd| format!("{} per million", dollars(usd.times(1_000_000)));
    let both = [
        (answer.source_prices, &from, "read"),
        (answer.destination_prices, &to, "write"),
    ];
    for (prices, region, request) in both {
        let Some(prices) = prices else { continue };
        let scope = match prices.scope {
            PriceScope::Region => "listed, of the region",
            PriceScope::Provider => "listed, of the provider",
            PriceScope::Override => "override",
        };
        let usd = match request {
            "read" => prices.usd_per_read,
            _ => prices.usd_per_write,
        };
        let stored = format!("{} per GB-month", dollars(prices.usd_per_gb_month));
        for (what, price) in [(request, million(usd)), ("storage", stored)] {
            table.row(vec![
                (Style::Plain, format!("{what} at {region}")),
                (Style::Bold, price),
                (Style::Dim, scope.into()),
            ]);
        }
        if from == to {
            break;
        }
    }
    output.line(table.render(output, 0).trim_end());
    remark(&[egress.map(|figure| figure.origin)], context);
    Ok(Exit::Ok)
}

pub(super) fn link(args: &LinkArgs, context: &Context) -> anyhow::Result<Exit> {
    let (catalog, from, to) = args.between.read()?;
    let Some(figures) = catalog.figures(&from, &to) else {
        return Err(Told::new(Exit::Usage, "a region has no link to itself").into());
    };
    let distance_km = catalog.distance_km(&from, &to).map(f64::round);
    let standard_tier = catalog.standard_tier(&from, &to);
    let output = &context.output;
    if output.json {
        output.json_line(&Way {
            source: &from,
            destination: &to,
            distance_km,
            figures,
            standard_tier,
        })?;
        return Ok(Exit::Ok);
    }
    let mut table = Table::new(&["WHAT", "FIGURE", "ORIGIN"]);
    let per_gb = |usd: Usd| format!("{} per GB", dollars(usd));
    let rate = |gbps: f64| format!("{gbps} Gbit/s");
    table.row(row("egress", figures.egress_usd_per_gb, per_gb));
    table.row(row("throughput", figures.throughput_gbps, rate));
    if let Some(standard) = standard_tier {
        let (usd, gbps) = (standard.egress_usd_per_gb, standard.throughput_gbps);
        table.row(row("egress, standard tier", usd, per_gb));
        table.row(row("throughput, standard tier", gbps, rate));
    }
    table.row(row("round trip", figures.rtt_ms, |ms| format!("{ms} ms")));
    table.row(vec![
        (Style::Plain, "distance".into()),
        (
            Style::Bold,
            distance_km.map_or("unknown".into(), |km| format!("{km} km")),
        ),
        (
            Style::Dim,
            distance_km.map_or("-", |_| "great circle").into(),
        ),
    ]);
    output.line(table.render(output, 0).trim_end());
    let origins = [
        figures.egress_usd_per_gb.map(|figure| figure.origin),
        figures.throughput_gbps.map(|figure| figure.origin),
        figures.rtt_ms.map(|figure| figure.origin),
    ];
    remark(&origins, context);
    Ok(Exit::Ok)
}

/// What whoever reads such figures should know.
fn remark(origins: &[Option<Origin>], context: &Context) {
    if origins.contains(&Some(Origin::Estimated)) {
        context.output.note(
            "estimated: nobody measured it; docs/catalogue.md, \"Estimates\", states the error",
        );
    }
    if origins.contains(&Some(Origin::Doubted)) {
        context
            .output
            .note("doubted: as the source has it; docs/catalogue.md, \"Where a figure comes from\", says why");
    }
}
