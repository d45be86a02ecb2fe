use crate::support::{AWKWARD, Place, Sky, snapshot};

#[test]
fn one_level_or_everything() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &AWKWARD);
    let ls = |args: &[&str]| place.run(&[&["ls"], args].concat());
    let root = sky.location("data/");
    snapshot("ls_level", &ls(&[&root]).exits(0));
    snapshot("ls_recursive", &ls(&["-r", "--human", &root]).exits(0));
    snapshot("ls_glob", &ls(&[&sky.location("data/*.bin")]).exits(0));
    // A name without a slash may be a directory's.
    let below = ls(&[&sky.location("data/models")]).exits(0);
    assert_eq!(below, ls(&[&sky.location("data/models/")]).exits(0));
    let line = ls(&["--json", &sky.location("data/100% +.txt")]).json();
    assert_eq!(
        (&line["key"], &line["size"]),
        (&"100% +.txt".into(), &3.into())
    );
    assert_eq!(line["etag"], "900150983cd24fb0d6963f7d28e17f72");
    // What it says is taken back.
    let uri = line["uri"].as_str().unwrap();
    assert_eq!(ls(&["--json", uri]).json(), line);
    let prefix = ls(&["--json", "--include", "models/*", &root]).json();
    assert_eq!(prefix["prefix"], "models/");
    let limited = ls(&["-r", "--limit", "2", &root]).exits(0);
    assert_eq!(limited.lines().count(), 3, "{limited}");
    let filtered = ls(&["-r", &root, "--include", "models/*", "--exclude", "*a.bin"]);
    assert!(
        filtered.stdout.trim_end().ends_with("models/deep/b.bin"),
        "{filtered:?}"
    );
    assert_eq!(filtered.stdout.lines().count(), 1, "{filtered:?}");
}

#[test]
fn a_directory_is_listed_like_a_bucket() {
    let place = Place::new();
    for (name, content) in AWKWARD {
        place.write(&format!("src/{name}"), content);
    }
    let ls = |args: &[&str]| place.run(&[&["ls"], args].concat());
    snapshot("ls_directory", &ls(&["./src"]).exits(0));
    snapshot(
        "ls_several",
        &ls(&["./src/models", "./src/ä b.bin", "./dst"]).exits(0),
    );
    let file = ls(&["./src/models/*a.bin", "--json"]).json();
    assert!(
        file["uri"].as_str().unwrap().ends_with("/src/models/a.bin"),
        "{file}"
    );
}

#[test]
fn what_is_not_there_is_an_error() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &[("a/b", "1")]);
    snapshot(
        "ls_no_object",
        &place.run(&["ls", &sky.location("data/nowhere")]).exits(1),
    );
    snapshot(
        "ls_no_match",
        &place.run(&["ls", &sky.location("data/z*")]).exits(1),
    );
    snapshot(
        "ls_no_bucket",
        &place.run(&["ls", &sky.location("nowhere/a/")]).exits(4),
    );
    snapshot(
        "ls_empty_bucket",
        &place.run(&["ls", &sky.location("copy/")]).exits(0),
    );
    // The others are listed all the same, and the first error decides.
    let several = place.run(&[
        "ls",
        "-r",
        &sky.location("nowhere/"),
        &sky.location("data/"),
    ]);
    assert_eq!(several.code, Some(4), "{several:?}");
    assert!(several.stdout.contains("a/b"), "{several:?}");
    assert_eq!(place.run(&["ls", "s3://"]).code, Some(2));
    assert_eq!(place.run(&["ls", "mem://b/[*"]).code, Some(2));
}
