//! `skyfresh features simulate`.

use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Style, Table};
use anyhow::Context as _;
use skyfresh_features::scheduler::{Options, PolicyName};
use skyfresh_features::simulate::{
    Contender, Grain, Queries, RatingShape, Ratings, Row, SeriesWorkload, Trial, Workload,
    baseline, load_ratings, load_series, picture, run as replay,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Replay a log under several policies and budgets: what would an order of updates have been worth?
///
/// Series (CSV with a heading: time,value or key,time,value; a directory stands for all .csv files below it) are decomposed into trend and season; each new point shows how wrong the stored forecast was. Ratings (MovieLens' ratings.dat or ratings.csv) update each user's embedding; each new rating shows how wrong it was.
///
/// Policies are regret, literal, query-proportional, round-robin, random, minimum-past, max-pending, and the bounds update-all and update-none. A budget of 0.1 updates a tenth of the keys that have new data. Regret is the loss beyond that of updating everything.
#[derive(Debug, clap::Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  skyfresh features simulate --data metrics/ --policy regret,round-robin --budget .01,.02,.04,.08 --seeds 5
  skyfresh features simulate --data ml-1m/ratings.dat --policy regret,minimum-past --budget .1 --seeds 1 --decay 30
  skyfresh features simulate --data synthetic:ratings --policy regret,round-robin,update-all --budget .05 --seeds 3 --json"
)]
pub(super) struct Args {
    /// The log: series, ratings, or ratings that a seed makes up
    #[arg(long, value_name = "FILE|DIR|synthetic:ratings")]
    data: String,
    /// Who decides; several with commas
    #[arg(long, value_name = "P,…", value_delimiter = ',', required = true)]
    policy: Vec<Contender>,
    /// Updates per key that has new data, above 0 and at most 1; several with commas
    #[arg(long, value_name = "B,…", value_delimiter = ',', required = true, value_parser = parse_budget)]
    budget: Vec<f64>,
    /// Replays of each, with different draws of queries, policies and synthetic logs
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// How series are cut: a point an hour, or one every five minutes with a step every two hours
    #[arg(long, value_name = "GRAIN", default_value = "hourly")]
    grain: GrainName,
    /// Which keys are asked for in each step (series)
    #[arg(long, value_name = "KIND", default_value = "uniform")]
    queries: Queries,
    /// Steps until an error is reported
    #[arg(long, value_name = "STEPS", default_value_t = 0)]
    delay: usize,
    /// Steps after which an error counts 1/e as much (regret); without it errors count in full until the next update
    #[arg(long, value_name = "STEPS")]
    decay: Option<f64>,
    /// Draw loss by budget
    #[arg(long, value_name = "FILE.svg")]
    svg: Option<PathBuf>,
}

/// See `Grain`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum GrainName {
    /// Seasons of 24 points, windows of 72
    Hourly,
    /// Seasons of 288 points, windows of 864
    FiveMinute,
}

/// Steps into which a user's own log of ratings is cut.
const RATING_STEPS: usize = 2_000;

fn parse_budget(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(budget) if budget > 0.0 && budget <= 1.0 => Ok(budget),
        _ => Err("a budget is a number above 0 and at most 1, e.g. .05".to_owned()),
    }
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let options = Options {
        decay_time: args.decay,
        ..Options::default()
    };
    options.check().context("--decay")?;
    let mut rows = Vec::new();
    let mut title = String::new();
    if args.data == "synthetic:ratings" {
        // A seed makes up its own log.
        for seed in 0..args.seeds {
            let workload = Ratings::synthetic(&RatingShape::MOVIELENS_1M, seed);
            title = workload.name();
            rows.extend(replay_all(&workload, &trials(args, &options, &[seed])));
        }
    } else {
        let workload = open(args)?;
        title.push_str(&workload.name());
        let seeds: Vec<u64> = (0..args.seeds).collect();
        rows = replay_all(workload.as_ref(), &trials(args, &options, &seeds));
    }
    if let Some(path) = &args.svg {
        std::fs::write(path, picture(&title, &rows))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    tell(&title, &rows, context)?;
    Ok(Exit::Ok)
}

fn open(args: &Args) -> anyhow::Result<Box<dyn Workload>> {
    let path = PathBuf::from(&args.data);
    let cannot = "cannot read the log";
    let is_ratings = path
        .file_stem()
        .is_some_and(|stem| stem.to_string_lossy().starts_with("ratings"));
    if is_ratings && !path.is_dir() {
        let ratings = load_ratings(&path, RATING_STEPS).context(cannot)?;
        return Ok(Box::new(ratings));
    }
    let grain = match args.grain {
        GrainName::Hourly => Grain::HOURLY,
        GrainName::FiveMinute => Grain::FIVE_MINUTES,
    };
    let series = load_series(&path, grain.interval_s).context(cannot)?;
    let workload = SeriesWorkload::new(&series, grain, args.queries).context(cannot)?;
    Ok(Box::new(workload))
}

fn trials(args: &Args, options: &Options, seeds: &[u64]) -> Vec<Trial> {
    let mut trials = Vec::new();
    for contender in &args.policy {
        let is_bound = !matches!(contender, Contender::Policy(_));
        // A bound is the same whatever the budget.
        let budgets = &args.budget[..if is_bound { 1 } else { args.budget.len() }];
        for budget in budgets {
            for seed in seeds {
                trials.push(Trial {
                    contender: *contender,
                    budget: match contender {
                        Contender::Policy(_) => *budget,
                        Contender::UpdateAll => 1.0,
                        Contender::UpdateNone => 0.0,
                    },
                    seed: *seed,
                    delay_steps: args.delay,
                    options: (*contender == Contender::Policy(PolicyName::Regret))
                        .then_some(*options),
                });
            }
        }
    }
    trials
}

/// Runs trials on all cores, and gives their rows in the trials' order.
fn replay_all(workload: &dyn Workload, trials: &[Trial]) -> Vec<Row> {
    let mut baselines = BTreeMap::new();
    for trial in trials {
        let seed = trial.seed;
        baselines
            .entry(seed)
            .or_insert_with(|| baseline(workload, seed));
    }
    let next = AtomicUsize::new(0);
    let rows = Mutex::new(BTreeMap::new());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores.min(trials.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(trial) = trials.get(index) else {
                        break;
                    };
                    let (row, _) = replay(workload, trial, baselines[&trial.seed]);
                    let mut rows = rows.lock().unwrap_or_else(|broken| broken.into_inner());
                    rows.insert(index, row);
                }
            });
        }
    });
    let rows = rows
        .into_inner()
        .unwrap_or_else(|broken| broken.into_inner());
    rows.into_values().collect()
}

fn tell(title: &str, rows: &[Row], context: &Context) -> anyhow::Result<()> {
    let output = &context.output;
    if output.json {
        for row in rows {
            output.json_line(row)?;
        }
        return Ok(());
    }
    output.note(title);
    let mut table = Table::new(&[
        "POLICY",
        "BUDGET",
        "SEED",
        "MASE",
        "MSE",
        "REGRET",
        "STALENESS",
        "STARVED",
        "UPDATES",
    ]);
    for row in rows {
        let cells = [
            row.policy.to_owned(),
            row.budget.to_string(),
            row.seed.to_string(),
            format!("{:.4}", row.mase),
            format!("{:.4}", row.mse),
            format!("{:.1}", row.regret),
            format!("{:.2}", row.staleness_mean),
            row.starved.to_string(),
            row.updates.to_string(),
        ];
        table.row(cells.map(|cell| (Style::Plain, cell)).to_vec());
    }
    output.line(table.render(output, 0));
    Ok(())
}
