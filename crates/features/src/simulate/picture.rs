//! Rows as a picture: loss by budget, a line for each policy.

use super::Row;
use std::collections::BTreeMap;
use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 60.0;
const BOTTOM: f64 = 400.0;
/// Okabe and Ito (<https://jfly.uni-koeln.de/color/>), told apart by the colour-blind as well.
const COLOURS: [&str; 8] = [
    "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8c7a00",
];

/// Mean loss (MASE) over seeds by budget as SVG; a point for each policy where there is one budget only. The bounds that need no
/// budget are dashed lines.
pub fn picture(title: &str, rows: &[Row]) -> String {
    let mut lines: BTreeMap<&str, BTreeMap<u64, (f64, f64)>> = BTreeMap::new();
    for row in rows {
        // Budgets are positive, so that their bits are ordered as they are.
        let budget = row.budget.to_bits();
        let (sum, count) = lines
            .entry(row.policy)
            .or_default()
            .entry(budget)
            .or_default();
        *sum += row.mase;
        *count += 1.0;
    }
    let means: BTreeMap<&str, Vec<(f64, f64)>> = lines
        .into_iter()
        .map(|(policy, line)| {
            let points = line.into_iter();
            let points = points.map(|(budget, (sum, count))| (f64::from_bits(budget), sum / count));
            (policy, points.collect())
        })
        .collect();
    let budgets = means.values().flatten().map(|(budget, _)| *budget);
    let (low, high) = bounds(budgets.filter(|budget| *budget > 0.0));
    let (least, most) = bounds(means.values().flatten().map(|(_, loss)| *loss));
    let room = ((most - least) * 0.06).max(1e-6);
    let (least, most) = (least - room, most + room);
    let x = |budget: f64| match high > low {
        true => LEFT + (RIGHT - LEFT) * (budget.max(low) / low).ln() / (high / low).ln(),
        false => f64::midpoint(LEFT, RIGHT),
    };
    let y = |loss: f64| BOTTOM - (BOTTOM - TOP) * (loss - least) / (most - least);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"24\" y=\"32\" font-size=\"16\" font-weight=\"600\">{}</text>\n\
         <path d=\"M{LEFT} {TOP}L{LEFT} {BOTTOM}L{RIGHT} {BOTTOM}\" fill=\"none\" stroke=\"#555555\"/>\n\
         <text x=\"{}\" y=\"440\" text-anchor=\"middle\">updates per key with new data</text>\n\
         <text x=\"20\" y=\"230\" text-anchor=\"middle\" transform=\"rotate(-90 20 230)\">mean loss (MASE)</text>\n",
        escaped(title),
        f64::midpoint(LEFT, RIGHT)
    );
    // Writing to a String cannot fail, here and below.
    for part in 0..=4 {
        let loss = least + (most - least) * f64::from(part) / 4.0;
        let at = y(loss);
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{loss:.3}</text>",
            LEFT - 8.0,
            at + 4.0
        );
    }
    let mut named: Vec<f64> = means
        .values()
        .flatten()
        .map(|(budget, _)| *budget)
        .filter(|budget| *budget > 0.0)
        .collect();
    named.sort_by(f64::total_cmp);
    named.dedup();
    for budget in named {
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"418\" text-anchor=\"middle\">{budget}</text>",
            x(budget)
        );
    }
    for (index, (policy, points)) in means.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let is_bound = policy.starts_with("update-");
        let mut path = String::new();
        let ends = [(low, points[0].1), (high, points[0].1)];
        let drawn: &[(f64, f64)] = if is_bound { &ends } else { points };
        for (place, (budget, loss)) in drawn.iter().enumerate() {
            let letter = if place == 0 { 'M' } else { 'L' };
            let (x, y) = (x(*budget), y(*loss));
            let _ = write!(path, "{letter}{x:.1} {y:.1}");
            if !is_bound {
                let _ = writeln!(
                    svg,
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>"
                );
            }
        }
        let dashes = if is_bound {
            " stroke-dasharray=\"5 4\""
        } else {
            ""
        };
        let legend = TOP + 18.0 * index as f64;
        let _ = writeln!(
            svg,
            "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.8\"{dashes}/>\n\
             <path d=\"M580 {legend}L600 {legend}\" stroke=\"{colour}\" stroke-width=\"3\"/>\n\
             <text x=\"608\" y=\"{}\">{policy}</text>",
            legend + 4.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let all = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    match all.0.is_finite() && all.1.is_finite() {
        true => all,
        false => (0.0, 1.0),
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_has_a_line_and_a_name() {
        let row = |policy, budget, mase| Row {
            policy,
            budget,
            seed: 0,
            mase,
            mse: 0.0,
            regret: 0.0,
            staleness_mean: 0.0,
            starved: 0,
            updates: 0,
            staleness_max: 0,
            queries: 1,
        };
        let rows = [
            row("regret", 0.1, 1.0),
            row("regret", 0.1, 3.0),
            row("regret", 0.4, 1.0),
            row("update-none", 0.0, 4.0),
        ];
        let svg = picture("a < b", &rows);
        assert!(svg.contains("a &lt; b") && svg.contains(">update-none</text>"));
        assert_eq!(
            svg.matches("<circle").count(),
            2,
            "seeds are averaged: {svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!picture("nothing", &[]).contains("NaN"));
    }
}
