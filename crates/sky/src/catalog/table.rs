//! Reads the catalogue's tables: CSV whose fields are found by the name of their column.

use crate::{Distribution, Invalid, Usd};
use std::str::FromStr;

/// A line of a table.
pub(super) struct Row<'a> {
    what: &'static str,
    line: &'a str,
    columns: &'a str,
}

/// The lines of `csv` below its header. `#` starts a comment line.
///
/// # Errors
/// A line with more or fewer fields than the header.
pub(super) fn rows<'a>(what: &'static str, csv: &'a str) -> Result<Vec<Row<'a>>, Invalid> {
    let mut lines = csv
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty());
    let columns = lines
        .next()
        .ok_or_else(|| Invalid::new(what, "", "needs a header line"))?;
    let width = columns.split(',').count();
    lines
        .map(|line| {
            if line.split(',').count() == width {
                return Ok(Row {
                    what,
                    line,
                    columns,
                });
            }
            Err(Invalid::new(what, line, format!("expected {columns}")))
        })
        .collect()
}

impl<'a> Row<'a> {
    fn bad(&self, column: &str, why: &str) -> Invalid {
        Invalid::new(self.what, self.line, format!("{column} {why}"))
    }

    /// A field as it stands.
    pub(super) fn text(&self, column: &str) -> Result<&'a str, Invalid> {
        let mut both = self.columns.split(',').zip(self.line.split(','));
        both.find(|(name, _)| name.trim() == column)
            .map(|(_, field)| field.trim())
            .ok_or_else(|| self.bad(column, "is no column of this table"))
    }

    /// A field that may be empty.
    pub(super) fn optional(&self, column: &str) -> Result<Option<f64>, Invalid> {
        match self.text(column)? {
            "" => Ok(None),
            _ => self.number(column).map(Some),
        }
    }

    /// A finite number of 0 or more.
    pub(super) fn number(&self, column: &str) -> Result<f64, Invalid> {
        let number = self.text(column)?.parse::<f64>().ok();
        number
            .filter(|number| number.is_finite() && *number >= 0.0)
            .ok_or_else(|| self.bad(column, "must be a number, 0 or more"))
    }

    /// An integer of 1 or more.
    pub(super) fn count(&self, column: &str) -> Result<u64, Invalid> {
        let count = self.text(column)?.parse::<u64>().ok();
        count
            .filter(|count| *count > 0)
            .ok_or_else(|| self.bad(column, "must be an integer, 1 or more"))
    }

    pub(super) fn usd(&self, column: &str) -> Result<Usd, Invalid> {
        self.number(column).map(Usd::from_usd)
    }

    pub(super) fn parse<T: FromStr<Err = Invalid>>(&self, column: &str) -> Result<T, Invalid> {
        self.text(column)?.parse()
    }

    /// The lognormal through two columns; `None` where the first is empty.
    pub(super) fn p50_p99(&self, p50: &str, p99: &str) -> Result<Option<Distribution>, Invalid> {
        if self.text(p50)?.is_empty() {
            return Ok(None);
        }
        let delay = Distribution::from_p50_p99(self.number(p50)?, self.number(p99)?);
        delay.check()?;
        Ok(Some(delay))
    }

    /// The columns of this line that are from memory or derived, as the column `unverified` names them.
    pub(super) fn unverified(&self) -> Result<Vec<String>, Invalid> {
        let names = self.text("unverified")?.split(';');
        names
            .filter(|name| !name.is_empty())
            .map(|name| self.text(name).map(|_| name.to_owned()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_name_and_bad_ones_are_named() {
        let csv = "# a comment\na,b,unverified\n1,,b\n0,-2,c\n";
        let table = rows("table", csv).unwrap();
        assert_eq!(table[0].count("a").unwrap(), 1);
        assert_eq!(table[0].optional("b").unwrap(), None);
        assert_eq!(table[0].unverified().unwrap(), ["b"]);
        for (error, says) in [
            (
                table[1].count("a").unwrap_err(),
                "a must be an integer, 1 or more",
            ),
            (
                table[1].number("b").unwrap_err(),
                "b must be a number, 0 or more",
            ),
            (table[1].unverified().unwrap_err(), "c is no column"),
            (rows("table", "a,b\n1\n").err().unwrap(), "expected a,b"),
            (rows("table", "").err().unwrap(), "needs a header"),
        ] {
            assert!(error.to_string().contains(says), "{error}");
        }
    }
}
