#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    missing_docs
)]
use skyfresh_sim::{scenario, trace};
fn main() {
    let path = std::env::args().nth(1).unwrap();
    let s = scenario::Scenario::parse(&std::fs::read_to_string(path).unwrap()).unwrap();
    let start = std::time::Instant::now();
    let load = scenario::Load {
        name: "synthetic".into(),
        trace: trace::synthetic(&s.load.synthetic, s.seed),
    };
    let r = scenario::run(&s, s.seed, load, &mut |ms| {
        eprintln!("{ms} {:?}", start.elapsed())
    })
    .unwrap();
    println!("{}", serde_json::to_string_pretty(&r).unwrap());
    std::fs::write("/tmp/p.svg", r.picture().unwrap()).unwrap();
    eprintln!("{:?}", start.elapsed());
}
