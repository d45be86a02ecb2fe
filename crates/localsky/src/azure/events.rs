//! Changes of blobs as Event Grid tells them.
//!
//! Sources: learn.microsoft.com/azure/event-grid/event-schema-blob-storage, …/event-schema, …/cloud-event-schema.

use super::model::{Api, Properties};
use crate::notify::Event;
use serde_json::{Value, json};

/// Names the resource that events come from; subscription and resource group are this sky's own.
pub(crate) fn topic(account: &str) -> String {
    format!(
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/skyfresh/providers/Microsoft.Storage/storageAccounts/{account}"
    )
}

/// Where a change comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Origin {
    pub(crate) account: String,
    /// Of the Blob service, without a slash at its end.
    pub(crate) endpoint: String,
    pub(crate) request_id: String,
    pub(crate) client_request_id: Option<String>,
}

/// What an event says beyond what events of all clouds say.
#[derive(Clone, Debug)]
pub(crate) struct AzureEvent {
    api: Api,
    account: String,
    url: String,
    request_id: String,
    client_request_id: Option<String>,
    content_type: Option<String>,
    tier: &'static str,
}

impl Origin {
    pub(crate) fn event(
        &self,
        container: &str,
        blob: &str,
        api: Api,
        properties: &Properties,
    ) -> AzureEvent {
        let tier = properties.tier.unwrap_or(super::model::Tier::Hot);
        AzureEvent {
            api,
            account: self.account.clone(),
            url: format!("{}/{}/{container}/{blob}", self.endpoint, self.account),
            request_id: self.request_id.clone(),
            client_request_id: self.client_request_id.clone(),
            content_type: properties.headers.content_type.clone(),
            tier: tier.as_str(),
        }
    }
}

impl AzureEvent {
    pub(crate) fn event_type(&self) -> &'static str {
        match self.api {
            Api::DeleteBlob => "Microsoft.Storage.BlobDeleted",
            Api::PutBlob | Api::PutBlockList | Api::CopyBlob => "Microsoft.Storage.BlobCreated",
        }
    }

    pub(crate) fn subject(&self, event: &Event) -> String {
        format!(
            "/blobServices/default/containers/{}/blobs/{}",
            event.bucket, event.key
        )
    }

    fn data(&self, event: &Event) -> Value {
        let content_type = self.content_type.as_deref();
        let mut data = json!({
            "api": self.api.as_str(),
            "requestId": self.request_id,
            "contentType": content_type.unwrap_or("application/octet-stream"),
            "contentLength": event.size.unwrap_or(0),
            "blobType": "BlockBlob",
            "accessTier": self.tier,
            "url": self.url,
            // Compared as text; the later event of a name has the greater one.
            "sequencer": format!("{:048X}", event.sequence),
            "storageDiagnostics": { "batchId": self.request_id },
        });
        if let Some(id) = &self.client_request_id {
            data["clientRequestId"] = json!(id);
        }
        if self.api != Api::DeleteBlob
            && let Some(etag) = &event.etag
        {
            data["eTag"] = json!(etag);
        }
        data
    }

    /// Neither two events nor two skies share an id.
    fn id(&self, event: &Event) -> String {
        format!(
            "{}{:012x}",
            &self.request_id[..self.request_id.len().min(24)],
            event.sequence & 0xffff_ffff_ffff
        )
    }

    /// In the Event Grid schema.
    pub(crate) fn event_grid(&self, event: &Event) -> Value {
        json!({
            "topic": topic(&self.account),
            "subject": self.subject(event),
            "eventType": self.event_type(),
            "id": self.id(event),
            "data": self.data(event),
            "dataVersion": "",
            "metadataVersion": "1",
            "eventTime": event.time.to_string(),
        })
    }

    /// In the CloudEvents 1.0 schema.
    pub(crate) fn cloud_event(&self, event: &Event) -> Value {
        json!({
            "specversion": "1.0",
            "source": topic(&self.account),
            "subject": self.subject(event),
            "type": self.event_type(),
            "id": self.id(event),
            "time": event.time.to_string(),
            "data": self.data(event),
        })
    }
}
