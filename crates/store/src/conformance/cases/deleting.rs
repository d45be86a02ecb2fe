//! Many deletes: every one of them, each under its own condition.

use crate::conformance::subject::{Subject, content, key, refused};
use crate::conformance::{CaseResult, Failure, Verdict, ensure};
use crate::{Deletion, Precondition, Result};
use skyfresh_sky::{Kind, ObjectVersion};

fn deletion(name: &str, precondition: Precondition) -> std::result::Result<Deletion, Failure> {
    Ok(Deletion {
        key: key(name)?,
        precondition,
    })
}

/// More than one request takes, with odd names and absent ones among them.
pub(super) async fn many_are_deleted_at_once(subject: &Subject<'_>) -> CaseResult {
    const ABSENT: usize = 1_005;
    let none = subject.store.delete_many(&[]).await;
    ensure!(
        none.is_empty(),
        "deleting nothing has {} results",
        none.len()
    );
    let mut names: Vec<String> = [
        "a",
        "a/b",
        "a b",
        "a&b<c>\"d'",
        "a+b%20c",
        "ä/ü",
        "-",
        "z;?#=",
        "q  r",
    ]
    .map(str::to_owned)
    .to_vec();
    // Only where every store takes such a key: elsewhere it is refused as a put.
    for odd in [" begins", "ends ", "tab\tin"] {
        let full = format!("{}{odd}", subject.place.prefix);
        if !subject.backend.refuses_key(&full) && subject.put(odd, &content(3, 1)).await.is_ok() {
            names.push(odd.to_owned());
        }
    }
    for name in &names[..9] {
        subject.put(name, &content(3, 1)).await?;
    }
    subject.put("stays", &content(3, 1)).await?;
    let absent = (0..ABSENT).map(|index| format!("absent/{index}"));
    let all: Vec<String> = names.iter().cloned().chain(absent).collect();
    let deletions = all
        .iter()
        .map(|name| deletion(name, Precondition::None))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let results = subject.store.delete_many(&deletions).await;
    ensure!(
        results.len() == deletions.len(),
        "{} results of {}",
        results.len(),
        deletions.len()
    );
    for (name, result) in all.iter().zip(results) {
        if let Err(error) = result {
            return Err(Failure(format!("{name:?} was not deleted: {error}")));
        }
    }
    let left = subject.list_all(1000).await?;
    let left: Vec<&str> = left.iter().map(|object| object.key.as_str()).collect();
    ensure!(left == ["stays"], "left are {left:?}");
    Ok(Verdict::Passed)
}

/// What has been replaced since stays, and says so; the others go.
pub(super) async fn many_are_deleted_under_conditions(subject: &Subject<'_>) -> CaseResult {
    const OBJECTS: usize = 24;
    if !subject.capabilities.delete_if_version.enforced() {
        // That it really lacks them is the matter of the case of a single delete.
        return Ok(Verdict::NotSupported("delete if version"));
    }
    let mut deletions = Vec::new();
    for index in 0..OBJECTS {
        let name = format!("k{index:02}");
        let receipt = subject.put(&name, &content(10, 1)).await?;
        deletions.push(deletion(&name, Precondition::Version(receipt.version))?);
    }
    let is_replaced = |index: usize| index % 3 == 1;
    let is_absent = |index: usize| index % 3 == 2;
    for index in 0..OBJECTS {
        let name = format!("k{index:02}");
        if is_replaced(index) {
            subject.put(&name, &content(10, 2)).await?;
        } else if is_absent(index) {
            let key = key(&name)?;
            subject.store.delete(&key, &Precondition::None).await?;
        }
    }
    // Without a version's id, as a listing has it.
    for deletion in &mut deletions {
        if let Precondition::Version(version) = &mut deletion.precondition {
            *version = ObjectVersion::from_etag(version.etag.clone());
        }
    }
    let results: Vec<Result<()>> = subject.store.delete_many(&deletions).await;
    ensure!(results.len() == OBJECTS, "{} results", results.len());
    for (index, result) in results.into_iter().enumerate() {
        let name = format!("k{index:02}");
        if is_replaced(index) {
            let what = format!("deleting the old version of {name}");
            refused(&what, result, &[Kind::Precondition])?;
            subject.expect(&name, &content(10, 2)).await?;
        } else {
            result?;
            subject.expect_absent(&name).await?;
        }
    }
    let unconditional = deletions
        .iter()
        .map(|deletion| Deletion {
            precondition: Precondition::None,
            ..deletion.clone()
        })
        .collect::<Vec<_>>();
    for result in subject.store.delete_many(&unconditional).await {
        result?;
    }
    let left = subject.list_all(1000).await?;
    ensure!(left.is_empty(), "{} are left", left.len());
    Ok(Verdict::Passed)
}
