use crate::support::{AWKWARD, Place, Sky, snapshot, sorted};

fn listed(place: &Place, uri: &str) -> usize {
    let ran = place.run(&["ls", "-r", uri]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.stdout.lines().count()
}

#[test]
fn objects_are_deleted_and_reported() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &AWKWARD);
    let rm = |args: &[&str]| place.run(&[&["rm"], args].concat());
    let root = sky.location("data/");
    snapshot(
        "rm_dry_run",
        &sorted(&rm(&["-r", "--dry-run", &root, "--exclude", "models/*"]).exits(0)),
    );
    assert_eq!(listed(&place, &root), 5);
    // One object that was named needs nobody's consent.
    snapshot("rm_one", &rm(&[&sky.location("data/100% +.txt")]).exits(0));
    let glob = sky.location("data/*.bin");
    snapshot("rm_nobody_to_ask", &rm(&[&glob]).exits(3));
    assert_eq!(listed(&place, &root), 4);
    let json = rm(&["-y", "--json", &glob, &glob]);
    assert_eq!(json.code, Some(0), "{json:?}");
    assert_eq!(
        json.stdout.lines().count(),
        5,
        "what is named twice is deleted once: {json:?}"
    );
    let summary = json.json();
    assert_eq!(
        (&summary["deleted"], &summary["failed"]),
        (&4.into(), &0.into())
    );
    snapshot("rm_recursive", &sorted(&rm(&["-r", "-y", &root]).exits(0)));
    assert_eq!(listed(&place, &root), 0);
    snapshot("rm_nothing", &rm(&["-r", "-y", &root]).exits(0));
}

#[test]
fn more_than_the_limit_is_refused_before_anything_is_deleted() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &AWKWARD);
    let root = sky.location("data/");
    let limited = place.run(&["rm", "-r", "-y", "--max-delete", "4", &root]);
    snapshot("rm_too_many", &limited.exits(3));
    assert_eq!(listed(&place, &root), 5);
    // A place that cannot be listed keeps the others from being deleted, too.
    let nowhere = place.run(&["rm", "-r", "-y", &root, &sky.location("nowhere/")]);
    assert_eq!(nowhere.code, Some(4), "{nowhere:?}");
    assert_eq!(listed(&place, &root), 5);
    place
        .run(&["rm", "-r", "-y", "--max-delete", "5", &root])
        .exits(0);
    assert_eq!(listed(&place, &root), 0);
}

#[test]
fn what_is_not_meant_stays() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(
        &place,
        &[("a/b", "1"), ("a/c*", "2"), ("a/cd", "3"), ("ab", "4")],
    );
    let at = |path: &str| sky.location(path);
    snapshot(
        "rm_prefix_without_r",
        &place.run(&["rm", &at("data/a/")]).exits(2),
    );
    snapshot("rm_no_object", &place.run(&["rm", &at("data/a")]).exits(1));
    assert_eq!(listed(&place, &at("data/")), 4);
    place.run(&["rm", "--literal", &at("data/a/c*")]).exits(0);
    let left = place.run(&["ls", "-r", &at("data/")]).stdout;
    assert!(left.contains("a/cd") && !left.contains("a/c*"), "{left}");
    place.run(&["rm", "-r", "-y", &at("data/a")]).exits(0);
    assert!(
        place
            .run(&["ls", "-r", &at("data/")])
            .stdout
            .ends_with("ab\n")
    );
}

#[test]
fn a_bucket_with_versions_says_that_they_stay() {
    let place = Place::new();
    let sky = Sky::start_with(&place, &["--versioned"]);
    sky.fill(&place, &[("a", "1"), ("b", "2")]);
    snapshot(
        "rm_versioned",
        &place.run(&["rm", &sky.location("data/a")]).exits(0),
    );
    let json = place
        .run(&["rm", "--json", "-n", &sky.location("data/b")])
        .json();
    assert_eq!(json["older_versions_stay"], true, "{json}");
}

#[test]
fn files_are_objects_and_links_are_not() {
    let place = Place::new();
    for (name, content) in AWKWARD {
        place.write(&format!("src/{name}"), content);
    }
    std::os::unix::fs::symlink("nowhere", place.path("src/link")).unwrap();
    snapshot(
        "rm_directory",
        &sorted(&place.run(&["rm", "-r", "-y", "./src"]).exits(1)),
    );
    assert!(place.path("src/link").is_symlink());
    assert!(!place.path("src/models").exists());
}
