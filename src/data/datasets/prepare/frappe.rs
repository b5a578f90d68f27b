//! Frappe, a log of the apps that people used and in which circumstances: will this user use this app now? Times of day are
//! the scenarios.
//!
//! The log has what was used only. As in "Neural Factorization Machines for Sparse Predictive Analytics" (He and Chua, SIGIR
//! 2017), each of its rows is followed by two of the same user and circumstances with an app that was not used in them.

use std::path::Path;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::data::datasets::prepare::arrays::{Layout, Table};
use crate::data::datasets::prepare::config::RunConfig;
use crate::data::datasets::prepare::dimension::{Dimension, Shape};
use crate::data::datasets::prepare::raw::Publication;
use crate::data::datasets::prepare::rows::{Kind, Rows};
use crate::data::datasets::prepare::shares::ExactShares;
use crate::data::datasets::prepare::{Job, Prepared, own_split, schema};
use crate::data::error::Result;
use crate::data::fit::vocabulary::Interner;
use crate::data::schema::Schema;

pub(crate) const PUBLICATION: Publication = Publication {
    title: "Frappe",
    home: "https://www.baltrunas.info/context-aware",
    layouts: &[&["frappe.csv", "meta.csv"]],
    hint: "Unpack the archive first.",
};

/// The circumstances, the first of which is the scenario.
const CONTEXT: [&str; 8] = ["daytime", "weekday", "isweekend", "homework", "cost", "weather", "country", "city"];
/// What is known of an app.
const APP: [&str; 6] = ["category", "downloads", "developer", "language", "price", "rating"];
const UNKNOWN: &[&str] = &["unknown"];
/// Drawn apps for each row of the log.
const DRAWN: usize = 2;

pub(crate) fn prepare(mut job: Job) -> Result<Prepared> {
    let (_, paths) = PUBLICATION.find(job.raw)?;
    let [log, apps] = &paths[..] else { unreachable!("two files") };
    job.meter.expect(log, 1)?;
    job.meter.expect(apps, 1)?;
    let shape = Shape { layout: Layout::plain("\t"), key: "item", columns: &APP, missing: UNKNOWN };
    let meta = Dimension::read(&mut job, apps, &shape, |_| Ok(()))?;
    let log = Log::read(&mut job, log)?;

    let texts = [&["user", "item"], &CONTEXT[..], &APP, &["split"]].concat();
    let columns: Vec<(&str, Kind)> = [("label", Kind::Integer), ("cnt", Kind::Integer)]
        .into_iter()
        .chain(texts.into_iter().map(|name| (name, Kind::Text)))
        .collect();
    let mut rows = Rows::new(&columns);
    let mut shares = ExactShares::tenths([2, 1], log.uses.len() as u64, job.seed);
    for (row, of) in log.uses.iter().enumerate() {
        let split = shares.next();
        let drawn = draw(job.seed, row as u64, log.apps.len(), &log.used[of.place as usize]);
        (drawn.len()..DRAWN).for_each(|_| job.leave_out("apps to draw: all were used in the same circumstances"));
        let uses = [(of.app, of.count)].into_iter().chain(drawn.into_iter().map(|app| (app, 0)));
        let place = String::from_utf8_lossy(log.places.get(of.place));
        let mut place = place.split(BETWEEN);
        let user = place.next().unwrap_or_default();
        let context: [&str; CONTEXT.len()] = std::array::from_fn(|_| place.next().unwrap_or_default());
        for (app, count) in uses {
            let app = String::from_utf8_lossy(log.apps.get(app));
            rows.integer(Some((count > 0).into()));
            rows.integer(Some(count));
            [user, &app].into_iter().chain(context).for_each(|cell| rows.text(Some(cell)));
            rows.joined(meta.get(&app), APP.len());
            rows.text(Some(split.name()));
            rows.end(context[0], Some(split), count > 0, job.sink)?;
        }
    }
    let agnostic = [&["user", "item"], &CONTEXT[1..]].concat();
    let config = RunConfig {
        about: format!(
            "Frappe: will this user use this app now? Times of day are the scenarios. Each row of the log is followed by two\n\
             of apps that the user did not use in the same circumstances. A tenth is test and two tenths valid. All by seed {}.",
            job.seed
        ),
        schema: Schema {
            scenario: Some(CONTEXT[0].to_owned()),
            user: Some("user".to_owned()),
            split: own_split(),
            ..schema(&[CONTEXT[0]], &agnostic)
        },
        model: "name = \"mi-dpg\"\nwidth = 16\nhidden = [128, 64, 32]\n",
        train: "epochs = 20\npatience = 2\nbatch_size = 1024\nlearning_rate = 0.001\n",
    };
    job.whole(&rows)?;
    job.finish(rows, &config)
}

/// The log in memory: it is a few megabytes.
#[derive(Default)]
struct Log {
    uses: Vec<Use>,
    apps: Interner,
    /// Users in their circumstances: cells with [`BETWEEN`] between them.
    places: Interner,
    /// By place the apps that were used there, in increasing order.
    used: Vec<Vec<u32>>,
}

/// What stands between the cells of a place.
const BETWEEN: char = '\u{1f}';

/// A row of the log.
#[derive(Clone, Copy)]
struct Use {
    place: u32,
    app: u32,
    /// How often.
    count: i64,
}

impl Log {
    fn read(job: &mut Job, path: &Path) -> Result<Self> {
        const COUNT: &str = "a whole number above 0";
        let wanted = [&["user", "item", "cnt"], &CONTEXT[..]].concat();
        let mut table = Table::with_header(path, Layout::plain("\t"), &wanted, &job.meter)?;
        let mut log = Self::default();
        let mut place = String::new();
        while table.next()? {
            place.clear();
            place.push_str(table.required(0)?);
            for column in 3..wanted.len() {
                place.push(BETWEEN);
                place.push_str(table.required(column)?);
            }
            let count: i64 = table.number(2, COUNT)?;
            if count < 1 {
                return Err(table.bad(2, COUNT));
            }
            let app = log.apps.intern(table.required(1)?.as_bytes());
            let place = log.places.intern(place.as_bytes());
            log.used.resize_with(log.places.len(), Vec::new);
            let used = &mut log.used[place as usize];
            if let Err(before) = used.binary_search(&app) {
                used.insert(before, app);
            }
            log.uses.push(Use { place, app, count });
        }
        job.note_read(path, table.rows());
        Ok(log)
    }
}

/// Different apps of so many that are not among the used ones, which are in increasing order; each choice is as likely as any
/// other. They are fewer only where fewer are left.
fn draw(seed: u64, row: u64, apps: usize, used: &[u32]) -> Vec<u32> {
    let mut taken = used.to_vec();
    let mut drawn = Vec::with_capacity(DRAWN);
    for number in 0..DRAWN.min(apps - used.len()) as u64 {
        let left = (apps - taken.len()) as u128;
        let random = xxh3_64_with_seed([row.to_le_bytes(), number.to_le_bytes()].as_flattened(), seed);
        // The high half of a product with a random 64-bit number is uniform below the other factor: a place among those left.
        let place = ((u128::from(random) * left) >> 64) as u32;
        let app = taken.iter().fold(place, |app, &taken| if taken <= app { app + 1 } else { app });
        taken.insert(taken.partition_point(|&taken| taken < app), app);
        drawn.push(app);
    }
    drawn
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unused_apps_are_drawn_evenly_and_never_twice() {
        let (used, mut counts) = ([1, 3, 4], [0u32; 8]);
        for row in 0..10_000 {
            let [first, second] = draw(5, row, 8, &used)[..] else { panic!("two apps") };
            assert_ne!(first, second);
            [first, second].into_iter().for_each(|app| counts[app as usize] += 1);
        }
        // Of five apps left two are drawn: each in 4,000 of 10,000 rows, give or take four standard deviations of 49.
        for (app, count) in counts.into_iter().enumerate() {
            let expected = if used.contains(&(app as u32)) { 0..=0 } else { 3_804..=4_196 };
            assert!(expected.contains(&count), "{app}: {count}");
        }
        assert_eq!(draw(5, 0, 3, &[0, 1, 2]), Vec::<u32>::new());
        assert_eq!(draw(5, 0, 4, &[0, 1, 3]), [2]);
    }
}
