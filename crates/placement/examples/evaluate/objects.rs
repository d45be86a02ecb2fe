//! Random objects.
//!
//! Uniform: 0 to 1 GB in steps of 1 MB; puts of every fifth and gets of every region uniform up to 1,000. Sparse: the same in at
//! most ten regions. Dense: every region gets, log-uniform from 1 to 10⁶, of an object log-uniform from 1 KB to 10 GB, put by one
//! region in five.

use skyfresh_placement::Usage;
use skyfresh_sky::Rng;
use std::fmt::Write as _;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Uniform,
    Sparse,
    Dense,
}

fn log_uniform(rng: &Rng, decades: f64) -> u64 {
    10f64.powf(rng.unit() * decades) as u64
}

pub(crate) fn usage(rng: &Rng, regions: &[String], kind: Kind) -> Usage {
    let count = || match kind {
        Kind::Dense => log_uniform(rng, 6.0),
        _ => rng.below(1001),
    };
    let mut regions: Vec<&String> = regions.iter().collect();
    if kind == Kind::Sparse {
        let wanted = 1 + rng.below(10) as usize;
        while regions.len() > wanted {
            regions.swap_remove(rng.below(regions.len() as u64) as usize);
        }
    }
    let (mut puts, mut gets) = (String::new(), String::new());
    for region in regions {
        if rng.below(5) == 0 {
            write!(puts, ",{region:?}:{}", count()).expect("a string grows");
        }
        write!(gets, ",{region:?}:{}", count()).expect("a string grows");
    }
    let size = match kind {
        Kind::Dense => format!("{}/1000000", log_uniform(rng, 7.0)),
        _ => format!("{}/1000", rng.below(1001)),
    };
    let line = format!(
        r#"{{"id":"o","size_gb":"{size}","puts":{{{}}},"gets":{{{}}}}}"#,
        puts.trim_start_matches(','),
        gets.trim_start_matches(',')
    );
    serde_json::from_str(&line).expect("a usage")
}
