//! Locations as they are given: on the command line, and with endpoints by name.

use crate::config::EndpointSection;
use skyfresh_sky::{Invalid, Location, Scheme};
use skyfresh_store::s3::Addressing;
use std::collections::BTreeMap;
use std::path::Path;

/// A location from the command line: a URI, or a path (with a `/` or `.` in front) that is taken for a directory.
pub(crate) fn parse_location(text: &str) -> Result<Location, Invalid> {
    if text.contains("://") || !text.starts_with(['/', '.']) {
        return text.parse();
    }
    let invalid = |why: String| Invalid::new("location", text, why);
    let path = std::path::absolute(Path::new(text)).map_err(|error| invalid(error.to_string()))?;
    // `.` and `..` are resolved where that is possible; a directory that is not there yet is named as it was given.
    let path = path.canonicalize().unwrap_or(path);
    let bucket = path
        .to_str()
        .ok_or_else(|| invalid("the path is not UTF-8".into()))?
        .to_owned();
    Ok(Location {
        scheme: Scheme::File,
        bucket,
        prefix: String::new(),
        options: BTreeMap::new(),
    })
}

/// How the bucket is named in requests, as text.
pub(crate) fn addressing_of(text: &str) -> Result<Addressing, Invalid> {
    match text {
        "path" => Ok(Addressing::Path),
        "virtual" => Ok(Addressing::Virtual),
        _ => Err(Invalid::new("addressing", text, "expected path or virtual")),
    }
}

/// Splits a location that names an endpoint of the configuration (`?endpoint=NAME`) into the location without it and that
/// endpoint. A value with `://` is an address, and stays.
pub(crate) fn with_endpoint<'a>(
    location: &Location,
    endpoints: &'a BTreeMap<String, EndpointSection>,
) -> Result<(Location, Option<&'a EndpointSection>), Invalid> {
    let Some(name) = location
        .option("endpoint")
        .filter(|value| !value.contains("://"))
    else {
        return Ok((location.clone(), None));
    };
    let section = endpoints.get(name).ok_or_else(|| {
        let known: Vec<&str> = endpoints.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        Invalid::new(
            "endpoint",
            name,
            format!("expected http://… or https://…, or the NAME of an [endpoint.NAME] in the configuration (there: {known})"),
        )
    })?;
    let mut plain = location.clone();
    plain.options.remove("endpoint");
    Ok((plain, Some(section)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_directories() {
        assert_eq!(parse_location("/").unwrap().to_string(), "file:///");
        let here = parse_location(".").unwrap();
        assert_eq!(here.scheme, Scheme::File);
        assert!(Path::new(&here.bucket).is_absolute() && !here.bucket.ends_with('.'));
        assert_eq!(parse_location("s3://b/p").unwrap().to_string(), "s3://b/p");
        assert!(parse_location("b/p").is_err());
    }

    #[test]
    fn an_endpoint_by_name_is_looked_up() {
        let section = EndpointSection {
            url: Some("http://127.0.0.1:9000".into()),
            ..Default::default()
        };
        let endpoints = BTreeMap::from([("minio".to_owned(), section.clone())]);
        let named = "s3://b/p?endpoint=minio&region=x".parse().unwrap();
        let (plain, found) = with_endpoint(&named, &endpoints).unwrap();
        assert_eq!(
            (plain.to_string().as_str(), found),
            ("s3://b/p?region=x", Some(&section))
        );
        let unknown = "s3://b/p?endpoint=mino".parse().unwrap();
        assert!(
            with_endpoint(&unknown, &endpoints)
                .unwrap_err()
                .to_string()
                .contains("(there: minio)")
        );
        let url: Location = "s3://b/p?endpoint=http://h".parse().unwrap();
        assert_eq!(
            with_endpoint(&url, &endpoints).unwrap(),
            (url.clone(), None)
        );
    }
}
