//! The Azure part of `[endpoint.NAME]`.

use super::Secret;
use skyfresh_store::azure::config::INSTANCE_METADATA_URL;
use skyfresh_store::azure::{AzureCredentialSource, EntraApplication, IdentityEndpoint};
use std::path::Path;

/// The fields as they are written, references resolved.
#[derive(Default)]
pub(super) struct AzureFields {
    pub(super) account_key: Option<Secret>,
    pub(super) sas_token: Option<Secret>,
    pub(super) sas_token_file: Option<String>,
    pub(super) connection_string: Option<Secret>,
    pub(super) tenant_id: Option<String>,
    pub(super) client_id: Option<String>,
    pub(super) client_secret: Option<Secret>,
    pub(super) federated_token_file: Option<String>,
    pub(super) identity: Option<String>,
}

impl AzureFields {
    /// The one source of credentials that they describe; `None` where there are none.
    ///
    /// # Errors
    /// They describe none whole, or several.
    pub(super) fn source(self) -> Result<Option<AzureCredentialSource>, &'static str> {
        let exposed = |secret: Secret| secret.expose().to_owned();
        let mut found = Vec::new();
        found.extend(
            self.account_key
                .map(exposed)
                .map(AzureCredentialSource::AccountKey),
        );
        found.extend(self.sas_token.map(exposed).map(AzureCredentialSource::Sas));
        found.extend(
            self.sas_token_file
                .map(|path| AzureCredentialSource::SasFile(path.into())),
        );
        found.extend(
            self.connection_string
                .map(exposed)
                .map(AzureCredentialSource::ConnectionString),
        );
        let managed = match self.identity.as_deref() {
            None => false,
            Some("managed") => true,
            Some("none") => {
                found.push(AzureCredentialSource::Anonymous);
                false
            }
            Some(_) => return Err("azure_identity is \"managed\" or \"none\""),
        };
        if managed {
            if self.tenant_id.is_some()
                || self.client_secret.is_some()
                || self.federated_token_file.is_some()
            {
                return Err(
                    "a managed identity takes azure_client_id only, where there are several",
                );
            }
            found.push(AzureCredentialSource::ManagedIdentity {
                client_id: self.client_id,
                endpoint: IdentityEndpoint::InstanceMetadata {
                    url: INSTANCE_METADATA_URL.to_owned(),
                },
            });
        } else {
            match (
                self.tenant_id,
                self.client_id,
                self.client_secret,
                self.federated_token_file,
            ) {
                (None, None, None, None) => {}
                (Some(tenant_id), Some(client_id), secret, file) => {
                    let application = EntraApplication {
                        tenant_id,
                        client_id,
                        authority_host: None,
                    };
                    found.push(match (secret, file) {
                        (Some(secret), None) => AzureCredentialSource::ClientSecret {
                            application,
                            client_secret: exposed(secret),
                        },
                        (None, Some(file)) => AzureCredentialSource::WorkloadIdentity {
                            application,
                            token_file: file.into(),
                        },
                        _ => {
                            return Err(
                                "give either azure_client_secret or azure_federated_token_file",
                            );
                        }
                    });
                }
                _ => {
                    return Err(
                        "azure_tenant_id and azure_client_id go together, with a secret or a federated token file",
                    );
                }
            }
        }
        let source = found.pop();
        if !found.is_empty() {
            return Err("give one kind of Azure credentials, not several");
        }
        Ok(source)
    }
}

/// Makes the files of a source relative to the configuration's directory.
pub(super) fn resolve_files(source: &mut AzureCredentialSource, directory: &Path) {
    match source {
        AzureCredentialSource::SasFile(file)
        | AzureCredentialSource::WorkloadIdentity {
            token_file: file, ..
        } => {
            *file = directory.join(&*file);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> Option<Secret> {
        Some(Secret::new("hunter2"))
    }

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_source_has_its_fields() {
        let application = || AzureFields {
            tenant_id: text("t"),
            client_id: text("c"),
            ..AzureFields::default()
        };
        let cases = [
            (
                AzureFields {
                    account_key: secret(),
                    ..AzureFields::default()
                },
                "account key",
            ),
            (
                AzureFields {
                    sas_token: secret(),
                    ..AzureFields::default()
                },
                "shared access signature",
            ),
            (
                AzureFields {
                    sas_token_file: text("/f"),
                    ..AzureFields::default()
                },
                "shared access signature",
            ),
            (
                AzureFields {
                    connection_string: secret(),
                    ..AzureFields::default()
                },
                "connection string",
            ),
            (
                AzureFields {
                    client_secret: secret(),
                    ..application()
                },
                "service principal",
            ),
            (
                AzureFields {
                    federated_token_file: text("/f"),
                    ..application()
                },
                "workload identity",
            ),
            (
                AzureFields {
                    identity: text("managed"),
                    client_id: text("c"),
                    ..AzureFields::default()
                },
                "managed identity",
            ),
            (
                AzureFields {
                    identity: text("none"),
                    ..AzureFields::default()
                },
                "anonymous",
            ),
        ];
        for (fields, name) in cases {
            let source = fields.source().unwrap().unwrap();
            assert_eq!(source.name(), name);
            assert!(!format!("{source:?}").contains("hunter2"));
        }
        assert_eq!(AzureFields::default().source(), Ok(None));
    }

    #[test]
    fn half_a_source_or_two_are_refused() {
        for fields in [
            AzureFields {
                tenant_id: text("t"),
                ..AzureFields::default()
            },
            AzureFields {
                tenant_id: text("t"),
                client_id: text("c"),
                ..AzureFields::default()
            },
            AzureFields {
                account_key: secret(),
                sas_token: secret(),
                ..AzureFields::default()
            },
            AzureFields {
                identity: text("managed"),
                client_secret: secret(),
                ..AzureFields::default()
            },
            AzureFields {
                identity: text("yes"),
                ..AzureFields::default()
            },
        ] {
            assert!(fields.source().is_err());
        }
    }

    #[test]
    fn files_lie_beside_the_configuration() {
        let mut source = AzureCredentialSource::SasFile("sas".into());
        resolve_files(&mut source, Path::new("/etc/skyfresh"));
        assert_eq!(
            source,
            AzureCredentialSource::SasFile("/etc/skyfresh/sas".into())
        );
    }
}
