//! `[ledger]`: where the state that outlives the process is kept.

use super::Secret;
use super::diagnose::ConfigError;
use super::model::{Resolver, Text};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `[ledger]`: the state that outlives the process.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct LedgerSection {
    /// The file; not used where the ledger is shared.
    pub(crate) path: PathBuf,
    /// The service that holds it, where several processes share it.
    pub(crate) shared: Option<SharedSection>,
}

impl LedgerSection {
    /// The service that keeps it, as the catalogue calls it.
    pub(crate) fn state_service(&self) -> Option<&'static str> {
        let shared = self.shared.as_ref()?;
        Some(match shared.service {
            Service::DynamoDb { .. } => "dynamodb",
            Service::Cosmos { .. } => "cosmos",
            Service::Postgres { .. } => "postgres",
        })
    }
}

/// A ledger that several processes share.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct SharedSection {
    /// The service, and the place in it.
    pub(crate) service: Service,
    /// Create the table or container where it is absent.
    pub(crate) create: bool,
}

/// A service that can hold a shared ledger. `Debug` shows no secret.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Service {
    /// `dynamodb://TABLE?region=…&endpoint=…&profile=…`
    DynamoDb {
        table: String,
        region: String,
        endpoint: Option<String>,
        profile: Option<String>,
    },
    /// `cosmos://ACCOUNT/DATABASE/CONTAINER?endpoint=…`, with the account's key.
    Cosmos {
        endpoint: String,
        database: String,
        container: String,
        key: Secret,
    },
    /// `postgres://USER@HOST:PORT/DATABASE?table=…`, with the password if it is not in the address.
    Postgres {
        url: Secret,
        table: Option<String>,
        password: Option<Secret>,
    },
}

impl Service {
    /// Its name for people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Service::DynamoDb { .. } => "DynamoDB",
            Service::Cosmos { .. } => "Cosmos DB",
            Service::Postgres { .. } => "PostgreSQL",
        }
    }

    /// The cargo feature that it is built with.
    pub(crate) fn feature(&self) -> &'static str {
        match self {
            Service::DynamoDb { .. } => "dynamodb",
            Service::Cosmos { .. } => "cosmos",
            Service::Postgres { .. } => "postgres",
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLedger {
    path: Option<Text>,
    url: Option<Text>,
    key: Option<Text>,
    password: Option<Text>,
    create: Option<bool>,
}

impl RawLedger {
    pub(super) fn resolve(&self, resolver: &Resolver<'_>) -> Result<LedgerSection, ConfigError> {
        let path = resolver
            .optional(&self.path)?
            .unwrap_or_else(|| "skyfresh.ledger".into())
            .into();
        let Some(text) = &self.url else {
            if let Some(secret) = self.key.as_ref().or(self.password.as_ref()) {
                let why = "key and password belong to a url";
                return Err(resolver.error(secret.span(), why));
            }
            return Ok(LedgerSection { path, shared: None });
        };
        if let Some(path) = &self.path {
            let why = "give either a path (one process) or a url (several), not both";
            return Err(resolver.error(path.span(), why));
        }
        let service = service(
            &resolver.text(text)?,
            resolver.secret(&self.key)?,
            resolver.secret(&self.password)?,
        )
        .map_err(|why| resolver.error(text.span(), why))?;
        Ok(LedgerSection {
            path,
            shared: Some(SharedSection {
                service,
                create: self.create.unwrap_or(true),
            }),
        })
    }
}

/// Reads the address of a shared ledger. Errors quote none of it.
fn service(url: &str, key: Option<Secret>, password: Option<Secret>) -> Result<Service, String> {
    let (scheme, rest) = url
        .split_once("://")
        .ok_or("expected dynamodb://, cosmos:// or postgres://")?;
    if scheme != "cosmos" && key.is_some() {
        return Err("a key belongs to cosmos:// only".into());
    }
    if !scheme.starts_with("postgres") && password.is_some() {
        return Err("a password belongs to postgres:// only".into());
    }
    match scheme {
        "dynamodb" => {
            let (table, mut options) = split(rest, &["region", "endpoint", "profile"])?;
            if table.is_empty() || table.contains('/') {
                return Err("expected dynamodb://TABLE?region=REGION".into());
            }
            Ok(Service::DynamoDb {
                table: table.to_owned(),
                region: options
                    .remove("region")
                    .ok_or("a region is needed: dynamodb://TABLE?region=REGION")?,
                endpoint: options.remove("endpoint"),
                profile: options.remove("profile"),
            })
        }
        "cosmos" => {
            let (place, mut options) = split(rest, &["endpoint"])?;
            let parts: Vec<&str> = place.split('/').collect();
            let [account, database, container] = parts[..] else {
                return Err("expected cosmos://ACCOUNT/DATABASE/CONTAINER".into());
            };
            if [account, database, container].contains(&"") {
                return Err("expected cosmos://ACCOUNT/DATABASE/CONTAINER".into());
            }
            Ok(Service::Cosmos {
                endpoint: options
                    .remove("endpoint")
                    .unwrap_or_else(|| format!("https://{account}.documents.azure.com")),
                database: database.to_owned(),
                container: container.to_owned(),
                key: key.ok_or("the account's key is needed: key = \"${NAME}\"")?,
            })
        }
        "postgres" | "postgresql" => {
            let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
            let mut table = None;
            let mut others = Vec::new();
            for option in query.split('&').filter(|option| !option.is_empty()) {
                match option.split_once('=') {
                    Some(("table", name)) => table = Some(name.to_owned()),
                    _ => others.push(option),
                }
            }
            let query = match others[..] {
                [] => String::new(),
                _ => format!("?{}", others.join("&")),
            };
            Ok(Service::Postgres {
                url: Secret::new(format!("{scheme}://{address}{query}")),
                table,
                password,
            })
        }
        _ => Err("expected dynamodb://, cosmos:// or postgres://".into()),
    }
}

/// What stands before `?`, and the options after it.
fn split<'a>(rest: &'a str, known: &[&str]) -> Result<(&'a str, BTreeMap<String, String>), String> {
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut options = BTreeMap::new();
    for option in query.split('&').filter(|option| !option.is_empty()) {
        match option.split_once('=') {
            Some((name, value)) if known.contains(&name) && !value.is_empty() => {
                options.insert(name.to_owned(), value.to_owned());
            }
            _ => return Err(format!("the options here are {}", known.join(", "))),
        }
    }
    Ok((place, options))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Service, String> {
        service(url, None, None)
    }

    #[test]
    fn each_service_has_its_address() {
        let expected = Service::DynamoDb {
            table: "ledger".into(),
            region: "eu-central-1".into(),
            endpoint: Some("http://127.0.0.1:4566".into()),
            profile: None,
        };
        let url = "dynamodb://ledger?region=eu-central-1&endpoint=http://127.0.0.1:4566";
        assert_eq!(read(url), Ok(expected));

        let key = Some(Secret::new("k"));
        let cosmos = |url: &str| service(url, key.clone(), None);
        let expected = |endpoint: &str| Service::Cosmos {
            endpoint: endpoint.into(),
            database: "d".into(),
            container: "c".into(),
            key: Secret::new("k"),
        };
        assert_eq!(
            cosmos("cosmos://account/d/c"),
            Ok(expected("https://account.documents.azure.com"))
        );
        assert_eq!(
            cosmos("cosmos://local/d/c?endpoint=http://127.0.0.1:8081"),
            Ok(expected("http://127.0.0.1:8081"))
        );

        let expected = Service::Postgres {
            url: Secret::new("postgres://u@h/d?sslmode=disable"),
            table: Some("t".into()),
            password: Some(Secret::new("p")),
        };
        let url = "postgres://u@h/d?table=t&sslmode=disable";
        assert_eq!(service(url, None, Some(Secret::new("p"))), Ok(expected));
    }

    #[test]
    fn what_is_missing_or_misplaced_is_told() {
        for (url, told) in [
            ("ledger", "expected dynamodb://"),
            ("redis://h", "expected dynamodb://"),
            ("dynamodb://t", "region"),
            ("dynamodb://?region=r", "TABLE"),
            ("dynamodb://t?regoin=r", "region, endpoint, profile"),
            ("cosmos://a/d/c", "key"),
            ("cosmos://a/d", "ACCOUNT/DATABASE/CONTAINER"),
            ("cosmos://a//c", "ACCOUNT/DATABASE/CONTAINER"),
        ] {
            let why = read(url).expect_err(url);
            assert!(why.contains(told), "{url}: {why}");
        }
        let secret = || Some(Secret::new("s"));
        assert!(service("postgres://u@h/d", secret(), None).is_err());
        assert!(service("dynamodb://t?region=r", None, secret()).is_err());
    }
}
