//! What every channel must do, as tests: a test file per backend calls [`run`] on an empty channel of its own.

use crate::{Channel, Delivery};
use async_trait::async_trait;
use skyfresh_sky::Clock;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How long something that must happen may take, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
const WAIT: Duration = Duration::from_secs(2);

/// An empty channel that the test can also fill.
#[async_trait]
pub trait Subject: Send + Sync {
    /// The channel.
    fn channel(&self) -> &dyn Channel;
    /// Puts a message into it.
    async fn send(&self, body: &str);
}

/// Runs the suite. Panics with what is wrong.
pub async fn run(subject: &dyn Subject, clock: &dyn Clock) {
    empty_is_no_error(subject, clock).await;
    a_message_comes_once_while_it_is_handed_out(subject, clock).await;
    a_message_given_back_comes_again_and_is_counted(subject, clock).await;
    many_are_acknowledged_at_once_and_stale_handles_harm_nothing(subject, clock).await;
    bodies_are_not_changed(subject, clock).await;
}

async fn receive(subject: &dyn Subject, limit: usize) -> Vec<Delivery> {
    let received = subject.channel().receive(limit, WAIT).await;
    received.expect("receiving works")
}

/// Receives until there are so many.
async fn collect(subject: &dyn Subject, clock: &dyn Clock, count: usize) -> Vec<Delivery> {
    let deadline = clock.now().after(PATIENCE);
    let mut all = Vec::new();
    while all.len() < count {
        assert!(
            clock.now() < deadline,
            "{} of {count} messages came",
            all.len()
        );
        all.extend(receive(subject, count - all.len()).await);
    }
    all
}

async fn acknowledge(subject: &dyn Subject, deliveries: &[Delivery]) {
    let handles: Vec<String> = deliveries.iter().map(|each| each.handle.clone()).collect();
    let failed = subject.channel().acknowledge(&handles).await;
    assert_eq!(failed.expect("acknowledging works"), Vec::<String>::new());
}

async fn empty_is_no_error(subject: &dyn Subject, _clock: &dyn Clock) {
    let none = subject.channel().receive(10, Duration::ZERO).await;
    assert_eq!(none.expect("an empty channel is no error"), Vec::new());
}

async fn a_message_comes_once_while_it_is_handed_out(subject: &dyn Subject, clock: &dyn Clock) {
    subject.send("one").await;
    let first = collect(subject, clock, 1).await.remove(0);
    assert_eq!((&first.body[..], first.attempts), (&b"one"[..], 1));
    assert!(!first.id.is_empty());
    if let Some(sent) = first.sent {
        let now = clock.now();
        assert!(
            now.since(sent).max(sent.since(now)) < Duration::from_secs(3_600),
            "{sent} is not now"
        );
    }
    let second = subject.channel().receive(10, Duration::ZERO).await;
    assert_eq!(second.expect("works"), Vec::new(), "it is hidden");
    acknowledge(subject, &[first]).await;
}

async fn a_message_given_back_comes_again_and_is_counted(subject: &dyn Subject, clock: &dyn Clock) {
    subject.send("again").await;
    let first = collect(subject, clock, 1).await.remove(0);
    subject
        .channel()
        .give_back(std::slice::from_ref(&first.handle), Duration::from_secs(1))
        .await
        .expect("giving back works");
    let second = collect(subject, clock, 1).await.remove(0);
    assert_eq!((&second.id, &second.body), (&first.id, &first.body));
    assert!(
        second.attempts == 2 || second.attempts == 1,
        "counted, or not at all: {second:?}"
    );
    acknowledge(subject, &[second]).await;
}

async fn many_are_acknowledged_at_once_and_stale_handles_harm_nothing(
    subject: &dyn Subject,
    clock: &dyn Clock,
) {
    let sent: BTreeSet<String> = (0..25).map(|number| format!("body {number}")).collect();
    for body in &sent {
        subject.send(body).await;
    }
    let all = collect(subject, clock, sent.len()).await;
    let bodies: BTreeSet<String> = all
        .iter()
        .map(|each| String::from_utf8(each.body.to_vec()).expect("text"))
        .collect();
    assert_eq!(bodies, sent);
    let by_id: BTreeMap<&str, &Delivery> =
        all.iter().map(|each| (each.id.as_str(), each)).collect();
    assert_eq!(by_id.len(), all.len(), "ids are unique");
    acknowledge(subject, &all).await;
    // Again: whatever the channel makes of handles that are used up, it is no failure of the whole.
    let handles: Vec<String> = all.iter().map(|each| each.handle.clone()).collect();
    let again = subject.channel().acknowledge(&handles).await;
    assert!(again.expect("no failure of the whole").len() <= all.len());
    assert_eq!(receive(subject, 10).await, Vec::new());
}

async fn bodies_are_not_changed(subject: &dyn Subject, clock: &dyn Clock) {
    let body = r#"{"a":"<&> \"ü\" \\ 💎","b":[1,2]}"#;
    subject.send(body).await;
    let got = collect(subject, clock, 1).await;
    assert_eq!(std::str::from_utf8(&got[0].body), Ok(body));
    acknowledge(subject, &got).await;
}
