//! The account and its containers.

use super::{Call, check_container_name, list};
use crate::azure::auth::Level;
use crate::azure::conditions::Conditions;
use crate::azure::container::{Container, ContainerRecord};
use crate::azure::error::{self, Result};
use crate::azure::headers::metadata;
use crate::azure::model::shown_etag;
use crate::azure::reply::Reply;
use crate::azure::xml::Xml;
use http::{Method, Response, StatusCode};
use s3s::Body;
use skyfresh_sky::Timestamp;

pub(super) fn account(call: &Call) -> Result<Response<Body>> {
    let head = &call.head;
    let restype = head.query("restype").unwrap_or_default();
    match (&head.method, restype, head.comp()) {
        (&Method::GET, _, "list") => {
            call.allow(Level::Service, "l")?;
            list::containers(call)
        }
        (&Method::GET | &Method::HEAD, "account", "properties") => Ok(information()),
        (&Method::GET, "service", "properties") => {
            call.allow(Level::Service, "r")?;
            let mut xml = Xml::document();
            xml.open("StorageServiceProperties")
                .element("DefaultServiceVersion", &head.version)
                .open("DeleteRetentionPolicy")
                .element("Enabled", "false")
                .close("DeleteRetentionPolicy")
                .close("StorageServiceProperties");
            Ok(Reply::new(StatusCode::OK).xml(xml.finish()))
        }
        _ => Err(error::not_implemented("this operation on an account")),
    }
}

/// Get Account Information.
fn information() -> Response<Body> {
    Reply::new(StatusCode::OK)
        .header("x-ms-sku-name", "Standard_LRS")
        .header("x-ms-account-kind", "StorageV2")
        .header("x-ms-is-hns-enabled", "false")
        .empty()
}

pub(super) async fn answer(call: &Call, name: &str) -> Result<Response<Body>> {
    check_container_name(name)?;
    let head = &call.head;
    match head.query("restype") {
        Some("container") => {}
        Some("account") if head.comp() == "properties" => return Ok(information()),
        // A blob of the root container, which this account does not have.
        _ => return Err(error::container_not_found()),
    }
    let allow = |permissions| call.allow(Level::Container, permissions);
    match (&head.method, head.comp()) {
        (&Method::PUT, "") => {
            allow("cw")?;
            let metadata = metadata(head)?;
            let (account, name) = (call.account.clone(), name.to_owned());
            let container = call
                .account
                .blocking(move || account.create_container(&name, metadata))
                .await?;
            Ok(validated(StatusCode::CREATED, &container.lock()?.record).empty())
        }
        (&Method::DELETE, "") => {
            allow("d")?;
            let conditions = Conditions::of(head)?;
            let (account, name) = (call.account.clone(), name.to_owned());
            call.account
                .blocking(move || {
                    account.delete_container(&name, |container| check(&conditions, container))
                })
                .await?;
            Ok(Reply::new(StatusCode::ACCEPTED).empty())
        }
        (&Method::GET | &Method::HEAD, "" | "metadata") => {
            allow("r")?;
            let container = call.account.container(name)?;
            let record = container.lock()?.record.clone();
            let mut reply = validated(StatusCode::OK, &record);
            for (name, value) in &record.metadata {
                reply = reply.header(&format!("x-ms-meta-{name}"), value);
            }
            if head.comp().is_empty() {
                reply = reply
                    .header("x-ms-lease-status", "unlocked")
                    .header("x-ms-lease-state", "available")
                    .header("x-ms-has-immutability-policy", "false")
                    .header("x-ms-has-legal-hold", "false")
                    .header("x-ms-default-encryption-scope", "$account-encryption-key")
                    .header("x-ms-deny-encryption-scope-override", "false");
            }
            Ok(reply.empty())
        }
        (&Method::PUT, "metadata") => {
            allow("w")?;
            let metadata = metadata(head)?;
            let conditions = Conditions::of(head)?;
            let container = call.account.container(name)?;
            let record = call
                .account
                .blocking(move || {
                    check(&conditions, &container)?;
                    let mut state = container.lock()?;
                    container.set_metadata(&mut state, metadata)?;
                    Ok(state.record.clone())
                })
                .await?;
            Ok(validated(StatusCode::OK, &record).empty())
        }
        (&Method::GET, "list") => {
            allow("l")?;
            let container = call.account.container(name)?;
            list::blobs(call, &container)
        }
        (_, other) => Err(error::not_implemented(&format!(
            "comp={other} of containers by {}",
            head.method
        ))),
    }
}

fn check(conditions: &Conditions, container: &Container) -> Result<()> {
    let record = container.lock()?.record.clone();
    let modified = Timestamp::from_unix_ms(record.modified_unix_ms);
    conditions.check_write(Some((&*shown_etag(record.etag), modified)), false)
}

fn validated(status: StatusCode, record: &ContainerRecord) -> Reply {
    let modified = Timestamp::from_unix_ms(record.modified_unix_ms);
    Reply::new(status).validators(&shown_etag(record.etag), modified)
}
