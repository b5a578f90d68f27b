//! `polyscene prepare`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::exit::Done;
use super::observer::Observer;
use super::print::print_line;
use crate::app::prepare::prepare;
use crate::data::{Group, Prepared, PublicData, SplitName};
use crate::report::table::{TableStyle, draw};

#[derive(Args)]
pub(super) struct PrepareArgs {
    /// Which data set
    #[arg(value_enum, value_name = "DATASET")]
    data: DataName,
    /// Folder with the files as their owner publishes them; folders in it are searched too
    #[arg(long, value_name = "DIR")]
    raw: PathBuf,
    /// Folder for data.parquet and config.toml
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of random splits
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
}

/// The data sets, as they are named on the command line.
#[derive(Clone, Copy, ValueEnum)]
enum DataName {
    /// Taobao's recommendations, by page (OptMSM)
    AliCcp,
    /// AliExpress's search, by country (OptMSM)
    #[value(name = "aliexpress")]
    AliExpress,
    /// Reviews of electronics on Amazon, by category (MI-DPG)
    Amazon,
    /// Ads on phones (Kaggle, 2014), by position of the banner
    Avazu,
    /// Display ads (Kaggle, 2014), without scenarios
    Criteo,
    /// Ratings of books, films and music on Douban
    Douban,
    /// The apps that people use, by time of day
    Frappe,
    /// Alimama's sponsored search, by category (MI-DPG)
    Iaac,
    /// Kuaishou's short videos (KuaiRand-Pure, -1K and -27K), by tab of the app
    #[value(name = "kuairand")]
    KuaiRand,
    /// MovieLens-1M or MovieLens-100K, by age
    #[value(name = "movielens")]
    MovieLens,
    /// Taobao's display advertising, by size of city (SAML)
    Taobao,
}

impl DataName {
    fn data(self) -> PublicData {
        match self {
            Self::AliCcp => PublicData::AliCcp,
            Self::AliExpress => PublicData::AliExpress,
            Self::Amazon => PublicData::Amazon,
            Self::Avazu => PublicData::Avazu,
            Self::Criteo => PublicData::Criteo,
            Self::Douban => PublicData::Douban,
            Self::Frappe => PublicData::Frappe,
            Self::Iaac => PublicData::Iaac,
            Self::KuaiRand => PublicData::KuaiRand,
            Self::MovieLens => PublicData::MovieLens,
            Self::Taobao => PublicData::Taobao,
        }
    }
}

pub(super) fn run(args: &PrepareArgs) -> anyhow::Result<Done> {
    let mut observer = Observer::default();
    let (prepared, config) =
        prepare(args.data.data(), &args.raw, &args.out, args.seed, &mut |event| observer.tell(event))?;
    show(&prepared)?;
    note!("train on it with: polyscene train {}", config.display());
    Ok(Done::All)
}

/// What was read, left out and written.
fn show(prepared: &Prepared) -> anyhow::Result<()> {
    let Prepared { groups, read, left_out, notes, rows, .. } = prepared;
    for (name, rows) in read {
        note!("read      {rows} rows of {name}");
    }
    for (reason, rows) in left_out {
        note!("left out  {rows} {reason}");
    }
    for text in notes {
        note!("note      {text}");
    }
    note!("written   {rows} rows");
    let splits: Vec<SplitName> =
        SplitName::ALL.into_iter().filter(|split| groups.keys().any(|(_, found)| *found == Some(*split))).collect();
    let heads: Vec<&str> =
        ["scenario", "rows", "positives"].into_iter().chain(splits.iter().map(|s| s.name())).collect();
    let scenarios: BTreeSet<&str> = groups.keys().map(|(scenario, _)| scenario.as_str()).collect();
    let line = |name: &str, of: &dyn Fn(&str) -> bool| {
        let sum = |split: Option<SplitName>, count: &dyn Fn(&Group) -> u64| -> u64 {
            let within = groups.iter().filter(|((name, found), _)| of(name) && (split.is_none() || *found == split));
            within.map(|(_, group)| count(group)).sum()
        };
        let totals = [sum(None, &|group| group.rows), sum(None, &|group| group.positives)];
        let counts = totals.into_iter().chain(splits.iter().map(|split| sum(Some(*split), &|group| group.rows)));
        [name.to_owned()].into_iter().chain(counts.map(|count| count.to_string())).collect::<Vec<String>>()
    };
    let mut lines: Vec<Vec<String>> =
        scenarios.iter().map(|scenario| line(scenario, &|name| name == *scenario)).collect();
    lines.push(line("all", &|_| true));
    print_line(&draw(&heads, &lines, TableStyle::for_stdout()))
}
