//! Deletes what was chosen, each object only as the version that was listed.

use super::Choice;
use crate::context::Context;
use crate::exit::Exit;
use crate::hint;
use crate::listing::Place;
use crate::output::{Style, printable};
use crate::render::objects;
use futures::StreamExt as _;
use serde::Serialize;
use skyfresh_sky::{Kind, ObjectVersion, Scheme, format_bytes};
use skyfresh_store::{Deletion, Error, ListedObject, Precondition, Result};
use std::sync::Arc;

/// Batches at a time: stores take thousands of deletes a second, and each request is a round trip.
const AT_A_TIME: usize = 4;
/// Objects in a batch, where the store deletes one a request: so many are under way at once in each.
const WITHOUT_BATCHES: usize = 32;

/// What became of one object, as JSON.
#[derive(Serialize)]
struct Line<'a> {
    uri: String,
    key: &'a str,
    size: u64,
    etag: &'a str,
    outcome: Outcome,
    error: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Deleted,
    WouldBeDeleted,
    /// It is not what was listed any more.
    Kept,
    Failed,
}

/// The last line of JSON.
#[derive(Default, Serialize)]
struct Summary {
    deleted: u64,
    bytes: u64,
    /// Changed since they were listed.
    kept: u64,
    failed: u64,
    dry_run: bool,
    /// The bucket keeps versions: the bytes are still there, and cost.
    older_versions_stay: bool,
}

/// Deletes, reports each, and sums up. A signal ends it after what is under way.
pub(super) async fn all(choice: Choice, dry_run: bool, context: &Context) -> anyhow::Result<Exit> {
    let output = &context.output;
    let mut summary = Summary {
        dry_run,
        older_versions_stay: keeps_versions(&choice).await,
        failed: choice.unusable.len() as u64,
        ..Summary::default()
    };
    for shown in &choice.unusable {
        let shown = printable(shown, false);
        output.note(format_args!(
            "{shown} is no object (on disk: a link, a device), and stays"
        ));
    }
    let mut first_error = None;
    let ended = futures::stream::iter(batches(choice.objects))
        .take_until(context.stop.cancelled())
        .map(|(place, objects)| async move {
            let deleted = match dry_run {
                true => objects.iter().map(|_| Ok(())).collect(),
                false => delete(&place, &objects).await,
            };
            let each = objects.into_iter().zip(deleted);
            let each = each.map(move |(object, deleted)| (Arc::clone(&place), object, deleted));
            futures::stream::iter(each)
        });
    let mut ended = std::pin::pin!(ended.buffer_unordered(AT_A_TIME).flatten());
    while let Some((place, object, deleted)) = ended.next().await {
        let outcome = match &deleted {
            Ok(()) if dry_run => Outcome::WouldBeDeleted,
            Ok(()) => Outcome::Deleted,
            Err(error) if error.kind == Kind::Precondition => Outcome::Kept,
            Err(_) => Outcome::Failed,
        };
        match outcome {
            Outcome::Deleted | Outcome::WouldBeDeleted => {
                summary.deleted += 1;
                summary.bytes += object.size;
            }
            Outcome::Kept => summary.kept += 1,
            Outcome::Failed => summary.failed += 1,
        }
        report(&place, &object, outcome, deleted.as_ref().err(), context)?;
        first_error = first_error.or(deleted
            .err()
            .filter(|error| error.kind != Kind::Precondition));
    }
    match output.json {
        true => output.json_line(&summary)?,
        false => sum_up(&summary, context),
    }
    if let Some(error) = first_error {
        let error = anyhow::Error::from(error);
        output.error(&error, &hint::of(&error));
    }
    Ok(match summary.failed + summary.kept {
        _ if context.stop.is_cancelled() => Exit::Interrupted,
        0 => Exit::Ok,
        _ => Exit::Failed,
    })
}

/// Whether the first bucket keeps versions, as far as one object tells: its version has an id then. Google's always have one.
async fn keeps_versions(choice: &Choice) -> bool {
    let Some((place, object)) = choice.objects.first() else {
        return false;
    };
    place.location().scheme == Scheme::S3
        && place.store().head(&object.key).await.is_ok_and(|head| {
            // Written before versioning was turned on, or after it was suspended.
            head.version.version_id.is_some_and(|id| id != "null")
        })
}

/// What one request deletes, or as many as go out at once: objects that stand together at one place.
fn batches(objects: Vec<(Arc<Place>, ListedObject)>) -> Vec<(Arc<Place>, Vec<ListedObject>)> {
    let mut batches: Vec<(Arc<Place>, Vec<ListedObject>)> = Vec::new();
    for (place, object) in objects {
        let capabilities = place.store().capabilities();
        let most = capabilities
            .deletes_a_request(capabilities.delete_if_version.enforced())
            .max(WITHOUT_BATCHES);
        match batches.last_mut() {
            Some((of, batch)) if Arc::ptr_eq(of, &place) && batch.len() < most => {
                batch.push(object);
            }
            _ => batches.push((place, vec![object])),
        }
    }
    batches
}

/// Deletes objects, each only as the version that was listed; the results are in their order.
async fn delete(place: &Place, objects: &[ListedObject]) -> Vec<Result<()>> {
    let store = place.store();
    let mut results: Vec<Result<()>> = Vec::new();
    if store.capabilities().delete_if_version.enforced() {
        let deletions: Vec<Deletion> = objects
            .iter()
            .map(|object| Deletion {
                key: object.key.clone(),
                precondition: Precondition::Version(ObjectVersion::from_etag(&object.etag)),
            })
            .collect();
        results = store.delete_many(&deletions).await;
    }
    // Where the store has no conditional deletes, looked at just before is the best there is.
    let mut results = results.into_iter();
    let each: Vec<_> = objects
        .iter()
        .map(|object| (object, results.next()))
        .collect();
    futures::stream::iter(each)
        .map(|(object, result)| async move {
            match result {
                None => delete_as_seen(place, object).await,
                Some(Err(error)) if error.kind == Kind::Unsupported => {
                    delete_as_seen(place, object).await
                }
                Some(result) => result,
            }
        })
        .buffered(WITHOUT_BATCHES)
        .collect()
        .await
}

async fn delete_as_seen(place: &Place, object: &ListedObject) -> Result<()> {
    let store = place.store();
    match store.head(&object.key).await {
        Ok(head) if head.version.etag == object.etag => {
            store.delete(&object.key, &Precondition::None).await
        }
        Ok(head) => {
            let why = format!("it is {} now, not {}", head.version, object.etag);
            Err(store.error(Kind::Precondition, "delete", &object.key, why))
        }
        Err(error) if error.kind == Kind::Missing && !error.is_missing_bucket() => Ok(()),
        Err(error) => Err(error),
    }
}

fn report(
    place: &Place,
    object: &ListedObject,
    outcome: Outcome,
    error: Option<&Error>,
    context: &Context,
) -> anyhow::Result<()> {
    let (output, key) = (&context.output, object.key.as_str());
    if output.json {
        return output.json_line(&Line {
            uri: place.uri(key),
            key,
            size: object.size,
            etag: &object.etag,
            outcome,
            error: error.map(ToString::to_string),
        });
    }
    let shown = printable(&place.shown(key), false);
    let why = error.map_or_else(String::new, |error| printable(&error.context, false));
    match outcome {
        Outcome::Deleted => output.line(format_args!("deleted       {shown}")),
        Outcome::WouldBeDeleted => output.line(format_args!("would delete  {shown}")),
        Outcome::Kept => output.line(format_args!(
            "{}          {shown}  (changed since it was listed: {why})",
            output.paint(Style::Yellow, "kept")
        )),
        Outcome::Failed => output.line(format_args!(
            "{}        {shown}  ({why})",
            output.paint(Style::Red, "failed")
        )),
    }
    Ok(())
}

fn sum_up(summary: &Summary, context: &Context) {
    let output = &context.output;
    let (done, bytes) = (objects(summary.deleted), format_bytes(summary.bytes));
    let mut line = match summary.dry_run {
        true => format!("would delete {done}, {bytes}; nothing was deleted"),
        false => format!("deleted {done}, {bytes}"),
    };
    if summary.kept > 0 {
        line.push_str(&format!(", kept {} that changed", summary.kept));
    }
    if summary.failed > 0 {
        line.push_str(&format!(", failed {}", summary.failed));
    }
    output.line(line);
    if summary.older_versions_stay && summary.deleted > 0 {
        output.note("note: the bucket keeps versions: a delete marker hides each object, its versions stay and cost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::objects::{Objects, Reading};
    use skyfresh_engine::OpenStore;
    use skyfresh_sky::{Attributes, Location, ManualClock, ObjectKey, Timestamp};
    use skyfresh_store::memory::{MEMORY_CAPABILITIES, MemorySky};
    use skyfresh_store::{Capabilities, ConditionSupport, ObjectStore, PutOptions, single_chunk};

    #[derive(Debug)]
    struct Sky(MemorySky);

    impl OpenStore for Sky {
        fn open(&self, location: &Location) -> Result<Arc<dyn ObjectStore>> {
            Ok(self.0.store(location.clone()))
        }
    }

    async fn put(place: &Place, content: &'static str) {
        let options = PutOptions {
            size: content.len() as u64,
            attributes: Attributes::default(),
            precondition: Precondition::None,
        };
        let key = ObjectKey::new("k").unwrap();
        place
            .store()
            .put(&key, options, single_chunk(content))
            .await
            .unwrap();
    }

    async fn listed(place: &Place) -> ListedObject {
        place.store().list(None, 1).await.unwrap().objects.remove(0)
    }

    async fn delete_one(place: &Place, object: &ListedObject) -> Result<()> {
        let mut results = delete(place, std::slice::from_ref(object)).await;
        assert_eq!(results.len(), 1);
        results.remove(0)
    }

    /// With conditional deletes and without.
    fn places() -> Vec<Arc<Place>> {
        let support = [ConditionSupport::Enforced, ConditionSupport::Unsupported];
        let place = |delete_if_version| {
            let sky = Sky(MemorySky::new(Arc::new(ManualClock::at(Timestamp::ZERO))));
            let capabilities = Capabilities {
                delete_if_version,
                ..MEMORY_CAPABILITIES
            };
            sky.0.create_bucket_with("b", capabilities);
            let objects = Objects::read("mem://b/k", Reading::default()).unwrap();
            Arc::new(Place::open(&sky, objects).unwrap())
        };
        support.into_iter().map(place).collect()
    }

    #[tokio::test]
    async fn what_was_written_since_it_was_listed_stays() {
        for place in places() {
            put(&place, "old").await;
            let old = listed(&place).await;
            put(&place, "new").await;
            let kept = delete_one(&place, &old).await.unwrap_err();
            assert_eq!(kept.kind, Kind::Precondition);
            let new = listed(&place).await;
            delete_one(&place, &new).await.unwrap();
            assert!(
                place
                    .store()
                    .list(None, 1)
                    .await
                    .unwrap()
                    .objects
                    .is_empty()
            );
            // Somebody else did it.
            delete_one(&place, &new).await.unwrap();
        }
    }
}
