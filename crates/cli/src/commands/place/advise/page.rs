//! Advice as one page of HTML that needs nothing else: no script, nothing from a network. Everything that comes from logs is escaped.

use super::told::item_name;
use super::{Advice, dollars, gb, months};
use skyfresh_sim::picture::{Site, placement_map};
use skyfresh_sky::Region;
use skyfresh_sky::catalog::Catalog;
use std::fmt::Write as _;

const STYLE: &str = include_str!("page.css");
/// Bars of groups.
const BARS: usize = 12;

/// Text as HTML has it; characters that steer become spaces.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Marks that turn the direction of what follows would make one name look like another.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => safe.push(' '),
            c if c.is_control() => safe.push(' '),
            c => safe.push(c),
        }
    }
    safe
}

/// The page.
pub(super) fn page(advice: &Advice<'_>, top: usize) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>Where data would cost least</title>\n\
         <style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n<h1>Where data would cost least</h1>\n"
    );
    totals(&mut html, advice);
    map(&mut html, advice);
    html.push_str("<div class=\"pair\">\n");
    items(&mut html, advice);
    savers(&mut html, advice);
    html.push_str("</div>\n");
    table(&mut html, advice, top);
    remarks(&mut html, advice);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn totals(html: &mut String, advice: &Advice<'_>) {
    let sums = &advice.sums;
    let saving = sums.saving();
    let share = match sums.today.usd() {
        0.0 => String::new(),
        today => format!("{:.0}% of today’s", saving.usd() / today * 100.0),
    };
    let today = advice.stores(advice.today.stores()).join(" + ");
    let moved = format!("{} of {} groups stay", sums.staying, sums.groups);
    let paid = months(saving.payback_months(&sums.moving));
    let cards = [
        ("Today, a month", dollars(sums.today.usd()), today),
        ("Where it is cheapest", dollars(sums.best.usd()), moved),
        ("Saved, a month", dollars(saving.usd()), share),
        (
            "Moving, once",
            dollars(sums.moving.usd()),
            format!("paid back: {paid}"),
        ),
    ];
    html.push_str("<div class=\"cards\">\n");
    for (title, usd, more) in cards {
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            html,
            "<div class=\"card\"><h2>{title}</h2><p class=\"figure\">${usd}</p><p class=\"quiet\">{}</p></div>",
            escaped(&more)
        );
    }
    html.push_str("</div>\n");
}

/// `aws-eu-west-1` as the catalogue names it.
fn region(name: &str) -> Option<Region> {
    name.replacen('-', ":", 1).parse().ok()
}

fn map(html: &mut String, advice: &Advice<'_>) {
    let catalog = Catalog::embedded();
    let mut nowhere = Vec::new();
    let mut sites = Vec::new();
    for (name, sum) in advice.scenario.regions().iter().zip(&advice.sums.regions) {
        if sum.stored_today_gb + sum.stored_best_gb + sum.read_gb <= 0.0 {
            continue;
        }
        let place = region(name).and_then(|region| catalog.place(&region)?.coordinates);
        match place {
            None => nowhere.push(name.as_str()),
            Some(at) => sites.push(Site {
                name: name.clone(),
                at,
                today_gb: sum.stored_today_gb,
                best_gb: sum.stored_best_gb,
                read_gb: sum.read_gb,
            }),
        }
    }
    let title = format!(
        "{} GB in {} objects",
        gb(advice.sums.bytes),
        advice.sums.objects
    );
    let subtitle = "one copy of each; discs are what regions store today, rings what they would store and what they read";
    html.push_str("<figure>\n");
    html.push_str(&placement_map(&title, subtitle, &sites));
    if !nowhere.is_empty() {
        let _ = writeln!(
            html,
            "<figcaption>Not on the map: {}</figcaption>",
            escaped(&nowhere.join(", "))
        );
    }
    html.push_str("</figure>\n");
}

/// A bar as wide as its share of the widest.
fn bar(html: &mut String, class: &str, usd: f64, widest: f64) {
    let share = if widest > 0.0 {
        usd.max(0.0) / widest * 100.0
    } else {
        0.0
    };
    let _ = write!(
        html,
        "<div class=\"line\"><div class=\"track\"><div class=\"bar {class}\" style=\"width:{share:.1}%\"></div></div>\
         <span class=\"usd\">${}</span></div>",
        dollars(usd)
    );
}

fn items(html: &mut String, advice: &Advice<'_>) {
    let items = &advice.sums.items;
    let widest = items
        .iter()
        .map(|item| item.today.usd().max(item.best.usd()))
        .fold(0.0, f64::max);
    html.push_str(
        "<section><h2>What a month costs</h2><p class=\"quiet\"><span class=\"key today\"></span> today \
         <span class=\"key best\"></span> where it is cheapest</p>\n",
    );
    for item in items {
        let _ = write!(
            html,
            "<div class=\"row\"><span class=\"name\">{}</span><div>",
            item_name(item.item)
        );
        bar(html, "today", item.today.usd(), widest);
        bar(html, "best", item.best.usd(), widest);
        html.push_str("</div></div>\n");
    }
    html.push_str("</section>\n");
}

fn savers(html: &mut String, advice: &Advice<'_>) {
    let saving = |row: &(_, skyfresh_placement::advise::Advised)| row.1.saving().usd();
    let rows: Vec<_> = advice
        .rows
        .iter()
        .filter(|row| saving(row) > 0.0)
        .take(BARS)
        .collect();
    let widest = rows.first().map_or(0.0, |row| saving(row));
    html.push_str("<section><h2>What saves most, a month</h2>\n");
    if rows.is_empty() {
        html.push_str("<p>Nothing: everything is where it is cheapest.</p>\n");
    }
    for row in rows {
        let _ = write!(
            html,
            "<div class=\"row\"><span class=\"name\" title=\"{0}\">{0}</span><div>",
            escaped(&row.0.name)
        );
        bar(html, "best", saving(row), widest);
        html.push_str("</div></div>\n");
    }
    html.push_str("</section>\n");
}

fn table(html: &mut String, advice: &Advice<'_>, top: usize) {
    html.push_str(
        "<section class=\"wide\"><h2>Groups</h2>\n<table>\n<thead><tr><th>group</th><th class=\"n\">objects</th><th class=\"n\">GB</th>\
         <th class=\"n\">today, $</th><th class=\"n\">best, $</th><th class=\"n\">saved, $</th><th class=\"n\">moving, $</th>\
         <th class=\"n\">paid back</th><th>cheapest stores</th></tr></thead>\n<tbody>\n",
    );
    for (group, advised) in advice.rows.iter().take(top) {
        let stays = advised.stores == advice.today.stores();
        let stores = match stays {
            true => "as today".into(),
            false => advice.stores(&advised.stores).join(" + "),
        };
        let _ = writeln!(
            html,
            "<tr{}><td class=\"group\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            if stays { " class=\"stays\"" } else { "" },
            escaped(&group.name),
            group.objects,
            gb(group.bytes),
            dollars(advised.today.usd()),
            dollars(advised.best.usd()),
            dollars(advised.saving().usd()),
            dollars(advised.moving.usd()),
            months(advised.payback_months()),
            escaped(&stores)
        );
    }
    html.push_str("</tbody>\n</table>\n");
    if let Some(rest) = advice.rows.get(top..).filter(|rest| !rest.is_empty()) {
        let saved: f64 = rest.iter().map(|(_, advised)| advised.saving().usd()).sum();
        let _ = writeln!(
            html,
            "<p class=\"quiet\">… and {} groups more, which save ${} together.</p>",
            rest.len(),
            dollars(saved)
        );
    }
    html.push_str("</section>\n");
}

fn remarks(html: &mut String, advice: &Advice<'_>) {
    html.push_str("<section class=\"wide\"><h2>What this rests on</h2>\n<ul>\n");
    for remark in advice.remarks() {
        let _ = writeln!(html, "<li>{}</li>", escaped(&remark));
    }
    html.push_str(
        "<li>Prices are list prices of storage, requests and the network. Moving is one copy to each new store from the one of today’s \
         from which that is cheapest; fees for deleting early are not in it.</li>\n</ul>\n</section>\n",
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_log_is_markup() {
        let text = "<script>alert(\"x\")</script>&'\u{1b}[31m\u{202e}txt";
        let safe = escaped(text);
        assert_eq!(
            safe,
            "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;&#39; [31m txt"
        );
    }

    #[test]
    fn regions_of_price_tables_are_regions_of_the_catalogue() {
        for name in ["aws-eu-west-1", "gcp-us-west1", "azure-westeurope"] {
            let region = region(name).expect(name);
            assert!(Catalog::embedded().place(&region).is_some(), "{name}");
        }
    }
}
