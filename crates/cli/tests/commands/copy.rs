//! `cp` and `sync`.

use crate::support::{Place, Sky, signal, snapshot, spawn};
use std::time::Duration;

/// Times are not the same twice, and columns are as wide as they are.
fn steady(text: &str) -> String {
    let time = |word: &str| {
        let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let unit = &word[digits.len()..];
        matches!(unit, "ms" | "s" | "m") && digits.parse::<f64>().is_ok()
    };
    let lines = text.lines().map(|line| {
        let words = line.split_whitespace();
        let words: Vec<&str> = words
            .map(|word| if time(word) { "[TIME]" } else { word })
            .collect();
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_object_a_prefix_and_a_glob() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a.bin", "1");
    place.write("src/sub dir/ü+%.bin", "22");
    place.write("src/b.txt", "333");
    let bucket = sky.location("data/");
    let copied = place.run(&["cp", "src/a.bin", &bucket]);
    snapshot("cp_object", &steady(&copied.exits(0)));
    let copied = place.run(&["cp", "-r", "src", &sky.location("data/all")]);
    assert!(copied.exits(0).contains("verified"));
    let copied = place.run(&["cp", &sky.location("data/all/*.bin"), "./dst", "--json"]);
    assert_eq!(copied.code, Some(0), "{copied:?}");
    assert_eq!(place.read("dst/a.bin"), "1");
    assert_eq!(place.read("dst/sub dir/ü+%.bin"), "22");
    assert!(!place.path("dst/b.txt").exists());
    let records: Vec<serde_json::Value> = copied
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(records.len(), 3, "two objects and a summary");
    assert!(
        records
            .iter()
            .any(|it| it["key"] == "sub dir/ü+%.bin" && it["outcome"] == "copied")
    );
    assert_eq!(
        (&records[2]["outcome"], &records[2]["copied"]),
        (&"verified".into(), &2.into())
    );
}

#[test]
fn several_destinations_and_a_second_run() {
    let place = Place::new();
    let sky = Sky::start(&place);
    for number in 0..30 {
        let name = format!("src/{number:02}");
        place.write(&name, "x");
        // Within one second of S3's clock it could not be told which was first.
        let earlier = std::time::SystemTime::now() - Duration::from_secs(10);
        let file = std::fs::File::options()
            .write(true)
            .open(place.path(&name))
            .unwrap();
        file.set_modified(earlier).unwrap();
    }
    let (one, two) = (sky.location("data/one/"), sky.location("data/two/"));
    let args = [
        "sync",
        "src",
        &one,
        &two,
        "./dst",
        "--report",
        "report.jsonl",
    ];
    let first = place.run(&args);
    assert_eq!(first.code, Some(0), "{first:?}");
    assert_eq!(place.read("report.jsonl").lines().count(), 90);
    let second = place.run(&args);
    snapshot("sync_nothing_to_do", &steady(&second.exits(0)));
    let compared = place.run(&["verify", "./src", &two, "--deep"]);
    assert_eq!(compared.code, Some(0), "{compared:?}");
}

#[test]
fn deletes_are_asked_for_capped_and_never_of_everything() {
    let place = Place::new();
    place.write("src/a", "1");
    for extra in ["x", "y", "z"] {
        place.write(&format!("dst/{extra}"), "1");
    }
    let kept = place.run(&["sync", "src", "dst"]);
    assert!(kept.exits(0).contains("verified"));
    assert!(place.path("dst/x").exists());
    let refused = place.run(&["sync", "src", "dst", "--delete", "--max-delete", "2"]);
    snapshot("sync_delete_refused", &steady(&refused.exits(3)));
    let dry = place.run(&["sync", "src", "dst", "--delete", "--dry-run"]);
    snapshot("sync_dry_run", &steady(&dry.exits(0)));
    assert!(place.path("dst/x").exists());
    let deleted = place.run(&["sync", "src", "dst", "--delete"]);
    assert_eq!(deleted.code, Some(0), "{deleted:?}");
    assert!(!place.path("dst/x").exists() && place.path("dst/a").exists());
    std::fs::remove_file(place.path("src/a")).unwrap();
    let empty = place.run(&["sync", "src", "dst", "--delete"]);
    assert_eq!(empty.code, Some(3), "{empty:?}");
    std::fs::remove_dir(place.path("src")).unwrap();
    let unreachable = place.run(&["sync", "src", "dst", "--delete"]);
    snapshot("sync_unreachable", &steady(&unreachable.exits(4)));
    assert!(place.path("dst/a").exists());
}

#[test]
fn what_is_wrong_is_said() {
    let place = Place::new();
    place.write("src/a", "1");
    for (args, code, why) in [
        (&["cp", "src/", "dst"][..], 2, "give -r"),
        (&["cp", "src/missing", "dst"], 4, "missing"),
        (&["cp", "src/a", "dst", "--set", "x=y"], 2, "--metadata set"),
        (&["cp", "src/a", "ftp://x/y"], 2, "unknown scheme"),
        (&["cp", "src/a", "dst", "--bwlimit", "fast"], 2, "fast"),
        (&["sync", "src", "dst", "--max-delete", "3"], 2, "--delete"),
        (&["sync", "src", "src/copy"], 2, "inside"),
        (&["sync", "src", ".", "--delete"], 2, "inside"),
    ] {
        let ran = place.run(args);
        let said = ran.exits(code);
        assert!(said.contains(why), "{args:?}: {said}");
    }
}

#[test]
fn what_must_not_be_replaced_stays() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "mine");
    place.write("theirs", "theirs!");
    let object = sky.location("data/a");
    assert_eq!(place.run(&["cp", "theirs", &object]).code, Some(0));
    assert_eq!(
        place.run(&["cp", "src/a", &object, "--no-clobber"]).code,
        Some(0)
    );
    assert_eq!(
        place
            .run(&["cp", "src/a", &object, "--if-match", "other"])
            .code,
        Some(0)
    );
    assert_eq!(place.run(&["cp", &object, "back"]).code, Some(0));
    assert_eq!(place.read("back"), "theirs!");
    assert_eq!(place.run(&["cp", "src/a", &object]).code, Some(0));
    assert_eq!(place.run(&["cp", &object, "again"]).code, Some(0));
    assert_eq!(place.read("again"), "mine");
}

#[test]
fn a_store_copies_by_itself_within_one_service() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/a", "1");
    assert_eq!(
        place.run(&["cp", "src/a", &sky.location("data/")]).code,
        Some(0)
    );
    let copied = place.run(&[
        "cp",
        &sky.location("data/a"),
        &sky.location("data/b"),
        "--json",
    ]);
    let record: serde_json::Value =
        serde_json::from_str(copied.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(record["outcome"], "server_copied", "{copied:?}");
    let args = [
        "cp",
        &sky.location("data/a"),
        &sky.location("data/c"),
        "--no-server-copy",
        "--json",
    ];
    let copied = place.run(&args);
    let record: serde_json::Value =
        serde_json::from_str(copied.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(record["outcome"], "copied", "{copied:?}");
}

/// Killed and stopped in the middle of a large object, again and again: the same command ends it, and less than all of it is sent
/// again.
#[test]
fn killed_again_and_again_it_goes_on() {
    let place = Place::new();
    let sky = Sky::start(&place);
    let bytes: Vec<u8> = (0..64u32 << 20).map(|at| (at / 7 % 253) as u8).collect();
    place.write("src/large", &bytes);
    let bucket = sky.location("data/");
    let args = [
        "sync",
        "src",
        &bucket,
        "--bwlimit",
        "40MB",
        "--part-size",
        "5MiB",
        "--json",
    ];
    for name in ["-KILL", "-INT", "-KILL"] {
        let mut child = spawn(place.command(&args));
        std::thread::sleep(Duration::from_millis(600));
        signal(&child, name);
        let ended = child.wait().unwrap();
        assert!(!ended.success());
    }
    let ended = place.run(&args);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let verified = place.run(&["verify", "./src", &bucket, "--deep"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn below_a_directory_that_a_store_keeps_objects_have_what_is_kept_around_them() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("page", "<p>");
    let set = ["--metadata", "set", "--set", "content-type=text/x-page"];
    let to = sky.location("data/kept/sub/deep/page");
    let copied = place.run(&[&["cp", "page", &to][..], &set[..]].concat());
    assert_eq!(copied.code, Some(0), "{copied:?}");
    let kept = place.run(&["cp", "-r", &sky.location("data/kept/"), "./kept"]);
    assert_eq!(kept.code, Some(0), "{kept:?}");
    place.write("kept/sub-beside", "not meant");
    for (from, to, key) in [
        ("kept/sub/deep/page", "data/one/page", "data/one/page"),
        ("kept/sub", "data/all/", "data/all/deep/page"),
        ("kept/sub/deep/p*", "data/glob/", "data/glob/page"),
    ] {
        let recursive: &[&str] = if key == "data/all/deep/page" {
            &["-r"]
        } else {
            &[]
        };
        let copied = place.run(&[&["cp", from, &sky.location(to), "--json"], recursive].concat());
        assert_eq!(copied.code, Some(0), "{from}: {copied:?}");
        assert_eq!(
            copied.stdout.lines().count(),
            2,
            "{from}: one object and a summary"
        );
        let head = place.run(&["head", &sky.location(key), "--json"]).json();
        assert_eq!(head["content_type"], "text/x-page", "{from}: {head}");
    }
    // By the same keys: what is there already is not taken for something else.
    let to = sky.location("data/all/");
    let synced = place.run(&["sync", "kept/sub", &to, "--delete", "-y", "--json"]);
    let summary = synced.json();
    assert_eq!(
        (&summary["deleted"], &summary["failed"]),
        (&0.into(), &0.into()),
        "{synced:?}"
    );
}
