//! `skyfresh.toml`: read, checked, and turned into settings. `docs/configuration.md` describes every field.
//!
//! In: the text of a file and the environment (for `${NAME}` references). Out: a [`Config`], or a [`ConfigError`] that
//! names the file, the line and the column, shows the line without its secrets, and says what would be right.
//! Never: prints a secret; ignores a field that it does not know.

mod azure;
mod channels;
mod diagnose;
mod engine;
mod google;
mod ledger;
mod model;
mod push;
mod rules;
mod secret;

pub(crate) use channels::{ChannelAddress, ChannelSection};
pub(crate) use diagnose::ConfigError;
pub(crate) use engine::EngineSection;
pub(crate) use google::GoogleAccess;
pub(crate) use ledger::{LedgerSection, Service, SharedSection};
pub(crate) use model::{Config, EndpointSection};
pub(crate) use rules::check_rule;
pub(crate) use secret::Secret;

use crate::environment::Environment;
use diagnose::Source;
use std::path::Path;

impl Config {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`]: it cannot be read, is not TOML, has unknown fields, refers to a variable that is not set, or has a
    /// rule that cannot be used.
    pub(crate) fn read(path: &Path, environment: &Environment) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|error| ConfigError::unreadable(path, &error))?;
        let mut config = Self::parse(&path.display().to_string(), &text, environment)?;
        if let Some(directory) = path.parent() {
            // Joining an absolute path leaves it as it is.
            config.ledger.path = directory.join(&config.ledger.path);
            config.catalog = config.catalog.map(|file| directory.join(file));
            if let Some(relays) = &mut config.engine.relays {
                relays.place.resolve_files(directory);
            }
            for section in config.endpoints.values_mut() {
                if let Some(GoogleAccess::File(file)) = &mut section.google {
                    *file = directory.join(&*file);
                }
                if let Some(source) = &mut section.azure {
                    azure::resolve_files(source, directory);
                }
            }
        }
        Ok(config)
    }

    /// Reads the configuration in `text`; `name` stands for the file in errors.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        environment: &Environment,
    ) -> Result<Self, ConfigError> {
        let source = Source { name, text };
        let raw: model::RawConfig =
            toml::from_str(text).map_err(|error| source.error_of_toml(&error))?;
        raw.resolve(&source, environment)
    }
}

#[cfg(test)]
mod tests;
