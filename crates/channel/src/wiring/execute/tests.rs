use super::*;
use skyfresh_sky::{ManualClock, Timestamp};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A cloud in memory: names, and whether what is there is as planned.
#[derive(Default)]
struct Sandbox {
    there: Mutex<BTreeMap<String, bool>>,
    requests: Mutex<Vec<String>>,
    /// Kinds of resources whose next creations fail, and how.
    failing: Mutex<Vec<(&'static str, Kind)>>,
    /// The failing creation is done all the same: only its answer is lost.
    lose_answers: bool,
}

impl Sandbox {
    fn with(names: &[(&str, bool)]) -> Self {
        let sandbox = Sandbox::default();
        let there = names.iter().map(|(name, same)| ((*name).to_owned(), *same));
        sandbox.there.lock().unwrap().extend(there);
        sandbox
    }

    fn names(&self) -> Vec<String> {
        self.there.lock().unwrap().keys().cloned().collect()
    }

    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }
}

#[async_trait]
impl Cloud for Sandbox {
    async fn look(&self, resource: &Resource) -> Result<Found> {
        Ok(match self.there.lock().unwrap().get(&resource.name()) {
            None => Found::Absent,
            Some(true) => Found::AsPlanned(resource.name()),
            Some(false) => Found::Different("it is blue".into()),
        })
    }

    async fn create(&self, resource: &Resource) -> Result<String> {
        self.requests
            .lock()
            .unwrap()
            .push(format!("create {}", resource.name()));
        let failure = {
            let mut failing = self.failing.lock().unwrap();
            let at = failing
                .iter()
                .position(|(kind, _)| *kind == resource.kind());
            at.map(|at| failing.remove(at).1)
        };
        if failure.is_none() || self.lose_answers {
            self.there.lock().unwrap().insert(resource.name(), true);
        }
        match failure {
            Some(kind) => Err(Error::new(
                kind,
                "create",
                resource.name(),
                "as the test says",
            )),
            None => Ok(resource.name()),
        }
    }

    async fn remove(&self, resource: &Resource, name: &str) -> Result<()> {
        self.requests.lock().unwrap().push(format!("remove {name}"));
        self.there.lock().unwrap().remove(&resource.name());
        Ok(())
    }
}

/// Keeps every version that was saved.
#[derive(Default)]
struct Notebook(Mutex<Vec<Record>>);

impl Journal for Notebook {
    fn save(&self, record: &Record) -> std::io::Result<()> {
        self.0.lock().unwrap().push(record.clone());
        Ok(())
    }
}

impl Notebook {
    fn last(&self) -> Record {
        self.0.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

fn plan() -> Plan {
    Plan {
        rule: "r".into(),
        resources: vec![
            Resource::SqsQueue {
                arn: "queue".into(),
                rule: "r".into(),
                policy: "{}".into(),
            },
            Resource::S3EventBridge {
                bucket: "bucket".into(),
            },
        ],
    }
}

fn clock() -> ManualClock {
    ManualClock::at(Timestamp::ZERO)
}

#[tokio::test]
async fn twice_is_once_and_back_leaves_nothing() {
    let (cloud, notes) = (Sandbox::default(), Notebook::default());
    let first = wire(
        &cloud,
        &plan(),
        Record::new("r", "s3://bucket/"),
        &notes,
        &clock(),
    )
    .await
    .unwrap();
    assert_eq!(first.outcomes, [Outcome::Created, Outcome::Created]);
    assert_eq!(cloud.requests(), ["create queue", "create bucket"]);
    let second = wire(&cloud, &plan(), notes.last(), &notes, &clock())
        .await
        .unwrap();
    assert_eq!(second.outcomes, [Outcome::Unchanged, Outcome::Unchanged]);
    assert_eq!((second.record, cloud.requests()), (first.record, vec![]));
    let (unwired, left) = unwire(&cloud, notes.last(), &notes).await.unwrap();
    assert_eq!(
        cloud.requests(),
        ["remove bucket", "remove queue"],
        "last first"
    );
    assert_eq!(
        (
            unwired.removed.len(),
            left.entries.len(),
            cloud.names().len()
        ),
        (2, 0, 0)
    );
}

#[tokio::test]
async fn what_was_there_before_is_never_removed() {
    let (cloud, notes) = (Sandbox::with(&[("queue", true)]), Notebook::default());
    let wired = wire(
        &cloud,
        &plan(),
        Record::new("r", "s3://bucket/"),
        &notes,
        &clock(),
    )
    .await
    .unwrap();
    assert_eq!(wired.outcomes, [Outcome::Found, Outcome::Created]);
    let again = wire(&cloud, &plan(), notes.last(), &notes, &clock())
        .await
        .unwrap();
    assert_eq!(again.outcomes, [Outcome::Found, Outcome::Unchanged]);
    let (unwired, left) = unwire(&cloud, notes.last(), &notes).await.unwrap();
    assert_eq!(unwired.left[0].1, Left::NotOurs);
    assert_eq!(cloud.names(), ["queue"]);
    assert!(left.entries.is_empty());
}

#[tokio::test]
async fn what_differs_stops_it_before_anything_is_created() {
    let (cloud, notes) = (Sandbox::with(&[("bucket", false)]), Notebook::default());
    let record = Record::new("r", "s3://bucket/");
    let stopped = wire(&cloud, &plan(), record, &notes, &clock())
        .await
        .unwrap_err();
    assert_eq!(stopped.error.kind, Kind::Precondition);
    assert!(
        stopped.error.to_string().contains("it is blue"),
        "{}",
        stopped.error
    );
    assert!(cloud.requests().is_empty() && stopped.record.entries.is_empty());
}

#[tokio::test]
async fn what_others_changed_is_not_removed_and_stays_on_record() {
    let (cloud, notes) = (Sandbox::default(), Notebook::default());
    let record = Record::new("r", "s3://bucket/");
    wire(&cloud, &plan(), record, &notes, &clock())
        .await
        .unwrap();
    cloud.there.lock().unwrap().insert("queue".into(), false);
    let (unwired, left) = unwire(&cloud, notes.last(), &notes).await.unwrap();
    assert_eq!(unwired.left[0].1, Left::Changed("it is blue".into()));
    assert_eq!((unwired.removed.len(), left.entries.len()), (1, 1));
    assert_eq!(cloud.names(), ["queue"]);
}

#[tokio::test]
async fn a_failure_midway_goes_on_or_is_undone() {
    for lose_answers in [false, true] {
        let cloud = Sandbox {
            failing: Mutex::new(vec![("S3 events to EventBridge", Kind::Denied); 2]),
            lose_answers,
            ..Sandbox::default()
        };
        let notes = Notebook::default();
        let stopped = wire(
            &cloud,
            &plan(),
            Record::new("r", "s3://bucket/"),
            &notes,
            &clock(),
        )
        .await
        .unwrap_err();
        assert_eq!(stopped.error.kind, Kind::Denied);
        let states: Vec<State> = notes
            .last()
            .entries
            .iter()
            .map(|entry| entry.state)
            .collect();
        assert_eq!(states, [State::Created, State::Creating]);
        // Undone.
        let (unwired, _) = unwire(&cloud, notes.last(), &Notebook::default())
            .await
            .unwrap();
        assert_eq!(unwired.removed.len(), if lose_answers { 2 } else { 1 });
        assert!(cloud.names().is_empty());
        // Or taken up again: what an unanswered request created is ours.
        let again = Sandbox {
            failing: Mutex::new(vec![("S3 events to EventBridge", Kind::Denied)]),
            lose_answers,
            ..Sandbox::default()
        };
        let notes = Notebook::default();
        wire(
            &again,
            &plan(),
            Record::new("r", "s3://bucket/"),
            &notes,
            &clock(),
        )
        .await
        .unwrap_err();
        let wired = wire(&again, &plan(), notes.last(), &notes, &clock())
            .await
            .unwrap();
        assert_eq!(wired.outcomes, [Outcome::Unchanged, Outcome::Created]);
        unwire(&again, notes.last(), &notes).await.unwrap();
        assert!(again.names().is_empty());
    }
}

#[tokio::test]
async fn not_yet_is_waited_for_but_not_forever() {
    let passing = Sandbox {
        failing: Mutex::new(vec![("SQS queue", Kind::RetryAfter); 3]),
        ..Sandbox::default()
    };
    let time = clock();
    let wired = wire(
        &passing,
        &plan(),
        Record::new("r", "s3://bucket/"),
        &Notebook::default(),
        &time,
    )
    .await
    .unwrap();
    assert_eq!(wired.outcomes, [Outcome::Created, Outcome::Created]);
    assert_eq!(time.monotonic_ns(), 3 * PAUSE.as_nanos() as u64);
    let lasting = Sandbox {
        failing: Mutex::new(vec![("SQS queue", Kind::RetryAfter); 1_000]),
        ..Sandbox::default()
    };
    let stopped = wire(
        &lasting,
        &plan(),
        Record::new("r", "s3://bucket/"),
        &Notebook::default(),
        &clock(),
    )
    .await;
    assert_eq!(stopped.unwrap_err().error.kind, Kind::RetryAfter);
}

#[tokio::test]
async fn nothing_is_done_that_cannot_be_written_down() {
    struct Full;
    impl Journal for Full {
        fn save(&self, _: &Record) -> std::io::Result<()> {
            Err(std::io::ErrorKind::StorageFull.into())
        }
    }
    let cloud = Sandbox::default();
    let stopped = wire(
        &cloud,
        &plan(),
        Record::new("r", "s3://bucket/"),
        &Full,
        &clock(),
    )
    .await
    .unwrap_err();
    assert_eq!(stopped.error.operation, "record");
    assert!(cloud.requests().is_empty());
}

#[tokio::test]
async fn a_rule_that_was_wired_otherwise_is_unwired_first() {
    let (cloud, notes) = (Sandbox::default(), Notebook::default());
    wire(
        &cloud,
        &plan(),
        Record::new("r", "s3://bucket/"),
        &notes,
        &clock(),
    )
    .await
    .unwrap();
    cloud.requests();
    let mut other = plan();
    other.resources.remove(0);
    let stopped = wire(&cloud, &other, notes.last(), &notes, &clock())
        .await
        .unwrap_err();
    assert!(
        stopped.error.to_string().contains("unwire"),
        "{}",
        stopped.error
    );
    assert!(cloud.requests().is_empty());
}
