//! Advice as a table.

use super::{Advice, dollars, gb, months};
use crate::context::Context;
use crate::output::{Style, Table, printable};

pub(super) fn show(advice: &Advice<'_>, top: usize, context: &Context) {
    let output = &context.output;
    let sums = &advice.sums;
    let saving = sums.saving();
    for remark in advice.remarks() {
        output.line(output.paint(Style::Dim, printable(&remark, false)));
    }
    output.line("");
    output.line(output.paint(
        Style::Bold,
        format!(
            "${} a month today, ${} where it is cheapest: ${} saved",
            dollars(sums.today.usd()),
            dollars(sums.best.usd()),
            dollars(saving.usd())
        ),
    ));
    output.line(format!(
        "  moving costs ${} once; paid back after: {}",
        dollars(sums.moving.usd()),
        months(saving.payback_months(&sums.moving))
    ));
    output.line(format!(
        "  today: {}; {} of {} groups stay",
        advice.stores(advice.today.stores()).join(" + "),
        sums.staying,
        sums.groups
    ));
    output.line("");
    let names = [
        "GROUP",
        "OBJECTS",
        "GB",
        "TODAY $",
        "BEST $",
        "SAVES $",
        "MOVING $",
        "PAID BACK",
        "STORES",
    ];
    let mut table = Table::new(&names);
    for (group, advised) in advice.rows.iter().take(top) {
        let stays = advised.stores == advice.today.stores();
        let stores = match stays {
            true => "as today".into(),
            false => advice.stores(&advised.stores).join(" + "),
        };
        let style = if stays { Style::Dim } else { Style::Plain };
        let cells = [
            group.name.clone(),
            group.objects.to_string(),
            gb(group.bytes),
            dollars(advised.today.usd()),
            dollars(advised.best.usd()),
            dollars(advised.saving().usd()),
            dollars(advised.moving.usd()),
            months(advised.payback_months()),
            stores,
        ];
        table.row(cells.into_iter().map(|cell| (style, cell)).collect());
    }
    output.line(table.render(output, 2).trim_end());
    if let Some(rest) = advice.rows.get(top..).filter(|rest| !rest.is_empty()) {
        let saved: f64 = rest.iter().map(|(_, advised)| advised.saving().usd()).sum();
        output.line(format!(
            "  … and {} groups more, which save ${} together; --top shows more of them",
            rest.len(),
            dollars(saved)
        ));
    }
}
