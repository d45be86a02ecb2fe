//! How long it takes until code is told of a change.

use super::table::rows;
use crate::{Distribution, Invalid};
use std::sync::LazyLock;

/// A way by which code is told or called, as `crates/sky/catalog/notifications.csv` has it.
#[derive(Clone, Debug, PartialEq)]
pub struct NotificationPath {
    /// E.g. `s3-lambda`, `event-grid`, `gcs`.
    pub path: String,
    /// From the change to the start of the code, in milliseconds: the lognormal through the stated p50 and p99.
    pub delay_ms: Distribution,
    /// Columns of the table that are from memory or assumed.
    pub unverified: Vec<String>,
}

const EMBEDDED: &str = include_str!("../../catalog/notifications.csv");

static PATHS: LazyLock<Vec<NotificationPath>> =
    LazyLock::new(|| parse(EMBEDDED).unwrap_or_default());

/// The notification paths of the catalogue.
pub fn notification_paths() -> &'static [NotificationPath] {
    &PATHS
}

/// A notification path by its name, where it is listed.
pub fn notification_path(path: &str) -> Option<&'static NotificationPath> {
    PATHS.iter().find(|row| row.path == path)
}

fn parse(csv: &str) -> Result<Vec<NotificationPath>, Invalid> {
    let table = rows("notification path", csv)?;
    table
        .iter()
        .map(|row| {
            let delay_ms = Distribution::from_p50_p99(row.number("p50_ms")?, row.number("p99_ms")?);
            delay_ms.check()?;
            Ok(NotificationPath {
                path: row.text("path")?.to_owned(),
                delay_ms,
                unverified: row.unverified()?,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_table_is_read_whole() {
        assert_eq!(parse(EMBEDDED).unwrap().len(), 11);
        let s3 = notification_path("s3-lambda").unwrap();
        assert!((s3.delay_ms.quantile(0.5) - 1345.0).abs() < 1e-6);
        assert!((s3.delay_ms.quantile(0.99) - 2216.0).abs() < 1e-6);
        assert!(s3.unverified.is_empty());
        assert_eq!(notification_path("gcs").unwrap().unverified.len(), 2);
        assert!(notification_path("pigeon").is_none());
        assert!(parse("path,p50_ms,p99_ms,unverified\nx,10,1,\n").is_err());
    }
}
