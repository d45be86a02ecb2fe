//! The user's own figures: a file in the catalogue's format (docs/catalogue.md, "Your own figures").

use crate::config::Config;
use crate::context::Context;
use crate::environment::Environment;
use crate::exit::{Exit, Told};
use anyhow::Context as _;
use skyfresh_sky::catalog::Catalog;
use std::io::Read;
use std::path::Path;

/// No table is larger: all pairs of the most regions that one may have take 20 MiB.
const LARGEST_TABLE_BYTES: u64 = 64 * 1024 * 1024;

/// The text of a table, read with a limit.
///
/// # Errors
/// It cannot be read, is too large, or is no UTF-8.
pub(crate) fn read(path: &Path) -> anyhow::Result<String> {
    let cannot = |why: String| {
        let why = format!("cannot read {}: {why}", path.display());
        Told::new(Exit::Usage, why)
    };
    let file = std::fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(LARGEST_TABLE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_TABLE_BYTES {
        return Err(cannot("larger than 64 MiB".into()).into());
    }
    String::from_utf8(bytes).map_err(|_| cannot("not UTF-8".into()).into())
}

/// The embedded catalogue, with the figures of a file in place of its own where one is given.
///
/// # Errors
/// The file cannot be read, or a line of it: file and line are named.
pub(crate) fn overridden(path: Option<&Path>) -> anyhow::Result<Catalog> {
    let catalog = Catalog::embedded();
    let Some(path) = path else { return Ok(catalog) };
    let overridden = catalog.with_overrides(&read(path)?);
    overridden.with_context(|| format!("in {}", path.display()))
}

/// The catalogue that a configuration asks for, where one is given.
///
/// # Errors
/// As [`overridden`]; or the configuration cannot be read.
pub(crate) fn of_config(path: Option<&Path>, context: &Context) -> anyhow::Result<Catalog> {
    of_environment(path, &context.environment)
}

/// The same, by the environment alone, so that it can be read beside other things.
///
/// # Errors
/// As [`of_config`].
pub(crate) fn of_environment(
    path: Option<&Path>,
    environment: &Environment,
) -> anyhow::Result<Catalog> {
    let config = path.map(|path| Config::read(path, environment));
    let file = config.transpose()?.and_then(|config| config.catalog);
    overridden(file.as_deref())
}
