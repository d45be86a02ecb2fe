//! The grammar (Prometheus documentation, "Exposition formats", text-based format).

use std::fmt::Write;

/// What kind of metric a family is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    /// Only grows, until the process restarts.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Quantiles, by the label `quantile`.
    Summary,
}

/// The page as it is written.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    text: String,
}

/// One metric: its samples come next.
#[derive(Debug)]
pub(super) struct Family<'a> {
    text: &'a mut String,
    name: &'static str,
}

impl Exposition {
    /// Begins a metric.
    pub(super) fn family(&mut self, name: &'static str, kind: Type, help: &str) -> Family<'_> {
        let kind = match kind {
            Type::Counter => "counter",
            Type::Gauge => "gauge",
            Type::Summary => "summary",
        };
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        Family {
            text: &mut self.text,
            name,
        }
    }

    /// The whole page.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

impl Family<'_> {
    /// Adds a sample.
    pub(super) fn sample(&mut self, labels: &[(&str, &str)], value: f64) -> &mut Self {
        self.text.push_str(self.name);
        for (index, (name, label)) in labels.iter().enumerate() {
            let label = label
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            let _ = write!(
                self.text,
                "{}{name}=\"{label}\"",
                if index == 0 { '{' } else { ',' }
            );
        }
        if !labels.is_empty() {
            self.text.push('}');
        }
        let _ = match value {
            value if value.is_nan() => writeln!(self.text, " NaN"),
            value if value.is_infinite() => {
                writeln!(self.text, " {}Inf", if value > 0.0 { '+' } else { '-' })
            }
            value => writeln!(self.text, " {value}"),
        };
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_help_and_special_values_are_written_as_the_format_says() {
        let mut page = Exposition::default();
        page.family("x_total", Type::Counter, "a \\ b\nc \"d\"")
            .sample(&[], 1.0)
            .sample(&[("a", "q\"b\\n\n"), ("b", "ü")], 1_700_000_000.123)
            .sample(&[("c", "")], f64::INFINITY);
        assert_eq!(
            page.into_text(),
            "# HELP x_total a \\\\ b\\nc \"d\"\n# TYPE x_total counter\nx_total 1\n\
             x_total{a=\"q\\\"b\\\\n\\n\",b=\"ü\"} 1700000000.123\nx_total{c=\"\"} +Inf\n"
        );
    }
}
