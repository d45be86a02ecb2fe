use crate::support::{AWKWARD, Place, Sky, snapshot};
use std::fs::FileTimes;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

/// Larger than two pieces of a read.
const LARGE: usize = 20 << 20;

fn large() -> Vec<u8> {
    (0..LARGE).map(|index| (index * 31 % 253) as u8).collect()
}

#[test]
fn bytes_come_out_as_they_are() {
    let place = Place::new();
    let sky = Sky::start(&place);
    place.write("src/large", large());
    place.write("src/empty", "");
    sky.fill(&place, &AWKWARD);
    let cat = |args: &[&str]| place.command(&[&["cat"], args].concat()).output().unwrap();
    let whole = cat(&["-v", &sky.location("data/large")]);
    assert!(
        whole.status.success() && whole.stdout == large(),
        "{:?}",
        whole.status
    );
    let log = String::from_utf8_lossy(&whole.stderr);
    assert!(log.contains("verified by its CRC64NVME"), "{log}");
    let middle = cat(&["--range", "8388600-8388700", &sky.location("data/large")]);
    assert_eq!(middle.stdout, large()[8388600..=8388700]);
    let last = cat(&[
        "--range",
        "-3",
        &sky.location("data/100% +.txt"),
        "./src/large",
    ]);
    assert_eq!(last.stdout, [b"abc", &large()[LARGE - 3..]].concat());
    // One after the other, in the order of the line, those of a glob in the order of keys.
    let several = cat(&[
        "./src/empty",
        &sky.location("data/1*"),
        &sky.location("data/1*"),
    ]);
    assert_eq!(several.stdout, b"abcabc");
}

#[test]
fn json_carries_bytes_and_what_proved_them() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &AWKWARD);
    let told = place.run(&["cat", "--json", &sky.location("data/100% +.txt")]);
    let lines: Vec<serde_json::Value> = told
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (&lines[0]["offset"], &lines[0]["base64"]),
        (&0.into(), &"YWJj".into())
    );
    assert_eq!(
        (&lines[1]["bytes"], &lines[1]["verified_by"]),
        (&3.into(), &"CRC64NVME".into())
    );
}

#[test]
fn bytes_that_are_not_what_was_written_are_told_loudly() {
    let place = Place::new();
    place.write("src/a.bin", "what was written");
    place
        .run(&["replicate", "./src", "./dst", "--once"])
        .exits(0);
    // As a disk would do it: neither size nor time tells.
    let path = place.path("dst/a.bin");
    let modified = path.metadata().unwrap().modified().unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_at(b"W", 0).unwrap();
    file.set_times(FileTimes::new().set_modified(modified))
        .unwrap();
    let ran = place.run(&["cat", "./dst/a.bin"]);
    assert_eq!(ran.stdout, "What was written");
    snapshot("cat_corrupt", &ran.exits(1));
}

#[test]
fn nobody_who_reads_on_is_no_error() {
    let place = Place::new();
    place.write("src/large", large());
    let mut command = place.command(&["cat", "./src/large", "./src/large"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(first, large()[..10]);
    assert!(
        ended.status.success() && ended.stderr.is_empty(),
        "{ended:?}"
    );
}

#[test]
fn what_cannot_be_read_is_told_and_the_rest_written() {
    let place = Place::new();
    let sky = Sky::start(&place);
    sky.fill(&place, &[("a", "1"), ("b/c", "2")]);
    let at = |path: &str| sky.location(path);
    snapshot(
        "cat_no_object",
        &place.run(&["cat", &at("data/x"), &at("data/a")]).exits(1),
    );
    snapshot(
        "cat_beyond_end",
        &place.run(&["cat", "--range", "5-", &at("data/a")]).exits(1),
    );
    snapshot("cat_prefix", &place.run(&["cat", &at("data/b/")]).exits(2));
    snapshot(
        "cat_bad_range",
        &place
            .run(&["cat", "--range", "9-5", &at("data/a")])
            .exits(2),
    );
    assert_eq!(place.run(&["cat", &at("nowhere/a")]).code, Some(4));
}
