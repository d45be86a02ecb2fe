//! Rules of the configuration: whether the engine can take them.

use super::EndpointSection;
use crate::locations::with_endpoint;
use skyfresh_engine::Rule;
use std::collections::BTreeMap;

/// Checks a rule as it is written, and as its named endpoints make it: one place under two names is still one place.
pub(crate) fn check_rule(
    rule: &Rule,
    endpoints: &BTreeMap<String, EndpointSection>,
) -> Result<(), String> {
    let mut resolved = rule.clone();
    let locations = resolved
        .destinations
        .iter_mut()
        .map(|destination| &mut destination.location);
    for location in std::iter::once(&mut resolved.source).chain(locations) {
        let (plain, section) =
            with_endpoint(location, endpoints).map_err(|error| error.to_string())?;
        *location = plain;
        if let Some(url) = section.and_then(|section| section.url.clone()) {
            location.options.insert("endpoint".into(), url);
        }
    }
    for rule in [rule, &resolved] {
        rule.check()
            .map_err(|error| format!("rule {:?}: {}", error.target, error.context))?;
    }
    Ok(())
}
