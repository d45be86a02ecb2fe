//! The report as people read it.

use super::{Report, Side};
use crate::context::Context;
use crate::output::{Style, Table};
use skyfresh_sky::format_bytes;

/// Objects smaller than this say more of requests than of bandwidth.
const SMALL_BYTES: u64 = 1 << 20;

pub(super) fn tell(report: &Report, context: &Context) {
    let output = &context.output;
    output.line(match &report.here {
        Some(here) if here.taken => format!(
            "This machine is taken to be in {}, since that side answers much sooner; --here REGION says where it is.",
            here.region
        ),
        Some(here) => format!("This machine is in {}.", here.region),
        None => "Where this machine is was not said (--here REGION): the catalogue cannot be compared.".to_owned(),
    });
    if let Some(source) = &report.source {
        let title = format!("Reading {} ({})", source.location, source.region);
        output.line(output.paint(Style::Bold, title));
        output.line(table(source, context).trim_end());
        if let Some((key, size)) = &source.read {
            let small = match *size < SMALL_BYTES {
                true => ": too small to tell bandwidth, its rates are those of requests",
                false => "",
            };
            output.line(format_args!("  read {key}, {}{small}", format_bytes(*size)));
        }
    }
    let destination = &report.destination;
    let title = format!("Writing {} ({})", destination.location, destination.region);
    output.line(output.paint(Style::Bold, title));
    output.line(table(destination, context).trim_end());
    if let Some(path) = &report.saved {
        output.line(format_args!(
            "The links are in {}: catalog = \"…\" in the configuration, or --overrides",
            path.display()
        ));
    }
}

fn table(side: &Side, context: &Context) -> String {
    let mut table = Table::new(&["MEASURE", "MEASURED", "CATALOGUE", "FACTOR"]);
    for line in &side.lines {
        let shown = |figure: f64| format!("{figure:.1} {}", line.unit);
        let sign = if line.estimated { "≈ " } else { "" };
        let catalogue = line
            .catalogue
            .map(|figure| format!("{sign}{}", shown(figure)));
        let factor = line.factor.map(|factor| format!("{factor:.2}"));
        let cell = |text: Option<String>| (Style::Plain, text.unwrap_or("-".into()));
        table.row(vec![
            (Style::Plain, line.measure.clone()),
            (Style::Bold, shown(line.measured)),
            cell(catalogue),
            cell(factor),
        ]);
    }
    table.render(&context.output, 2)
}
