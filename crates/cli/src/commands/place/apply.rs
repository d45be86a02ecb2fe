//! `skyfresh place apply`: replication rules of what `place advise` says.

use super::advise::{Summary, ToldGroup, ToldLine};
use super::asked::usage;
use super::lines::Lines;
use crate::context::Context;
use crate::exit::{Exit, Told};
use crate::output::printable;
use serde::Serialize;
use skyfresh_engine::Rule;
use skyfresh_sky::Location;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::PathBuf;

/// Globs of one rule, and of the command that fills its destinations.
const MAX_GLOBS: usize = 1000;

/// Write replication rules for `skyfresh serve` from what `place advise --json` says, and print the commands that move what exists
///
/// Each group that would be cheaper elsewhere is kept at its new stores from now on by a rule; `skyfresh sync` brings there what is there already. Nothing is deleted, and nothing is done: what is not needed any more at today's stores is told, so that it can be removed once nobody reads it there.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
#[command(after_help = "\
Examples:
  skyfresh place advise logs/ --at aws-us-east-1-s3-Standard --clients networks.csv --json > advice.jsonl
  skyfresh place apply advice.jsonl --location aws-us-east-1-s3-Standard=s3://site/ --location aws-eu-west-1-s3-Standard=s3://site-eu/ --output rules.toml")]
pub(super) struct Args {
    /// What `place advise --json` printed; `-` reads standard input
    #[arg(value_name = "ADVICE.jsonl")]
    advice: PathBuf,
    /// Where a store of the price list keeps these objects: `aws-eu-west-1-s3-Standard=s3://bucket/`; one for each store that takes part
    #[arg(long, value_name = "STORE=LOCATION", value_parser = parse_location)]
    location: Vec<(String, Location)>,
    /// Write the rules to this file, which must not be there
    #[arg(long, value_name = "FILE.toml")]
    output: Option<PathBuf>,
    /// Replace the file of --output
    #[arg(long, requires = "output")]
    overwrite: bool,
    /// Only groups that save so many dollars a month
    #[arg(long, value_name = "USD", default_value_t = 0.0)]
    at_least: f64,
}

/// `STORE=LOCATION`; names of stores have no `=`.
fn parse_location(text: &str) -> Result<(String, Location), String> {
    let (store, location) = text
        .split_once('=')
        .ok_or("write STORE=LOCATION, e.g. aws-eu-west-1-s3-Standard=s3://bucket/")?;
    let location = location.parse().map_err(|error| format!("{error}"))?;
    Ok((store.to_owned(), location))
}

/// What is to be done.
#[derive(Debug, Default, Serialize)]
struct Applied {
    rules: Vec<Rule>,
    /// Commands that bring what exists to the rules' destinations.
    commands: Vec<String>,
    /// What the rules do not say.
    remarks: Vec<String>,
}

/// As `skyfresh.toml` has them.
#[derive(Serialize)]
struct Rules<'a> {
    rule: &'a [Rule],
}

pub(super) fn run(args: &Args, context: &Context) -> anyhow::Result<Exit> {
    let (summary, groups) = read(args)?;
    let locations: BTreeMap<&str, &Location> = args
        .location
        .iter()
        .map(|(store, location)| (store.as_str(), location))
        .collect();
    let applied = apply(&summary, &groups, &locations, args.at_least)?;
    let text = text(&applied)?;
    if let Some(path) = &args.output {
        let mut options = std::fs::OpenOptions::new();
        options.write(true);
        match args.overwrite {
            true => options.create(true).truncate(true),
            false => options.create_new(true),
        };
        let written = options
            .open(path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| {
            let why = format!("cannot write {}: {error}", path.display());
            let told = Told::new(Exit::Failed, why);
            match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    told.hint("--overwrite replaces it; it may hold rules that are in use")
                }
                _ => told,
            }
        })?;
    }
    let output = &context.output;
    if output.json {
        output.json_line(&applied)?;
        return Ok(Exit::Ok);
    }
    match &args.output {
        None => output.text(&text),
        Some(path) => {
            output.note(format!(
                "{} rules in {}: add them to your skyfresh.toml",
                applied.rules.len(),
                path.display()
            ));
            for command in &applied.commands {
                output.line(command);
            }
            for remark in &applied.remarks {
                output.note(printable(remark, false));
            }
        }
    }
    Ok(Exit::Ok)
}

/// The summary and the groups of an advice.
fn read(args: &Args) -> anyhow::Result<(Summary, Vec<ToldGroup>)> {
    let mut lines = Lines::open(&args.advice)?;
    let (mut summary, mut groups, mut number) = (None, Vec::new(), 0);
    loop {
        let batch = lines.batch()?;
        if batch.is_empty() {
            break;
        }
        for line in batch {
            number += 1;
            let told: ToldLine = serde_json::from_str(&line).map_err(|error| {
                usage(format!("line {number} of the advice: {error}"))
                    .hint("`skyfresh place advise --json` prints it")
            })?;
            match told {
                ToldLine::Summary(told) => summary = Some(*told),
                ToldLine::Group(group) => groups.push(*group),
            }
        }
    }
    let summary = summary.ok_or_else(|| usage("the advice has no summary: it is not whole"))?;
    Ok((summary, groups))
}

/// What of a source's keys a rule is about: globs of what is in, and of what is not.
type Scope = (Vec<String>, Vec<String>);

/// Decides.
fn apply(
    summary: &Summary,
    groups: &[ToldGroup],
    locations: &BTreeMap<&str, &Location>,
    at_least: f64,
) -> anyhow::Result<Applied> {
    if summary.by == "access-set" {
        return Err(
            usage("an access set is no set of names that a rule could be made of")
                .hint("advise with --by prefix or --by object")
                .into(),
        );
    }
    let location = |store: &str| {
        locations.get(store).copied().ok_or_else(|| {
            usage(format!("where does {store} keep these objects?"))
                .hint(format!("--location '{store}=s3://bucket/'"))
        })
    };
    let today: BTreeSet<&str> = summary.stores_today.iter().map(String::as_str).collect();
    let Some(first) = summary.stores_today.first() else {
        return Err(usage("the advice names no store of today").into());
    };
    let source = location(first)?;
    let bucket = format!("{}/", source.bucket);
    let named = groups.iter().any(|group| group.name.starts_with(&bucket));
    let mut applied = Applied::default();
    // By destinations: keys that begin like this, whole; and those of which what has a further `/` belongs to other groups.
    let mut wanted: BTreeMap<Vec<&str>, (Vec<String>, Vec<String>)> = BTreeMap::new();
    for group in groups {
        let saves = group.saving_usd.parse::<f64>().unwrap_or(0.0);
        let new: Vec<&str> = group
            .stores
            .iter()
            .map(String::as_str)
            .filter(|store| !today.contains(store))
            .collect();
        if saves < at_least || group.stores.is_empty() {
            continue;
        }
        let left: Vec<&str> = today
            .iter()
            .copied()
            .filter(|store| !group.stores.iter().any(|other| other == store))
            .collect();
        if new.is_empty() && left.is_empty() {
            continue;
        }
        let key = match named {
            true => group.name.strip_prefix(&bucket),
            false => Some(group.name.as_str()),
        };
        let key = key.and_then(|key| key.strip_prefix(&source.prefix));
        let Some(key) = key.filter(|_| !(group.folded && summary.by == "object")) else {
            applied.remarks.push(format!(
                "{}: no rule, since it is no part of {source}",
                group.name
            ));
            continue;
        };
        if !left.is_empty() {
            applied.remarks.push(format!(
                "{}: not needed any more at {}, once it is read and written at {}",
                group.name,
                left.join(" + "),
                group.stores.join(" + ")
            ));
        }
        if new.is_empty() {
            continue;
        }
        let (whole, level) = wanted.entry(new).or_default();
        let glob = globset::escape(key);
        let slashes = group.name.matches('/').count();
        if summary.by == "object" {
            whole.push(glob);
        } else if slashes > summary.depth {
            whole.push(format!("{glob}*"));
        } else {
            level.push(glob);
        }
    }
    for (stores, (whole, level)) in wanted {
        let mut scopes: Vec<Scope> = whole
            .chunks(MAX_GLOBS)
            .map(|globs| (globs.to_vec(), Vec::new()))
            .collect();
        scopes.extend(level.iter().map(|glob| {
            let deeper = format!("{glob}*/*");
            (vec![format!("{glob}*")], vec![deeper])
        }));
        let destinations = stores.iter().map(|store| location(store).cloned());
        let destinations = destinations.collect::<Result<Vec<_>, _>>()?;
        for (include, exclude) in scopes {
            let name = format!("place-{}", applied.rules.len() + 1);
            let mut rule = Rule::new(name, source.clone(), destinations.clone());
            for (destination, store) in rule.destinations.iter_mut().zip(&stores) {
                destination.name = rule_name(store);
            }
            (rule.include, rule.exclude) = (include, exclude);
            rule.check()?;
            applied.commands.push(command(&rule));
            applied.rules.push(rule);
        }
    }
    Ok(applied)
}

/// A store's name in the letters that names in rules may have.
fn rule_name(store: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let letters = store.chars().map(|c| if fits(c) { c } else { '-' });
    letters.take(64).collect()
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The command that brings what exists to a rule's destinations.
fn command(rule: &Rule) -> String {
    let mut words = vec!["skyfresh sync".to_owned(), quoted(&rule.source.to_string())];
    let destinations = rule.destinations.iter();
    words.extend(destinations.map(|one| quoted(&one.location.to_string())));
    for (flag, globs) in [("--include", &rule.include), ("--exclude", &rule.exclude)] {
        for glob in globs {
            words.push(format!("{flag} {}", quoted(glob)));
        }
    }
    words.join(" ")
}

/// The rules as TOML, with the rest as comments.
fn text(applied: &Applied) -> anyhow::Result<String> {
    let mut text = String::from("# Of `skyfresh place apply`. What exists is brought there by:\n");
    let comments = applied.commands.iter().chain(&applied.remarks);
    for comment in comments {
        // A line break in a name must not end the comment.
        text.push_str(&format!("#   {}\n", printable(comment, false)));
    }
    text.push('\n');
    if !applied.rules.is_empty() {
        text.push_str(&toml::to_string(&Rules {
            rule: &applied.rules,
        })?);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::environment::Environment;

    const TODAY: &str = "aws-us-east-1-s3-Standard";
    const NEW: &str = "aws-eu-west-1-s3-General Purpose";

    fn summary(by: &str) -> Summary {
        Summary {
            by: by.into(),
            depth: 1,
            stores_today: vec![TODAY.into()],
            ..Summary::default()
        }
    }

    fn group(name: &str, stores: &[&str], saving_usd: &str) -> ToldGroup {
        ToldGroup {
            name: name.into(),
            saving_usd: saving_usd.into(),
            stores: stores.iter().map(|store| (*store).to_owned()).collect(),
            ..ToldGroup::default()
        }
    }

    fn applied(summary: &Summary, groups: &[ToldGroup]) -> anyhow::Result<Applied> {
        let (source, new) = ("s3://site/".parse()?, "s3://site-eu/".parse()?);
        let locations = BTreeMap::from([(TODAY, &source), (NEW, &new)]);
        apply(summary, groups, &locations, 0.0)
    }

    #[test]
    fn rules_are_those_of_a_configuration_and_their_scope_is_the_groups() {
        let groups = [
            group("site/img [x]/", &[TODAY, NEW], "3"),
            group("site/", &[TODAY, NEW], "2"),
            group("site/moved/", &[NEW], "1.5"),
            group("site/stays/", &[TODAY], "0"),
            group("site/dearer/", &[NEW], "-1"),
            group("other/logs/", &[NEW], "1"),
        ];
        let applied = applied(&summary("prefix"), &groups).unwrap();
        let text = text(&applied).unwrap();
        let config = Config::parse("rules.toml", &text, &Environment::default()).unwrap();
        assert_eq!(config.rules, applied.rules);
        assert_eq!(applied.rules.len(), 2);
        let admits = |rule: usize, key: &str| {
            let rule = &applied.rules[rule];
            let globs = skyfresh_engine::Globs::new(&rule.include, &rule.exclude).unwrap();
            globs.admit(key)
        };
        for (rule, key, admitted) in [
            (0, "img [x]/a/b", true),
            (0, "img x/a", false),
            (0, "moved/a", true),
            (0, "index.html", false),
            (1, "index.html", true),
            (1, "img [x]/a", false),
        ] {
            assert_eq!(admits(rule, key), admitted, "{rule} {key}");
        }
        assert_eq!(
            applied.commands[1],
            "skyfresh sync 's3://site/' 's3://site-eu/' --include '*' --exclude '*/*'"
        );
        let remarks = applied.remarks.join("\n");
        assert!(remarks.contains("site/moved/: not needed any more at aws-us-east-1"));
        assert!(remarks.contains("other/logs/: no rule"));
    }

    #[test]
    fn names_end_no_word_and_no_comment() {
        let groups = [group("site/it's\n[[rule]]/", &[NEW], "1")];
        let applied = applied(&summary("prefix"), &groups).unwrap();
        assert!(applied.commands[0].contains(r"it'\''s"), "{applied:?}");
        let text = text(&applied).unwrap();
        let config = Config::parse("rules.toml", &text, &Environment::default()).unwrap();
        assert_eq!(config.rules.len(), 1);
    }

    #[test]
    fn what_cannot_be_a_rule_is_said() {
        let one = [group("site/a/", &["elsewhere"], "1")];
        let said = applied(&summary("prefix"), &one).unwrap_err().to_string();
        assert_eq!(said, "where does elsewhere keep these objects?");
        let said = applied(&summary("access-set"), &one).unwrap_err();
        assert!(said.to_string().contains("access set"), "{said}");
    }
}
