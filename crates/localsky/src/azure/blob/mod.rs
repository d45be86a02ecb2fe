//! The Blob service: which operation a request asks for, and what it needs.
//!
//! **In:** requests whose caller is known. **Out:** what Azure would answer, by
//! learn.microsoft.com/rest/api/storageservices/blob-service-rest-api. **Never:** decides a condition at another moment
//! than under the lock that publishes.

mod blocks;
mod containers;
mod copy;
mod fetch;
mod list;
mod properties;
mod put;
mod read;

pub(crate) use list::Marker;

use super::account::{Account, is_container_name};
use super::auth::{Grant, Level, Need, permission_mismatch};
use super::conditions::Conditions;
use super::container::{Container, State};
use super::error::{self, Result};
use super::events::Origin;
use super::model::{Blob, CopyState};
use super::request::Head;
use http::{Method, Response};
use s3s::Body;
use skyfresh_sky::Timestamp;
use std::sync::Arc;

/// The longest name of a blob, in characters (naming and referencing containers, blobs, and metadata).
const NAME_LONGEST: usize = 1024;
/// Most path segments of a blob's name.
const NAME_SEGMENTS: usize = 254;

/// A request whose caller is known.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) account: Arc<Account>,
    pub(crate) head: Head,
    pub(crate) grant: Grant,
    pub(crate) origin: Origin,
}

/// What a write has to satisfy, beside what it does.
pub(crate) struct Terms {
    conditions: Conditions,
    lease_id: Option<String>,
    may_overwrite: bool,
}

impl Call {
    fn allow(&self, level: Level, permissions: &'static str) -> Result<()> {
        self.grant.allow(Need { level, permissions })
    }

    fn lease_id(&self) -> Option<&str> {
        self.head.header("x-ms-lease-id")
    }

    fn terms(&self) -> Result<Terms> {
        Ok(Terms {
            conditions: Conditions::of(&self.head)?,
            lease_id: self.lease_id().map(str::to_owned),
            may_overwrite: self.grant.may_overwrite(),
        })
    }
}

impl Terms {
    /// Whether a blob may be made here; gives what it would replace.
    fn admit_creation(
        &self,
        state: &State,
        name: &str,
        now: Timestamp,
    ) -> Result<Option<Arc<Blob>>> {
        let blob = state.blob(name).cloned();
        self.check(blob.as_deref(), now, true)?;
        if blob.is_some() && !self.may_overwrite {
            return Err(permission_mismatch());
        }
        Ok(blob)
    }

    /// Whether an existing blob may be changed.
    fn admit_change(&self, state: &State, name: &str, now: Timestamp) -> Result<Arc<Blob>> {
        let blob = state.existing(name)?;
        self.check(Some(&blob), now, false)?;
        Ok(blob)
    }

    fn check(&self, blob: Option<&Blob>, now: Timestamp, creates: bool) -> Result<()> {
        let etag = blob.map(|blob| blob.properties.etag());
        let current = etag
            .as_deref()
            .zip(blob.map(|blob| blob.properties.modified()));
        self.conditions.check_write(current, creates)?;
        let copy = blob.and_then(|blob| blob.properties.copy.as_ref());
        if copy.is_some_and(CopyState::is_pending) {
            return Err(error::pending_copy_operation());
        }
        let lease = blob
            .map(|blob| blob.properties.lease.clone())
            .unwrap_or_default();
        lease.check_write(self.lease_id.as_deref(), now)
    }
}

/// A blob's place: its container and its name there.
#[derive(Clone, Debug)]
struct Place {
    container: Arc<Container>,
    name: String,
}

pub(crate) async fn answer(call: Call, body: Body) -> Result<Response<Body>> {
    let path = call.head.path.clone();
    match path.split_once('/') {
        _ if path.is_empty() => containers::account(&call),
        None => containers::answer(&call, &path).await,
        Some((container, "")) => containers::answer(&call, container).await,
        Some((container, name)) => blob(call, container, name, body).await,
    }
}

fn check_container_name(name: &str) -> Result<()> {
    if is_container_name(name) {
        Ok(())
    } else if (3..=63).contains(&name.len()) {
        Err(error::invalid_resource_name())
    } else {
        Err(error::name_out_of_range())
    }
}

async fn blob(call: Call, container: &str, name: &str, body: Body) -> Result<Response<Body>> {
    check_container_name(container)?;
    if name.chars().count() > NAME_LONGEST || name.split('/').count() > NAME_SEGMENTS {
        return Err(error::name_out_of_range());
    }
    for version in ["snapshot", "versionid"] {
        if call.head.query(version).is_some() {
            return Err(error::not_implemented("snapshots and versions of blobs"));
        }
    }
    let find = |call: &Call| {
        Ok::<_, error::StorageError>(Place {
            container: call.account.container(container)?,
            name: name.to_owned(),
        })
    };
    let copies = call.head.header("x-ms-copy-source").is_some();
    let object = |permissions| call.allow(Level::Object, permissions);
    match (&call.head.method, call.head.comp()) {
        (&Method::GET, "") => {
            object("r")?;
            let place = find(&call)?;
            read::get(call, place).await
        }
        (&Method::HEAD, "") => object("r")
            .and(find(&call))
            .and_then(|place| read::head(&call, &place)),
        (&Method::PUT, "") => {
            object("cw")?;
            let place = find(&call)?;
            match (copies, call.head.header("x-ms-blob-type").is_some()) {
                (false, _) => put::blob(call, place, body).await,
                (true, true) => fetch::put_blob_from_url(call, place).await,
                (true, false) => copy::start(call, place).await,
            }
        }
        (&Method::DELETE, "") => {
            object("d")?;
            let place = find(&call)?;
            put::delete(call, place).await
        }
        (&Method::PUT, "block") => {
            object("cw")?;
            let place = find(&call)?;
            if copies {
                fetch::put_block_from_url(call, place).await
            } else {
                blocks::put(call, place, body).await
            }
        }
        (&Method::PUT, "blocklist") => {
            object("cw")?;
            let place = find(&call)?;
            blocks::commit(call, place, body).await
        }
        (&Method::GET, "blocklist") => object("r")
            .and(find(&call))
            .and_then(|place| blocks::list(&call, &place)),
        (&Method::GET | &Method::HEAD, "metadata") => object("r")
            .and(find(&call))
            .and_then(|place| properties::metadata(&call, &place)),
        (&Method::PUT, "metadata") => {
            object("w")?;
            let place = find(&call)?;
            properties::set_metadata(call, place).await
        }
        (&Method::PUT, "properties") => {
            object("w")?;
            let place = find(&call)?;
            properties::set(call, place).await
        }
        (&Method::PUT, "tier") => {
            object("w")?;
            let place = find(&call)?;
            properties::set_tier(call, place).await
        }
        (&Method::GET, "tags") => object("t")
            .and(find(&call))
            .and_then(|place| properties::tags(&call, &place)),
        (&Method::PUT, "tags") => {
            object("t")?;
            let place = find(&call)?;
            properties::set_tags(call, place, body).await
        }
        (&Method::PUT, "lease") => {
            object("wd")?;
            let place = find(&call)?;
            properties::lease(call, place).await
        }
        (&Method::PUT, "copy") => {
            object("w")?;
            let place = find(&call)?;
            copy::abort(call, place).await
        }
        (
            _,
            "" | "block" | "blocklist" | "metadata" | "properties" | "tier" | "tags" | "lease"
            | "copy",
        ) => Err(error::method_not_allowed()),
        (_, "snapshot") => Err(error::not_implemented("snapshots")),
        (_, other) => Err(error::not_implemented(&format!("comp={other}"))),
    }
}
