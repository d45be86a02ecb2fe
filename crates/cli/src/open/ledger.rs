//! Opens the ledger that `[ledger]` names: a file of this process, or a service that several processes share.

use crate::config::{LedgerSection, Service, SharedSection};
use crate::context::Context;
use anyhow::Context as _;
use skyfresh_ledger::shared::{Documents, Settings, SharedLedger};
use skyfresh_ledger::{EmbeddedLedger, Ledger};
use std::sync::Arc;

/// An open ledger, and what must be done with it at the end.
#[derive(Debug)]
pub(crate) enum Opened {
    /// In a file of this process.
    Embedded(Arc<EmbeddedLedger>),
    /// In a service.
    Shared(Arc<SharedLedger>),
}

impl Opened {
    /// The ledger.
    pub(crate) fn ledger(&self) -> Arc<dyn Ledger> {
        match self {
            Opened::Embedded(ledger) => ledger.clone(),
            Opened::Shared(ledger) => ledger.clone(),
        }
    }

    /// Lets go of the file. A service holds nothing that would have to be given back.
    pub(crate) async fn close(self) {
        if let Opened::Embedded(ledger) = self {
            ledger.close().await;
        }
    }
}

/// Opens the ledger of a configuration.
pub(crate) async fn configured(
    context: &Context,
    section: &LedgerSection,
    owner: &str,
) -> anyhow::Result<Opened> {
    let Some(shared) = &section.shared else {
        let ledger = super::ledger(&section.path, owner).await?;
        return Ok(Opened::Embedded(Arc::new(ledger)));
    };
    let name = shared.service.name();
    let documents = documents(context, shared)
        .await
        .with_context(|| format!("cannot open the ledger in {name}"))?;
    let ledger = SharedLedger::open(documents, Settings::default(), context.rng.fork())
        .await
        .with_context(|| format!("cannot open the ledger in {name}"))?;
    Ok(Opened::Shared(Arc::new(ledger)))
}

/// Makes the table or container where asked to, checks it otherwise.
#[allow(
    unused_macros,
    reason = "without any of the services there is nothing to make"
)]
macro_rules! made_or_found {
    ($documents:expr, $create:expr) => {{
        let documents = $documents;
        if $create {
            documents.create().await?;
        } else {
            documents.check().await?;
        }
        Ok(Arc::new(documents))
    }};
}

async fn documents(
    context: &Context,
    shared: &SharedSection,
) -> anyhow::Result<Arc<dyn Documents>> {
    match &shared.service {
        #[cfg(feature = "dynamodb")]
        Service::DynamoDb {
            table,
            region,
            endpoint,
            profile,
        } => {
            let keys = aws::keys(context, profile.clone())?;
            let config = skyfresh_ledger::dynamodb::DynamoConfig {
                region: region.clone(),
                endpoint: endpoint.clone(),
                table: table.clone(),
                credentials: Arc::new(keys),
            };
            let clock = Arc::clone(&context.clock);
            let documents =
                skyfresh_ledger::dynamodb::DynamoDocuments::new(config, clock, &context.rng);
            made_or_found!(documents, shared.create)
        }
        #[cfg(feature = "cosmos")]
        Service::Cosmos {
            endpoint,
            database,
            container,
            key,
        } => {
            let config = skyfresh_ledger::cosmos::CosmosConfig {
                endpoint: endpoint.clone(),
                database: database.clone(),
                container: container.clone(),
                key: skyfresh_ledger::cosmos::CosmosKey::parse(key.expose())?,
            };
            let clock = Arc::clone(&context.clock);
            let documents =
                skyfresh_ledger::cosmos::CosmosDocuments::new(config, clock, &context.rng)?;
            made_or_found!(documents, shared.create)
        }
        #[cfg(feature = "postgres")]
        Service::Postgres {
            url,
            table,
            password,
        } => {
            use skyfresh_ledger::postgres::{PostgresConfig, PostgresDocuments, PostgresUrl};
            let mut url = PostgresUrl::parse(url.expose())?;
            if let Some(password) = password {
                url = url.with_password(password.expose());
            }
            let mut config = PostgresConfig::new(url);
            if let Some(table) = table {
                config.table.clone_from(table);
            }
            let clock = Arc::clone(&context.clock);
            let documents = PostgresDocuments::new(config, clock, &context.rng)?;
            made_or_found!(documents, shared.create)
        }
        #[allow(
            unreachable_patterns,
            reason = "with all features every service is built in"
        )]
        service => {
            // Only some of the services need it.
            let _ = (context, shared.create);
            Err(not_built(service))
        }
    }
}

/// This program lacks the service.
#[cfg_attr(
    all(feature = "cosmos", feature = "dynamodb", feature = "postgres"),
    allow(dead_code, reason = "nothing is lacking")
)]
fn not_built(service: &Service) -> anyhow::Error {
    anyhow::anyhow!(
        "this skyfresh was built without {}: build it with `cargo build --release --features {}`",
        service.name(),
        service.feature()
    )
}

#[cfg(feature = "dynamodb")]
mod aws {
    //! The keys of the standard AWS chain, as the stores use it.

    use super::Context;
    use async_trait::async_trait;
    use skyfresh_ledger::dynamodb::{AccessKeys, AwsKeys};
    use skyfresh_ledger::{Error, Result};
    use skyfresh_store::s3::{Credentials, KeySource};
    use std::sync::Arc;

    #[derive(Debug)]
    pub(super) struct Chain(KeySource);

    pub(super) fn keys(context: &Context, profile: Option<String>) -> anyhow::Result<Chain> {
        let credentials = Credentials::Chain {
            env: context.environment.variables().clone(),
            home_dir: context.environment.home(),
            profile,
        };
        Ok(Chain(KeySource::new(
            credentials,
            Arc::clone(&context.clock),
        )?))
    }

    #[async_trait]
    impl AwsKeys for Chain {
        async fn keys(&self) -> Result<AccessKeys> {
            let keys = self.0.keys().await.map_err(|error| {
                Error::new(error.kind, "sign", "DynamoDB", error.to_string()).with_source(error)
            })?;
            Ok(AccessKeys {
                access_key_id: keys.access_key_id,
                secret_access_key: keys.secret_access_key,
                session_token: keys.session_token,
            })
        }
    }
}
