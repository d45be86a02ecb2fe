//! S3 → SQS → `skyfresh serve` on a server that speaks both, with messages lost on the way.
//!
//! ```text
//!  500 PUTs ─► source bucket ──notifications──► queue 1 ──the test: every 20th is lost──► queue 2 ─► skyfresh serve ─► copy
//!                                                                                                        ▲
//!                                                                                      sweep, once ──────┘
//! ```
//!
//! What the queue told is brought over at once; the sweep finds exactly what was lost, and status says how much that was.

#![expect(
    clippy::disallowed_methods,
    reason = "tests wait for other processes in real time"
)]

mod cloud;
#[path = "../commands/support.rs"]
#[allow(dead_code, reason = "the commands' tests use the rest")]
mod support;

use cloud::Cloud;
use futures::StreamExt;
use skyfresh_channel::Channel;
use std::time::{Duration, Instant};
use support::{Place, Ran, Running, eventually};

const OBJECTS: u64 = 500;
/// One in so many messages is lost: 5%.
const LOSE_EVERY: u64 = 20;

/// A daemon from `source` to `copy` that pulls one queue and sweeps only when asked.
fn serve(place: &Place, cloud: &Cloud, source: &str, copy: &str, queue: &str) -> (Running, String) {
    let url = &cloud.url;
    place.write(
        "skyfresh.toml",
        format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n[engine]\nnotification_grace = \"1s\"\n\
             [endpoint.cloud]\nurl = \"{url}\"\nregion = \"us-east-1\"\naccess_key_id = \"test\"\nsecret_access_key = \"test\"\n\
             [[rule]]\nname = \"r\"\nsource = \"s3://{source}/?endpoint=cloud\"\ndelete = true\nsweep_every = \"1d\"\n\
             [[rule.destination]]\nname = \"copy\"\nlocation = \"s3://{copy}/?endpoint=cloud\"\n\
             [[channel]]\nname = \"events\"\nsqs = \"{url}/000000000000/{queue}\"\nendpoint = \"cloud\"\n"
        ),
    );
    let running = place.start(&["serve", "--json"]);
    let ready: serde_json::Value = serde_json::from_str(&running.first_line).unwrap();
    (running, ready["url"].as_str().unwrap().to_owned())
}

fn ask(place: &Place, server: &str, args: &[&str]) -> Ran {
    let mut all = args.to_vec();
    all.extend(["--server", server]);
    let ran = place.run(&all);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// The only rule's status.
fn status(place: &Place, server: &str) -> serde_json::Value {
    ask(place, server, &["status", "--json"]).json()[0].clone()
}

fn totals(status: &serde_json::Value, name: &str) -> u64 {
    status["destinations"][0]["totals"][name].as_u64().unwrap()
}

fn assert_equal(place: &Place, cloud: &Cloud, source: &str, copy: &str) {
    let ran = place.run(&[
        "verify",
        &cloud.location(source),
        &cloud.location(copy),
        "--deep",
    ]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_queue_lost_the_sweep_finds_and_the_rate_is_told() {
    let Some(cloud) = Cloud::find("long_channel::what_the_queue_lost_the_sweep_finds") else {
        return;
    };
    let (source, copy) = (
        cloud.bucket("lossy-source").await,
        cloud.bucket("lossy-copy").await,
    );
    let (first, second) = (cloud.queue("first").await, cloud.queue("second").await);
    cloud.notify_queue(&source, &first).await;
    let place = Place::new();
    let (serving, server) = serve(&place, &cloud, &source, &copy, cloud.name_of(&second));
    eventually("the first sweep, of nothing", || {
        status(&place, &server)["destinations"][0]["sweep"].is_object()
    });

    let store = cloud.store(&source);
    futures::stream::iter(0..OBJECTS)
        .for_each_concurrent(8, |number| {
            let store = &store;
            async move {
                let content = format!("{number}").repeat(number as usize % 50);
                cloud::put(store, &format!("dir {number}/k+{number}"), content).await;
            }
        })
        .await;
    let written = Instant::now();

    let (mut seen, mut lost) = (0u64, 0u64);
    // S3 sends a test message when notifications are set up; it is passed on, and told of in the count of messages.
    while seen < OBJECTS {
        let batch = first.receive(10, Duration::from_secs(5)).await.unwrap();
        assert!(
            !batch.is_empty() || written.elapsed() < Duration::from_secs(120),
            "{seen} notifications came"
        );
        let mut done = Vec::new();
        for delivery in batch {
            let body = String::from_utf8(delivery.body.to_vec()).unwrap();
            let counts = body.contains("\"Records\"");
            seen += u64::from(counts);
            if counts && seen.is_multiple_of(LOSE_EVERY) {
                lost += 1;
            } else {
                second.send(&body).await.unwrap();
            }
            done.push(delivery.handle);
        }
        assert!(first.acknowledge(&done).await.unwrap().is_empty());
    }
    assert_eq!(lost, OBJECTS / LOSE_EVERY);
    let told = OBJECTS - lost;
    eventually("what was told is there", || {
        totals(&status(&place, &server), "told_changes") == told
    });
    let before = status(&place, &server);
    assert_eq!(totals(&before, "untold_changes"), 0);
    let channel = &before["channels"][0];
    assert!(channel["accepted"].as_u64().unwrap() >= told, "{channel}");
    assert_eq!(
        (&channel["refused"], &channel["dead_letters"]),
        (&0.into(), &0.into())
    );

    eventually("the lost ones are older than the grace", || {
        written.elapsed() > Duration::from_secs(3)
    });
    ask(&place, &server, &["sweep", "r"]);
    eventually("what was lost is there too", || {
        totals(&status(&place, &server), "untold_changes") == lost
    });
    let after = status(&place, &server);
    assert_eq!(totals(&after, "told_changes"), told);
    let text = ask(&place, &server, &["status"]).stdout;
    assert!(
        text.contains("lost notifications: 25 of 500 changes (5.0%)"),
        "{text}"
    );
    assert!(text.contains("channel events: "), "{text}");
    assert_equal(&place, &cloud, &source, &copy);
    assert_eq!(serving.end("-TERM").code, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eventbridge_and_sns_tell_the_same() {
    let Some(cloud) = Cloud::find("long_channel::eventbridge_and_sns_tell_the_same") else {
        return;
    };
    for path in ["eventbridge", "sns"] {
        let source = cloud.bucket(&format!("{path}-source")).await;
        let copy = cloud.bucket(&format!("{path}-copy")).await;
        let queue = cloud.queue(path).await;
        match path {
            "sns" => cloud.notify_topic(&source, &queue).await,
            _ => cloud.notify_bus(&source, &queue).await,
        }
        let place = Place::new();
        let (serving, server) = serve(&place, &cloud, &source, &copy, cloud.name_of(&queue));
        eventually("the first sweep, of nothing", || {
            status(&place, &server)["destinations"][0]["sweep"].is_object()
        });
        let store = cloud.store(&source);
        for number in 0..10 {
            cloud::put(&store, &format!("a b+%20ü/{number}"), format!("{number}")).await;
        }
        eventually("all ten are there", || {
            totals(&status(&place, &server), "told_changes") == 10
        });
        assert_equal(&place, &cloud, &source, &copy);
        cloud::delete(&store, "a b+%20ü/3").await;
        eventually("the delete is there", || {
            totals(&status(&place, &server), "told_changes") == 11
        });
        assert_equal(&place, &cloud, &source, &copy);
        assert_eq!(
            totals(&status(&place, &server), "untold_changes"),
            0,
            "{path}"
        );
        assert_eq!(serving.end("-TERM").code, Some(0));
    }
}
