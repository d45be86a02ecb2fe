//! What cannot be an object counts only where the rule covers it.

use skyfresh_engine::verify::{Depth, verify};
use skyfresh_engine::{Rule, Scope};
use skyfresh_sky::{Clock, SystemClock};
use skyfresh_store::disk::{DiskOptions, DiskStore};
use skyfresh_store::memory::MemoryStore;
use std::sync::Arc;

#[tokio::test]
async fn an_excluded_link_is_no_difference() {
    let directory = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/nowhere", directory.path().join("link.tmp")).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let location: skyfresh_sky::Location = format!("file://{}", directory.path().display())
        .parse()
        .unwrap();
    let source =
        DiskStore::open(location.clone(), Arc::clone(&clock), DiskOptions::default()).unwrap();
    let target = MemoryStore::new("mem://target/".parse().unwrap(), Arc::clone(&clock));
    let mut rule = Rule::new("rule", location, vec!["mem://target/".parse().unwrap()]);
    for (exclude, unreadable) in [(None, 1), (Some("*.tmp"), 0)] {
        rule.exclude = exclude.map(str::to_owned).into_iter().collect();
        let scope = Scope::new(&rule).unwrap();
        let report = verify(
            source.as_ref(),
            target.as_ref(),
            Some(&scope),
            Depth::Checksums,
            clock.as_ref(),
            |_| {},
        )
        .await
        .unwrap();
        assert_eq!(report.unreadable, unreadable, "{report:?}");
    }
}
