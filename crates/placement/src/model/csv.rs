//! Comma-separated tables with a head, as far as these price tables need them: no quotes, no commas within fields.

use skyfresh_sky::Invalid;
use std::io::Read as _;
use std::path::Path;

/// Larger files are no price tables.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// More rows are no price table.
const MAX_ROWS: usize = 1_000_000;

/// One row, with where it stands.
pub(super) struct Row<'a, const N: usize> {
    /// The columns asked for, in the order asked for, trimmed.
    pub(super) fields: [&'a str; N],
    file: &'a str,
    line: usize,
}

impl<const N: usize> Row<'_, N> {
    /// An error about this row, that names file and line.
    pub(super) fn invalid(&self, given: &str, why: &str) -> Invalid {
        invalid(self.file, self.line, given, why)
    }
}

fn invalid(file: &str, line: usize, given: &str, why: &str) -> Invalid {
    let given: String = given.chars().take(100).collect();
    Invalid::new("price table", given, format!("{file}, line {line}: {why}"))
}

/// The rows of `text`, of `file`, with the `columns` named, in any order of the head's. An error names file and line.
pub(super) fn rows<'a, const N: usize>(
    file: &'a str,
    text: &'a str,
    columns: [&str; N],
) -> Result<Vec<Row<'a, N>>, Invalid> {
    let mut lines = text.lines().enumerate();
    let head: Vec<&str> = match lines.next() {
        Some((_, head)) => head
            .trim_start_matches('\u{feff}')
            .split(',')
            .map(str::trim)
            .collect(),
        None => {
            return Err(invalid(
                file,
                1,
                "",
                "empty; a head with the names of columns is expected",
            ));
        }
    };
    let mut places = [0; N];
    for (place, column) in places.iter_mut().zip(columns) {
        *place = head
            .iter()
            .position(|name| *name == column)
            .ok_or_else(|| invalid(file, 1, &head.join(","), &format!("no column {column}")))?;
    }
    let mut found = Vec::new();
    for (index, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let line = index + 1;
        let all: Vec<&str> = text.split(',').map(str::trim).collect();
        if all.len() != head.len() {
            let why = format!("{} fields where the head has {}", all.len(), head.len());
            return Err(invalid(file, line, text, &why));
        }
        if found.len() == MAX_ROWS {
            return Err(invalid(file, line, "", "more than 1,000,000 rows"));
        }
        let fields = places.map(|place| all[place]);
        if fields.iter().any(|field| field.is_empty()) {
            return Err(invalid(file, line, text, "an empty field"));
        }
        found.push(Row { fields, file, line });
    }
    Ok(found)
}

/// The text of `path`; an error where it cannot be read, is no UTF-8 or larger than 64 MiB.
pub(super) fn read(path: &Path) -> Result<String, Invalid> {
    let fail = |why: String| Invalid::new("price table", path.display().to_string(), why);
    let file = std::fs::File::open(path).map_err(|error| {
        fail(format!("cannot be opened ({error}); a directory of SkyPIE's tables holds storage_pricing.csv and network_cost_v2.csv"))
    })?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| fail(format!("cannot be read: {error}")))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(fail("larger than 64 MiB".into()));
    }
    Ok(text)
}
