//! `skyfresh catalog regions`: which regions there are, and where.

use super::Overrides;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table};
use skyfresh_sky::Provider;
use skyfresh_sky::catalog::PlaceSource;

/// List regions and where they are
///
/// Coordinates serve to estimate what was not measured. SOURCE says what they are: azure, as Microsoft publishes them; city, the
/// centre of the city that the provider names; area, assumed; override, a region of your own table.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only those of a provider: aws, azure, gcp or cloudflare
    #[arg(long, value_name = "PROVIDER")]
    provider: Option<Provider>,
    #[command(flatten)]
    overrides: Overrides,
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let catalog = args.overrides.catalog()?;
    let output = &context.output;
    let wanted = |provider| args.provider.is_none_or(|only| only == provider);
    let places = catalog.places().iter();
    let places = places.filter(|place| wanted(place.region.provider));
    let mut table = Table::new(&["REGION", "PLACE", "ZONE", "NORTH", "EAST", "SOURCE"]);
    for place in places {
        if output.json {
            output.json_line(place)?;
            continue;
        }
        let degrees = |degrees: Option<f64>| match degrees {
            Some(degrees) => format!("{degrees:.2}"),
            None => "-".to_owned(),
        };
        let source = match place.source {
            PlaceSource::Azure => "azure",
            PlaceSource::City => "city",
            PlaceSource::Area => "area",
            PlaceSource::Override => "override",
        };
        table.row(vec![
            (Style::Bold, place.region.to_string()),
            (Style::Plain, place.place.clone()),
            (Style::Plain, place.zone.clone().unwrap_or("-".into())),
            (
                Style::Plain,
                degrees(place.coordinates.map(|at| at.latitude)),
            ),
            (
                Style::Plain,
                degrees(place.coordinates.map(|at| at.longitude)),
            ),
            (Style::Dim, source.into()),
        ]);
    }
    if !output.json {
        output.line(table.render(output, 0).trim_end());
    }
    Ok(Exit::Ok)
}
